//! The engine of a replay of many letters: when which letter is sent. It is sans-io: the time comes in as an argument,
//! actions come out, and a driver does them.
//!
//! # Contract with the driver
//! - [`Replay::poll`] says what to do next. The driver does it, tells the result by the method that the action names, and
//!   polls again; also after every other call that changes the engine, and when the time of [`Action::WaitUntil`] has come.
//! - Times are lengths since any fixed instant, and do not go back.
//! - A driver saves [`Replay::job`] as often as it likes; whatever was saved, a letter that was replayed is not replayed
//!   again, since [`Letters::begin_replay`](super::Letters::begin_replay) refuses it.

use super::{
    ReplayOutcome,
    id::LetterId,
    job::{Job, JobStatus, Selection},
    query::{Page, Query},
};
use std::{
    collections::{HashSet, VecDeque},
    time::Duration,
};

/// Letters that are fetched at once.
const PAGE: usize = 100;
/// So much of what a late driver missed is made up for, so that the rate holds although timers are late.
const CATCH_UP: Duration = Duration::from_millis(100);

/// A job at work.
#[derive(Debug)]
pub struct Replay {
    job: Job,
    /// Letters that were fetched and not handed out yet.
    fetched: VecDeque<LetterId>,
    /// Where the next page begins. Ahead of the job's own position by what was fetched.
    cursor: Option<LetterId>,
    fetching: bool,
    /// Whether there are no more pages.
    exhausted: bool,
    on_their_way: HashSet<LetterId>,
    /// When the next letter may be handed out; none while it may at once.
    next: Option<Duration>,
    breaker_open: bool,
}

/// What the driver does next.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Read this page of at most `most` letters, and give it to [`Replay::fetched`].
    Fetch {
        /// The letters that are meant.
        query: Query,
        /// The letter behind which the page begins.
        after: Option<LetterId>,
        /// The letters that it has at most.
        most: usize,
    },
    /// Begin the replay of this letter, send it, note its end in the store, and tell it by [`Replay::finished`]; or by
    /// [`Replay::skipped`] if the store does not hand it out.
    Send(LetterId),
    /// Poll again at this time.
    WaitUntil(Duration),
    /// Poll again after any other call.
    Wait,
    /// Save the job. There is nothing more to do.
    End,
}

impl Replay {
    /// Begins a job, or goes on with one that was saved.
    pub fn new(job: Job) -> Self {
        let listed = matches!(job.order.selection, Selection::Ids(_));
        let fetched = match &job.order.selection {
            Selection::Ids(ids) => ids
                .iter()
                .filter(|id| job.after.is_none_or(|after| **id > after))
                .copied()
                .collect(),
            Selection::Query(_) => VecDeque::new(),
        };
        Self {
            cursor: job.after,
            job,
            fetched,
            fetching: false,
            exhausted: listed,
            on_their_way: HashSet::new(),
            next: None,
            breaker_open: false,
        }
    }

    /// The job as it stands, to be saved and shown.
    pub fn job(&self) -> &Job {
        &self.job
    }

    /// Says what the driver does next.
    #[must_use]
    pub fn poll(&mut self, now: Duration) -> Action {
        match self.job.status {
            JobStatus::Done => return Action::End,
            JobStatus::Cancelled if self.on_their_way.is_empty() => return Action::End,
            JobStatus::Paused | JobStatus::Cancelled => return Action::Wait,
            JobStatus::Running => {}
        }
        if self.job.order.dry_run
            && let Some(last) = self.fetched.back()
        {
            self.job.after = Some(*last);
            self.job.progress.found += self.fetched.len() as u64;
            self.fetched.clear();
        }
        if self.fetched.is_empty() {
            return self.poll_page();
        }
        if self.breaker_open || self.on_their_way.len() >= self.job.order.concurrency {
            return Action::Wait;
        }
        match self.next {
            Some(next) if next > now => Action::WaitUntil(next),
            next => self.send(next, now),
        }
    }

    fn poll_page(&mut self) -> Action {
        if let Selection::Query(query) = &self.job.order.selection
            && !self.exhausted
        {
            if std::mem::replace(&mut self.fetching, true) {
                return Action::Wait;
            }
            return Action::Fetch { query: query.clone(), after: self.cursor, most: PAGE };
        }
        if !self.on_their_way.is_empty() {
            return Action::Wait;
        }
        self.job.status = JobStatus::Done;
        Action::End
    }

    fn send(&mut self, due: Option<Duration>, now: Duration) -> Action {
        let Some(id) = self.fetched.pop_front() else { return Action::Wait };
        let due = due.map_or(now, |due| due.max(now.saturating_sub(CATCH_UP)));
        self.next = Some(due + Duration::from_secs_f64(1.0 / self.job.order.rate));
        self.job.after = Some(id);
        self.job.progress.found += 1;
        self.on_their_way.insert(id);
        Action::Send(id)
    }

    /// The page that [`Action::Fetch`] asked for. Where it could not be read, [`fetch_failed`](Self::fetch_failed) is called
    /// in place of this.
    pub fn fetched(&mut self, page: &Page) {
        self.fetching = false;
        self.cursor = page.next;
        self.exhausted = page.next.is_none();
        self.fetched.extend(page.letters.iter().map(|letter| letter.id));
    }

    /// The page could not be read. The next poll asks for it again.
    pub fn fetch_failed(&mut self) {
        self.fetching = false;
    }

    /// The store did not hand out the letter.
    pub fn skipped(&mut self, id: LetterId) {
        if self.on_their_way.remove(&id) {
            self.job.progress.skipped += 1;
        }
    }

    /// The replay of a letter has ended.
    pub fn finished(&mut self, id: LetterId, outcome: &ReplayOutcome) {
        if !self.on_their_way.remove(&id) {
            return;
        }
        let progress = &mut self.job.progress;
        match outcome {
            ReplayOutcome::Succeeded(_) => progress.succeeded += 1,
            ReplayOutcome::Failed(_) => progress.failed += 1,
            ReplayOutcome::NotSent => progress.skipped += 1,
        }
    }

    /// Stops handing out letters until [`resume`](Self::resume). Those on their way end as they do.
    pub fn pause(&mut self) {
        if self.job.status == JobStatus::Running {
            self.job.status = JobStatus::Paused;
        }
    }

    /// Goes on after a pause.
    pub fn resume(&mut self) {
        if self.job.status == JobStatus::Paused {
            self.job.status = JobStatus::Running;
            // What the pause held up is not made up for.
            self.next = None;
        }
    }

    /// Hands out no more letters. Those on their way end as they do.
    pub fn cancel(&mut self) {
        if !self.job.is_over() {
            self.job.status = JobStatus::Cancelled;
        }
    }

    /// Whether a circuit breaker that the letters go through is open. While it is, no letter is handed out.
    pub fn set_breaker_open(&mut self, open: bool) {
        if self.breaker_open && !open {
            self.next = None;
        }
        self.breaker_open = open;
    }
}

#[cfg(test)]
mod tests;
