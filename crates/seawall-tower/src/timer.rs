//! Tokio's clock and sleeps behind Seawall's traits; a paused tokio clock pauses the policies too.

use seawall::{Clock, Instant, Timer};
use std::sync::LazyLock;

/// Tokio's clock, counted from the process's first use of it.
#[derive(Clone, Copy, Debug, Default)]
pub struct TokioTimer;

static START: LazyLock<tokio::time::Instant> = LazyLock::new(tokio::time::Instant::now);

/// A head start, so that "a little before now" exists from the first call on.
const HEAD_START: std::time::Duration = std::time::Duration::from_secs(1);

impl Clock for TokioTimer {
    fn now(&self) -> Instant {
        Instant::EPOCH + START.elapsed() + HEAD_START
    }
}

impl Timer for TokioTimer {
    type Sleep = tokio::time::Sleep;

    fn sleep_until(&self, at: Instant) -> Self::Sleep {
        let from_start = at.since(Instant::EPOCH + HEAD_START);
        // Tokio's own limit for "never" is about thirty years.
        let bounded = from_start.min(std::time::Duration::from_secs(86_400 * 365 * 20));
        tokio::time::sleep_until(*START + bounded)
    }
}
