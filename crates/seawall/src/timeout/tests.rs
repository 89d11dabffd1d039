//! The nearest limit wins.

use super::*;
use crate::{Attributes, Command, Execution, Pipeline, PolicyConfig};
use std::task::Waker;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn the_nearest_of_all_limits_wins() {
    for (limits, deadline, expected) in [
        (&[500][..], None, 500),
        (&[500, 200], None, 200),
        (&[200, 500], None, 200),
        (&[500], Some(100), 100),
        (&[], Some(100), 100),
        (&[100], Some(500), 100),
    ] {
        let configs = limits
            .iter()
            .map(|n| PolicyConfig::Timeout(TimeoutConfig { limit: ms(*n), ..Default::default() }));
        let pipeline = Pipeline::build("t", &configs.collect::<Vec<_>>()).unwrap();
        let start = Instant::from_millis(1_000_000);
        let deadline = deadline.map_or(Instant::FAR_FUTURE, |after| start + ms(after));
        let attributes = Attributes { deadline, ..Attributes::default() };
        let waker = Waker::noop();
        let mut execution = Execution::start(&pipeline, attributes, 1, start, waker);
        let Some(Command::Call { id, deadline, .. }) = execution.poll_command() else {
            panic!("it calls at once")
        };
        assert_eq!(deadline, start + ms(expected), "{limits:?}");
        assert_eq!(execution.poll_timeout(), Some(deadline));
        execution.handle_wake(start + ms(expected - 1), waker);
        assert_eq!(execution.poll_command(), None, "too early: {limits:?}");
        execution.handle_wake(deadline, waker);
        assert_eq!(execution.poll_command(), Some(Command::Cancel(id)), "{limits:?}");
        let Some(Command::Done(done)) = execution.poll_command() else { panic!("{limits:?}") };
        assert_eq!(done.outcome, Outcome::TimedOut { limit: ms(expected) });
    }
}

#[test]
fn zero_is_not_a_limit() {
    let told = Timeout::new(TimeoutConfig { limit: Duration::ZERO, ..Default::default() })
        .unwrap_err()
        .to_string();
    assert!(told.contains("limit") && told.contains("leave it out"), "{told}");
}

#[cfg(not(loom))]
#[test]
fn an_adaptive_limit_follows_the_calls_within_its_bounds() {
    use crate::testing::Bench;
    let adaptive = Percentile {
        share: 0.95,
        multiplier: 2.0,
        min: ms(50),
        minimum_calls: 20,
        window: Duration::from_secs(10),
    };
    let config = TimeoutConfig { limit: ms(1_000), adaptive: Some(adaptive), ..Default::default() };
    let timeout = Timeout::new(config).unwrap();
    let mut bench = Bench::with([crate::Policy::Timeout(timeout.clone())]);
    let mut calls = |count: u32, took: u64| {
        let mut cut = 0;
        for _ in 0..count {
            let ran = bench.run(|_| (ms(took), Outcome::Success));
            cut += u32::from(ran.outcome != Outcome::Success);
        }
        cut
    };
    assert_eq!((calls(19, 100), timeout.limit()), (0, ms(1_000)), "too few to know");
    assert_eq!(calls(150, 100), 0);
    let limit = timeout.limit().as_millis();
    assert!((190..=215).contains(&limit), "twice the 95th percentile: {limit}");
    // Never below its lower bound.
    calls(8_000, 2);
    assert_eq!(timeout.limit(), ms(50));
    // When everything is slow the first are cut off; the limit grows until they pass.
    let cut = calls(400, 300);
    assert!(cut > 5 && cut < 300, "{cut}");
    assert_eq!(calls(50, 300), 0);
    // And never above the upper one.
    calls(200, 5_000);
    assert_eq!(timeout.limit(), ms(1_000));
}
