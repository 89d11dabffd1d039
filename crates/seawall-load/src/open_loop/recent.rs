//! The last second of a running load: four whole quarters, so that a display neither jumps nor shows a part.

use super::{latencies::Latencies, report::Recent};
use std::time::Duration;

const QUARTER: Duration = Duration::from_millis(250);
/// A second's worth, and the one that is being filled.
const KEPT: usize = 5;

#[derive(Debug)]
pub(super) struct LastSecond {
    quarters: [Quarter; KEPT],
}

#[derive(Debug)]
struct Quarter {
    /// The number of the quarter since the start; a place is taken over when its next turn comes.
    number: u128,
    counts: Recent,
    latencies: Latencies<u32>,
}

impl LastSecond {
    pub(super) fn new() -> Self {
        let counts = Recent::default();
        let quarter = |_| Quarter { number: 0, counts, latencies: Latencies::coarse() };
        Self { quarters: std::array::from_fn(quarter) }
    }

    fn now(&mut self, now: Duration) -> &mut Quarter {
        let number = now.as_nanos() / QUARTER.as_nanos();
        let quarter = &mut self.quarters[(number % KEPT as u128) as usize];
        if quarter.number != number {
            quarter.number = number;
            quarter.counts = Recent::default();
            quarter.latencies.clear();
        }
        quarter
    }

    pub(super) fn sent(&mut self, now: Duration) {
        self.now(now).counts.requests += 1;
    }

    pub(super) fn dropped(&mut self, now: Duration) {
        self.now(now).counts.dropped += 1;
    }

    pub(super) fn ended(&mut self, now: Duration, success: bool, latency: Duration) {
        let quarter = self.now(now);
        quarter.latencies.record(latency);
        if success {
            quarter.counts.successes += 1;
        } else {
            quarter.counts.errors += 1;
        }
    }

    /// The four quarters before the one that `now` is in.
    pub(super) fn read(&self, now: Duration) -> Recent {
        let number = now.as_nanos() / QUARTER.as_nanos();
        let whole = number.saturating_sub(KEPT as u128 - 1)..number;
        let mut sum = Recent::default();
        let mut latencies = Latencies::coarse();
        for quarter in self.quarters.iter().filter(|quarter| whole.contains(&quarter.number)) {
            sum.requests += quarter.counts.requests;
            sum.successes += quarter.counts.successes;
            sum.errors += quarter.counts.errors;
            sum.dropped += quarter.counts.dropped;
            latencies.add(&quarter.latencies);
        }
        sum.p50_ms = latencies.quantile_ms(0.5);
        sum.p99_ms = latencies.quantile_ms(0.99);
        sum
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn holds_the_last_four_whole_quarters() {
        let ms = Duration::from_millis;
        let mut last = LastSecond::new();
        for at in (0..3_000).step_by(10) {
            last.sent(ms(at));
            last.ended(ms(at), at < 2_000, ms(at / 1_000 * 100 + 1));
        }
        let recent = last.read(ms(3_100));
        assert_eq!((recent.requests, recent.successes, recent.errors), (100, 0, 100));
        assert!((recent.p50_ms - 201.0).abs() < 3.0, "{}", recent.p50_ms);
        // Half a second on, half of them are left; later none, though nothing has overwritten them.
        assert_eq!(last.read(ms(3_500)).requests, 50);
        assert_eq!(last.read(ms(9_000)), Recent::default());
    }

    #[test]
    fn a_quarter_that_is_being_filled_is_not_shown() {
        let mut last = LastSecond::new();
        last.dropped(Duration::from_millis(100));
        assert_eq!(last.read(Duration::from_millis(200)).dropped, 0);
        assert_eq!(last.read(Duration::from_millis(300)).dropped, 1);
    }
}
