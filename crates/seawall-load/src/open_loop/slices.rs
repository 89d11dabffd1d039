//! Figures for each second of the schedule.
//!
//! A request belongs to the second in which it was due, so a second's percentiles are known when its last request
//! has ended. Until then it has a histogram; afterwards only its figures: memory grows with the timeout,
//! not with the duration.

use super::{latencies::Latencies, report::Slice};
use std::time::Duration;

#[derive(Debug, Default)]
pub(super) struct Slices {
    seconds: Vec<Second>,
    /// All before this one are closed.
    first_open: usize,
}

#[derive(Debug, Default)]
struct Second {
    slice: Slice,
    in_flight: u64,
    latencies: Option<Box<Latencies<u32>>>,
}

impl Slices {
    pub(super) fn sent(&mut self, intended: Duration) {
        let second = self.begin(intended);
        second.slice.requests += 1;
        second.in_flight += 1;
    }

    pub(super) fn dropped(&mut self, intended: Duration) {
        self.begin(intended).slice.dropped += 1;
    }

    pub(super) fn ended(&mut self, intended: Duration, success: bool, latency: Duration) {
        let Some(second) = self.seconds.get_mut(index(intended)) else { return };
        second.slice.successes += u64::from(success);
        second.in_flight = second.in_flight.saturating_sub(1);
        second.latencies.get_or_insert_with(|| Box::new(Latencies::precise())).record(latency);
        self.close_ended();
    }

    /// The figures of all seconds up to the last one in which a request was due.
    pub(super) fn figures(&self) -> Vec<Slice> {
        self.seconds.iter().map(Second::figures).collect()
    }

    /// The second of a request that is due; requests come in the order in which they are due.
    fn begin(&mut self, intended: Duration) -> &mut Second {
        let at = index(intended);
        if at >= self.seconds.len() {
            self.seconds.resize_with(at + 1, Second::default);
            self.close_ended();
        }
        &mut self.seconds[at]
    }

    /// Closes seconds from the front; the last one may still get requests.
    fn close_ended(&mut self) {
        let before_last = self.seconds.len().saturating_sub(1);
        while self.first_open < before_last && self.seconds[self.first_open].in_flight == 0 {
            let second = &mut self.seconds[self.first_open];
            second.slice = second.figures();
            second.latencies = None;
            self.first_open += 1;
        }
    }
}

impl Second {
    fn figures(&self) -> Slice {
        let Some(latencies) = &self.latencies else { return self.slice };
        Slice {
            p50_ms: latencies.quantile_ms(0.5),
            p99_ms: latencies.quantile_ms(0.99),
            ..self.slice
        }
    }
}

fn index(intended: Duration) -> usize {
    usize::try_from(intended.as_secs()).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    fn open(slices: &Slices) -> usize {
        slices.seconds.iter().filter(|second| second.latencies.is_some()).count()
    }

    #[test]
    fn requests_count_in_the_second_in_which_they_were_due() {
        let mut slices = Slices::default();
        slices.sent(ms(900));
        slices.sent(ms(3_100));
        slices.ended(ms(3_100), true, ms(10));
        slices.dropped(ms(3_200));
        // The first one ends long after the other.
        slices.ended(ms(900), false, ms(5_000));
        let figures = slices.figures();
        assert_eq!(figures.len(), 4);
        assert_eq!((figures[0].requests, figures[0].successes), (1, 0));
        assert!((figures[0].p99_ms - 5_000.0).abs() < 5.0);
        assert_eq!(figures[1], Slice::default());
        assert_eq!((figures[3].requests, figures[3].successes, figures[3].dropped), (1, 1, 1));
        assert!((figures[3].p50_ms - 10.0).abs() < 0.01);
    }

    #[test]
    fn seconds_close_when_their_last_request_ends() {
        let mut slices = Slices::default();
        for at in (0..100_000).step_by(100) {
            slices.sent(ms(at));
            // The answers come three seconds later.
            if at >= 3_000 {
                slices.ended(ms(at - 3_000), true, ms(3_000));
            }
            assert!(open(&slices) <= 5);
        }
        assert_eq!(slices.figures().iter().map(|slice| slice.requests).sum::<u64>(), 1_000);
        assert!((slices.figures()[50].p50_ms - 3_000.0).abs() < 3.0);
    }
}
