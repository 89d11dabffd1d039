//! Everything that a run's report and expectations are computed from.

use seawall::{Instant, Outcome};
use serde::Serialize;
use std::{ops::Range, time::Duration};

/// A circuit's change of state.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Transition {
    /// The time of the change, from the start of the run.
    pub at: Duration,
    /// The state that the circuit left.
    pub from: &'static str,
    /// The state that the circuit entered.
    pub to: &'static str,
    /// The reason, in words.
    pub why: String,
}

/// One execution that has ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Record {
    pub(crate) began: Instant,
    pub(crate) took: Duration,
    pub(crate) end: End,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Success,
    Failure,
    TimedOut,
    Rejected,
    Left,
    Panicked,
}

impl From<Outcome> for End {
    fn from(outcome: Outcome) -> Self {
        match outcome {
            Outcome::Success => Self::Success,
            Outcome::Failure(_) => Self::Failure,
            Outcome::TimedOut { .. } => Self::TimedOut,
            Outcome::Rejected(_) => Self::Rejected,
            Outcome::CallerFault(_) => Self::Left,
        }
    }
}

/// A call of the operation.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Call {
    pub(crate) at: Instant,
    /// The number of its execution, by arrival.
    pub(crate) execution: u64,
    pub(crate) is_first: bool,
}

#[derive(Debug)]
pub(crate) struct Ledger {
    pub(crate) start: Instant,
    /// The end of the last arrival.
    pub(crate) end: Instant,
    pub(crate) useful_within: Duration,
    /// In the order of their ends.
    pub(crate) records: Vec<Record>,
    /// In the order of their times.
    pub(crate) calls: Vec<Call>,
    pub(crate) transitions: Vec<Transition>,
}

type Span = (Instant, Instant);

impl Ledger {
    fn within(&self, (from, to): Span) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |record| from <= record.began && record.began < to)
    }

    fn calls_within(&self, (from, to): Span) -> Range<usize> {
        let before = |instant| self.calls.partition_point(|call| call.at < instant);
        before(from)..before(to)
    }

    pub(crate) fn success_rate(&self, span: Span) -> Option<f64> {
        let (mut all, mut good) = (0_u64, 0_u64);
        for record in self.within(span) {
            all += 1;
            good += u64::from(record.end == End::Success);
        }
        (all > 0).then(|| good as f64 / all as f64)
    }

    pub(crate) fn calls(&self, span: Span) -> Option<f64> {
        Some(self.calls_within(span).len() as f64)
    }

    pub(crate) fn rejections(&self, span: Span) -> Option<f64> {
        Some(self.within(span).filter(|record| record.end == End::Rejected).count() as f64)
    }

    pub(crate) fn p99_ms(&self, span: Span) -> Option<f64> {
        let good = self.within(span).filter(|record| record.end == End::Success);
        let mut times: Vec<Duration> = good.map(|record| record.took).collect();
        times.sort_unstable();
        quantile(&times, 0.99).map(|time| time.as_secs_f64() * 1000.0)
    }

    /// A success that came in time to be of use.
    pub(crate) fn is_useful(&self, record: &Record) -> bool {
        record.end == End::Success && record.took <= self.useful_within
    }

    pub(crate) fn goodput(&self, (from, to): Span) -> Option<f64> {
        let seconds = to.min(self.end).since(from).as_secs_f64();
        let useful = self.within((from, to)).filter(|record| self.is_useful(record)).count();
        (seconds > 0.0).then(|| useful as f64 / seconds)
    }

    pub(crate) fn openings(&self, (from, to): Span) -> Option<f64> {
        let inside = |change: &&Transition| {
            let at = self.start + change.at;
            change.to == "open" && from <= at && at < to
        };
        Some(self.transitions.iter().filter(inside).count() as f64)
    }

    pub(crate) fn overtakings(&self, span: Span) -> Option<f64> {
        let first = self.calls[self.calls_within(span)].iter().filter(|call| call.is_first);
        let mut latest = 0;
        let mut overtaken = 0_u64;
        for call in first {
            overtaken += u64::from(call.execution < latest);
            latest = latest.max(call.execution);
        }
        Some(overtaken as f64)
    }

    pub(crate) fn state_at(&self, at: Duration) -> &'static str {
        let before = self.transitions.iter().take_while(|change| change.at <= at);
        before.last().map_or("closed", |change| change.to)
    }
}

/// The value that a share `q` of all (sorted) stayed within.
pub(crate) fn quantile(sorted: &[Duration], q: f64) -> Option<Duration> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.max(1) - 1).copied()
}
