//! Tokio's clock and sleeps behind Seawall's traits; a paused tokio clock pauses the policies too.

use seawall::{Clock, Instant, Timer};
use std::{pin::Pin, sync::LazyLock, time::Duration};

/// The clock and the sleeps of the tokio runtime that it is used in. All runtimes of a process share one scale, so the
/// paused clock of one of them (in a test) does not affect another.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTimer;

/// The origin of the scale. It is read from the operating system's clock, which cannot be paused: the clock of the first
/// runtime may be hours ahead of the next one's.
static START: LazyLock<tokio::time::Instant> =
    LazyLock::new(|| tokio::time::Instant::from_std(std::time::Instant::now()));

/// Keeps instants positive: a clock that was paused when its runtime was built stands before the origin.
const HEAD_START: Duration = Duration::from_secs(3600);

impl Clock for TokioTimer {
    fn now(&self) -> Instant {
        // The start first: read later, it would not be the earlier one.
        let start = *START;
        let now = tokio::time::Instant::now();
        Instant::EPOCH + HEAD_START + now.duration_since(start) - start.duration_since(now)
    }
}

impl Timer for TokioTimer {
    type Sleep = tokio::time::Sleep;

    fn sleep_until(&self, at: Instant) -> Self::Sleep {
        tokio::time::sleep_until(self.as_tokio(at))
    }

    fn reset(&self, sleep: Pin<&mut Self::Sleep>, at: Instant) {
        sleep.reset(self.as_tokio(at));
    }
}

impl TokioTimer {
    fn as_tokio(self, at: Instant) -> tokio::time::Instant {
        // Tokio's own limit for "never" is about thirty years.
        let wait = at.since(self.now()).min(Duration::from_secs(86_400 * 365 * 20));
        tokio::time::Instant::now() + wait
    }
}
