//! Scenarios: what is simulated, as a file says it.

use crate::expectation::Expectation;
use schemars::JsonSchema;
use seawall::{
    Class, PolicyConfig,
    config::{Check, ConfigError, Problems, days, hours, millis, secs},
};
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// More executions than this would keep too much in memory.
const MOST_EXECUTIONS: f64 = 5_000_000.0;

seawall::configuration! {
    /// A simulation: a pipeline, a load on it, and the behaviour of its dependency over time.
    #[check(Self::check_parts)]
    pub struct Scenario {
        /// A description of the scenario, in one line for people.
        description: String = String::new(),
        /// The seed of all random draws: equal seeds give equal runs.
        seed: u64 = 1,
        /// How long callers arrive. The run ends when the last of them has ended.
        #[range(positive..=days(1))]
        #[right = "more than 0 and at most a day"]
        duration: Duration = secs(60),
        /// The policies, outermost first.
        policies: Vec<PolicyConfig> = Vec::new(),
        /// The callers: how many, how often, and how patient.
        #[nested]
        load: Load = Load::default(),
        /// The behaviour of the dependency, in phases.
        #[nested]
        dependency: Vec<Phase> = vec![Phase::default()],
        /// The behaviour of the alternative that a fallback calls, in phases; empty: there is no alternative.
        #[nested]
        alternative: Vec<Phase> = Vec::new(),
        /// The expectations that the run must meet.
        expect: Vec<Expectation> = Vec::new(),
    }
}

seawall::configuration! {
    /// Callers who come whatever becomes of those before them (an open loop).
    pub struct Load {
        /// The number of arrivals in a second.
        #[range(over 0.0..=1_000_000.0)]
        #[right = "more than 0 and at most 1000000"]
        rate: f64 = 100.0,
        /// How arrivals are spread in time.
        arrivals: Arrivals = Arrivals::Even,
        /// How long a caller waits for an answer before it leaves. Left out: no caller leaves.
        #[range(positive)]
        patience: Option<Duration> = None,
        /// The longest time in which an answer is of use: a later one does not count as goodput. Left out: every
        /// answer does.
        useful_within: Option<Duration> = None,
        /// The number of different callers, for keyed limits.
        #[range(1..)]
        keys: u64 = 1,
    }
}

/// How arrivals are spread in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Arrivals {
    /// Arrivals at equal distances.
    #[default]
    Even,
    /// Arrivals at random, independent of each other.
    Poisson,
}

seawall::configuration! {
    /// The behaviour of a dependency from an instant on.
    #[check(Self::check_shares)]
    pub struct Phase {
        /// When the phase begins. The first phase begins at 0.
        at: Duration = Duration::ZERO,
        /// How long a call takes: the median.
        #[range(..=hours(1))]
        latency: Duration = millis(10),
        /// How much latencies differ: σ of a log-normal distribution; 0: all are alike.
        #[range(0.0..=5.0)]
        spread: f64 = 0.0,
        /// Whether latencies are of an exponential distribution, with `latency` as their mean.
        exponential: bool = false,
        /// The number of calls that it serves at once; those beyond wait, first come, first served, and are served
        /// also when their callers have left. 0: it serves nothing until the next phase. Left out: it serves all.
        #[range(0..=100_000)]
        workers: Option<u32> = None,
        /// The share of calls that fail.
        #[range(0.0..=1.0)]
        failures: f64 = 0.0,
        /// The kind of failure.
        kind: FailureKind = FailureKind::Transient,
        /// How long failures ask to wait (`Retry-After`).
        retry_after: Option<Duration> = None,
        /// The share of calls that never end.
        #[range(0.0..=1.0)]
        hangs: f64 = 0.0,
        /// The share of calls in which the caller's own code panics.
        #[range(0.0..=1.0)]
        panics: f64 = 0.0,
        /// The number of calls that it can take at once; those beyond fail at once. Left out: any number.
        #[range(1..)]
        capacity: Option<u32> = None,
    }
}

/// The kinds of failures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FailureKind {
    /// A failure that will pass.
    #[default]
    Transient,
    /// A failure because of too many calls.
    RateLimited,
    /// A failure of the request itself.
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
    /// Checks the scenario.
    ///
    /// # Errors
    /// Every field out of its bounds, by path.
    pub fn check(&self) -> Result<(), ConfigError> {
        self.validate()
    }

    fn check_parts(&self, problems: &mut Problems) {
        seawall::check_policies(&self.policies, problems);
        let rate = self.load.rate;
        let executions = rate * self.duration.as_secs_f64();
        let few = executions <= MOST_EXECUTIONS || rate > 1e6;
        let right = "small enough for 5000000 executions in the whole run";
        problems.require(few || rate.is_nan(), "load.rate", rate, right);
        for (name, phases) in [("dependency", &self.dependency), ("alternative", &self.alternative)]
        {
            problems.within(name, |problems| check_order(phases, problems));
        }
        let none = self.dependency.is_empty();
        problems.require(!none, "dependency", &self.dependency, "at least one phase");
        problems.within("expect", |problems| {
            for (at, expectation) in self.expect.iter().enumerate() {
                let check = |problems: &mut Problems| expectation.check(self.duration, problems);
                problems.within(&format!("[{at}]"), check);
            }
        });
    }
}

impl Phase {
    fn check_shares(&self, problems: &mut Problems) {
        let all = self.failures + self.hangs + self.panics;
        let right = "at most 1 together with hangs and panics";
        problems.require(all <= 1.0 + 1e-9, "failures", self.failures, right);
        let good = !(self.exponential && self.spread > 0.0);
        problems.require(good, "spread", self.spread, "of use with exponential latencies");
    }
}

fn check_order(phases: &[Phase], problems: &mut Problems) {
    for (at, phase) in phases.iter().enumerate() {
        problems.within(&format!("[{at}]"), |problems| {
            let last = at + 1 == phases.len();
            let right = "more than 0 in the last phase: nothing would ever be served";
            problems.require(!(last && phase.workers == Some(0)), "workers", 0, right);
            let in_order = match at.checked_sub(1) {
                None => phase.at.is_zero(),
                Some(before) => phase.at > phases[before].at,
            };
            let right = "0 in the first phase, and later than the phase before in all others";
            problems.require(in_order, "at", phase.at, right);
        });
    }
}
