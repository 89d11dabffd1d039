//! Requests in flight, and those that were refused before any policy saw them.

use super::Gateway;
use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering},
};

/// The reason why a request was refused before it reached a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum EarlyRefusal {
    /// As many requests are in flight as `limits.max_in_flight` allows.
    InFlight,
    /// The request passed through here before.
    Loop,
    /// Two readers could understand the request differently.
    Malformed,
}

impl EarlyRefusal {
    pub(crate) const ALL: [Self; 3] = [Self::InFlight, Self::Loop, Self::Malformed];

    /// The value of the metric's label.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::InFlight => "in_flight",
            Self::Loop => "loop",
            Self::Malformed => "malformed",
        }
    }
}

/// Counts requests in flight, whatever revision of the configuration they began under, and early refusals.
#[derive(Default)]
pub(crate) struct InFlight {
    count: Arc<AtomicUsize>,
    refusals: [AtomicU64; EarlyRefusal::ALL.len()],
}

impl InFlight {
    /// Admits one more request; `None` when `max` are in flight.
    pub(crate) fn admit(&self, max: usize) -> Option<InFlightPermit> {
        let permit = InFlightPermit(self.count.clone());
        // Dropping a permit beyond the bound gives it back.
        (permit.0.fetch_add(1, Ordering::Relaxed) < max).then_some(permit)
    }

    /// The number of requests in flight.
    pub(crate) fn count(&self) -> usize {
        self.count.load(Ordering::Relaxed)
    }

    /// Counts a request that is refused.
    pub(super) fn count_refusal(&self, why: EarlyRefusal) {
        self.refusals[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The number of requests that were refused for this reason.
    pub(crate) fn refusals(&self, why: EarlyRefusal) -> u64 {
        self.refusals[why as usize].load(Ordering::Relaxed)
    }
}

/// The permit of one request; dropping it gives its place back.
pub(crate) struct InFlightPermit(Arc<AtomicUsize>);

impl Drop for InFlightPermit {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gateway {
    /// Admits one more request; `None` when `limits.max_in_flight` requests are in flight.
    pub(crate) fn admit(&self) -> Option<InFlightPermit> {
        self.in_flight.admit(self.table.load().limits.max_in_flight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn permits_come_back() {
        let in_flight = InFlight::default();
        let both = [in_flight.admit(2), in_flight.admit(2)];
        assert!(both.iter().all(Option::is_some) && in_flight.admit(2).is_none());
        assert_eq!(in_flight.count(), 2);
        // A lower bound ends no request, and admits none.
        drop(both);
        assert_eq!(in_flight.count(), 0);
        assert!(in_flight.admit(0).is_none() && in_flight.admit(1).is_some());
    }
}
