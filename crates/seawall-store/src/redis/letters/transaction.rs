//! A transaction: letters are read, changed here, and written if nothing of what was read has changed meanwhile. So what
//! becomes of a letter is decided by the same functions as everywhere, and Redis runs one short script.

use super::{
    commit::Commit,
    layout::{self, count_field, counter, key_field, of_state, text},
    place::Place,
};
use crate::{
    letters::{
        MAX_QUEUES, Put, Refusal,
        arrival::Arrival,
        config::{Queues, WhenFull},
        id::LetterId,
        letter::{Attempt, Envelope, STATES, State},
        lifecycle,
        record::decoded,
        stats::QueueStats,
    },
    store::Result,
};
use redis::Pipeline;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// The field of the counters that says how many queues there are.
const QUEUES: &str = "queues";
/// Letters that are fetched at once where a queue is full.
const VICTIMS: usize = 50;

/// A letter, as it is or as it is to be.
#[derive(Clone, PartialEq)]
pub(super) struct Kept {
    pub(super) envelope: Envelope,
    pub(super) attempts: Vec<Attempt>,
    /// Bytes of its content's record.
    bytes: u64,
}

/// A letter that was read.
pub(super) struct Row {
    head: Option<Vec<u8>>,
    owner: Option<Vec<u8>>,
    pub(super) before: Option<Kept>,
    pub(super) now: Option<Kept>,
    /// The content's record that is to be written.
    pub(super) content: Option<Vec<u8>>,
    /// The one that it is written in place of.
    seen: Option<Vec<u8>>,
}

pub(super) struct Transaction<'p> {
    place: &'p Place,
    rows: BTreeMap<u128, Row>,
    /// The letter of each idempotency key that was read, by its field: as it was, and as it is to be.
    keys: BTreeMap<String, (Option<u128>, Option<u128>)>,
    /// The counters of queues that were read.
    counts: BTreeMap<String, QueueStats>,
    /// How many queues there are.
    queues: usize,
    /// What is to be added to counters of events, by their fields.
    events: BTreeMap<String, i64>,
    /// Bounds of the queues that letters are added to: letters and bytes.
    bounds: BTreeMap<String, (u64, u64)>,
    victims: BTreeMap<(String, State), Victims>,
}

/// The oldest letters of one queue and state.
#[derive(Default)]
struct Victims {
    ids: VecDeque<u128>,
    offset: usize,
    exhausted: bool,
}

impl<'p> Transaction<'p> {
    pub(super) fn new(place: &'p Place) -> Self {
        Self {
            place,
            rows: BTreeMap::new(),
            keys: BTreeMap::new(),
            counts: BTreeMap::new(),
            queues: 0,
            events: BTreeMap::new(),
            bounds: BTreeMap::new(),
            victims: BTreeMap::new(),
        }
    }

    /// Reads letters, in one round trip.
    pub(super) async fn load(&mut self, ids: impl IntoIterator<Item = u128>) -> Result<()> {
        let ids: BTreeSet<_> = ids.into_iter().filter(|id| !self.rows.contains_key(id)).collect();
        let (mut commands, layout) = (Pipeline::new(), &self.place.layout);
        for id in &ids {
            let key = layout.letter(*id);
            commands.cmd("HMGET").arg(&key).arg("head").arg("attempts");
            commands.cmd("HSTRLEN").arg(&key).arg("content");
            commands.cmd("HGET").arg(&layout.replaying).arg(text(*id));
        }
        let mut answers = self.place.ask(&commands).await?.into_iter();
        for id in ids {
            let mut next = || answers.next().unwrap_or(redis::Value::Nil);
            let (head, attempts): (Option<Vec<u8>>, Option<Vec<u8>>) = self.place.read(next())?;
            let (bytes, owner) = (self.place.read(next())?, self.place.read(next())?);
            let before = head.as_deref().and_then(decoded).map(|envelope| {
                let attempts = attempts.as_deref().and_then(decoded).unwrap_or_default();
                Kept { envelope, attempts, bytes }
            });
            let row = Row { head, owner, now: before.clone(), before, content: None, seen: None };
            self.rows.insert(id, row);
        }
        Ok(())
    }

    /// Reads what is needed to put letters.
    pub(super) async fn load_for(&mut self, arrivals: &[Arrival]) -> Result<()> {
        let envelopes = || arrivals.iter().map(|arrival| &arrival.letter.envelope);
        let fields: BTreeSet<_> = envelopes().filter_map(key_field).collect();
        let queues: BTreeSet<_> = envelopes().map(|envelope| &envelope.queue).collect();
        let (mut commands, layout) = (Pipeline::new(), &self.place.layout);
        fields.iter().for_each(|field| {
            commands.cmd("HGET").arg(&layout.by_key).arg(field);
        });
        commands.cmd("HGET").arg(&layout.counts).arg(QUEUES);
        for queue in &queues {
            let fields = STATES.map(counter).into_iter().chain(["bytes", ""]);
            let fields: Vec<_> = fields.map(|counter| count_field(queue, counter)).collect();
            commands.cmd("HMGET").arg(&layout.counts).arg(fields);
        }
        let mut answers = self.place.ask(&commands).await?.into_iter();
        let mut next = || answers.next().unwrap_or(redis::Value::Nil);
        for field in fields {
            let id: Option<String> = self.place.read(next())?;
            let id = id.as_deref().and_then(layout::id_of);
            self.keys.insert(field, (id, id));
        }
        self.queues = self.place.read::<Option<usize>>(next())?.unwrap_or(0);
        for queue in queues {
            let read: Vec<Option<u64>> = self.place.read(next())?;
            let at = |n: usize| read.get(n).copied().flatten();
            // The last field says that the queue exists.
            if at(5).is_none() {
                continue;
            }
            let mut stats = QueueStats { bytes: at(4).unwrap_or(0), ..QueueStats::default() };
            STATES.iter().enumerate().for_each(|(n, state)| *stats.of(*state) = at(n).unwrap_or(0));
            self.counts.insert(queue.clone(), stats);
        }
        let ids = envelopes().map(|envelope| envelope.id.number());
        let ids: Vec<_> = ids.chain(self.keys.values().filter_map(|(id, _)| *id)).collect();
        self.load(ids).await
    }

    /// The owner of the replay of a letter that was read.
    pub(super) fn is_held_by(&self, id: u128, owner: &str) -> bool {
        self.rows.get(&id).and_then(|row| row.owner.as_deref()) == Some(owner.as_bytes())
    }

    pub(super) fn envelope(&self, id: u128) -> Option<&Envelope> {
        self.rows.get(&id)?.now.as_ref().map(|kept| &kept.envelope)
    }

    /// Changes a letter that was read; none if there is no such letter.
    pub(super) fn change<T>(
        &mut self,
        id: u128,
        change: impl FnOnce(&mut Envelope, &mut Vec<Attempt>) -> T,
    ) -> Option<T> {
        let kept = self.rows.get_mut(&id)?.now.as_mut()?;
        let before = kept.envelope.state;
        let done = change(&mut kept.envelope, &mut kept.attempts);
        let (queue, after) = (kept.envelope.queue.clone(), kept.envelope.state);
        if let Some(counts) = self.counts.get_mut(&queue) {
            counts.leave(before, 0);
            counts.enter(after, 0);
        }
        Some(done)
    }

    /// Writes a record of a content in place of the one that was seen. Returns whether the letter is there.
    pub(super) fn replace_content(&mut self, id: u128, seen: Vec<u8>, record: Vec<u8>) -> bool {
        let Some(row) = self.rows.get_mut(&id) else { return false };
        let Some(now) = &mut row.now else { return false };
        now.bytes = record.len() as u64;
        (row.seen, row.content) = (Some(seen), Some(record));
        true
    }

    /// Removes a letter that was read, and counts that as this event.
    pub(super) fn remove(&mut self, id: u128, event: Option<&str>) -> bool {
        let Some(kept) = self.rows.get_mut(&id).and_then(|row| row.now.take()) else {
            return false;
        };
        let Envelope { queue, state, .. } = &kept.envelope;
        if let Some(counts) = self.counts.get_mut(queue) {
            counts.leave(*state, kept.bytes);
        }
        if let Some(entry) = key_field(&kept.envelope).and_then(|field| self.keys.get_mut(&field)) {
            entry.1 = None;
        }
        if let Some(event) = event {
            self.count(queue, event);
        }
        true
    }

    fn count(&mut self, queue: &str, event: &str) {
        *self.events.entry(count_field(queue, event)).or_default() += 1;
    }

    /// Puts a letter whose surroundings were read.
    pub(super) async fn put(&mut self, arrival: &Arrival, queues: &Queues) -> Result<Put> {
        let envelope = &arrival.letter.envelope;
        let (id, queue) = (envelope.id.number(), &envelope.queue);
        if self.envelope(id).is_some() {
            return Ok(Put::Stored);
        }
        if let Err(refusal @ Refusal::Invalid(_)) = &arrival.content {
            return Ok(Put::Refused(refusal.clone()));
        }
        if !self.counts.contains_key(queue) {
            if self.queues >= MAX_QUEUES {
                return Ok(Put::Refused(Refusal::Full));
            }
            self.queues += 1;
            self.counts.insert(queue.clone(), QueueStats::default());
            self.events.insert(count_field(queue, ""), 1);
            *self.events.entry(QUEUES.to_owned()).or_default() += 1;
        }
        let earlier = key_field(envelope).and_then(|field| self.keys.get(&field)?.1);
        if let Some(earlier) = earlier.filter(|earlier| self.envelope(*earlier).is_some()) {
            self.change(earlier, |envelope, attempts| {
                lifecycle::merge(envelope, attempts, &arrival.letter);
            });
            self.count(queue, "merged");
            return Ok(Put::Merged(LetterId::from_number(earlier)));
        }
        let content = match &arrival.content {
            Ok(content) if self.make_room(queue, content.len() as u64, queues).await? => content,
            refused => {
                self.count(queue, "refused");
                return Ok(Put::Refused(refused.as_ref().err().cloned().unwrap_or(Refusal::Full)));
            }
        };
        self.insert(arrival, content.clone());
        Ok(Put::Stored)
    }

    fn insert(&mut self, arrival: &Arrival, content: Vec<u8>) {
        let envelope = arrival.letter.envelope.clone();
        let (id, bytes) = (envelope.id.number(), content.len() as u64);
        if let Some(entry) = key_field(&envelope).and_then(|field| self.keys.get_mut(&field)) {
            entry.1 = Some(id);
        }
        if let Some(counts) = self.counts.get_mut(&envelope.queue) {
            counts.enter(envelope.state, bytes);
        }
        self.count(&envelope.queue, "enqueued");
        let attempts = arrival.letter.attempts.clone();
        if let Some(row) = self.rows.get_mut(&id) {
            row.now = Some(Kept { envelope, attempts, bytes });
            row.content = Some(content);
        }
    }

    /// Makes room for a letter of so many bytes, if the queue may.
    async fn make_room(&mut self, queue: &str, bytes: u64, queues: &Queues) -> Result<bool> {
        let config = queues.of(queue);
        if bytes > config.max_bytes || config.max_letters == 0 {
            return Ok(false);
        }
        self.bounds.insert(queue.to_owned(), (config.max_letters, config.max_bytes));
        loop {
            let counts = self.counts.get(queue).cloned().unwrap_or_default();
            if counts.letters() < config.max_letters && counts.bytes + bytes <= config.max_bytes {
                return Ok(true);
            }
            let mut victim = self.oldest(queue, State::Replayed).await?;
            if victim.is_none() && config.when_full == WhenFull::DropOldest {
                let waiting = self.oldest(queue, State::Waiting).await?;
                let quarantined = self.oldest(queue, State::Quarantined).await?;
                victim = [waiting, quarantined].into_iter().flatten().min();
            }
            let Some(victim) = victim else { return Ok(false) };
            self.remove(victim, Some("dropped"));
        }
    }

    /// The oldest letter of a queue in this state, as it is to be.
    async fn oldest(&mut self, queue: &str, state: State) -> Result<Option<u128>> {
        let is_such = |kept: &Kept| kept.envelope.queue == queue && kept.envelope.state == state;
        loop {
            let name = (queue.to_owned(), state);
            let victims = self.victims.entry(name.clone()).or_default();
            while let Some(first) = victims.ids.front() {
                let there = self.rows.get(first).and_then(|row| row.now.as_ref());
                if there.is_some_and(is_such) {
                    break;
                }
                victims.ids.pop_front();
            }
            let first = victims.ids.front().copied();
            if first.is_some() || victims.exhausted {
                // Those of this transaction are in no index yet.
                let own = self.rows.iter().filter(|(_, row)| row.before.is_none());
                let own = own.filter(|(_, row)| row.now.as_ref().is_some_and(is_such));
                return Ok(own.map(|(id, _)| *id).chain(first).min());
            }
            let start = of_state(queue, state);
            let mut command = redis::cmd("ZRANGEBYLEX");
            command
                .arg(&self.place.layout.by_state)
                .arg(format!("[{start}"))
                .arg(format!("({start}\u{7f}"));
            command.arg("LIMIT").arg(victims.offset).arg(VICTIMS);
            let members: Vec<String> = self.place.ask_one(command).await?;
            let ids: Vec<_> = members.iter().filter_map(|member| layout::id_of(member)).collect();
            self.load(ids.iter().copied()).await?;
            let victims = self.victims.entry(name).or_default();
            victims.offset += members.len();
            victims.exhausted = members.len() < VICTIMS;
            victims.ids.extend(ids);
        }
    }

    /// Writes all changes. Returns whether they were made; else something has changed, and all is read again.
    pub(super) async fn commit(self) -> Result<bool> {
        let place = self.place;
        let commit = self.commit_of()?;
        if commit.is_empty() {
            return Ok(true);
        }
        place.writer.commit(commit.into_call()).await.map_err(|error| place.error(error))
    }

    fn commit_of(self) -> Result<Commit> {
        let (layout, mut commit) = (&self.place.layout, Commit::default());
        let mut counts = self.events;
        let changed = |row: &&Row| row.before != row.now || row.content.is_some();
        // Removals first: they need no memory, so they are made where Redis has none left.
        let rows = || self.rows.iter().map(|(id, row)| (*id, row)).filter(|(_, row)| changed(row));
        for (id, row) in rows() {
            commit.see(&layout.letter(id), "head", row.head.as_deref());
            commit.see(&layout.replaying, &text(id), row.owner.as_deref());
            if row.seen.is_some() {
                commit.see(&layout.letter(id), "content", row.seen.as_deref());
            }
            commit.remove(layout, id, row);
            for (kept, step) in [(&row.before, -1), (&row.now, 1)] {
                let Some(Kept { envelope, bytes, .. }) = kept else { continue };
                let bytes = i64::try_from(*bytes).unwrap_or(i64::MAX);
                let state = counter(envelope.state);
                *counts.entry(count_field(&envelope.queue, state)).or_default() += step;
                *counts.entry(count_field(&envelope.queue, "bytes")).or_default() += step * bytes;
            }
        }
        for (id, row) in rows() {
            commit.write(self.place, id, row)?;
        }
        for (field, (seen, _)) in &self.keys {
            commit.see(&layout.by_key, field, seen.map(text).as_deref().map(str::as_bytes));
        }
        for (queue, (letters, bytes)) in &self.bounds {
            let added = |counter| counts.get(&count_field(queue, counter)).copied().unwrap_or(0);
            let letters_added = STATES.map(counter).into_iter().map(added).sum();
            let fields = STATES.map(|state| count_field(queue, counter(state)));
            commit.bound(&layout.counts, *letters, letters_added, &fields);
            commit.bound(&layout.counts, *bytes, added("bytes"), &[count_field(queue, "bytes")]);
        }
        counts.retain(|_, step| *step != 0);
        if counts.contains_key(QUEUES) {
            commit.bound(&layout.counts, MAX_QUEUES as u64, counts[QUEUES], &[QUEUES.to_owned()]);
        }
        for (field, step) in &counts {
            // Two that make a queue at once do not both count it.
            if field.ends_with('"') {
                commit.see(&layout.counts, field, None);
            }
            commit.command(
                "HINCRBY",
                &layout.counts,
                &[field.as_bytes(), step.to_string().as_bytes()],
            );
        }
        if commit.is_empty() && self.place.config.wait_replicas > 0 && !self.rows.is_empty() {
            // Whoever waits for replicas waits for what was written before; without a write there is nothing to wait for.
            commit.command("HINCRBY", &layout.counts, &[b"touched", b"1"]);
        }
        Ok(commit)
    }
}
