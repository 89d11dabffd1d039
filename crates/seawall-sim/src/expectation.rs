//! Expectations of a scenario: what must be seen in a run.

use crate::ledger::Ledger;
use schemars::JsonSchema;
use seawall::{Instant, config::Problems};
use serde::{Deserialize, Serialize};
use std::{fmt, time::Duration};

seawall::configuration! {
    /// A part of the run, and the bounds of what is counted in it. At least one bound.
    pub struct Range {
        /// Where the part begins, counted from the start of the run.
        from: Duration = Duration::ZERO,
        /// Where the part ends, this instant excluded. Left out: with the run.
        to: Option<Duration> = None,
        /// What is counted must not be less than this. Left out: no lower bound.
        at_least: Option<f64> = None,
        /// What is counted must not be more than this. Left out: no upper bound.
        at_most: Option<f64> = None,
    }
}

/// An expectation of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Expectation {
    /// The share of the executions begun in the range that succeeded.
    SuccessRate(Range),
    /// The number of calls that reached the dependency in the range.
    Calls(Range),
    /// The number of executions begun in the range that were refused.
    Rejections(Range),
    /// The 99th percentile of the time to success, in milliseconds, of executions begun in the range.
    P99Ms(Range),
    /// The number of successes a second, of executions begun in the range, that came within the load's
    /// `useful_within`.
    Goodput(Range),
    /// The number of times that a circuit opened in the range.
    Openings(Range),
    /// The number of first calls of executions that overtook the call of an execution that came earlier.
    Overtakings(Range),
    /// The state of the circuit at an instant.
    Circuit {
        /// The instant, counted from the start of the scenario.
        #[serde(with = "seawall::config::duration")]
        #[schemars(schema_with = "seawall::config::duration::schema")]
        at: Duration,
        /// The state of the circuit: `closed`, `open` or `half_open`.
        state: String,
    },
}

/// An expectation, compared with what was seen.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Checked {
    /// The expectation, in words.
    pub expected: String,
    /// Whether the expectation was met.
    pub met: bool,
    /// What was seen, in words.
    pub seen: String,
}

impl Range {
    fn check(&self, duration: Duration, problems: &mut Problems) {
        problems.require(self.from <= duration, "from", self.from, "within the run");
        if let Some(to) = self.to {
            problems.require(to > self.from, "to", to, "later than from");
        }
        let some = self.at_least.is_some() || self.at_most.is_some();
        problems.require(some, "at_least", self.at_least, "given, or at_most is");
    }

    fn holds(&self, value: f64) -> bool {
        self.at_least.is_none_or(|bound| value >= bound)
            && self.at_most.is_none_or(|bound| value <= bound)
    }

    fn instants(&self, start: Instant) -> (Instant, Instant) {
        (start + self.from, self.to.map_or(Instant::FAR_FUTURE, |to| start + to))
    }
}

impl fmt::Display for Range {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.to {
            Some(to) => write!(f, "from {:?} to {to:?}:", self.from)?,
            None => write!(f, "from {:?}:", self.from)?,
        }
        if let Some(bound) = self.at_least {
            write!(f, " at least {bound}")?;
        }
        if let Some(bound) = self.at_most {
            write!(f, " at most {bound}")?;
        }
        Ok(())
    }
}

impl Expectation {
    pub(crate) fn check(&self, duration: Duration, problems: &mut Problems) {
        match self {
            Self::SuccessRate(range)
            | Self::Calls(range)
            | Self::Rejections(range)
            | Self::P99Ms(range)
            | Self::Goodput(range)
            | Self::Openings(range)
            | Self::Overtakings(range) => {
                problems.within(self.name(), |problems| range.check(duration, problems));
            }
            Self::Circuit { at, state } => problems.within("circuit", |problems| {
                problems.require(*at <= duration, "at", at, "within the run");
                let known = ["closed", "open", "half_open"].contains(&state.as_str());
                problems.require(known, "state", state, "closed, open or half_open");
            }),
        }
    }

    fn name(&self) -> &'static str {
        match self {
            Self::SuccessRate(_) => "success_rate",
            Self::Calls(_) => "calls",
            Self::Rejections(_) => "rejections",
            Self::P99Ms(_) => "p99_ms",
            Self::Goodput(_) => "goodput",
            Self::Openings(_) => "openings",
            Self::Overtakings(_) => "overtakings",
            Self::Circuit { .. } => "circuit",
        }
    }

    /// Holds it against what was seen.
    pub(crate) fn judge(&self, ledger: &Ledger) -> Checked {
        let (range, seen) = match self {
            Self::Circuit { at, state } => {
                let seen = ledger.state_at(*at);
                let expected = format!("circuit at {at:?}: {state}");
                return Checked { met: seen == state, expected, seen: seen.to_owned() };
            }
            Self::SuccessRate(range) => (range, ledger.success_rate(range.instants(ledger.start))),
            Self::Calls(range) => (range, ledger.calls(range.instants(ledger.start))),
            Self::Rejections(range) => (range, ledger.rejections(range.instants(ledger.start))),
            Self::P99Ms(range) => (range, ledger.p99_ms(range.instants(ledger.start))),
            Self::Goodput(range) => (range, ledger.goodput(range.instants(ledger.start))),
            Self::Openings(range) => (range, ledger.openings(range.instants(ledger.start))),
            Self::Overtakings(range) => (range, ledger.overtakings(range.instants(ledger.start))),
        };
        let expected = format!("{} {range}", self.name());
        // Of nothing there is no share: an expectation about it is not met.
        let Some(seen) = seen else {
            return Checked { expected, met: false, seen: "nothing".into() };
        };
        Checked { expected, met: range.holds(seen), seen: format!("{:.4}", seen) }
    }
}
