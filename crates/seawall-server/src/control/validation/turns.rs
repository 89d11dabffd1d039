//! The bound on how often one client may ask for a secure validation.

use crate::control::problem::{ApiError, problem};
use axum::http::{HeaderValue, StatusCode, header};
use serde::Serialize;
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, PoisonError},
};
use utoipa::ToSchema;

/// How often this client has asked for a secure validation, and may still ask.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(super) struct RateLimitStatus {
    client_identifier: String,
    requests_last_minute: usize,
    requests_last_hour: usize,
    max_per_minute: usize,
    max_per_hour: usize,
    /// The number of seconds until this client may ask again.
    cooldown_remaining: f64,
}

pub(super) const PER_MINUTE: usize = 60;
pub(super) const PER_HOUR: usize = 1000;
/// The least time between two requests of a client, in milliseconds.
pub(super) const COOLDOWN: u64 = 1000;
const MINUTE: u64 = 60_000;
const HOUR: u64 = 3_600_000;
/// The most clients that are remembered.
const CLIENTS: usize = 256;

/// The times at which each client asked in the last hour.
#[derive(Default)]
pub(crate) struct Turns(Mutex<BTreeMap<String, VecDeque<u64>>>);

/// The refusal of a client that asks too often.
#[derive(Debug, PartialEq)]
pub(super) struct TooMany {
    why: String,
    /// How long the client must wait, in milliseconds.
    wait: u64,
}

pub(super) fn too_many(TooMany { why, wait }: TooMany) -> ApiError {
    let seconds = HeaderValue::from(wait.div_ceil(1000).max(1));
    let error = problem(StatusCode::TOO_MANY_REQUESTS, "Too many validations", &why);
    error.with_header(header::RETRY_AFTER, seconds)
}

impl Turns {
    pub(super) fn take(&self, client: &str, now: u64) -> Result<(), TooMany> {
        let mut clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if clients.len() >= CLIENTS && !clients.contains_key(client) {
            let oldest = clients.iter().min_by_key(|(_, times)| times.back().copied());
            if let Some(oldest) = oldest.map(|(client, _)| client.clone()) {
                clients.remove(&oldest);
            }
        }
        let times = clients.entry(client.to_owned()).or_default();
        while times.front().is_some_and(|time| now.saturating_sub(*time) >= HOUR) {
            times.pop_front();
        }
        let since = |time: Option<&u64>| time.map_or(u64::MAX, |time| now.saturating_sub(*time));
        let nth_last = |n: usize| times.len().checked_sub(n).and_then(|at| times.get(at));
        let bounds = [
            (
                since(times.back()),
                COOLDOWN,
                "one second must lie between two validations".to_owned(),
            ),
            (
                since(nth_last(PER_MINUTE)),
                MINUTE,
                format!("{PER_MINUTE} validations a minute are allowed"),
            ),
            (
                since(nth_last(PER_HOUR)),
                HOUR,
                format!("{PER_HOUR} validations an hour are allowed"),
            ),
        ];
        for (since, length, why) in bounds {
            if since < length {
                return Err(TooMany { why, wait: length - since });
            }
        }
        times.push_back(now);
        Ok(())
    }

    pub(super) fn status(&self, client: &str, now: u64) -> RateLimitStatus {
        let clients = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let none = VecDeque::new();
        let times = clients.get(client).unwrap_or(&none);
        let within =
            |length| times.iter().filter(|time| now.saturating_sub(**time) < length).count();
        let last = times.back().map_or(COOLDOWN, |time| now.saturating_sub(*time));
        RateLimitStatus {
            client_identifier: client.to_owned(),
            requests_last_minute: within(MINUTE),
            requests_last_hour: within(HOUR),
            max_per_minute: PER_MINUTE,
            max_per_hour: PER_HOUR,
            cooldown_remaining: COOLDOWN.saturating_sub(last) as f64 / 1000.0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn three_bounds_hold_for_each_client() {
        let turns = Turns::default();
        assert_eq!(turns.take("a", 0), Ok(()));
        assert_eq!(turns.take("a", 400).unwrap_err().wait, 600);
        assert_eq!(turns.take("b", 400), Ok(()));
        for n in 1..60 {
            assert_eq!(turns.take("a", n * 1000), Ok(()), "{n}");
        }
        let refused = turns.take("a", 59_999).unwrap_err();
        assert_eq!(refused.wait, 1, "{refused:?}");
        assert_eq!(turns.take("a", 60_000), Ok(()));
        let status = turns.status("a", 60_500);
        assert_eq!((status.requests_last_minute, status.requests_last_hour), (60, 61));
        assert_eq!(status.cooldown_remaining, 0.5);
        for n in 1..940 {
            assert_eq!(turns.take("a", 60_000 + n * 1001), Ok(()), "{n}");
        }
        let refused = turns.take("a", 1_100_000).unwrap_err();
        assert!(refused.why.contains("1000 validations an hour"), "{refused:?}");
        assert_eq!(turns.take("a", HOUR + 1), Ok(()));
    }

    #[test]
    fn clients_are_bounded() {
        let turns = Turns::default();
        for n in 0..1000 {
            turns.take(&n.to_string(), n).unwrap();
        }
        assert_eq!(turns.0.lock().unwrap().len(), CLIENTS);
    }
}
