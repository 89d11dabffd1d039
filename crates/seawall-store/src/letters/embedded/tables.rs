//! The tables of a file of letters, and what is done with them within one transaction.
//!
//! A letter is three records under its identifier: its envelope (`heads`), its attempts, and its content. Lists read
//! only the first. Each has a checksum of its own. What is searched by has an index; an entry of an index whose letter is
//! gone is passed over.

use crate::letters::{
    MAX_JOBS, MAX_QUEUES, Put, Refusal,
    arrival::Arrival,
    config::{Queues, WhenFull},
    id::LetterId,
    job::Job,
    letter::{Attempt, Envelope, Letter, STATES, State},
    lifecycle,
    record::{self, decoded},
    stats::QueueStats,
};
use redb::{ReadableTable, ReadableTableMetadata, Table, TableDefinition, WriteTransaction};
use serde::Serialize;
use std::collections::BTreeMap;

/// What work on the database comes to.
pub(super) type Worked<T> = Result<T, redb::Error>;

/// Records of letters by their identifiers.
pub(super) type Records = TableDefinition<'static, u128, &'static [u8]>;
/// Queue, state and identifier.
type ByState = TableDefinition<'static, (&'static str, u8, u128), ()>;
/// A number, which is a fingerprint or a time, and identifier.
type ByNumber = TableDefinition<'static, (u64, u128), ()>;
/// Queue and idempotency key.
type ByKey = TableDefinition<'static, (&'static str, &'static str), u128>;

pub(super) const HEADS: Records = Records::new("heads");
pub(super) const ATTEMPTS: Records = Records::new("attempts");
pub(super) const CONTENTS: Records = Records::new("contents");
pub(super) const CORRUPT: Records = Records::new("corrupt");
pub(super) const BY_STATE: ByState = ByState::new("by_state");
pub(super) const BY_GROUP: ByNumber = ByNumber::new("by_group");
pub(super) const BY_EXPIRY: ByNumber = ByNumber::new("by_expiry");
pub(super) const JOBS: Records = Records::new("jobs");
const BY_KEY: ByKey = ByKey::new("by_key");
pub(super) const QUEUES: TableDefinition<'static, &'static str, &'static [u8]> =
    TableDefinition::new("queues");

/// Damaged records that are kept for people to look at; the oldest give way.
const MAX_CORRUPT: u64 = 10_000;

/// The keys of the letters of one queue and state.
pub(super) fn of_state(
    queue: &str,
    state: State,
    ids: std::ops::Range<u128>,
) -> std::ops::Range<(&str, u8, u128)> {
    (queue, state as u8, ids.start)..(queue, state as u8, ids.end)
}

fn encoded(value: &impl Serialize) -> Worked<Vec<u8>> {
    record::encoded(value).map_err(|error| redb::Error::Io(error.into()))
}

/// The tables in one transaction that writes.
pub(super) struct Writing<'t> {
    heads: Table<'t, u128, &'static [u8]>,
    attempts: Table<'t, u128, &'static [u8]>,
    pub(super) contents: Table<'t, u128, &'static [u8]>,
    corrupt: Table<'t, u128, &'static [u8]>,
    by_state: Table<'t, (&'static str, u8, u128), ()>,
    by_group: Table<'t, (u64, u128), ()>,
    by_expiry: Table<'t, (u64, u128), ()>,
    by_key: Table<'t, (&'static str, &'static str), u128>,
    queues: Table<'t, &'static str, &'static [u8]>,
    jobs: Table<'t, u128, &'static [u8]>,
    /// Rows of `queues` that were read; they are written at the end.
    counts: BTreeMap<String, QueueStats>,
}

impl<'t> Writing<'t> {
    pub(super) fn of(transaction: &'t WriteTransaction) -> Worked<Self> {
        Ok(Self {
            heads: transaction.open_table(HEADS)?,
            attempts: transaction.open_table(ATTEMPTS)?,
            contents: transaction.open_table(CONTENTS)?,
            corrupt: transaction.open_table(CORRUPT)?,
            by_state: transaction.open_table(BY_STATE)?,
            by_group: transaction.open_table(BY_GROUP)?,
            by_expiry: transaction.open_table(BY_EXPIRY)?,
            by_key: transaction.open_table(BY_KEY)?,
            queues: transaction.open_table(QUEUES)?,
            jobs: transaction.open_table(JOBS)?,
            counts: BTreeMap::new(),
        })
    }

    /// Writes what was counted. It is the last thing done before the commit.
    pub(super) fn finish(mut self) -> Worked<()> {
        for (queue, counts) in &self.counts {
            self.queues.insert(queue.as_str(), &*encoded(counts)?)?;
        }
        Ok(())
    }

    pub(super) fn put(&mut self, arrival: &Arrival, queues: &Queues) -> Worked<Put> {
        let envelope = &arrival.letter.envelope;
        let (id, queue) = (envelope.id.number(), &*envelope.queue);
        if self.heads.get(id)?.is_some() {
            return Ok(Put::Stored);
        }
        if let Err(refusal @ Refusal::Invalid(_)) = &arrival.content {
            return Ok(Put::Refused(refusal.clone()));
        }
        if self.queues.get(queue)?.is_none() && self.queue_names()? >= MAX_QUEUES {
            return Ok(Put::Refused(Refusal::Full));
        }
        if let Some(earlier) = self.earlier(envelope)? {
            self.change(earlier, |envelope, attempts| {
                lifecycle::merge(envelope, attempts, &arrival.letter);
            })?;
            self.counts(queue)?.merged += 1;
            return Ok(Put::Merged(LetterId::from_number(earlier)));
        }
        let content = match &arrival.content {
            Ok(content) if self.make_room(queue, content.len() as u64, queues)? => content,
            Ok(_) => return self.refuse(queue, Refusal::Full),
            Err(refusal) => return self.refuse(queue, refusal.clone()),
        };
        self.insert(&arrival.letter, content)?;
        Ok(Put::Stored)
    }

    fn refuse(&mut self, queue: &str, refusal: Refusal) -> Worked<Put> {
        self.counts(queue)?.refused += 1;
        Ok(Put::Refused(refusal))
    }

    fn queue_names(&self) -> Worked<usize> {
        let written = usize::try_from(self.queues.len()?).unwrap_or(usize::MAX);
        let mut new = 0;
        for queue in self.counts.keys() {
            new += usize::from(self.queues.get(queue.as_str())?.is_none());
        }
        Ok(written + new)
    }

    /// The letter about the same work.
    fn earlier(&self, envelope: &Envelope) -> Worked<Option<u128>> {
        let Some(key) = &envelope.idempotency_key else { return Ok(None) };
        let found = self.by_key.get((&*envelope.queue, &**key))?.map(|id| id.value());
        let Some(id) = found else { return Ok(None) };
        Ok(self.heads.get(id)?.is_some().then_some(id))
    }

    fn insert(&mut self, letter: &Letter, content: &[u8]) -> Worked<()> {
        let envelope = &letter.envelope;
        let (id, queue) = (envelope.id.number(), &*envelope.queue);
        // Before the indexes change, since it may count them.
        self.counts(queue)?;
        self.heads.insert(id, &*encoded(envelope)?)?;
        self.attempts.insert(id, &*encoded(&letter.attempts)?)?;
        self.contents.insert(id, content)?;
        self.by_state.insert((queue, envelope.state as u8, id), ())?;
        self.by_group.insert((envelope.fingerprint.0, id), ())?;
        if let Some(expires) = envelope.expires {
            self.by_expiry.insert((expires, id), ())?;
        }
        if let Some(key) = &envelope.idempotency_key {
            self.by_key.insert((queue, &**key), id)?;
        }
        let counts = self.counts(queue)?;
        counts.enqueued += 1;
        counts.enter(envelope.state, content.len() as u64);
        Ok(())
    }

    /// Makes room for a letter of so many bytes, if the queue may.
    fn make_room(&mut self, queue: &str, bytes: u64, queues: &Queues) -> Worked<bool> {
        let config = queues.of(queue);
        if bytes > config.max_bytes || config.max_letters == 0 {
            return Ok(false);
        }
        loop {
            let counts = self.counts(queue)?;
            if counts.letters() < config.max_letters && counts.bytes + bytes <= config.max_bytes {
                return Ok(true);
            }
            let mut victim = self.oldest(queue, State::Replayed)?;
            if victim.is_none() && config.when_full == WhenFull::DropOldest {
                let waiting = self.oldest(queue, State::Waiting)?;
                let quarantined = self.oldest(queue, State::Quarantined)?;
                victim = [waiting, quarantined].into_iter().flatten().min();
            }
            let Some(victim) = victim else { return Ok(false) };
            if self.remove(victim)?.is_some() {
                self.counts(queue)?.dropped += 1;
            }
        }
    }

    pub(super) fn oldest(&self, queue: &str, state: State) -> Worked<Option<u128>> {
        let first = self.by_state.range(of_state(queue, state, 0..u128::MAX))?.next();
        Ok(first.transpose()?.map(|(key, _)| key.value().2))
    }

    /// Changes a letter, and puts it where its new state belongs. None if there is no such letter.
    pub(super) fn change<T>(
        &mut self,
        id: u128,
        change: impl FnOnce(&mut Envelope, &mut Vec<Attempt>) -> T,
    ) -> Worked<Option<T>> {
        let Some(mut envelope) = self.head(id)? else { return Ok(None) };
        let record = self.attempts.get(id)?;
        let mut attempts: Vec<Attempt> =
            record.and_then(|record| decoded(record.value())).unwrap_or_default();
        let (before, tried) = (envelope.clone(), attempts.len());
        let done = change(&mut envelope, &mut attempts);
        if envelope != before {
            self.heads.insert(id, &*encoded(&envelope)?)?;
        }
        if attempts.len() != tried || !attempts.is_empty() {
            self.attempts.insert(id, &*encoded(&attempts)?)?;
        }
        let queue = &*envelope.queue;
        if envelope.state != before.state {
            self.counts(queue)?;
            self.by_state.remove((queue, before.state as u8, id))?;
            self.by_state.insert((queue, envelope.state as u8, id), ())?;
            let counts = self.counts(queue)?;
            counts.leave(before.state, 0);
            counts.enter(envelope.state, 0);
        }
        Ok(Some(done))
    }

    /// The envelope of a letter. One that is damaged is set aside, and then it is not there.
    pub(super) fn head(&mut self, id: u128) -> Worked<Option<Envelope>> {
        let Some(record) = self.heads.get(id)?.map(|record| record.value().to_vec()) else {
            return Ok(None);
        };
        let envelope = decoded(&record);
        if envelope.is_none() {
            self.set_aside(id)?;
        }
        Ok(envelope)
    }

    /// Removes a letter, and returns its envelope; none if there is no such letter.
    pub(super) fn remove(&mut self, id: u128) -> Worked<Option<Envelope>> {
        let Some(envelope) = self.head(id)? else { return Ok(None) };
        let queue = &*envelope.queue;
        self.counts(queue)?;
        self.heads.remove(id)?;
        self.attempts.remove(id)?;
        let bytes = self.contents.remove(id)?.map_or(0, |record| record.value().len() as u64);
        self.by_state.remove((queue, envelope.state as u8, id))?;
        self.by_group.remove((envelope.fingerprint.0, id))?;
        if let Some(expires) = envelope.expires {
            self.by_expiry.remove((expires, id))?;
        }
        if self.earlier_entry(&envelope)? == Some(id)
            && let Some(key) = &envelope.idempotency_key
        {
            self.by_key.remove((queue, &**key))?;
        }
        self.counts(queue)?.leave(envelope.state, bytes);
        Ok(Some(envelope))
    }

    fn earlier_entry(&self, envelope: &Envelope) -> Worked<Option<u128>> {
        let Some(key) = &envelope.idempotency_key else { return Ok(None) };
        Ok(self.by_key.get((&*envelope.queue, &**key))?.map(|id| id.value()))
    }

    /// Puts the record of an envelope that cannot be read where it disturbs nobody. What it said of indexes is unknown, so
    /// it is looked for in that by state, and passed over in the others.
    pub(super) fn set_aside(&mut self, id: u128) -> Worked<()> {
        let record = self.heads.remove(id)?.map(|record| record.value().to_vec());
        let Some(record) = record.filter(|record| decoded::<Envelope>(record).is_none()) else {
            return Ok(());
        };
        self.corrupt.insert(id, &*record)?;
        if self.corrupt.len()? > MAX_CORRUPT {
            self.corrupt.pop_first()?;
        }
        self.attempts.remove(id)?;
        let bytes = self.contents.get(id)?.map_or(0, |record| record.value().len() as u64);
        let mut queues = Vec::new();
        for row in self.queues.iter()? {
            queues.push(row?.0.value().to_owned());
        }
        for (queue, state) in queues.iter().flat_map(|queue| STATES.map(|state| (queue, state))) {
            if self.by_state.get((queue.as_str(), state as u8, id))?.is_some() {
                self.counts(queue)?.leave(state, bytes);
                self.by_state.remove((queue.as_str(), state as u8, id))?;
            }
        }
        self.contents.remove(id)?;
        Ok(())
    }

    /// Puts records in place of those of contents, with the lengths of these, and returns how many there still were.
    pub(super) fn replace_contents(&mut self, records: &[(u128, u64, Vec<u8>)]) -> Worked<u64> {
        let mut replaced = 0;
        for (id, before, record) in records {
            let Some(envelope) = self.head(*id)? else { continue };
            let counts = self.counts(&envelope.queue)?;
            counts.bytes = (counts.bytes + record.len() as u64).saturating_sub(*before);
            self.contents.insert(id, &**record)?;
            replaced += 1;
        }
        Ok(replaced)
    }

    pub(super) fn save_job(&mut self, job: &Job) -> Worked<()> {
        self.jobs.insert(job.id.number(), &*encoded(job)?)?;
        while self.jobs.len()? > MAX_JOBS as u64 {
            self.jobs.pop_first()?;
        }
        Ok(())
    }

    /// Removes an entry of the index by state whose letter is gone.
    pub(super) fn forget_state(&mut self, queue: &str, state: State, id: u128) -> Worked<()> {
        self.by_state.remove((queue, state as u8, id))?;
        Ok(())
    }

    /// Removes an entry of the index of ends whose letter is gone.
    pub(super) fn forget_end(&mut self, end: (u64, u128)) -> Worked<()> {
        self.by_expiry.remove(end)?;
        Ok(())
    }

    /// The counters of a queue. Where they are damaged, its letters are counted, so this is asked for before the index by
    /// state or the contents change.
    pub(super) fn counts(&mut self, queue: &str) -> Worked<&mut QueueStats> {
        if !self.counts.contains_key(queue) {
            let record = self.queues.get(queue)?.map(|record| decoded(record.value()));
            let counts = match record {
                None => QueueStats::default(),
                Some(Some(counts)) => counts,
                Some(None) => self.counted(queue)?,
            };
            self.counts.insert(queue.to_owned(), counts);
        }
        Ok(self.counts.entry(queue.to_owned()).or_default())
    }

    fn counted(&self, queue: &str) -> Worked<QueueStats> {
        let mut counts = QueueStats::default();
        for state in STATES {
            for row in self.by_state.range(of_state(queue, state, 0..u128::MAX))? {
                let record = self.contents.get(row?.0.value().2)?;
                counts.enter(state, record.map_or(0, |record| record.value().len() as u64));
            }
        }
        Ok(counts)
    }
}
