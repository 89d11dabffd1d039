//! How long to wait before the next attempt: a pure function of the retry's number, the wait before,
//! and one random draw.

use crate::config::{LONGEST_WAIT, Problems, config};
use std::time::Duration;

config! {
    /// A growing, jittered, capped wait.
    pub struct Backoff {
        /// How the wait grows from one retry to the next.
        growth: Growth = Growth::Exponential,
        /// The wait before the first retry, before jitter; at most 365 days.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        base_delay: Duration = Duration::from_millis(100),
        /// The factor of `exponential` growth; at least 1.
        #[cfg_attr(feature = "schema", schemars(range(min = 1.0, max = 100.0)))]
        exponential_multiplier: f64 = 2.0,
        /// No wait is shorter, before jitter.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        min_delay: Duration = Duration::ZERO,
        /// No wait is longer, after jitter too; only `additive` jitter comes on top. At most 365 days.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        max_delay: Duration = Duration::from_secs(60),
        /// How callers that failed together are kept from coming back together.
        jitter: Jitter = Jitter::Full,
        /// What `additive` jitter adds at most; at most 365 days.
        #[cfg_attr(feature = "serde", serde(with = "crate::config::duration"))]
        #[cfg_attr(feature = "schema", schemars(schema_with = "crate::config::duration::schema"))]
        jitter_max: Duration = Duration::from_secs(2),
        /// How far `around` jitter goes, as a share of the wait from 0 to 1.
        #[cfg_attr(feature = "schema", schemars(range(min = 0.0, max = 1.0)))]
        jitter_share: f64 = 0.25,
    }
}

/// How the wait grows with the number *n* of the retry, from 1; *b* is `base_delay`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Growth {
    /// *b*
    Constant,
    /// *b · n*
    Linear,
    /// *b · `exponential_multiplier`ⁿ⁻¹*
    #[default]
    Exponential,
    /// *b · 1, 1, 2, 3, 5, 8 …*
    Fibonacci,
}

/// How chance changes a wait *d*; *u* is uniform in `[0, 1)`. The names are those of Brooker,
/// *Exponential Backoff And Jitter* (AWS Architecture Blog, 2015).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[cfg_attr(feature = "schema", derive(schemars::JsonSchema))]
pub enum Jitter {
    /// *d*
    None,
    /// *u · d*
    #[default]
    Full,
    /// *d/2 + u · d/2*
    Equal,
    /// *b + u · (3 · previous − b)*; the growth has no say.
    Decorrelated,
    /// *d · (1 − s + 2 · u · s)* with *s* = `jitter_share`: around *d*, and never beyond `max_delay`.
    Around,
    /// *d + u · `jitter_max`*, also beyond `max_delay`
    Additive,
}

impl Backoff {
    /// The wait before retry `retry` (from 1), after a wait of `previous` (zero at first), with `u`
    /// uniform in `[0, 1)`. Saturates; never panics.
    pub fn delay(&self, retry: u32, previous: Duration, u: f64) -> Duration {
        let cap = self.max_delay.as_secs_f64();
        let floor = self.min_delay.as_secs_f64().min(cap);
        let grown = self.grown(retry).clamp(floor, cap);
        let seconds = match self.jitter {
            Jitter::None => grown,
            Jitter::Full => u * grown,
            Jitter::Equal => grown / 2.0 + u * grown / 2.0,
            Jitter::Decorrelated => {
                let base = self.base_delay.as_secs_f64();
                let top = (3.0 * previous.as_secs_f64()).max(base);
                (base + u * (top - base)).clamp(floor, cap)
            }
            Jitter::Around => (grown * (1.0 + self.jitter_share * (2.0 * u - 1.0))).min(cap),
            Jitter::Additive => grown + u * self.jitter_max.as_secs_f64(),
        };
        Duration::try_from_secs_f64(seconds).unwrap_or(self.max_delay)
    }

    /// The wait in seconds before bounds and jitter; infinite where it overflows.
    fn grown(&self, retry: u32) -> f64 {
        let base = self.base_delay.as_secs_f64();
        if base == 0.0 {
            // Not a number where the factor is infinite.
            return 0.0;
        }
        let n = f64::from(retry.max(1));
        match self.growth {
            Growth::Constant => base,
            Growth::Linear => base * n,
            Growth::Exponential => base * self.exponential_multiplier.powf(n - 1.0),
            Growth::Fibonacci => base * fibonacci(retry),
        }
    }

    pub(crate) fn check(&self, problems: &mut Problems) {
        let multiplier = self.exponential_multiplier;
        problems.require(
            (1.0..=100.0).contains(&multiplier),
            "exponential_multiplier",
            multiplier,
            "a number from 1 to 100",
        );
        let good = (0.0..=1.0).contains(&self.jitter_share);
        problems.require(good, "jitter_share", self.jitter_share, "a share from 0 to 1");
        problems.require(
            self.min_delay <= self.max_delay,
            "min_delay",
            self.min_delay,
            "at most max_delay",
        );
        for (field, wait) in [
            ("base_delay", self.base_delay),
            ("max_delay", self.max_delay),
            ("jitter_max", self.jitter_max),
        ] {
            problems.require(wait <= LONGEST_WAIT, field, wait, "at most 365 days");
        }
    }
}

/// 1, 1, 2, 3, 5 …, as a float that grows to infinity instead of wrapping.
fn fibonacci(n: u32) -> f64 {
    let (mut a, mut b) = (0.0_f64, 1.0_f64);
    // Beyond 2000 the value is infinite anyway.
    for _ in 1..n.min(2000) {
        (a, b) = (b, a + b);
    }
    b
}

#[cfg(test)]
mod tests;
