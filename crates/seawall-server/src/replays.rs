//! Replays of many dead letters at work: each job has a task that does what the store's engine says.
//!
//! A letter that a policy refuses is handed back, and waits until its circuit lets calls through: an open circuit spends
//! no replays. A job goes on after a restart behind the last letter that it handed out.

use crate::{
    dead_letters::{DeadLetters, ReplayEnd},
    gateway::{Gateway, Replayed},
    wall_clock,
};
use seawall_store::{
    StoreError,
    letters::{
        Action, Begun, Job, JobLease, JobStatus, Letter, LetterId, Letters, Replay, ReplayOrder,
        ReplayOutcome, Selection,
    },
};
use std::{
    collections::{BTreeMap, btree_map::Entry},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    sync::Notify,
    task::JoinSet,
    time::{Instant, sleep, timeout, timeout_at},
};

/// Jobs that run or pause at once.
const MAX_RUNNING: usize = 16;
/// How long a letter that was refused, or a store that failed, is waited for before the next try.
const PAUSE: Duration = Duration::from_millis(250);
/// How often the progress of a job is saved.
const SAVE_EVERY: Duration = Duration::from_secs(1);

/// All jobs that are not over.
pub(crate) struct Replays {
    letters: Arc<DeadLetters>,
    gateway: Arc<Gateway>,
    running: Mutex<BTreeMap<LetterId, Arc<Running>>>,
    tasks: Mutex<JoinSet<()>>,
    stopping: AtomicBool,
}

/// A job at work.
struct Running {
    engine: Mutex<Replay>,
    /// Wakes the task of the job.
    changed: Notify,
    /// Letters that wait for a policy to let them through.
    waiting: AtomicUsize,
}

/// Why a job did not begin.
#[derive(Debug)]
pub(crate) enum NoReplay {
    /// The order is out of its bounds.
    Wrong(String),
    /// As many jobs as may be are not over.
    TooMany,
    /// The store cannot be read or written.
    Store(StoreError),
}

/// A change to a job.
#[derive(Clone, Copy, Debug)]
pub(crate) enum JobChange {
    Pause,
    Resume,
    Cancel,
}

impl JobChange {
    /// The state that a job is brought to.
    fn status(self) -> JobStatus {
        match self {
            Self::Pause => JobStatus::Paused,
            Self::Resume => JobStatus::Running,
            Self::Cancel => JobStatus::Cancelled,
        }
    }
}

/// What became of one letter of a job.
enum Sent {
    Ended(ReplayOutcome),
    Skipped,
    /// It was refused; or the store was, and no letter is known.
    Later(Option<Box<Letter>>),
}

fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Replays {
    /// The jobs of these letters, which go along the routes of this gateway. Those of the former run that were not over
    /// go on, as do, of letters that instances share, those that no other instance runs. Called on a thread that may wait,
    /// inside the runtime.
    pub(crate) fn new(letters: Arc<DeadLetters>, gateway: Arc<Gateway>) -> Arc<Self> {
        let this = Arc::new(Self {
            letters,
            gateway,
            running: Mutex::default(),
            tasks: Mutex::default(),
            stopping: AtomicBool::new(false),
        });
        if this.letters.is_shared() {
            lock(&this.tasks).spawn(this.clone().take_over_for_ever());
        } else {
            let jobs = this.letters.read_here(|letters| letters.jobs()).unwrap_or_default();
            jobs.into_iter().filter(|job| !job.is_over()).for_each(|job| this.start(job));
        }
        this
    }

    /// Begins a job. It is written down when this returns.
    ///
    /// # Errors
    /// When the order is wrong, too many jobs are not over, or the store fails.
    pub(crate) async fn begin(self: &Arc<Self>, order: ReplayOrder) -> Result<Job, NoReplay> {
        let mut job = Job::new(order, wall_clock::now_ms()).map_err(NoReplay::Wrong)?;
        if lock(&self.running).len() >= MAX_RUNNING {
            return Err(NoReplay::TooMany);
        }
        let written = self.letters.change(move |letters| {
            if let Selection::Query(query) = &job.order.selection {
                let groups = letters.groups(query)?;
                let counted: u64 = groups.groups.iter().map(|group| group.letters).sum();
                job.total = Some(counted + groups.others);
            }
            letters.save_job(&job)?;
            Ok(job)
        });
        let job = written.await.map_err(NoReplay::Store)?;
        self.start(job.clone());
        Ok(job)
    }

    fn start(self: &Arc<Self>, job: Job) {
        let id = job.id;
        let running = Arc::new(Running {
            engine: Mutex::new(Replay::new(job)),
            changed: Notify::new(),
            waiting: AtomicUsize::new(0),
        });
        match lock(&self.running).entry(id) {
            Entry::Vacant(place) => _ = place.insert(running.clone()),
            Entry::Occupied(_) => return,
        }
        let this = self.clone();
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            this.drive(&running).await;
            lock(&this.running).remove(&id);
        });
    }

    /// All jobs that are remembered, the latest first.
    ///
    /// # Errors
    /// When the store cannot be read.
    pub(crate) async fn jobs(self: &Arc<Self>) -> Result<Vec<Job>, StoreError> {
        // A job is saved before it leaves this map, so one that is not in it has its last state in the store.
        let running: BTreeMap<LetterId, Job> =
            lock(&self.running).iter().map(|(id, running)| (*id, running.job())).collect();
        let stored = self.letters.read(|letters| letters.jobs()).await?;
        let newest = |job: Job| match running.get(&job.id) {
            Some(now) if !job.is_over() => now.clone(),
            _ => job,
        };
        Ok(stored.into_iter().rev().map(newest).collect())
    }

    /// Changes a job that is not over, and returns it; none where no such job runs. One that another instance runs is
    /// returned as it is: that instance follows within about a second.
    ///
    /// # Errors
    /// When another instance runs it, and cannot be asked.
    pub(crate) async fn change(
        self: &Arc<Self>,
        id: LetterId,
        change: JobChange,
    ) -> Result<Option<Job>, StoreError> {
        let running = lock(&self.running).get(&id).cloned();
        if let Some(running) = running {
            return Ok(Some(running.change(change.status())));
        }
        if !self.letters.is_shared() {
            return Ok(None);
        }
        let job = self.jobs().await?.into_iter().find(|job| job.id == id && !job.is_over());
        if job.is_some() {
            let ask = move |letters: &dyn Letters| letters.ask_of_job(id, change.status());
            self.letters.change(ask).await?;
        }
        Ok(job)
    }

    /// Runs the jobs that no instance runs, until the server stops.
    async fn take_over_for_ever(self: Arc<Self>) {
        while !self.is_stopping() {
            // What fails is tried again.
            _ = self.take_over().await;
            // A server that stops does not wait for the whole pause.
            for _ in 0..4 {
                if !self.is_stopping() {
                    sleep(PAUSE).await;
                }
            }
        }
    }

    async fn take_over(self: &Arc<Self>) -> Result<(), StoreError> {
        let unfinished = |jobs: Vec<Job>| jobs.into_iter().filter(|job| !job.is_over());
        let jobs = self.letters.read(|letters| letters.jobs()).await?;
        for id in unfinished(jobs).map(|job| job.id) {
            let running = lock(&self.running).len();
            if running >= MAX_RUNNING || lock(&self.running).contains_key(&id) {
                continue;
            }
            if self.letters.change(move |letters| letters.lease_job(id)).await?
                == JobLease::Elsewhere
            {
                continue;
            }
            // It may have ended, or gone on, since its record was read.
            let jobs = self.letters.read(|letters| letters.jobs()).await?;
            unfinished(jobs).filter(|job| job.id == id).for_each(|job| self.start(job));
        }
        Ok(())
    }

    /// Takes or renews the lease of a job, and does what others ask of it. Returns whether it may be run here.
    async fn renew(self: &Arc<Self>, running: &Running) -> bool {
        let id = running.job().id;
        match self.letters.change(move |letters| letters.lease_job(id)).await {
            Ok(JobLease::Held(asked)) => {
                if let Some(status) = asked {
                    running.change(status);
                }
                true
            }
            Ok(JobLease::Elsewhere) => false,
            // While the store is lost no letter is handed out, here or elsewhere.
            Err(_) => true,
        }
    }

    /// Hands out no more letters, and waits for those on their way, so long. The jobs go on at the next start.
    pub(crate) async fn stop(&self, longest: Duration) {
        self.stopping.store(true, Ordering::Relaxed);
        lock(&self.running).values().for_each(|running| running.changed.notify_one());
        let mut tasks = std::mem::take(&mut *lock(&self.tasks));
        let ended = timeout(longest, async { while tasks.join_next().await.is_some() {} }).await;
        if ended.is_err() {
            tracing::warn!("replays of dead letters were cut off; they count as failed");
        }
        tasks.shutdown().await;
    }

    fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    /// Does what the engine of a job says, to its end or until the server stops.
    async fn drive(self: &Arc<Self>, running: &Arc<Running>) {
        let began = Instant::now();
        let (mut saved, mut save_at) = (running.job(), Instant::now() + SAVE_EVERY);
        let mut renew_at = Instant::now();
        let mut on_their_way = JoinSet::new();
        while !self.is_stopping() {
            while on_their_way.try_join_next().is_some() {}
            if Instant::now() >= renew_at {
                renew_at = Instant::now() + SAVE_EVERY;
                if !self.renew(running).await {
                    // Another instance has taken it over, and knows better how far it is.
                    while on_their_way.join_next().await.is_some() {}
                    return;
                }
            }
            let job = running.job();
            if job.status != saved.status || (job != saved && Instant::now() >= save_at) {
                save_at = Instant::now() + SAVE_EVERY;
                if self.save(&job).await {
                    saved = job;
                }
            }
            let action = lock(&running.engine).poll(began.elapsed());
            match action {
                Action::Fetch { query, after, most } => {
                    let page = self.letters.read(move |letters| letters.page(&query, after, most));
                    match page.await {
                        Ok(page) => lock(&running.engine).fetched(&page),
                        Err(_) => {
                            lock(&running.engine).fetch_failed();
                            sleep(PAUSE).await;
                        }
                    }
                }
                Action::Send(id) => {
                    on_their_way.spawn(self.clone().send(running.clone(), id));
                }
                Action::WaitUntil(time) => {
                    // Not for longer, so that progress is saved meanwhile.
                    let until = (began + time).min(Instant::now() + SAVE_EVERY);
                    _ = timeout_at(until, running.changed.notified()).await;
                }
                Action::Wait => _ = timeout(SAVE_EVERY, running.changed.notified()).await,
                Action::End => break,
            }
        }
        while on_their_way.join_next().await.is_some() {}
        while !self.save(&running.job()).await && !self.is_stopping() {
            sleep(PAUSE).await;
        }
    }

    async fn save(self: &Arc<Self>, job: &Job) -> bool {
        let job = job.clone();
        self.letters.change(move |letters| letters.save_job(&job)).await.is_ok()
    }

    /// Replays one letter of a job: again and again while policies refuse it.
    async fn send(self: Arc<Self>, running: Arc<Running>, id: LetterId) {
        loop {
            match self.try_once(id).await {
                Sent::Ended(outcome) => {
                    lock(&running.engine).finished(id, &outcome);
                    break;
                }
                Sent::Skipped => {
                    lock(&running.engine).skipped(id);
                    break;
                }
                Sent::Later(letter) => {
                    if !self.wait(&running, letter.as_deref()).await {
                        self.letters.counters.count_replay(ReplayEnd::NotSent);
                        lock(&running.engine).finished(id, &ReplayOutcome::NotSent);
                        break;
                    }
                }
            }
        }
        running.changed.notify_one();
    }

    async fn try_once(self: &Arc<Self>, id: LetterId) -> Sent {
        let letter = match self.letters.change(move |letters| letters.begin_replay(id)).await {
            Ok(Begun::Ready(letter)) => letter,
            Ok(Begun::NotWaiting(_) | Begun::Unreadable(_) | Begun::Missing) => {
                return Sent::Skipped;
            }
            Err(_) => return Sent::Later(None),
        };
        let outcome = match self.gateway.replay(&letter).await {
            Replayed::Succeeded(attempt) => {
                self.letters.counters.count_replay(ReplayEnd::Succeeded);
                ReplayOutcome::Succeeded(attempt)
            }
            Replayed::Failed(attempt) => {
                self.letters.counters.count_replay(ReplayEnd::Failed);
                ReplayOutcome::Failed(attempt)
            }
            Replayed::Refused(why) => {
                tracing::debug!(letter = %id, "a replay was refused: {why}");
                ReplayOutcome::NotSent
            }
        };
        self.note(id, &outcome).await;
        if outcome == ReplayOutcome::NotSent {
            return Sent::Later(Some(letter));
        }
        Sent::Ended(outcome)
    }

    /// Notes the end of a replay, however long the store fails: else a letter whose work is done could be sent again.
    async fn note(self: &Arc<Self>, id: LetterId, outcome: &ReplayOutcome) {
        loop {
            let ended = outcome.clone();
            let noted = self.letters.change(move |letters| letters.finish_replay(id, &ended)).await;
            match noted {
                Ok(_) => return,
                Err(error) if self.is_stopping() => {
                    tracing::error!(letter = %id, "the end of a replay is not noted: {error}");
                    return;
                }
                Err(_) => sleep(PAUSE).await,
            }
        }
    }

    /// Waits until a letter may be tried again. Meanwhile its job hands out no other. Returns `false` when the job is
    /// cancelled or the server stops.
    async fn wait(&self, running: &Running, letter: Option<&Letter>) -> bool {
        running.waiting.fetch_add(1, Ordering::Relaxed);
        lock(&running.engine).set_breaker_open(true);
        let goes_on = loop {
            sleep(PAUSE).await;
            if self.is_stopping() || running.job().status == JobStatus::Cancelled {
                break false;
            }
            if !letter.is_some_and(|letter| self.gateway.is_cut_off(letter)) {
                break true;
            }
        };
        if running.waiting.fetch_sub(1, Ordering::Relaxed) == 1 {
            lock(&running.engine).set_breaker_open(false);
            running.changed.notify_one();
        }
        goes_on
    }
}

impl Running {
    fn job(&self) -> Job {
        lock(&self.engine).job().clone()
    }

    /// Brings the job to this state, and returns it.
    fn change(&self, status: JobStatus) -> Job {
        let job = {
            let mut engine = lock(&self.engine);
            match status {
                JobStatus::Paused => engine.pause(),
                JobStatus::Running => engine.resume(),
                JobStatus::Cancelled => engine.cancel(),
                // It ends by itself.
                JobStatus::Done => {}
            }
            engine.job().clone()
        };
        self.changed.notify_one();
        job
    }
}
