//! Letters as they are found: one state of the tables, read beside the writer and without waiting for it.

use super::tables::{
    ATTEMPTS, BY_EXPIRY, BY_GROUP, BY_STATE, CONTENTS, CORRUPT, HEADS, JOBS, QUEUES, Worked,
    of_state,
};
use crate::letters::{
    content::Content,
    id::LetterId,
    job::Job,
    letter::{Envelope, Letter, STATES, State},
    query::{Grouping, Groups, Page, Query},
    record::decoded,
    stats::{QueueStats, Stats},
};
use redb::{
    AccessGuard, Range, ReadOnlyTable, ReadTransaction, ReadableTable, ReadableTableMetadata,
};
use std::{cell::RefCell, iter::Peekable};

/// Envelopes that one page looks at. A search for something rare goes on with the next page.
const MAX_LOOKED_AT: usize = 100_000;
/// Identifiers of damaged letters that are named.
const NAMED: usize = 100;

/// The tables in one transaction that reads.
pub(super) struct Reading {
    heads: ReadOnlyTable<u128, &'static [u8]>,
    attempts: ReadOnlyTable<u128, &'static [u8]>,
    contents: ReadOnlyTable<u128, &'static [u8]>,
    corrupt: ReadOnlyTable<u128, &'static [u8]>,
    by_state: ReadOnlyTable<(&'static str, u8, u128), ()>,
    by_group: ReadOnlyTable<(u64, u128), ()>,
    by_expiry: ReadOnlyTable<(u64, u128), ()>,
    queues: ReadOnlyTable<&'static str, &'static [u8]>,
    jobs: ReadOnlyTable<u128, &'static [u8]>,
    /// Letters whose envelopes could not be read.
    damaged: RefCell<Vec<u128>>,
}

/// The record of an envelope, which may be gone.
type Found<'a> = Worked<(u128, Option<AccessGuard<'a, &'static [u8]>>)>;

impl Reading {
    pub(super) fn of(transaction: &ReadTransaction) -> Worked<Self> {
        Ok(Self {
            heads: transaction.open_table(HEADS)?,
            attempts: transaction.open_table(ATTEMPTS)?,
            contents: transaction.open_table(CONTENTS)?,
            corrupt: transaction.open_table(CORRUPT)?,
            by_state: transaction.open_table(BY_STATE)?,
            by_group: transaction.open_table(BY_GROUP)?,
            by_expiry: transaction.open_table(BY_EXPIRY)?,
            queues: transaction.open_table(QUEUES)?,
            jobs: transaction.open_table(JOBS)?,
            damaged: RefCell::default(),
        })
    }

    /// Letters that were found to be damaged, to be set aside by the writer.
    pub(super) fn damaged(&self) -> Vec<u128> {
        self.damaged.take()
    }

    /// A letter, its content opened by `open`.
    pub(super) fn letter(
        &self,
        id: LetterId,
        open: impl Fn(&[u8]) -> Content,
    ) -> Worked<Option<Letter>> {
        let Some(envelope) = self.envelope(id.number(), self.heads.get(id.number())?) else {
            return Ok(None);
        };
        let attempts = self.attempts.get(id.number())?;
        let attempts = attempts.and_then(|record| decoded(record.value())).unwrap_or_default();
        let content = self.contents.get(id.number())?;
        let missing = || Content::Unreadable("its record is missing".to_owned());
        let content = content.map_or_else(missing, |record| open(record.value()));
        Ok(Some(Letter { envelope, attempts, content }))
    }

    fn envelope(
        &self,
        id: u128,
        record: Option<AccessGuard<'_, &'static [u8]>>,
    ) -> Option<Envelope> {
        let envelope = decoded(record?.value());
        if envelope.is_none() {
            self.damaged.borrow_mut().push(id);
        }
        envelope
    }

    pub(super) fn page(&self, query: &Query, after: Option<LetterId>, most: usize) -> Worked<Page> {
        let mut letters = Vec::new();
        let mut last = None;
        for (looked_at, found) in self.candidates(query, after)?.enumerate() {
            let (id, record) = found?;
            if looked_at >= MAX_LOOKED_AT {
                return Ok(Page { letters, next: last.map(LetterId::from_number) });
            }
            last = Some(id);
            let Some(letter) = self.envelope(id, record) else { continue };
            if !query.matches(&letter) {
                continue;
            }
            if letters.len() >= most {
                let next = letters.last().map(|last: &Envelope| last.id);
                return Ok(Page { letters, next });
            }
            letters.push(letter);
        }
        Ok(Page { letters, next: None })
    }

    pub(super) fn groups(&self, query: &Query) -> Worked<Groups> {
        let mut groups = Grouping::default();
        // The first letter of a group is its example.
        let query = &Query { oldest_first: false, ..query.clone() };
        for found in self.candidates(query, None)? {
            let (id, record) = found?;
            let letter = self.envelope(id, record).filter(|letter| query.matches(letter));
            letter.into_iter().for_each(|letter| groups.add(letter));
        }
        Ok(groups.into_groups())
    }

    /// The letters among which those that the query means are, in its order, by the index that narrows most.
    fn candidates<'a>(
        &'a self,
        query: &Query,
        after: Option<LetterId>,
    ) -> Worked<Box<dyn Iterator<Item = Found<'a>> + 'a>> {
        let ids = query.times_after(after);
        let oldest_first = query.oldest_first;
        let look_up = |id: u128| Ok((id, self.heads.get(id)?));
        if let Some(fingerprint) = query.fingerprint {
            let range = (fingerprint.0, ids.start)..(fingerprint.0, ids.end);
            let rows = InOrder { rows: self.by_group.range(range)?, oldest_first };
            return Ok(Box::new(rows.map(move |row| look_up(row?.0.value().1))));
        }
        if let Some(queue) = &query.queue {
            let mut states = Vec::new();
            for state in STATES.iter().filter(|state| query.state.is_none_or(|it| it == **state)) {
                let rows = self.by_state.range(of_state(queue, *state, ids.clone()))?;
                states.push(Rows(InOrder { rows, oldest_first }).peekable());
            }
            return Ok(Box::new(Merged { states, oldest_first }.map(move |id| look_up(id?))));
        }
        let rows = InOrder { rows: self.heads.range(ids)?, oldest_first };
        Ok(Box::new(rows.map(|row| {
            let (id, record) = row?;
            Ok((id.value(), Some(record)))
        })))
    }

    /// At most `most` ends at or before `now`, from behind the end `after` on.
    pub(super) fn ends(
        &self,
        after: (u64, u128),
        now: u64,
        most: usize,
    ) -> Worked<Vec<(u64, u128)>> {
        let (time, id) = after;
        let rows = self.by_expiry.range((time, id.saturating_add(1))..=(now, u128::MAX))?;
        rows.take(most).map(|row| Ok(row?.0.value())).collect()
    }

    /// At most `most` identifiers of letters from behind `after` on, oldest first, with the records of their contents.
    pub(super) fn contents(&self, after: u128, most: usize) -> Worked<Vec<(u128, Vec<u8>)>> {
        let rows = self.contents.range(after.saturating_add(1)..)?;
        rows.take(most)
            .map(|row| {
                let (id, record) = row?;
                Ok((id.value(), record.value().to_vec()))
            })
            .collect()
    }

    /// All jobs that can be read.
    pub(super) fn jobs(&self) -> Worked<Vec<Job>> {
        let mut jobs = Vec::new();
        for row in self.jobs.iter()? {
            jobs.extend(decoded::<Job>(row?.1.value()));
        }
        Ok(jobs)
    }

    pub(super) fn stats(&self) -> Worked<Stats> {
        let mut stats = Stats { corrupt: self.corrupt.len()?, ..Stats::default() };
        for row in self.corrupt.iter()?.rev().take(NAMED) {
            stats.corrupt_ids.push(LetterId::from_number(row?.0.value()).to_string());
        }
        for row in self.queues.iter()? {
            let (name, record) = row?;
            let mut queue: QueueStats = decoded(record.value()).unwrap_or_default();
            queue.oldest = None;
            for row in self.by_state.range(of_state(name.value(), State::Waiting, 0..u128::MAX))? {
                let id = row?.0.value().2;
                if let Some(oldest) = self.envelope(id, self.heads.get(id)?) {
                    queue.oldest = Some(oldest.first_failure);
                    break;
                }
            }
            stats.queues.insert(name.value().to_owned(), queue);
        }
        Ok(stats)
    }
}

/// The rows of a range of a table, in the order of the query.
struct InOrder<K: redb::Key + 'static, V: redb::Value + 'static> {
    rows: Range<'static, K, V>,
    oldest_first: bool,
}

impl<K: redb::Key + 'static, V: redb::Value + 'static> Iterator for InOrder<K, V> {
    type Item = Worked<(AccessGuard<'static, K>, AccessGuard<'static, V>)>;

    fn next(&mut self) -> Option<Self::Item> {
        let row = if self.oldest_first { self.rows.next() } else { self.rows.next_back() };
        row.map(|row| row.map_err(redb::Error::from))
    }
}

/// The identifiers of one range of the index by state.
struct Rows(InOrder<(&'static str, u8, u128), ()>);

impl Iterator for Rows {
    type Item = Worked<u128>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.0.next()?.map(|(key, _)| key.value().2))
    }
}

/// The ranges of several states as one, in the order of the query.
struct Merged {
    states: Vec<Peekable<Rows>>,
    oldest_first: bool,
}

impl Iterator for Merged {
    type Item = Worked<u128>;

    fn next(&mut self) -> Option<Self::Item> {
        let (mut first, mut place) = (None, 0);
        for (at, rows) in self.states.iter_mut().enumerate() {
            let id = match rows.peek() {
                None => continue,
                // It ends the list.
                Some(Err(_)) => return rows.next(),
                Some(Ok(id)) => *id,
            };
            if first.is_none_or(|first| if self.oldest_first { id < first } else { id > first }) {
                (first, place) = (Some(id), at);
            }
        }
        first.and_then(|_| self.states[place].next())
    }
}
