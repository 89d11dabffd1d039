//! The wait before the next attempt: a pure function of the retry's number, the wait before it, and one random draw.

use crate::config::{Problems, config, days, millis, secs};
use std::time::Duration;

config! {
    /// A growing, jittered wait, up to a longest one.
    #[check(Self::check_min)]
    pub struct Backoff {
        /// How the wait grows from one retry to the next.
        growth: Growth = Growth::Exponential,
        /// The wait before the first retry, without jitter.
        #[range(..=days(365))]
        base_delay: Duration = millis(100),
        /// The factor of `exponential` growth.
        #[range(1.0..=100.0)]
        exponential_multiplier: f64 = 2.0,
        /// The shortest wait, without jitter; at most `max_delay`.
        min_delay: Duration = Duration::ZERO,
        /// The longest wait, with jitter; only `additive` jitter comes on top.
        #[range(..=days(365))]
        max_delay: Duration = secs(60),
        /// How chance spreads the waits, so that callers that failed together do not come back together.
        jitter: Jitter = Jitter::Full,
        /// The most that `additive` jitter adds.
        #[range(..=days(365))]
        jitter_max: Duration = secs(2),
        /// How far `around` jitter goes to either side, as a share of the wait.
        #[range(0.0..=1.0)]
        jitter_share: f64 = 0.25,
    }
}

config! {
    /// How the wait grows with the number *n* of the retry, from 1; *b* is `base_delay`.
    #[derive(Copy, Default, Eq)]
    pub enum Growth {
        /// The constant wait *b*.
        Constant,
        /// The wait *b · n*.
        Linear,
        /// The wait *b · `exponential_multiplier`ⁿ⁻¹*.
        #[default]
        Exponential,
        /// The wait *b · 1, 1, 2, 3, 5, 8 …*
        Fibonacci,
    }
}

config! {
    /// How chance changes a wait *d*; *u* is uniform in `[0, 1)`. The names are those of Brooker,
    /// *Exponential Backoff And Jitter* (AWS Architecture Blog, 2015).
    #[derive(Copy, Default, Eq)]
    pub enum Jitter {
        /// No randomness: the wait is *d*.
        None,
        /// A wait of *u · d*.
        #[default]
        Full,
        /// A wait of *d/2 + u · d/2*.
        Equal,
        /// A wait of *b + u · (3 · previous − b)*, whatever the growth.
        Decorrelated,
        /// A wait of *d · (1 − s + 2 · u · s)* with *s* = `jitter_share`: around *d*, and never beyond `max_delay`.
        Around,
        /// A wait of *d + u · `jitter_max`*, also beyond `max_delay`.
        Additive,
    }
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

    fn check_min(&self, problems: &mut Problems) {
        let good = self.min_delay <= self.max_delay;
        problems.require(good, "min_delay", self.min_delay, "at most max_delay");
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
