//! Counts what is sent, dropped and ended. Pure: every instant is an offset from the start, and an argument.

use super::{
    latencies::Latencies,
    recent::LastSecond,
    report::{ErrorClass, Errors, Progress, Report},
    slices::Slices,
};
use std::time::Duration;

#[derive(Debug)]
pub(super) struct Recorder {
    limit: usize,
    in_flight: usize,
    most_in_flight: usize,
    requests: u64,
    successes: u64,
    errors: Errors,
    dropped: u64,
    latency: Latencies<u64>,
    success_latency: Latencies<u64>,
    lag: Latencies<u64>,
    slices: Slices,
    last_second: LastSecond,
    over: Option<Duration>,
}

/// One request that has ended.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ended {
    pub(super) intended: Duration,
    pub(super) began: Duration,
    pub(super) ended: Duration,
    pub(super) result: Result<(), ErrorClass>,
}

impl Recorder {
    /// An empty recorder; at most `limit` requests will be in flight.
    pub(super) fn new(limit: usize) -> Self {
        Self {
            limit,
            in_flight: 0,
            most_in_flight: 0,
            requests: 0,
            successes: 0,
            errors: Errors::default(),
            dropped: 0,
            latency: Latencies::precise(),
            success_latency: Latencies::precise(),
            lag: Latencies::precise(),
            slices: Slices::default(),
            last_second: LastSecond::new(),
            over: None,
        }
    }

    /// A request is due: whether it may be sent. If so it is in flight until [`ended`](Self::ended).
    pub(super) fn due(&mut self, intended: Duration, now: Duration) -> bool {
        if self.in_flight >= self.limit {
            self.dropped += 1;
            self.slices.dropped(intended);
            self.last_second.dropped(now);
            return false;
        }
        self.in_flight += 1;
        self.most_in_flight = self.most_in_flight.max(self.in_flight);
        self.requests += 1;
        self.slices.sent(intended);
        self.last_second.sent(now);
        true
    }

    pub(super) fn ended(&mut self, request: Ended) {
        let latency = request.ended.saturating_sub(request.intended);
        self.in_flight = self.in_flight.saturating_sub(1);
        self.latency.record(latency);
        self.lag.record(request.began.saturating_sub(request.intended));
        match request.result {
            Ok(()) => {
                self.successes += 1;
                self.success_latency.record(latency);
            }
            Err(class) => self.errors.count(class),
        }
        self.slices.ended(request.intended, request.result.is_ok(), latency);
        self.last_second.ended(request.ended, request.result.is_ok(), latency);
    }

    /// No more requests will be due.
    pub(super) fn over(&mut self, now: Duration) {
        self.over = Some(now);
    }

    pub(super) fn progress(&self, now: Duration) -> Progress {
        Progress {
            elapsed: now,
            requests: self.requests,
            successes: self.successes,
            errors: self.errors,
            dropped: self.dropped,
            in_flight: self.in_flight,
            recent: self.last_second.read(now),
            finished: self.over.is_some() && self.in_flight == 0,
        }
    }

    pub(super) fn report(&self, now: Duration) -> Report {
        let share = self.successes as f64 / self.requests.max(1) as f64;
        Report {
            elapsed_s: self.over.unwrap_or(now).as_secs_f64(),
            requests: self.requests,
            successes: self.successes,
            success_rate: share,
            errors: self.errors,
            dropped: self.dropped,
            latency: self.latency.percentiles(),
            success_latency: self.success_latency.percentiles(),
            lag: self.lag.percentiles(),
            max_in_flight: self.most_in_flight,
            slices: self.slices.figures(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn ended(intended: u64, ended: u64, result: Result<(), ErrorClass>) -> Ended {
        Ended { intended: ms(intended), began: ms(intended + 2), ended: ms(ended), result }
    }

    #[test]
    fn latency_counts_from_the_intended_instant_and_failures_count_too() {
        let mut recorder = Recorder::new(10);
        assert!(recorder.due(ms(0), ms(1)) && recorder.due(ms(10), ms(12)));
        recorder.ended(ended(0, 100, Ok(())));
        recorder.ended(ended(10, 1_010, Err(ErrorClass::Timeout)));
        recorder.over(ms(2_000));
        let report = recorder.report(ms(9_000));
        assert_eq!((report.requests, report.successes, report.success_rate), (2, 1, 0.5));
        assert_eq!(report.errors, Errors { timeout: 1, ..Errors::default() });
        let near = |value: f64, expected: f64| (value / expected - 1.0).abs() < 2e-3;
        assert!(near(report.latency.p50_ms, 100.0) && near(report.latency.max_ms, 1_000.0));
        assert!(near(report.success_latency.max_ms, 100.0) && near(report.lag.p50_ms, 2.0));
        assert_eq!(report.elapsed_s, 2.0);
    }

    #[test]
    fn beyond_the_cap_requests_are_dropped_until_one_ends() {
        let mut recorder = Recorder::new(1);
        assert!(recorder.due(ms(0), ms(0)));
        assert!(!recorder.due(ms(10), ms(10)));
        recorder.ended(ended(0, 15, Ok(())));
        assert!(recorder.due(ms(20), ms(20)));
        let progress = recorder.progress(ms(30));
        assert_eq!((progress.requests, progress.dropped, progress.in_flight), (2, 1, 1));
        assert!(!progress.finished);
        let report = recorder.report(ms(30));
        assert_eq!((report.max_in_flight, report.slices[0].dropped), (1, 1));
    }

    #[test]
    fn finished_means_over_and_none_in_flight() {
        let mut recorder = Recorder::new(1);
        recorder.due(ms(0), ms(0));
        recorder.over(ms(5));
        assert!(!recorder.progress(ms(6)).finished);
        recorder.ended(ended(0, 7, Err(ErrorClass::Reset)));
        assert!(recorder.progress(ms(8)).finished);
    }

    #[test]
    fn a_load_of_nothing_reports_zeros() {
        let report = Recorder::new(1).report(ms(0));
        assert_eq!(report, Report::default());
    }
}
