//! How many requests are in flight at once, and what was refused before any policy saw it.

use super::{CORRELATION, Gateway, body::AnswerBody, correlation_id, protocol::Api, reply};
use http::{HeaderMap, Response, StatusCode};
use seawall_tower::Problem;
use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

/// When to come back where only the number of requests in flight is the matter: most of them end within seconds.
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Why a request was refused before it reached a route.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Barred {
    /// `limits.max_in_flight` requests are in flight.
    InFlight,
    /// It passed through here before.
    Loop,
    /// Two readers could understand it differently.
    Malformed,
}

impl Barred {
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

/// Requests in flight, counted whatever revision of the configuration they began under.
#[derive(Default)]
pub(crate) struct Places {
    taken: Arc<AtomicUsize>,
    barred: [AtomicU64; Barred::ALL.len()],
}

impl Places {
    /// A place for one more request; `None` when `most` are taken.
    pub(crate) fn take(&self, most: usize) -> Option<Place> {
        let place = Place(self.taken.clone());
        // The place that is taken too much is given back by dropping it.
        (place.0.fetch_add(1, Ordering::Relaxed) < most).then_some(place)
    }

    /// Requests in flight.
    pub(crate) fn taken(&self) -> usize {
        self.taken.load(Ordering::Relaxed)
    }

    pub(crate) fn bar(&self, why: Barred) {
        self.barred[why as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// Requests refused for this reason so far.
    pub(crate) fn barred(&self, why: Barred) -> u64 {
        self.barred[why as usize].load(Ordering::Relaxed)
    }
}

/// A request's place, free again when it is dropped.
pub(crate) struct Place(Arc<AtomicUsize>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Gateway {
    /// A place for one more request; `None` when all are taken.
    pub(crate) fn admit(&self) -> Option<Place> {
        self.places.take(self.table.load().limits.max_in_flight)
    }

    /// The answer to a request for which there is no place.
    pub(crate) fn crowded(&self, headers: &HeaderMap) -> Response<AnswerBody> {
        self.places.bar(Barred::InFlight);
        let most = self.table.load().limits.max_in_flight;
        let detail = format!("limits.max_in_flight, {most}, requests are in progress");
        let problem = Problem {
            reason: "in_flight",
            retry_after: Some(RETRY_AFTER),
            ..reply::plain(StatusCode::SERVICE_UNAVAILABLE, "At capacity", detail)
        };
        let mut response = reply::problem(&problem, Api::of(headers));
        response.headers_mut().insert(CORRELATION, correlation_id(headers));
        response
    }

    /// The answer to a request that two readers could understand differently.
    pub(crate) fn malformed(&self, problem: &Problem) -> Response<AnswerBody> {
        self.places.bar(Barred::Malformed);
        reply::problem(problem, None)
    }

    /// A request that passed through here before would go round for ever. Where it leads is configured, so no upstream
    /// is to blame.
    pub(super) fn looped(
        &self,
        parts: &http::request::Parts,
        api: Option<Api>,
    ) -> Response<AnswerBody> {
        self.places.bar(Barred::Loop);
        let detail = format!(
            "{} {} passed through this gateway before: an endpoint leads back to it",
            parts.method,
            parts.uri.path()
        );
        let problem = Problem {
            reason: "loop",
            ..reply::plain(StatusCode::LOOP_DETECTED, "Loop detected", detail)
        };
        reply::problem(&problem, api)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_come_back() {
        let places = Places::default();
        let both = [places.take(2), places.take(2)];
        assert!(both.iter().all(Option::is_some) && places.take(2).is_none());
        assert_eq!(places.taken(), 2);
        // A lower bound takes nothing away, and lets nobody in.
        drop(both);
        assert_eq!(places.taken(), 0);
        assert!(places.take(0).is_none() && places.take(1).is_some());
    }
}
