//! Tokio's clock and sleeps behind Seawall's traits; a paused tokio clock pauses the policies too.

use seawall::{Clock, Instant, Timer};
use std::{pin::Pin, sync::LazyLock, time::Duration};

/// Tokio's clock: that of the runtime it is read in. All runtimes of the process share one scale, so a paused clock
/// of one of them (a test's) leaves no trace in another.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTimer;

/// Read from the operating system's clock, which nobody pauses: the first runtime's clock may run hours ahead of the
/// next one's.
static START: LazyLock<tokio::time::Instant> =
    LazyLock::new(|| tokio::time::Instant::from_std(std::time::Instant::now()));

/// A head start: a clock that was paused when its runtime was built stands before the process's first use of it.
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
