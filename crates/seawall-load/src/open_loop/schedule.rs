//! The schedule of a load: when requests begin, as offsets from the start, decided before any answer is known.

use super::{Arrivals, Config, StartError};
use crate::random::Random;
use std::time::Duration;

/// The offsets of all requests, ascending, the first at zero or (Poisson) after a first gap.
#[derive(Debug)]
pub(super) struct Schedule {
    rate: f64,
    end: Duration,
    arrivals: Arrivals,
    random: Random,
    begun: u64,
    seconds: f64,
}

impl Schedule {
    pub(super) fn new(config: &Config) -> Result<Self, StartError> {
        if !(config.rate.is_finite() && config.rate > 0.0) {
            return Err(StartError::Rate(config.rate));
        }
        Ok(Self {
            rate: config.rate,
            end: config.duration,
            arrivals: config.arrivals,
            random: Random::new(config.seed),
            begun: 0,
            seconds: 0.0,
        })
    }

    /// The offset at which the last request has begun, and nothing is left to wait for.
    pub(super) fn end(&self) -> Duration {
        self.end
    }
}

impl Iterator for Schedule {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        self.seconds = match self.arrivals {
            // Not a sum of gaps: rounding must not add up to a drift.
            Arrivals::Constant => self.begun as f64 / self.rate,
            Arrivals::Poisson => self.seconds + self.random.exponential() / self.rate,
        };
        self.begun += 1;
        let offset = Duration::try_from_secs_f64(self.seconds).ok()?;
        (offset < self.end).then_some(offset)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn offsets(rate: f64, seconds: f64, arrivals: Arrivals, seed: u64) -> Vec<f64> {
        let duration = Duration::from_secs_f64(seconds);
        let config = Config { rate, duration, arrivals, seed, ..Config::default() };
        Schedule::new(&config).unwrap().map(|offset| offset.as_secs_f64()).collect()
    }

    #[test]
    fn constant_arrivals_lie_evenly_and_do_not_drift() {
        assert_eq!(offsets(2.0, 1.6, Arrivals::Constant, 0), [0.0, 0.5, 1.0, 1.5]);
        let all = offsets(3000.0, 100.0, Arrivals::Constant, 0);
        assert_eq!(all.len(), 300_000);
        assert!((all[299_999] - 299_999.0 / 3000.0).abs() < 1e-8);
        assert_eq!(offsets(0.1, 5.0, Arrivals::Constant, 0), [0.0]);
        assert!(offsets(10.0, 0.0, Arrivals::Constant, 0).is_empty());
    }

    #[test]
    fn poisson_arrivals_are_seeded_and_exponential() {
        let all = offsets(1000.0, 100.0, Arrivals::Poisson, 7);
        assert_eq!(all, offsets(1000.0, 100.0, Arrivals::Poisson, 7));
        assert_ne!(all[..10], offsets(1000.0, 100.0, Arrivals::Poisson, 8)[..10]);
        // 100,000 expected, with a standard deviation of 316.
        assert!((98_500..101_500).contains(&all.len()), "{}", all.len());
        let gaps: Vec<f64> = all.windows(2).map(|pair| pair[1] - pair[0]).collect();
        assert!(gaps.iter().all(|gap| *gap >= 0.0));
        let short = gaps.iter().filter(|gap| **gap < 0.001).count() as f64 / gaps.len() as f64;
        assert!((short - 0.632).abs() < 0.01, "{short} are below the mean, not 1 - 1/e");
    }

    #[test]
    fn a_rate_is_positive_and_finite() {
        for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let config = Config { rate, ..Config::default() };
            assert!(matches!(Schedule::new(&config), Err(StartError::Rate(_))), "{rate}");
        }
    }
}
