//! Reports of a load, at its end and while it runs: plain numbers, ready for a file or a display.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The reason why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// There was no connection: refused, unreachable, unknown host.
    Connect,
    /// The connection broke before the head of the answer, or the answer was no HTTP.
    Reset,
    /// The timeout passed, in whatever stage of the request.
    Timeout,
    /// The answer was complete, with a status of 400 to 499.
    Status4xx,
    /// The answer was complete, with a status of 500 to 599.
    Status5xx,
    /// The answer was complete, with a status that is neither 2xx nor an error, such as a redirect; none is followed.
    StatusOther,
    /// The status was 2xx, and the body broke off.
    Body,
}

/// The numbers of failed requests by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Errors {
    /// Requests without a connection: [`ErrorClass::Connect`].
    pub connect: u64,
    /// Requests whose connection broke: [`ErrorClass::Reset`].
    pub reset: u64,
    /// Requests that ran into the timeout: [`ErrorClass::Timeout`].
    pub timeout: u64,
    /// Answers with a status of 400 to 499: [`ErrorClass::Status4xx`].
    pub status_4xx: u64,
    /// Answers with a status of 500 to 599: [`ErrorClass::Status5xx`].
    pub status_5xx: u64,
    /// Answers with another status that is not 2xx: [`ErrorClass::StatusOther`].
    pub status_other: u64,
    /// Answers whose body broke off: [`ErrorClass::Body`].
    pub body: u64,
}

impl Errors {
    /// The number of failed requests of all classes.
    pub fn total(&self) -> u64 {
        let statuses = self.status_4xx + self.status_5xx + self.status_other;
        self.connect + self.reset + self.timeout + statuses + self.body
    }

    pub(super) fn count(&mut self, class: ErrorClass) {
        *match class {
            ErrorClass::Connect => &mut self.connect,
            ErrorClass::Reset => &mut self.reset,
            ErrorClass::Timeout => &mut self.timeout,
            ErrorClass::Status4xx => &mut self.status_4xx,
            ErrorClass::Status5xx => &mut self.status_5xx,
            ErrorClass::StatusOther => &mut self.status_other,
            ErrorClass::Body => &mut self.body,
        } += 1;
    }
}

/// Points of a distribution, in milliseconds; all 0 where nothing was recorded.
///
/// Each is the value that this share of all stayed within, from a histogram of 3 significant digits between 1 µs and 5 minutes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Percentiles {
    /// The median: half of all values are within it.
    pub p50_ms: f64,
    /// The 90th percentile.
    pub p90_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
    /// The largest value.
    pub max_ms: f64,
}

/// The result of a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How long requests were begun, in seconds: the planned duration, or less after an early stop.
    pub elapsed_s: f64,
    /// The number of requests sent: `successes` and `errors` together.
    pub requests: u64,
    /// The number of requests whose status was 2xx and whose whole body was read.
    pub successes: u64,
    /// The share of successes, `successes / requests`, from 0 to 1; 0 without requests.
    pub success_rate: f64,
    /// All other requests, by class.
    pub errors: Errors,
    /// The number of requests that were due and not sent, since too many were in flight. No other figure of this
    /// report contains them but the slices' own `dropped`.
    pub dropped: u64,
    /// The latency of all requests sent, failed ones too, from the intended instant to the end: of one that timed out
    /// it is the timeout, of a refused connection the moment that it took.
    pub latency: Percentiles,
    /// The latency of successful requests only.
    pub success_latency: Percentiles,
    /// How late requests began, against the schedule. It is part of `latency`: if it is large, the generator or its
    /// machine was the bottleneck.
    pub lag: Percentiles,
    /// The most requests that were in flight at once.
    pub max_in_flight: usize,
    /// The figures of each second; a request belongs to the second of its intended instant, whenever it ended.
    pub slices: Vec<Slice>,
}

/// The requests that were due in one second of the schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// The number of requests sent.
    pub requests: u64,
    /// The number of requests that succeeded, whenever they ended.
    pub successes: u64,
    /// The number of requests that were due and not sent.
    pub dropped: u64,
    /// The median latency of the requests sent, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile of the latency, in milliseconds.
    pub p99_ms: f64,
}

/// The progress of a load. Totals count from the start; `requests` are `successes`, `errors` and `in_flight` together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// The time since the first request was due.
    pub elapsed: Duration,
    /// The number of requests sent.
    pub requests: u64,
    /// The number of requests that succeeded.
    pub successes: u64,
    /// The numbers of requests that failed, by class.
    pub errors: Errors,
    /// The number of requests that were due and not sent.
    pub dropped: u64,
    /// The number of requests that were sent and have not ended.
    pub in_flight: usize,
    /// The figures of the last second.
    pub recent: Recent,
    /// Whether the schedule is over or stopped, and no request is in flight.
    pub finished: bool,
}

/// The last second of a running load, in steps of a quarter of a second. Unlike a [`Slice`], it holds what *ended*
/// in that second, whenever it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    /// The number of requests sent in this second.
    pub requests: u64,
    /// The number of successes that ended in this second.
    pub successes: u64,
    /// The number of failures that ended in this second.
    pub errors: u64,
    /// The number of requests that were due in this second and not sent.
    pub dropped: u64,
    /// The median latency of those that ended, in milliseconds, to 2 significant digits; 0 where none ended.
    pub p50_ms: f64,
    /// The 99th percentile of the same latencies, in milliseconds.
    pub p99_ms: f64,
}
