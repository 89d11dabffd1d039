//! Letters in Redis 6 or Valkey, which several instances share.

mod commit;
mod jobs;
mod layout;
mod place;
mod reading;
mod transaction;
mod upkeep;
mod writer;

use super::{Redis, connection::RedisConfigError};
use crate::{
    letters::{
        Begun, JobLease, Letters, Put, ReplayOutcome, Resealed,
        arrival::Arrival,
        config::Queues,
        content::Content,
        id::LetterId,
        job::{Job, JobStatus},
        keys::Keys,
        letter::{Envelope, Letter, State},
        lifecycle,
        query::{Groups, Page, Query},
        seal,
        stats::Stats,
    },
    store::{Result, StoreError},
};
use place::Place;
use std::{
    fmt,
    sync::{Arc, PoisonError, mpsc::sync_channel},
    time::Duration,
};
use tokio::{runtime::Handle, task::JoinSet};
use transaction::Transaction;
use writer::Writer;

/// How often a change is tried again where another one came in between.
const TRIES: u32 = 100;
/// Letters of one step of what goes over many.
const STEP: usize = 200;

/// How letters are kept in Redis.
#[derive(Clone, Debug, PartialEq)]
pub struct RedisLettersConfig {
    /// What tells these letters from others in the same Redis. All keys have it as their hash tag, behind the prefix of the
    /// connection, so that they are in one slot of a Cluster.
    pub key_prefix: String,
    /// Replicas that must have a change before it counts as made; 0 waits for none. See [`RedisLetters`].
    pub wait_replicas: u32,
    /// How long Redis may take for one answer. Replicas have half of it.
    pub timeout: Duration,
    /// So long an instance counts as alive after it was last heard of. Replays of one that is gone are ended, and its jobs
    /// taken over.
    pub lease: Duration,
}

impl Default for RedisLettersConfig {
    fn default() -> Self {
        Self {
            key_prefix: "letters".to_owned(),
            wait_replicas: 0,
            timeout: Duration::from_secs(2),
            lease: Duration::from_secs(15),
        }
    }
}

/// A place for letters in Redis, which any number of instances may have open.
///
/// # How durable that is
/// A change is in the memory of the master when its call returns. What outlives a crash of the master is what its AOF has,
/// which Redis writes each second or (`appendfsync always`) before it answers; what outlives a fail-over is what the new
/// master had received. With `wait_replicas` a call returns only after so many replicas have the change, and fails after half
/// the timeout otherwise; then it may still be made.
///
/// # Replays
/// A letter whose replay was begun belongs to the instance that began it. When that has not been heard of for
/// [`lease`](RedisLettersConfig::lease), another one counts the replay as failed.
///
/// # Calls block
/// They wait for tasks of the runtime in which it was opened, so a caller is on no thread that this runtime needs.
pub struct RedisLetters {
    place: Arc<Place>,
    runtime: Handle,
    _tasks: JoinSet<()>,
}

impl RedisLetters {
    /// Opens the letters. Redis need not be there: until it is, calls fail.
    ///
    /// New letters are encrypted with the first key, where there is one.
    ///
    /// # Errors
    /// When the address of Redis is none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(
        redis: &Redis,
        config: RedisLettersConfig,
        queues: Queues,
        keys: Keys,
    ) -> std::result::Result<Self, RedisConfigError> {
        // Long payloads and waiting for replicas would hold up what else goes over a connection.
        let (reads, writes) = (redis.further()?, redis.further()?);
        let mut tasks = JoinSet::new();
        let (writer, write) = Writer::new(writes, &config);
        tasks.spawn(write);
        let place = Arc::new(Place::new(reads, writer, config, queues, keys));
        tasks.spawn(upkeep::keep_up(Arc::downgrade(&place)));
        Ok(Self { place, runtime: Handle::current(), _tasks: tasks })
    }

    /// Waits on this thread for work that is done by the runtime.
    fn wait<T, W>(&self, work: impl FnOnce(Arc<Place>) -> W) -> Result<T>
    where
        T: Send + 'static,
        W: Future<Output = Result<T>> + Send + 'static,
    {
        let (sender, receiver) = sync_channel(1);
        let work = work(self.place.clone());
        self.runtime.spawn(async move {
            // The caller waits; were it gone, nobody would miss the answer.
            _ = sender.send(work.await);
        });
        receiver.recv().unwrap_or_else(|_| Err(self.place.error("the runtime has ended")))
    }
}

impl Drop for RedisLetters {
    fn drop(&mut self) {
        let (sender, receiver) = sync_channel(1);
        let place = self.place.clone();
        self.runtime.spawn(async move {
            // Where that fails, others find it out later.
            _ = sender.send(place.give_up().await);
        });
        _ = receiver.recv_timeout(self.place.config.timeout);
    }
}

impl fmt::Debug for RedisLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisLetters")
            .field("place", &self.place.name())
            .field("keys", &self.place.keys)
            .finish_non_exhaustive()
    }
}

impl Place {
    /// Reads letters and changes them, again where another change came in between.
    async fn change<T>(
        &self,
        ids: &[u128],
        mut change: impl FnMut(&mut Transaction<'_>) -> T,
    ) -> Result<T> {
        for n in 0..TRIES {
            let mut transaction = Transaction::new(self);
            transaction.load(ids.iter().copied()).await?;
            let done = change(&mut transaction);
            if transaction.commit().await? {
                return Ok(done);
            }
            pause(n).await;
        }
        Err(self.busy())
    }

    fn busy(&self) -> StoreError {
        self.error("others change the same letters all the time")
    }

    async fn put(&self, letters: Vec<Letter>) -> Result<Vec<Put>> {
        let queues = self.queues();
        let arrivals = letters.into_iter().map(|letter| Arrival::new(letter, &queues, &self.keys));
        let arrivals: Vec<_> = arrivals.collect();
        for n in 0..TRIES {
            let mut transaction = Transaction::new(self);
            transaction.load_for(&arrivals).await?;
            let mut put = Vec::with_capacity(arrivals.len());
            for arrival in &arrivals {
                put.push(transaction.put(arrival, &queues).await?);
            }
            if transaction.commit().await? {
                return Ok(put);
            }
            pause(n).await;
        }
        Err(self.busy())
    }

    async fn begin_replay(&self, id: LetterId) -> Result<Begun> {
        let Some(letter) = self.letter(id).await? else { return Ok(Begun::Missing) };
        if let Content::Unreadable(why) = letter.content {
            return Ok(Begun::Unreadable(why));
        }
        // Before it begins, so that nobody gives it back meanwhile.
        if !self.held().insert(id.number()) {
            return Ok(Begun::NotWaiting(State::Replaying));
        }
        let begun = self.begin(id.number()).await;
        if !matches!(begun, Ok(Some(Ok(_)))) {
            self.held().remove(&id.number());
        }
        Ok(match begun? {
            None => Begun::Missing,
            Some(Err(why)) => why,
            Some(Ok(begun)) => Begun::Ready(Box::new(Letter { content: letter.content, ..begun })),
        })
    }

    async fn begin(&self, id: u128) -> Result<Option<std::result::Result<Letter, Begun>>> {
        self.change(&[id], |transaction| {
            // An answer was lost: it has begun already.
            let has_begun = transaction.is_held_by(id, &self.owner);
            transaction.change(id, |envelope, attempts| {
                if !has_begun {
                    lifecycle::begin(envelope)?;
                }
                let content = Content::Unreadable(String::new());
                Ok(Letter { envelope: envelope.clone(), attempts: attempts.clone(), content })
            })
        })
        .await
    }

    async fn finish_replay(&self, id: LetterId, outcome: ReplayOutcome) -> Result<Option<State>> {
        let queues = self.queues();
        let id = id.number();
        let ids = [id];
        let ended = self.change(&ids, |transaction| {
            let is_own = transaction.is_held_by(id, &self.owner);
            transaction.change(id, |envelope, attempts| {
                if is_own && envelope.state == State::Replaying {
                    lifecycle::finish(envelope, attempts, &outcome, queues.of(&envelope.queue));
                }
                envelope.state
            })
        });
        let ended = ended.await?;
        self.held().remove(&id);
        Ok(ended)
    }

    async fn release(&self, ids: Vec<u128>) -> Result<u64> {
        let mut all = 0;
        for step in ids.chunks(STEP) {
            let released = self.change(step, |transaction| {
                let release =
                    |id: &u128| transaction.change(*id, |envelope, _| lifecycle::release(envelope));
                step.iter().map(release).filter(|released| *released == Some(true)).count()
            });
            all += released.await? as u64;
        }
        Ok(all)
    }

    /// Removes those of the letters that are wanted, in steps, and counts that as this event.
    async fn remove(
        &self,
        ids: &[u128],
        event: Option<&str>,
        wanted: impl Fn(&Envelope) -> bool,
    ) -> Result<u64> {
        let mut all = 0;
        for step in ids.chunks(STEP) {
            let removed = self.change(step, |transaction| {
                let remove = |id: &&u128| {
                    let is_wanted = transaction.envelope(**id).is_some_and(&wanted);
                    is_wanted && transaction.remove(**id, event)
                };
                step.iter().filter(remove).count()
            });
            all += removed.await? as u64;
        }
        Ok(all)
    }

    async fn reseal(&self, after: Option<LetterId>) -> Result<Resealed> {
        let (ids, records) = self.contents(after).await?;
        let mut step = Resealed {
            next: ids.last().copied().map(LetterId::from_number),
            ..Resealed::default()
        };
        let mut replaced = Vec::new();
        for (id, record) in records {
            match seal::reseal(LetterId::from_number(id), &record, &self.keys) {
                Ok(None) => {}
                Ok(Some(sealed)) => replaced.push((id, record, sealed)),
                Err(_) => step.unreadable += 1,
            }
        }
        let ids: Vec<_> = replaced.iter().map(|(id, ..)| *id).collect();
        let resealed = self.change(&ids, |transaction| {
            let replace = |(id, record, sealed): &&(u128, Vec<u8>, Vec<u8>)| {
                transaction.replace_content(*id, record.clone(), sealed.clone())
            };
            replaced.iter().filter(replace).count()
        });
        step.resealed = resealed.await? as u64;
        Ok(step)
    }

    async fn purge(&self, query: Query) -> Result<u64> {
        let (mut removed, mut after) = (0, None);
        loop {
            let page = self.page(&query, after, STEP).await?;
            let ids: Vec<_> = page.letters.iter().map(|letter| letter.id.number()).collect();
            removed += self.remove(&ids, None, |letter| query.matches(letter)).await?;
            after = page.next;
            if after.is_none() {
                return Ok(removed);
            }
        }
    }

    async fn expire(&self, now: u64) -> Result<u64> {
        let (mut removed, mut stay) = (0, 0);
        loop {
            let ended = self.ended(now, stay).await?;
            if ended.is_empty() {
                return Ok(removed);
            }
            let gone =
                self.remove(&ended, Some("expired"), |letter| letter.is_expired(now)).await?;
            removed += gone;
            stay += ended.len().saturating_sub(usize::try_from(gone).unwrap_or(usize::MAX));
        }
    }
}

/// Waits a little before the next try.
async fn pause(tried: u32) {
    tokio::time::sleep(Duration::from_millis(u64::from(tried.min(20)))).await;
}

impl Letters for RedisLetters {
    fn configure(&self, queues: Queues) {
        *self.place.queues.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(queues);
    }

    fn put(&self, letters: Vec<Letter>) -> Result<Vec<Put>> {
        if letters.is_empty() {
            return Ok(Vec::new());
        }
        self.wait(|place| async move { place.put(letters).await })
    }

    fn get(&self, id: LetterId) -> Result<Option<Letter>> {
        self.wait(|place| async move { place.letter(id).await })
    }

    fn page(&self, query: &Query, after: Option<LetterId>, most: usize) -> Result<Page> {
        let query = query.clone();
        self.wait(|place| async move { place.page(&query, after, most).await })
    }

    fn groups(&self, query: &Query) -> Result<Groups> {
        let query = query.clone();
        self.wait(|place| async move { place.groups(&query).await })
    }

    fn begin_replay(&self, id: LetterId) -> Result<Begun> {
        self.wait(|place| async move { place.begin_replay(id).await })
    }

    fn finish_replay(&self, id: LetterId, outcome: &ReplayOutcome) -> Result<Option<State>> {
        let outcome = outcome.clone();
        self.wait(|place| async move { place.finish_replay(id, outcome).await })
    }

    fn release(&self, ids: &[LetterId]) -> Result<u64> {
        let ids = ids.iter().map(|id| id.number()).collect();
        self.wait(|place| async move { place.release(ids).await })
    }

    fn delete(&self, ids: &[LetterId]) -> Result<u64> {
        let ids: Vec<_> = ids.iter().map(|id| id.number()).collect();
        self.wait(|place| async move { place.remove(&ids, None, |_| true).await })
    }

    fn purge(&self, query: &Query) -> Result<u64> {
        let query = query.clone();
        self.wait(|place| async move { place.purge(query).await })
    }

    fn expire(&self, now: u64) -> Result<u64> {
        self.wait(|place| async move { place.expire(now).await })
    }

    fn reseal(&self, after: Option<LetterId>) -> Result<Resealed> {
        self.wait(|place| async move { place.reseal(after).await })
    }

    fn stats(&self) -> Result<Stats> {
        self.wait(|place| async move { place.stats().await })
    }

    fn save_job(&self, job: &Job) -> Result<()> {
        let job = job.clone();
        self.wait(|place| async move { place.save_job(&job).await })
    }

    fn jobs(&self) -> Result<Vec<Job>> {
        self.wait(|place| async move { place.jobs().await })
    }

    fn is_shared(&self) -> bool {
        true
    }

    fn lease_job(&self, id: LetterId) -> Result<JobLease> {
        self.wait(|place| async move { place.lease_job(id).await })
    }

    fn ask_of_job(&self, id: LetterId, status: JobStatus) -> Result<()> {
        self.wait(|place| async move { place.ask_of_job(id, status).await })
    }

    fn place(&self) -> String {
        self.place.name()
    }
}
