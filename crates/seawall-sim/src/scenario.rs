//! What is simulated, as it stands in a file.

use crate::expectation::Expectation;
use schemars::JsonSchema;
use seawall::{
    Class, PolicyConfig,
    config::{ConfigError, Problems},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// More executions than this would keep too much in memory.
const MOST_EXECUTIONS: f64 = 5_000_000.0;

/// A pipeline, a load on it, and what its dependency does when.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Scenario {
    /// One line for people.
    pub description: String,
    /// The same seed gives the same run.
    pub seed: u64,
    /// How long callers arrive. The run ends when the last of them has ended.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub duration: Duration,
    /// The policies, outermost first.
    pub policies: Vec<PolicyConfig>,
    /// Who calls.
    pub load: Load,
    /// What the dependency does, in phases.
    pub dependency: Vec<Phase>,
    /// What the alternative does that a fallback calls; empty: there is none.
    pub alternative: Vec<Phase>,
    /// What must be seen.
    pub expect: Vec<Expectation>,
}

impl Default for Scenario {
    fn default() -> Self {
        Self {
            description: String::new(),
            seed: 1,
            duration: Duration::from_secs(60),
            policies: Vec::new(),
            load: Load::default(),
            dependency: vec![Phase::default()],
            alternative: Vec::new(),
            expect: Vec::new(),
        }
    }
}

/// Callers who come whatever becomes of those before them (an open loop).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Load {
    /// Arrivals per second.
    #[schemars(range(max = 1_000_000.0))]
    pub rate: f64,
    /// How they are spread.
    pub arrivals: Arrivals,
    /// A caller leaves after this long without an answer. Left out: nobody leaves.
    #[serde(with = "seawall::config::duration::option")]
    #[schemars(schema_with = "seawall::config::duration::option::schema")]
    pub patience: Option<Duration>,
    /// An answer that takes longer is of no use: it does not count as goodput. Left out: every one is.
    #[serde(with = "seawall::config::duration::option")]
    #[schemars(schema_with = "seawall::config::duration::option::schema")]
    pub useful_within: Option<Duration>,
    /// Callers are of so many kinds, for keyed limits.
    #[schemars(range(min = 1))]
    pub keys: u64,
}

impl Default for Load {
    fn default() -> Self {
        Self { rate: 100.0, arrivals: Arrivals::Even, patience: None, useful_within: None, keys: 1 }
    }
}

/// How arrivals are spread.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// At equal distances.
    #[default]
    Even,
    /// At random, independent of each other.
    Poisson,
}

/// What a dependency does from an instant on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Phase {
    /// When it begins. The first phase begins at 0.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub at: Duration,
    /// How long a call takes: the median.
    #[serde(with = "seawall::config::duration")]
    #[schemars(schema_with = "seawall::config::duration::schema")]
    pub latency: Duration,
    /// How much latencies differ: σ of a log-normal distribution; 0: all are alike.
    #[schemars(range(min = 0.0, max = 5.0))]
    pub spread: f64,
    /// Latencies are of an exponential distribution instead, and `latency` is their mean.
    pub exponential: bool,
    /// Calls that it serves at once; those beyond wait, first come, first served, and are served also when
    /// nobody waits for them any more. 0: it serves nothing until the next phase. Left out: it serves all.
    #[schemars(range(max = 100_000))]
    pub workers: Option<u32>,
    /// The share of calls that fail.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub failures: f64,
    /// How they fail.
    pub kind: FailureKind,
    /// What failures ask to wait (`Retry-After`).
    #[serde(with = "seawall::config::duration::option")]
    #[schemars(schema_with = "seawall::config::duration::option::schema")]
    pub retry_after: Option<Duration>,
    /// The share of calls that never end.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub hangs: f64,
    /// The share of calls in which the caller's own code panics.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub panics: f64,
    /// Calls that it can take at once; those beyond fail at once. Left out: any number.
    #[schemars(range(min = 1))]
    pub capacity: Option<u32>,
}

impl Default for Phase {
    fn default() -> Self {
        Self {
            at: Duration::ZERO,
            latency: Duration::from_millis(10),
            spread: 0.0,
            exponential: false,
            workers: None,
            failures: 0.0,
            kind: FailureKind::Transient,
            retry_after: None,
            hangs: 0.0,
            panics: 0.0,
            capacity: None,
        }
    }
}

/// How a call fails.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// It will pass.
    #[default]
    Transient,
    /// Too many calls.
    RateLimited,
    /// The request itself is at fault.
    Permanent,
}

impl FailureKind {
    pub(crate) fn class(self) -> Class {
        match self {
            Self::Transient => Class::Transient,
            Self::RateLimited => Class::RateLimited,
            Self::Permanent => Class::Permanent,
        }
    }
}

impl Scenario {
    /// Everything that is wrong with it.
    ///
    /// # Errors
    /// Every field out of its bounds, by path.
    pub fn check(&self) -> Result<(), ConfigError> {
        let mut problems = Problems::default();
        let day = Duration::from_secs(86_400);
        let length = self.duration;
        let good = !length.is_zero() && length <= day;
        problems.require(good, "duration", length, "more than 0 and at most a day");
        seawall::check_policies(&self.policies, &mut problems);
        problems.within("load", |problems| self.check_load(problems));
        for (name, phases) in [("dependency", &self.dependency), ("alternative", &self.alternative)]
        {
            problems.within(name, |problems| check_phases(phases, problems));
        }
        let none = self.dependency.is_empty();
        problems.require(!none, "dependency", &self.dependency, "at least one phase");
        problems.within("expect", |problems| {
            for (at, expectation) in self.expect.iter().enumerate() {
                let check = |problems: &mut Problems| expectation.check(length, problems);
                problems.within(&format!("[{at}]"), check);
            }
        });
        problems.into_result()
    }

    fn check_load(&self, problems: &mut Problems) {
        let Load { rate, patience, keys, .. } = self.load;
        let good = rate > 0.0 && rate <= 1e6;
        problems.require(good, "rate", rate, "more than 0 and at most 1000000");
        let executions = rate * self.duration.as_secs_f64();
        let right = "small enough for 5000000 executions in the whole run";
        problems.require(!good || executions <= MOST_EXECUTIONS, "rate", rate, right);
        if let Some(patience) = patience {
            problems.require(!patience.is_zero(), "patience", patience, "more than 0");
        }
        problems.require(keys > 0, "keys", keys, "at least 1");
    }
}

fn check_phases(phases: &[Phase], problems: &mut Problems) {
    for (at, phase) in phases.iter().enumerate() {
        problems.within(&format!("[{at}]"), |problems| {
            let share = |value: f64| (0.0..=1.0).contains(&value);
            for (field, value) in
                [("failures", phase.failures), ("hangs", phase.hangs), ("panics", phase.panics)]
            {
                problems.require(share(value), field, value, "a share from 0 to 1");
            }
            let all = phase.failures + phase.hangs + phase.panics;
            let right = "at most 1 together with hangs and panics";
            problems.require(all <= 1.0 + 1e-9, "failures", phase.failures, right);
            let good = (0.0..=5.0).contains(&phase.spread);
            problems.require(good, "spread", phase.spread, "a number from 0 to 5");
            let hour = Duration::from_secs(3600);
            problems.require(phase.latency <= hour, "latency", phase.latency, "at most an hour");
            problems.require(phase.capacity != Some(0), "capacity", 0, "at least 1");
            let good = phase.workers.is_none_or(|workers| workers <= 100_000);
            problems.require(good, "workers", phase.workers, "at most 100000");
            let last = at + 1 == phases.len();
            let right = "more than 0 in the last phase: nothing would ever be served";
            problems.require(!(last && phase.workers == Some(0)), "workers", 0, right);
            let good = !(phase.exponential && phase.spread > 0.0);
            problems.require(good, "spread", phase.spread, "of use with exponential latencies");
            let in_order = match at.checked_sub(1) {
                None => phase.at.is_zero(),
                Some(before) => phase.at > phases[before].at,
            };
            let right = "0 in the first phase, and later than the phase before in all others";
            problems.require(in_order, "at", phase.at, right);
        });
    }
}
