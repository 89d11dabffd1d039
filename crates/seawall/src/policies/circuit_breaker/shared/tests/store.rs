//! A store in virtual time that keeps the rules of the real one.

use super::*;
use std::collections::BTreeMap;

/// How long an instance, or its vote, counts after it was last heard of.
const ALIVE: Duration = Duration::from_secs(5);

#[derive(Clone, Default)]
pub(super) struct Store {
    last: u64,
    alive: BTreeMap<String, Instant>,
    pub(super) records: BTreeMap<u64, Record>,
    votes: BTreeMap<(u64, String), Instant>,
}

#[derive(Clone, Default, Debug)]
pub(super) struct Record {
    pub(super) change: u64,
    pub(super) open: Option<(Instant, u32)>,
    prober: Option<(String, Instant)>,
    number: u64,
    grants: u32,
}

/// What the store answers to one batch: its answers, all else that is new, how many are alive, and the last number.
pub(super) struct Answer {
    pub(super) answers: Vec<FleetCircuit>,
    pub(super) further: Vec<FleetCircuit>,
    pub(super) instances: u32,
    pub(super) last: u64,
    /// What all others are told.
    pub(super) pushed: Vec<FleetCircuit>,
}

impl Store {
    pub(super) fn batch(
        &mut self,
        now: Instant,
        member: &str,
        circuits: &SharedCircuits,
        reports: &[CircuitReport],
        since: u64,
    ) -> Answer {
        self.alive.insert(member.to_owned(), now + ALIVE);
        self.alive.retain(|_, until| now < *until);
        let mut answer = Answer {
            answers: Vec::new(),
            further: Vec::new(),
            instances: self.alive.len() as u32,
            last: 0,
            pushed: Vec::new(),
        };
        for report in reports {
            let before = self.records.get(&report.key.hash()).map_or(0, |record| record.change);
            self.report(now, member, circuits, report);
            let after = self.show(now, member, report.key.hash());
            if after.change != before {
                answer.pushed.push(FleetCircuit { lease: None, taken_for: None, ..after });
            }
            answer.answers.push(after);
        }
        let is_new = |record: &Record| since > self.last || record.change > since;
        let new: Vec<u64> =
            self.records.iter().filter(|(_, record)| is_new(record)).map(|(key, _)| *key).collect();
        answer.further = new.into_iter().map(|key| self.show(now, member, key)).collect();
        answer.last = self.last;
        answer
    }

    pub(super) fn show(&self, now: Instant, member: &str, key: u64) -> FleetCircuit {
        let record = self.records.get(&key).cloned().unwrap_or_default();
        let live = record.prober.filter(|(_, until)| now < *until);
        let (mut lease, mut taken_for) = (None, None);
        match live {
            Some((prober, until)) if prober == member => {
                let (number, nth) = (record.number, record.grants);
                lease = Some(ProbeLease { number, left: until.since(now), nth });
            }
            Some((_, until)) => taken_for = Some(until.since(now)),
            None => {}
        }
        FleetCircuit {
            key: Key::from_hash(key),
            change: record.change,
            open: record.open.map(|(until, openings)| (until.since(now), openings)),
            lease,
            taken_for,
        }
    }

    fn next(&mut self, now: Instant, least: u64) -> u64 {
        self.last = self.last.max(least).max(now.as_nanos() / 1_000) + 1;
        self.last
    }

    fn report(
        &mut self,
        now: Instant,
        member: &str,
        circuits: &SharedCircuits,
        report: &CircuitReport,
    ) {
        let key = report.key.hash();
        let mut record = self.records.get(&key).cloned().unwrap_or_default();
        let told = match report.state {
            ReportedState::Open { left, openings } => Some((now + left, openings)),
            _ => None,
        };
        if report.known > record.change && report.state != ReportedState::Unsaid {
            // The store has forgotten what this instance knows.
            let closes = report.is_own && report.state == ReportedState::Closed;
            let open = if closes { Some((now, 1)) } else { told.filter(|_| !report.is_own) };
            record = Record { change: report.known, open, ..Record::default() };
        }
        let knows = report.known == record.change;
        let live = record.prober.as_ref().is_some_and(|(_, until)| now < *until);
        let decides = !live || report.lease == record.number;
        let vote = (key, member.to_owned());
        let mut changed = None;
        match (report.state, record.open) {
            (ReportedState::Reset, Some(_)) => changed = Some(None),
            (ReportedState::Closed, open) if knows => {
                self.votes.remove(&vote);
                if open.is_some() && report.is_own && decides {
                    changed = Some(None);
                }
            }
            (ReportedState::Open { left, .. }, None) if knows && !left.is_zero() => {
                match circuits.open_by() {
                    OpenBy::Any if report.is_own => changed = Some(told),
                    OpenBy::Any => {}
                    OpenBy::Quorum => {
                        self.votes.insert(vote, now + ALIVE);
                        let counts = |((of, _), until): &(&(u64, String), &Instant)| {
                            *of == key && now < **until
                        };
                        if 2 * self.votes.iter().filter(counts).count() > self.alive.len() {
                            changed = Some(told);
                        }
                    }
                }
            }
            (ReportedState::Open { .. }, Some(_)) if knows && report.is_own && decides => {
                changed = Some(told);
            }
            _ => {}
        }
        if let Some(open) = changed {
            let change = self.next(now, record.change.max(report.known));
            record = Record { change, open, ..Record::default() };
            self.votes.retain(|(of, _), _| *of != key);
        } else if knows && let Some((until, _)) = record.open {
            let mine = record.prober.as_ref().is_some_and(|(prober, _)| prober == member)
                && report.lease == record.number;
            if report.wants_lease && now >= until && (mine || !live) {
                if !mine {
                    record.number = self.next(now, record.number);
                    record.grants += 1;
                }
                record.prober = Some((member.to_owned(), now + circuits.lease()));
            } else if mine && !report.wants_lease {
                record.prober = None;
            }
        }
        self.records.insert(key, record);
    }
}
