//! Letters as they are found: lists, groups and numbers, a piece of an index at a time.

use super::{
    layout::{id_of, of_group, of_state, queue_of, text},
    place::Place,
};
use crate::{
    letters::{
        content::Content,
        id::LetterId,
        letter::{Attempt, Envelope, Letter, STATES, State},
        query::{Grouping, Groups, Page, Query},
        record::decoded,
        seal::{self, RESEALED},
        stats::{QueueStats, Stats},
    },
    store::Result,
};
use redis::Pipeline;
use std::{collections::BTreeMap, ops::Range};

/// Envelopes that one page looks at. A search for something rare goes on with the next page.
const MAX_LOOKED_AT: usize = 20_000;
/// Members of an index, and envelopes, that are read at once.
const PIECE: usize = 500;
/// Identifiers of damaged letters that are named.
const NAMED: usize = 100;

/// A way through the letters among which those that a query means are, in its order.
struct Walk {
    /// The index, and what its members begin with, of each range that is walked through.
    ranges: Vec<(String, String)>,
    ids: Range<u128>,
    oldest_first: bool,
}

impl Walk {
    fn new(place: &Place, query: &Query, after: Option<LetterId>) -> Self {
        let layout = &place.layout;
        let ranges = if let Some(fingerprint) = query.fingerprint {
            vec![(layout.by_group.clone(), of_group(fingerprint))]
        } else if let Some(queue) = &query.queue {
            let states = STATES.iter().filter(|state| query.state.is_none_or(|it| it == **state));
            states.map(|state| (layout.by_state.clone(), of_state(queue, *state))).collect()
        } else {
            vec![(layout.ids.clone(), String::new())]
        };
        Self { ranges, ids: query.times_after(after), oldest_first: query.oldest_first }
    }

    /// The next identifiers; none at the end.
    async fn next(&mut self, place: &Place, most: usize) -> Result<Vec<u128>> {
        if self.ids.is_empty() {
            return Ok(Vec::new());
        }
        let mut commands = Pipeline::new();
        for (index, start) in &self.ranges {
            let first = format!("[{start}{}", text(self.ids.start));
            let end = format!("({start}{}", text(self.ids.end));
            if self.oldest_first {
                commands.cmd("ZRANGEBYLEX").arg(index).arg(first).arg(end);
            } else {
                commands.cmd("ZREVRANGEBYLEX").arg(index).arg(end).arg(first);
            }
            commands.arg("LIMIT").arg(0).arg(most);
        }
        let mut found = Vec::new();
        // Of a range that may have more, those of the others behind its last are for later.
        let mut reached = None;
        for answer in place.ask(&commands).await? {
            let members: Vec<String> = place.read(answer)?;
            let ids: Vec<_> = members.iter().filter_map(|member| id_of(member)).collect();
            if members.len() >= most
                && let Some(last) = ids.last()
            {
                reached = Some(reached.map_or(*last, |other| self.first_of(other, *last)));
            }
            found.extend(ids);
        }
        found.sort_unstable();
        if !self.oldest_first {
            found.reverse();
        }
        match reached {
            None => self.ids = 0..0,
            Some(last) => {
                found.retain(|id| self.first_of(*id, last) == *id);
                if self.oldest_first {
                    self.ids.start = last.saturating_add(1);
                } else {
                    self.ids.end = last;
                }
            }
        }
        Ok(found)
    }

    /// The one of the two that comes first in the order of the query.
    fn first_of(&self, one: u128, other: u128) -> u128 {
        if self.oldest_first { one.min(other) } else { one.max(other) }
    }
}

impl Place {
    pub(super) async fn letter(&self, id: LetterId) -> Result<Option<Letter>> {
        let mut command = redis::cmd("HMGET");
        command.arg(self.layout.letter(id.number())).arg("head").arg("attempts").arg("content");
        type Records = (Option<Vec<u8>>, Option<Vec<u8>>, Option<Vec<u8>>);
        let (head, attempts, content): Records = self.ask_one(command).await?;
        let Some(envelope) = head.as_deref().and_then(decoded::<Envelope>) else { return Ok(None) };
        let attempts = attempts.as_deref().and_then(decoded::<Vec<Attempt>>).unwrap_or_default();
        let missing = || Content::Unreadable("its record is missing".to_owned());
        let content = content.map_or_else(missing, |record| seal::open(id, &record, &self.keys));
        Ok(Some(Letter { envelope, attempts, content }))
    }

    /// The envelopes of these letters; none of those that are gone.
    async fn envelopes(&self, ids: &[u128]) -> Result<Vec<Option<Envelope>>> {
        let mut commands = Pipeline::with_capacity(ids.len());
        ids.iter().for_each(|id| {
            commands.cmd("HGET").arg(self.layout.letter(*id)).arg("head");
        });
        let answers = self.ask(&commands).await?.into_iter();
        let heads = answers.map(|answer| self.read::<Option<Vec<u8>>>(answer));
        heads.map(|head| Ok(head?.as_deref().and_then(decoded))).collect()
    }

    pub(super) async fn page(
        &self,
        query: &Query,
        after: Option<LetterId>,
        most: usize,
    ) -> Result<Page> {
        let mut walk = Walk::new(self, query, after);
        let mut letters: Vec<Envelope> = Vec::new();
        let (mut looked_at, mut last) = (0, None);
        loop {
            let piece = walk.next(self, most.saturating_add(1).clamp(16, PIECE)).await?;
            if piece.is_empty() {
                return Ok(Page { letters, next: None });
            }
            for (id, letter) in piece.iter().zip(self.envelopes(&piece).await?) {
                if looked_at >= MAX_LOOKED_AT {
                    return Ok(Page { letters, next: last.map(LetterId::from_number) });
                }
                looked_at += 1;
                last = Some(*id);
                let Some(letter) = letter.filter(|letter| query.matches(letter)) else { continue };
                if letters.len() >= most {
                    let next = letters.last().map(|last| last.id);
                    return Ok(Page { letters, next });
                }
                letters.push(letter);
            }
        }
    }

    pub(super) async fn groups(&self, query: &Query) -> Result<Groups> {
        let mut groups = Grouping::default();
        // The first letter of a group is its example.
        let query = &Query { oldest_first: false, ..query.clone() };
        let mut walk = Walk::new(self, query, None);
        loop {
            let piece = walk.next(self, PIECE).await?;
            if piece.is_empty() {
                return Ok(groups.into_groups());
            }
            let letters = self.envelopes(&piece).await?.into_iter().flatten();
            letters.filter(|letter| query.matches(letter)).for_each(|letter| groups.add(letter));
        }
    }

    /// The identifiers of a few letters from behind `after` on, oldest first, and the records of the contents of those that are
    /// there.
    pub(super) async fn contents(
        &self,
        after: Option<LetterId>,
    ) -> Result<(Vec<u128>, Vec<(u128, Vec<u8>)>)> {
        let query = Query { oldest_first: true, ..Query::default() };
        let ids = Walk::new(self, &query, after).next(self, RESEALED).await?;
        let mut commands = Pipeline::new();
        ids.iter().for_each(|id| {
            commands.cmd("HGET").arg(self.layout.letter(*id)).arg("content");
        });
        let mut records = Vec::new();
        for (id, answer) in ids.iter().zip(self.ask(&commands).await?) {
            records.extend(self.read::<Option<Vec<u8>>>(answer)?.map(|record| (*id, record)));
        }
        Ok((ids, records))
    }

    /// Letters whose time is over at `now`, those that end first; so many of them are passed over.
    pub(super) async fn ended(&self, now: u64, passed: usize) -> Result<Vec<u128>> {
        let mut command = redis::cmd("ZRANGEBYSCORE");
        command.arg(&self.layout.by_expiry).arg("-inf").arg(now);
        command.arg("LIMIT").arg(passed).arg(PIECE);
        let members: Vec<String> = self.ask_one(command).await?;
        Ok(members.iter().filter_map(|member| id_of(member)).collect())
    }

    pub(super) async fn stats(&self) -> Result<Stats> {
        let mut commands = Pipeline::new();
        commands.cmd("HGETALL").arg(&self.layout.counts);
        commands.cmd("HLEN").arg(&self.layout.corrupt);
        commands.cmd("HRANDFIELD").arg(&self.layout.corrupt).arg(NAMED);
        let mut answers = self.ask(&commands).await?.into_iter();
        let mut next = || answers.next().unwrap_or(redis::Value::Nil);
        let counts: BTreeMap<String, i64> = self.read(next())?;
        let (corrupt, corrupt_ids) = (self.read(next())?, self.read(next())?);
        let mut queues = BTreeMap::<String, serde_json::Map<_, _>>::new();
        for (field, count) in counts {
            let Some((queue, counter)) = queue_of(&field) else { continue };
            let counts = queues.entry(queue).or_default();
            // The counter without a name says that there is the queue.
            if !counter.is_empty() {
                counts.insert(counter.to_owned(), u64::try_from(count).unwrap_or(0).into());
            }
        }
        let read = |counts| serde_json::from_value::<QueueStats>(serde_json::Value::Object(counts));
        let queues = queues.into_iter().map(|(name, counts)| Ok((name, read(counts)?)));
        let queues = queues.collect::<serde_json::Result<BTreeMap<_, _>>>();
        let mut stats =
            Stats { queues: queues.map_err(|error| self.error(error))?, corrupt, corrupt_ids };
        self.find_oldest(&mut stats).await?;
        Ok(stats)
    }

    /// Finds the oldest letter that waits in each queue.
    async fn find_oldest(&self, stats: &mut Stats) -> Result<()> {
        let mut commands = Pipeline::new();
        for queue in stats.queues.keys() {
            let start = of_state(queue, State::Waiting);
            commands.cmd("ZRANGEBYLEX").arg(&self.layout.by_state);
            commands.arg(format!("[{start}")).arg(format!("({start}\u{7f}"));
            commands.arg("LIMIT").arg(0).arg(1);
        }
        let mut oldest = Vec::new();
        for answer in self.ask(&commands).await? {
            let members: Vec<String> = self.read(answer)?;
            oldest.push(members.first().and_then(|member| id_of(member)));
        }
        let ids: Vec<_> = oldest.iter().flatten().copied().collect();
        let mut envelopes = self.envelopes(&ids).await?.into_iter();
        for (queue, id) in stats.queues.values_mut().zip(oldest) {
            let envelope = id.and_then(|_| envelopes.next().flatten());
            queue.oldest = envelope.map(|envelope| envelope.first_failure);
        }
        Ok(())
    }
}
