//! The letters of a process that keeps nothing.

use super::{
    Begun, Letters, MAX_JOBS, MAX_QUEUES, Put, Refusal, ReplayOutcome,
    config::{Queues, WhenFull},
    content::Content,
    id::LetterId,
    job::Job,
    letter::{Envelope, Letter, State},
    lifecycle,
    query::{Grouping, Groups, Page, Query},
    stats::Stats,
};
use crate::store::Result;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// A place for letters that ends with the process. Its bounds of bytes count payloads and headers as they are.
#[derive(Debug, Default)]
pub struct InMemoryLetters {
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    queues: Queues,
    letters: BTreeMap<LetterId, Letter>,
    by_key: HashMap<(String, String), LetterId>,
    stats: Stats,
    jobs: BTreeMap<LetterId, Job>,
}

impl InMemoryLetters {
    /// An empty one with these queues.
    pub fn new(queues: Queues) -> Self {
        Self { kept: Mutex::new(Kept { queues, ..Kept::default() }) }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn bytes(letter: &Letter) -> u64 {
    match &letter.content {
        Content::Open { headers, payload } => {
            let of_headers = headers.iter().map(|one| one.name.len() + one.value.len());
            (of_headers.sum::<usize>() + payload.0.len()) as u64
        }
        Content::Unreadable(_) => 0,
    }
}

impl Kept {
    fn put(&mut self, mut letter: Letter) -> Put {
        if self.letters.contains_key(&letter.envelope.id) {
            return Put::Stored;
        }
        let queue = letter.envelope.queue.clone();
        let known = self.stats.queues.contains_key(&queue);
        if !known && self.stats.queues.len() >= MAX_QUEUES {
            return Put::Refused(Refusal::Full);
        }
        let refused = lifecycle::prepare(&mut letter, self.queues.of(&queue)).err();
        let refused = refused.or_else(|| {
            let merged = self.earlier(&letter).is_some();
            (!merged && !self.make_room(&queue, bytes(&letter))).then_some(Refusal::Full)
        });
        if let Some(refusal) = refused {
            self.stats.queues.entry(queue).or_default().refused += 1;
            return Put::Refused(refusal);
        }
        if let Some(id) = self.earlier(&letter)
            && let Some(earlier) = self.letters.get_mut(&id)
        {
            lifecycle::merge(&mut earlier.envelope, &mut earlier.attempts, &letter);
            self.stats.queues.entry(queue).or_default().merged += 1;
            return Put::Merged(id);
        }
        let stats = self.stats.queues.entry(queue.clone()).or_default();
        stats.enqueued += 1;
        stats.enter(letter.envelope.state, bytes(&letter));
        if let Some(key) = &letter.envelope.idempotency_key {
            self.by_key.insert((queue, key.clone()), letter.envelope.id);
        }
        self.letters.insert(letter.envelope.id, letter);
        Put::Stored
    }

    /// The letter about the same work.
    fn earlier(&self, letter: &Letter) -> Option<LetterId> {
        let key = letter.envelope.idempotency_key.clone()?;
        self.by_key.get(&(letter.envelope.queue.clone(), key)).copied()
    }

    /// Makes room for a letter of so many bytes, if the queue may.
    fn make_room(&mut self, queue: &str, bytes: u64) -> bool {
        let config = self.queues.of(queue).clone();
        if bytes > config.max_bytes || config.max_letters == 0 {
            return false;
        }
        loop {
            let Some(stats) = self.stats.queues.get(queue) else { return true };
            if stats.letters() < config.max_letters && stats.bytes + bytes <= config.max_bytes {
                return true;
            }
            let oldest = |state| {
                let mut letters = self.letters.values().map(|letter| &letter.envelope);
                letters.find(|found| found.queue == queue && found.state == state).map(|it| it.id)
            };
            let victim = oldest(State::Replayed).or_else(|| {
                let waiting = [State::Waiting, State::Quarantined].map(oldest);
                let droppable = config.when_full == WhenFull::DropOldest;
                waiting.into_iter().flatten().min().filter(|_| droppable)
            });
            let Some(victim) = victim else { return false };
            self.remove(victim);
            self.stats.queues.entry(queue.to_owned()).or_default().dropped += 1;
        }
    }

    fn remove(&mut self, id: LetterId) -> bool {
        let Some(letter) = self.letters.remove(&id) else { return false };
        let bytes = bytes(&letter);
        let stats = self.stats.queues.entry(letter.envelope.queue.clone()).or_default();
        stats.leave(letter.envelope.state, bytes);
        if let Some(key) = letter.envelope.idempotency_key {
            self.by_key.remove(&(letter.envelope.queue, key));
        }
        true
    }

    /// Changes a letter, and counts it under its new state.
    fn change<T>(
        &mut self,
        id: LetterId,
        change: impl FnOnce(&mut Letter, &Queues) -> T,
    ) -> Option<T> {
        let letter = self.letters.get_mut(&id)?;
        let before = letter.envelope.state;
        let done = change(letter, &self.queues);
        let stats = self.stats.queues.entry(letter.envelope.queue.clone()).or_default();
        stats.leave(before, 0);
        stats.enter(letter.envelope.state, 0);
        Some(done)
    }

    /// Removes letters, and returns the queue of each.
    fn remove_all(&mut self, wanted: impl Fn(&Envelope) -> bool) -> Vec<String> {
        let letters = self.letters.values().map(|letter| &letter.envelope);
        let wanted = letters.filter(|letter| wanted(letter));
        let (ids, queues): (Vec<_>, Vec<_>) =
            wanted.map(|letter| (letter.id, letter.queue.clone())).unzip();
        for id in ids {
            self.remove(id);
        }
        queues
    }
}

impl Letters for InMemoryLetters {
    fn configure(&self, queues: Queues) {
        self.lock().queues = queues;
    }

    fn put(&self, letters: Vec<Letter>) -> Result<Vec<Put>> {
        let mut kept = self.lock();
        Ok(letters.into_iter().map(|letter| kept.put(letter)).collect())
    }

    fn get(&self, id: LetterId) -> Result<Option<Letter>> {
        Ok(self.lock().letters.get(&id).cloned())
    }

    fn page(&self, query: &Query, after: Option<LetterId>, most: usize) -> Result<Page> {
        let kept = self.lock();
        let times = query.times_after(after);
        let times = LetterId::from_number(times.start)..LetterId::from_number(times.end);
        let mut letters = kept.letters.range(times).map(|(_, letter)| &letter.envelope);
        let mut found = std::iter::from_fn(|| {
            if query.oldest_first { letters.next() } else { letters.next_back() }
        })
        .filter(|letter| query.matches(letter));
        let letters: Vec<_> = found.by_ref().take(most).cloned().collect();
        let next = letters.last().map(|last| last.id).filter(|_| found.next().is_some());
        Ok(Page { letters, next })
    }

    fn groups(&self, query: &Query) -> Result<Groups> {
        let mut groups = Grouping::default();
        let kept = self.lock();
        let letters = kept.letters.values().rev().map(|letter| &letter.envelope);
        letters.filter(|letter| query.matches(letter)).for_each(|found| groups.add(found.clone()));
        Ok(groups.into_groups())
    }

    fn begin_replay(&self, id: LetterId) -> Result<Begun> {
        let begun =
            self.lock().change(id, |letter, _| match lifecycle::begin(&mut letter.envelope) {
                Ok(()) => Begun::Ready(Box::new(letter.clone())),
                Err(why) => why,
            });
        Ok(begun.unwrap_or(Begun::Missing))
    }

    fn finish_replay(&self, id: LetterId, outcome: &ReplayOutcome) -> Result<Option<State>> {
        Ok(self.lock().change(id, |Letter { envelope, attempts, .. }, queues| {
            if envelope.state == State::Replaying {
                lifecycle::finish(envelope, attempts, outcome, queues.of(&envelope.queue));
            }
            envelope.state
        }))
    }

    fn release(&self, ids: &[LetterId]) -> Result<u64> {
        let mut kept = self.lock();
        let mut release = |id: &&LetterId| {
            kept.change(**id, |letter, _| lifecycle::release(&mut letter.envelope))
        };
        Ok(ids.iter().filter(|id| release(id) == Some(true)).count() as u64)
    }

    fn delete(&self, ids: &[LetterId]) -> Result<u64> {
        let mut kept = self.lock();
        Ok(ids.iter().filter(|id| kept.remove(**id)).count() as u64)
    }

    fn purge(&self, query: &Query) -> Result<u64> {
        Ok(self.lock().remove_all(|letter| query.matches(letter)).len() as u64)
    }

    fn expire(&self, now: u64) -> Result<u64> {
        let mut kept = self.lock();
        let expired = kept.remove_all(|letter| letter.is_expired(now));
        let count = expired.len() as u64;
        for queue in expired {
            kept.stats.queues.entry(queue).or_default().expired += 1;
        }
        Ok(count)
    }

    fn stats(&self) -> Result<Stats> {
        let kept = self.lock();
        let mut stats = kept.stats.clone();
        for letter in kept.letters.values().rev().map(|letter| &letter.envelope) {
            if letter.state == State::Waiting
                && let Some(queue) = stats.queues.get_mut(&letter.queue)
            {
                queue.oldest = Some(letter.first_failure);
            }
        }
        Ok(stats)
    }

    fn save_job(&self, job: &Job) -> Result<()> {
        let jobs = &mut self.lock().jobs;
        jobs.insert(job.id, job.clone());
        while jobs.len() > MAX_JOBS {
            jobs.pop_first();
        }
        Ok(())
    }

    fn jobs(&self) -> Result<Vec<Job>> {
        Ok(self.lock().jobs.values().cloned().collect())
    }

    fn place(&self) -> String {
        "in memory: letters end with the process".to_owned()
    }
}
