//! The behaviour of an upstream over time, as data.
//!
//! A timeline is a list of phases, each from an offset until the next one begins. It knows no clock: offsets count
//! from an instant that the caller chooses, so several upstreams and a report share one.

use crate::behaviour::{Behaviour, Latency};
use http::StatusCode;
use std::time::Duration;

/// A stretch of time in which an upstream behaves in one way.
#[derive(Clone, Debug, PartialEq)]
pub struct Phase {
    /// The name of the phase in counts and reports.
    pub name: String,
    /// When the phase begins, from the timeline's start. It lasts until the next phase begins.
    pub from: Duration,
    /// The behaviour of the upstream in this phase.
    pub behaviour: Behaviour,
}

/// Phases one after the other.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timeline {
    /// The phases by `from`, ascending. Before the first one begins, the first holds; the last has no end.
    pub phases: Vec<Phase>,
    /// The length of the whole timeline, for the duration of a load along it.
    pub total: Duration,
}

impl Timeline {
    /// The demo's timeline, stretched to `total`: 20 % `healthy` (20 ms), 20 % `slow` (400 ms, one call in
    /// twenty answers 503), 30 % `outage` (three in four answer 503 at once, one in four hangs), 30 % `healed`
    /// (as healthy). Latencies are medians of a log-normal distribution, and do not stretch.
    pub fn standard(total: Duration) -> Self {
        let healthy = Behaviour { latency: latency(20, 0.3), ..Behaviour::default() };
        let slow = Behaviour { latency: latency(400, 0.5), error_ratio: 0.05, ..healthy };
        let outage = Behaviour {
            latency: latency(5, 0.3),
            error_ratio: 0.75,
            error_status: StatusCode::SERVICE_UNAVAILABLE,
            hang_ratio: 0.25,
            ..healthy
        };
        let phase = |name: &str, tenths, behaviour| Phase {
            name: name.to_owned(),
            from: total / 10 * tenths,
            behaviour,
        };
        let phases = vec![
            phase("healthy", 0, healthy),
            phase("slow", 2, slow),
            phase("outage", 4, outage),
            phase("healed", 7, healthy),
        ];
        Self { phases, total }
    }

    /// One phase without an end, called `name`.
    pub fn constant(name: &str, behaviour: Behaviour) -> Self {
        let phase = Phase { name: name.to_owned(), from: Duration::ZERO, behaviour };
        Self { phases: vec![phase], total: Duration::ZERO }
    }

    /// The phase at an offset from the start; `None` only where there are no phases.
    pub fn phase_at(&self, offset: Duration) -> Option<&Phase> {
        self.phases.get(self.index_at(offset))
    }

    /// The index of the phase at an offset; in bounds where there are phases.
    pub(crate) fn index_at(&self, offset: Duration) -> usize {
        self.phases.partition_point(|phase| phase.from <= offset).saturating_sub(1)
    }

    /// The offset at which the next phase after `offset` begins.
    pub fn next_after(&self, offset: Duration) -> Option<Duration> {
        self.phases.iter().map(|phase| phase.from).find(|from| *from > offset)
    }
}

fn latency(median_ms: u64, sigma: f64) -> Latency {
    Latency::log_normal(Duration::from_millis(median_ms), sigma)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name_at(timeline: &Timeline, seconds: f64) -> &str {
        &timeline.phase_at(Duration::from_secs_f64(seconds)).unwrap().name
    }

    #[test]
    fn the_standard_timeline_is_proportional() {
        for total in [10.0, 60.0, 0.5] {
            let timeline = Timeline::standard(Duration::from_secs_f64(total));
            let table = [
                (0.0, "healthy"),
                (0.19, "healthy"),
                (0.21, "slow"),
                (0.39, "slow"),
                (0.41, "outage"),
                (0.69, "outage"),
                (0.71, "healed"),
                (2.0, "healed"),
            ];
            for (share, name) in table {
                assert_eq!(name_at(&timeline, share * total), name, "{share} of {total}");
            }
        }
    }

    #[test]
    fn phases_hold_from_their_first_instant_to_the_next() {
        let timeline = Timeline::standard(Duration::from_secs(10));
        let second = Duration::from_secs;
        assert_eq!(name_at(&timeline, 2.0), "slow");
        assert_eq!(timeline.next_after(second(0)), Some(second(2)));
        assert_eq!(timeline.next_after(second(2)), Some(second(4)));
        assert_eq!(timeline.next_after(second(7)), None);
    }

    #[test]
    fn the_first_phase_holds_before_it_begins_and_none_is_none() {
        let mut timeline = Timeline::constant("late", Behaviour::default());
        timeline.phases[0].from = Duration::from_secs(5);
        assert_eq!(name_at(&timeline, 0.0), "late");
        assert_eq!(Timeline::default().phase_at(Duration::ZERO), None);
    }
}
