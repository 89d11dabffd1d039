//! What is simulated, as it stands in a file.

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
    /// A pipeline, a load on it, and what its dependency does when.
    #[check(Self::check_parts)]
    pub struct Scenario {
        /// One line for people.
        description: String = String::new(),
        /// The same seed gives the same run.
        seed: u64 = 1,
        /// How long callers arrive. The run ends when the last of them has ended.
        #[range(positive..=days(1))]
        #[right = "more than 0 and at most a day"]
        duration: Duration = secs(60),
        /// The policies, outermost first.
        policies: Vec<PolicyConfig> = Vec::new(),
        /// Who calls.
        #[nested]
        load: Load = Load::default(),
        /// What the dependency does, in phases.
        #[nested]
        dependency: Vec<Phase> = vec![Phase::default()],
        /// What the alternative does that a fallback calls, in phases; empty: there is none.
        #[nested]
        alternative: Vec<Phase> = Vec::new(),
        /// What must be seen.
        expect: Vec<Expectation> = Vec::new(),
    }
}

seawall::configuration! {
    /// Callers who come whatever becomes of those before them (an open loop).
    pub struct Load {
        /// Arrivals per second.
        #[range(over 0.0..=1_000_000.0)]
        #[right = "more than 0 and at most 1000000"]
        rate: f64 = 100.0,
        /// How they are spread.
        arrivals: Arrivals = Arrivals::Even,
        /// A caller leaves after this long without an answer. Left out: nobody leaves.
        #[range(positive)]
        patience: Option<Duration> = None,
        /// An answer that takes longer is of no use: it does not count as goodput. Left out: every one is.
        useful_within: Option<Duration> = None,
        /// Callers are of so many kinds, for keyed limits.
        #[range(1..)]
        keys: u64 = 1,
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

seawall::configuration! {
    /// What a dependency does from an instant on.
    #[check(Self::check_shares)]
    pub struct Phase {
        /// When it begins. The first phase begins at 0.
        at: Duration = Duration::ZERO,
        /// How long a call takes: the median.
        #[range(..=hours(1))]
        latency: Duration = millis(10),
        /// How much latencies differ: σ of a log-normal distribution; 0: all are alike.
        #[range(0.0..=5.0)]
        spread: f64 = 0.0,
        /// Latencies are of an exponential distribution instead, and `latency` is their mean.
        exponential: bool = false,
        /// Calls that it serves at once; those beyond wait, first come, first served, and are served also when
        /// nobody waits for them any more. 0: it serves nothing until the next phase. Left out: it serves all.
        #[range(0..=100_000)]
        workers: Option<u32> = None,
        /// The share of calls that fail.
        #[range(0.0..=1.0)]
        failures: f64 = 0.0,
        /// How they fail.
        kind: FailureKind = FailureKind::Transient,
        /// What failures ask to wait (`Retry-After`).
        retry_after: Option<Duration> = None,
        /// The share of calls that never end.
        #[range(0.0..=1.0)]
        hangs: f64 = 0.0,
        /// The share of calls in which the caller's own code panics.
        #[range(0.0..=1.0)]
        panics: f64 = 0.0,
        /// Calls that it can take at once; those beyond fail at once. Left out: any number.
        #[range(1..)]
        capacity: Option<u32> = None,
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
