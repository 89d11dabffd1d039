//! The behaviour of an upstream at one time: how long it takes, and which share of calls fails in which way.
//!
//! Pure: a behaviour and a generator give a call's fate; nothing here waits or answers.

use crate::random::Random;
use http::StatusCode;
use std::time::Duration;

/// No drawn latency is longer: a log-normal tail has no end.
const LONGEST: Duration = Duration::from_secs(300);

/// How an upstream behaves. The default answers every call at once.
///
/// The three ratios are shares of all calls, from 0 to 1, and exclude each other: of `hang_ratio` 0.1 and
/// `error_ratio` 0.5, four calls in ten are left to succeed. Where they add up to more than 1, hanging goes
/// before failing, failing before cutting off.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Behaviour {
    /// The time from the whole request to the first byte of the answer, of errors and cut-off answers, too.
    pub latency: Latency,
    /// The share of calls answered with `error_status`.
    pub error_ratio: f64,
    /// The status of failing calls: 500, 503 or 429, for example.
    pub error_status: StatusCode,
    /// The `Retry-After` of failing calls, in whole seconds, rounded up; none if `None`.
    pub retry_after: Option<Duration>,
    /// The share of calls that are accepted and never answered.
    pub hang_ratio: f64,
    /// The share of answers that begin with status 200 and break off in the body.
    pub cut_ratio: f64,
    /// Whether connects are refused and open connections are closed. The port stays the upstream's.
    pub refuse: bool,
}

impl Default for Behaviour {
    fn default() -> Self {
        Self {
            latency: Latency::NONE,
            error_ratio: 0.0,
            error_status: StatusCode::INTERNAL_SERVER_ERROR,
            retry_after: None,
            hang_ratio: 0.0,
            cut_ratio: 0.0,
            refuse: false,
        }
    }
}

/// The latency of answers, as a distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Latency {
    /// The median: half of the calls take less. Waits end on a timer of 1 ms; zero does not wait at all.
    pub median: Duration,
    /// How far latencies lie around the median.
    pub spread: Spread,
}

/// How latencies are distributed around their median.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Spread {
    /// Every call takes the median.
    None,
    /// Latencies are evenly distributed within the median ± this share (0 to 1) of it.
    Uniform(f64),
    /// Latencies are log-normal: the median times e to the power of a normal draw with this standard deviation. Those
    /// of services commonly are; 0.5 puts the 99th percentile at 3.2 times the median.
    LogNormal(f64),
}

impl Latency {
    /// No latency: answers come at once.
    pub const NONE: Self = Self::fixed(Duration::ZERO);

    /// A latency that is the same for each call.
    pub const fn fixed(median: Duration) -> Self {
        Self { median, spread: Spread::None }
    }

    /// A log-normal latency around a median; `sigma` as in [`Spread::LogNormal`].
    pub const fn log_normal(median: Duration, sigma: f64) -> Self {
        Self { median, spread: Spread::LogNormal(sigma) }
    }

    /// A latency that is evenly distributed within `median` ± `share` of it.
    pub const fn uniform(median: Duration, share: f64) -> Self {
        Self { median, spread: Spread::Uniform(share) }
    }

    fn draw(&self, random: &mut Random) -> Duration {
        let factor = match self.spread {
            Spread::None => return self.median.min(LONGEST),
            Spread::Uniform(share) => 1.0 + share * (2.0 * random.unit() - 1.0),
            Spread::LogNormal(sigma) => (sigma * random.normal()).exp(),
        };
        let seconds = (self.median.as_secs_f64() * factor).max(0.0);
        Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST).min(LONGEST)
    }
}

/// The fate of one call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    Answer,
    Fail,
    Hang,
    CutOff,
}

impl Behaviour {
    /// One call's fate and how long it takes to show.
    pub(crate) fn draw(&self, random: &mut Random) -> (Fate, Duration) {
        let at = random.unit();
        let fate = if at < self.hang_ratio {
            Fate::Hang
        } else if at < self.hang_ratio + self.error_ratio {
            Fate::Fail
        } else if at < self.hang_ratio + self.error_ratio + self.cut_ratio {
            Fate::CutOff
        } else {
            Fate::Answer
        };
        (fate, self.latency.draw(random))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(behaviour: Behaviour) -> Vec<(Fate, Duration)> {
        (0..10_000).map(|nth| behaviour.draw(&mut Random::nth(3, nth))).collect()
    }

    #[test]
    fn ratios_are_shares_of_all_calls() {
        let drawn = draws(Behaviour {
            hang_ratio: 0.1,
            error_ratio: 0.3,
            cut_ratio: 0.2,
            ..Behaviour::default()
        });
        let share = |fate| drawn.iter().filter(|(f, _)| *f == fate).count() as f64 / 10_000.0;
        let table =
            [(Fate::Hang, 0.1), (Fate::Fail, 0.3), (Fate::CutOff, 0.2), (Fate::Answer, 0.4)];
        for (fate, expected) in table {
            assert!((share(fate) - expected).abs() < 0.02, "{fate:?} {}", share(fate));
        }
    }

    #[test]
    fn ratios_of_nought_and_one_are_exact() {
        let always = |behaviour, fate| draws(behaviour).iter().all(|(f, _)| *f == fate);
        assert!(always(Behaviour::default(), Fate::Answer));
        assert!(always(Behaviour { error_ratio: 1.0, ..Behaviour::default() }, Fate::Fail));
        let both = Behaviour { hang_ratio: 1.0, error_ratio: 1.0, ..Behaviour::default() };
        assert!(always(both, Fate::Hang));
    }

    #[test]
    fn latencies_lie_around_the_median() {
        let median = Duration::from_millis(100);
        let sorted = |latency| {
            let mut all: Vec<f64> = draws(Behaviour { latency, ..Behaviour::default() })
                .iter()
                .map(|(_, took)| took.as_secs_f64() * 1e3)
                .collect();
            all.sort_by(f64::total_cmp);
            all
        };
        let fixed = sorted(Latency::fixed(median));
        assert_eq!((fixed[0], fixed[9_999]), (100.0, 100.0));
        let uniform = sorted(Latency::uniform(median, 0.5));
        assert!(uniform[0] >= 50.0 && uniform[9_999] <= 150.0);
        assert!((uniform[5_000] - 100.0).abs() < 3.0, "{}", uniform[5_000]);
        let skewed = sorted(Latency::log_normal(median, 0.5));
        assert!((skewed[5_000] - 100.0).abs() < 3.0, "{}", skewed[5_000]);
        assert!((skewed[9_900] - 320.0).abs() < 30.0, "{}", skewed[9_900]);
    }

    #[test]
    fn an_absurd_spread_is_bounded() {
        let wild = Latency::log_normal(Duration::from_secs(1), 1e6);
        let behaviour = Behaviour { latency: wild, ..Behaviour::default() };
        assert!(draws(behaviour).iter().all(|(_, took)| *took <= LONGEST));
    }
}
