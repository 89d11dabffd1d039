//! What a load came to, and how it goes meanwhile: plain numbers, ready for a file or a display.

use serde::{Deserialize, Serialize};
use std::time::Duration;

/// Why a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ErrorClass {
    /// No connection: refused, unreachable, unknown host.
    Connect,
    /// The connection broke before the head of the answer, or what came was no HTTP.
    Reset,
    /// The timeout passed, in whatever stage.
    Timeout,
    /// A whole answer with a status of 400 to 499.
    Status4xx,
    /// A whole answer with a status of 500 to 599.
    Status5xx,
    /// A whole answer with a status that is neither 2xx nor an error, as a redirect; none is followed.
    StatusOther,
    /// A 2xx whose body broke off.
    Body,
}

/// Failed requests by class.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Errors {
    /// See [`ErrorClass::Connect`].
    pub connect: u64,
    /// See [`ErrorClass::Reset`].
    pub reset: u64,
    /// See [`ErrorClass::Timeout`].
    pub timeout: u64,
    /// See [`ErrorClass::Status4xx`].
    pub status_4xx: u64,
    /// See [`ErrorClass::Status5xx`].
    pub status_5xx: u64,
    /// See [`ErrorClass::StatusOther`].
    pub status_other: u64,
    /// See [`ErrorClass::Body`].
    pub body: u64,
}

impl Errors {
    /// Failed requests of all classes.
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
    /// Half of all.
    pub p50_ms: f64,
    /// 90 %.
    pub p90_ms: f64,
    /// 99 %.
    pub p99_ms: f64,
    /// All.
    pub max_ms: f64,
}

/// What a load came to.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// How long requests were begun, in seconds: the planned duration, or less after an early stop.
    pub elapsed_s: f64,
    /// Requests sent: `successes` and `errors` together.
    pub requests: u64,
    /// A status of 2xx, and the whole body read.
    pub successes: u64,
    /// `successes / requests`, from 0 to 1; 0 without requests.
    pub success_rate: f64,
    /// All other requests, by class.
    pub errors: Errors,
    /// Requests that were due and not sent, for too many were in flight. In no other figure of this report but
    /// the slices' own `dropped`.
    pub dropped: u64,
    /// From the intended instant to the end, of all requests sent, failed ones too: of a time-out the
    /// timeout, of a refused connect the moment that it took.
    pub latency: Percentiles,
    /// The same of the successes alone.
    pub success_latency: Percentiles,
    /// How late requests began, against the schedule. It is part of `latency`: where it is large, the generator
    /// or its machine was the bottleneck.
    pub lag: Percentiles,
    /// The most requests that were in flight at once.
    pub max_in_flight: usize,
    /// Second by second; a request belongs to the second of its intended instant, whenever it ended.
    pub slices: Vec<Slice>,
}

/// The requests that were due in one second of the schedule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Slice {
    /// Requests sent.
    pub requests: u64,
    /// Those that succeeded, whenever they ended.
    pub successes: u64,
    /// Due and not sent.
    pub dropped: u64,
    /// The median latency of the requests sent, in milliseconds.
    pub p50_ms: f64,
    /// The 99th percentile.
    pub p99_ms: f64,
}

/// How a load goes. Totals count from the start; `requests` are `successes`, `errors` and `in_flight` together.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Progress {
    /// Since the first request was due.
    pub elapsed: Duration,
    /// Requests sent.
    pub requests: u64,
    /// Requests that succeeded.
    pub successes: u64,
    /// Requests that failed, by class.
    pub errors: Errors,
    /// Requests due and not sent.
    pub dropped: u64,
    /// Requests sent and not ended.
    pub in_flight: usize,
    /// The last second.
    pub recent: Recent,
    /// The schedule is over or stopped, and no request is in flight.
    pub finished: bool,
}

/// The last second of a running load, in steps of a quarter of a second. Unlike a [`Slice`], it holds what *ended*
/// in that second, whenever it began.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Recent {
    /// Requests sent in this second.
    pub requests: u64,
    /// Successes that ended in it.
    pub successes: u64,
    /// Failures that ended in it.
    pub errors: u64,
    /// Requests due in it and not sent.
    pub dropped: u64,
    /// The median latency of those that ended, in milliseconds, to 2 significant digits; 0 where none ended.
    pub p50_ms: f64,
    /// The 99th percentile of the same.
    pub p99_ms: f64,
}
