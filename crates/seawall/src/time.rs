//! Time as a number, and the two traits through which drivers, and only drivers, reach a real clock.
//!
//! Policies take `now` as an argument: so they run in virtual time, replay, and never read a clock
//! twice for one call.

use std::{
    fmt,
    future::Future,
    ops::{Add, Sub},
    pin::Pin,
    sync::LazyLock,
    time::Duration,
};

/// A point in time: nanoseconds since its clock's epoch, up to 584 years.
#[derive(Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Instant(u64);

impl Instant {
    /// The instant at which every clock begins.
    pub const EPOCH: Self = Self(0);
    /// An instant later than any that occurs; it stands for never.
    pub const FAR_FUTURE: Self = Self(u64::MAX);

    /// The instant this many nanoseconds after the epoch.
    pub const fn from_nanos(nanos: u64) -> Self {
        Self(nanos)
    }

    /// The instant this many milliseconds after the epoch (saturating).
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis.saturating_mul(1_000_000))
    }

    /// The nanoseconds since the epoch.
    pub const fn as_nanos(self) -> u64 {
        self.0
    }

    /// The time passed since `earlier`; zero if `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }
}

/// The instant so much later; at most [`Instant::FAR_FUTURE`].
impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, length: Duration) -> Self {
        Self(self.0.saturating_add(nanos(length)))
    }
}

/// The instant so much earlier; at least [`Instant::EPOCH`].
impl Sub<Duration> for Instant {
    type Output = Self;
    fn sub(self, length: Duration) -> Self {
        Self(self.0.saturating_sub(nanos(length)))
    }
}

impl fmt::Debug for Instant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if *self == Self::FAR_FUTURE {
            return f.write_str("never");
        }
        write!(f, "{:?}", Duration::from_nanos(self.0))
    }
}

/// A duration as whole nanoseconds, saturating (584 years).
pub(crate) fn nanos(length: Duration) -> u64 {
    u64::try_from(length.as_nanos()).unwrap_or(u64::MAX)
}

/// A duration times a factor, saturating; a factor below zero, or that is no number, gives zero.
pub(crate) fn scaled(length: Duration, factor: f64) -> Duration {
    let seconds = (length.as_secs_f64() * factor).max(0.0);
    Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX)
}

/// Threads read the clock before they use what they read, so instants come out of order by as much as a thread is
/// held up in between. An instant that is further back than this many nanoseconds comes from a clock that was set
/// back: what was written before says nothing about it.
pub(crate) const READ_LATE: u64 = 1_000_000_000;

/// Whether `due`, which was set at most `ahead` before it, has come. It also has if the clock was set back since.
#[inline]
pub(crate) fn is_due(now: Instant, due: u64, ahead: u64) -> bool {
    let now = now.as_nanos();
    now >= due || due - now > ahead.saturating_add(READ_LATE)
}

/// A duration for people, to three digits: `185ms`, not `185.215784ms`.
pub(crate) struct Short(pub(crate) Duration);

impl fmt::Display for Short {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let nanos = nanos(self.0);
        let beyond = nanos.checked_ilog10().map_or(0, |digits| digits.saturating_sub(2));
        let unit = 10_u64.pow(beyond);
        let rounded = (nanos / unit + u64::from(nanos % unit >= unit.div_ceil(2))) * unit;
        write!(f, "{:?}", Duration::from_nanos(rounded))
    }
}

/// A source of the time. All instants that meet must come from one clock.
pub trait Clock {
    /// The time now; never earlier than an answer given before.
    fn now(&self) -> Instant;
}

/// A clock that can wait: all that an async driver needs of a runtime.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not a timer",
    label = "it cannot wait",
    note = "`DefaultTimer` and `SystemTimer` are timers of this crate, and `seawall_tower::TokioTimer` is tokio's"
)]
pub trait Timer: Clock {
    /// Completes at the asked instant or a little later, never earlier.
    type Sleep: Future<Output = ()>;
    /// A future that completes at `at`.
    fn sleep_until(&self, at: Instant) -> Self::Sleep;
    /// Makes `sleep` complete at `at` instead, whether or not it has completed. By default it is replaced in its place;
    /// a runtime that can move a sleep does so at less cost.
    fn reset(&self, mut sleep: Pin<&mut Self::Sleep>, at: Instant) {
        sleep.set(self.sleep_until(at));
    }
}

impl<C: Clock + ?Sized> Clock for &C {
    fn now(&self) -> Instant {
        (**self).now()
    }
}

impl<Tm: Timer + ?Sized> Timer for &Tm {
    type Sleep = Tm::Sleep;
    fn sleep_until(&self, at: Instant) -> Tm::Sleep {
        (**self).sleep_until(at)
    }
    fn reset(&self, sleep: Pin<&mut Tm::Sleep>, at: Instant) {
        (**self).reset(sleep, at);
    }
}

/// The clock, and what it showed at the process's first use of it.
static CLOCK: LazyLock<(quanta::Clock, u64, std::time::Instant)> = LazyLock::new(|| {
    let clock = quanta::Clock::new();
    let start = clock.raw();
    (clock, start, std::time::Instant::now())
});

/// The processor's clock if it is steady, else the operating system's, counted from the process's first use of it;
/// steps of the wall clock do not move it. Reading it costs a third of what the operating system's does.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemClock;

/// An hour, so that "before now" exists from the first call on, also on a clock that was paused before it.
const HEAD_START: u64 = 3_600_000_000_000;

impl SystemClock {
    /// What this clock showed at that moment of the operating system's.
    #[cfg(all(feature = "tokio", not(loom)))]
    pub(crate) fn at(moment: std::time::Instant) -> Instant {
        let start = CLOCK.2;
        Instant(HEAD_START) + moment.duration_since(start) - start.duration_since(moment)
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Instant {
        let (clock, start, _) = &*CLOCK;
        Instant(clock.delta_as_nanos(*start, clock.raw()) + HEAD_START)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_for_people_have_three_digits() {
        for (nanos, expected) in [
            (0, "0ns"),
            (7, "7ns"),
            (999, "999ns"),
            (1_234, "1.23µs"),
            (1_235, "1.24µs"),
            (185_215_784, "185ms"),
            (999_999_999, "1s"),
            (111_000_640, "111ms"),
            (61_234_000_000, "61.2s"),
        ] {
            assert_eq!(Short(Duration::from_nanos(nanos)).to_string(), expected);
        }
        assert!(!Short(Duration::MAX).to_string().is_empty());
    }

    #[test]
    fn factors_saturate() {
        let second = Duration::from_secs(1);
        assert_eq!(scaled(second, 1.5), Duration::from_millis(1_500));
        assert_eq!(scaled(Duration::MAX, 1.1), Duration::MAX);
        assert_eq!(scaled(Duration::from_secs(18_000_000_000_000_000_000), 1.05), Duration::MAX);
        assert_eq!(scaled(second, f64::INFINITY), Duration::MAX);
        assert_eq!(scaled(second, -1.0), Duration::ZERO);
        assert_eq!(scaled(Duration::ZERO, f64::INFINITY), Duration::ZERO);
    }

    #[test]
    fn instants_are_due_also_after_the_clock_was_set_back() {
        let second = READ_LATE;
        for (now, due, expected) in [
            (10 * second, 10 * second, true),
            (10 * second - 1, 10 * second, false),
            (4 * second, 10 * second, false),
            (4 * second - 1, 10 * second, true),
            (0, u64::MAX, true),
        ] {
            assert_eq!(is_due(Instant::from_nanos(now), due, 5 * second), expected, "{now} {due}");
        }
    }

    #[test]
    fn instants_saturate() {
        let (early, late) = (Instant::from_millis(1), Instant::FAR_FUTURE);
        assert_eq!(late + Duration::MAX, late);
        assert_eq!(early - Duration::from_secs(1), Instant::EPOCH);
        assert_eq!(early.since(late), Duration::ZERO);
        assert_eq!(format!("{early:?} {late:?}"), "1ms never");
    }
}
