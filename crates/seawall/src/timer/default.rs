//! The timer of registries that are given none: the system's, and in a test that pauses tokio's clock, tokio's.

use super::{SystemSleep, SystemTimer};
use crate::time::{Clock, Instant, SystemClock, Timer};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

/// The timer of a [`Registry`](crate::Registry) that was given no other.
///
/// It is [`SystemTimer`], for any runtime or none. Where tokio is built with `test-util` (in tests), it follows the clock
/// of the tokio runtime it is used in: under `start_paused` or `tokio::time::pause` time passes for the policies as it does
/// for the test. Pause the clock before the call that shall see it.
#[derive(Clone, Copy, Debug, Default)]
pub struct DefaultTimer;

impl Clock for DefaultTimer {
    #[inline]
    fn now(&self) -> Instant {
        #[cfg(feature = "tokio")]
        if pausing::POSSIBLE {
            return SystemClock::at(tokio::time::Instant::now().into_std());
        }
        SystemClock.now()
    }
}

impl Timer for DefaultTimer {
    type Sleep = DefaultSleep;

    fn sleep_until(&self, at: Instant) -> DefaultSleep {
        #[cfg(feature = "tokio")]
        if pausing::POSSIBLE && pausing::is_on() {
            let sleep = tokio::time::sleep(at.since(self.now()).min(pausing::LONGEST));
            return DefaultSleep(Sleep::Tokio(Box::pin(sleep)));
        }
        DefaultSleep(Sleep::System(SystemTimer.sleep_until(at)))
    }
}

/// A future that completes at its instant or a little later.
#[derive(Debug)]
pub struct DefaultSleep(Sleep);

#[derive(Debug)]
enum Sleep {
    System(SystemSleep),
    #[cfg(feature = "tokio")]
    Tokio(Pin<Box<tokio::time::Sleep>>),
}

impl Future for DefaultSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        match &mut self.0 {
            Sleep::System(sleep) => Pin::new(sleep).poll(cx),
            #[cfg(feature = "tokio")]
            Sleep::Tokio(sleep) => sleep.as_mut().poll(cx),
        }
    }
}

#[cfg(feature = "tokio")]
mod pausing {
    use std::time::{Duration, Instant};

    /// Tokio's own limit for "never" is about thirty years.
    pub(super) const LONGEST: Duration = Duration::from_secs(86_400 * 365 * 20);

    /// Whether tokio's clock can be paused at all: only if tokio is built with `test-util`, which shows only in
    /// whether the name `tokio::time::pause` exists. If it does not, the name below is meant; so in production the
    /// cheaper clock is read.
    pub(super) const POSSIBLE: bool = {
        #[allow(unused_imports, reason = "without test-util there is nothing to import")]
        use tokio::time::*;
        answer(pause)
    };

    struct Missing;

    #[allow(dead_code, reason = "with test-util tokio's is meant")]
    fn pause() -> Missing {
        Missing
    }

    trait Pauses {
        const VALUE: bool;
    }

    impl Pauses for () {
        const VALUE: bool = true;
    }

    impl Pauses for Missing {
        const VALUE: bool = false;
    }

    const fn answer<T: Pauses>(_: fn() -> T) -> bool {
        T::VALUE
    }

    /// Whether the clock of this runtime is paused, or was, and so is not the system's.
    pub(super) fn is_on() -> bool {
        let before = Instant::now();
        let now = tokio::time::Instant::now().into_std();
        now < before || now > Instant::now()
    }
}
