//! Tests of timeouts inside one another: the nearest limit wins.

use super::*;
use crate::{
    attributes::Attributes, command::Command, execution::Execution, outcome::CallerFault,
    pipeline::Pipeline, policies::PolicyConfig,
};
use std::task::Waker;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn the_nearest_of_all_limits_wins() {
    for (limits, caller, expected) in [
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
        let deadline = caller.map_or(Instant::FAR_FUTURE, |after| start + ms(after));
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
        let limit = ms(expected);
        let ended = match caller {
            Some(after) if after == expected => {
                Outcome::CallerFault(CallerFault::Deadline { limit })
            }
            _ => Outcome::TimedOut { limit },
        };
        assert_eq!(done.outcome, ended, "{limits:?}");
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
    let mut bench = Bench::with([crate::policies::Policy::Timeout(timeout.clone())]);
    let calls = |bench: &mut Bench, count: u32, took: u64| {
        let mut cut = 0;
        for _ in 0..count {
            let ran = bench.run(|_| (ms(took), Outcome::Success));
            cut += u32::from(ran.outcome != Outcome::Success);
        }
        cut
    };
    assert_eq!(
        (calls(&mut bench, 19, 100), timeout.limit(bench.now)),
        (0, ms(1_000)),
        "too few to know"
    );
    assert_eq!(calls(&mut bench, 150, 100), 0);
    let limit = timeout.limit(bench.now).as_millis();
    assert!((190..=215).contains(&limit), "twice the 95th percentile: {limit}");
    // Never below its lower bound.
    calls(&mut bench, 8_000, 2);
    assert_eq!(timeout.limit(bench.now), ms(50));
    // When everything is slow the first are cut off; the limit grows until they pass.
    let cut = calls(&mut bench, 400, 300);
    assert!(cut > 5 && cut < 300, "{cut}");
    assert_eq!(calls(&mut bench, 50, 300), 0);
    // And never above the upper one.
    calls(&mut bench, 200, 5_000);
    assert_eq!(timeout.limit(bench.now), ms(1_000));
}

/// An adaptive timeout with its defaults but for the window, and how many of `count` calls it cuts off.
#[cfg(not(loom))]
struct Adaptive {
    timeout: Timeout,
    bench: crate::testing::Bench,
}

#[cfg(not(loom))]
impl Adaptive {
    fn new(adaptive: Percentile) -> Self {
        let limit = Duration::from_secs(30);
        let config = TimeoutConfig { limit, adaptive: Some(adaptive), ..Default::default() };
        let timeout = Timeout::new(config).unwrap();
        let bench =
            crate::testing::Bench::with([crate::policies::Policy::Timeout(timeout.clone())]);
        Self { timeout, bench }
    }

    fn cut(&mut self, count: u32, took: Duration) -> u32 {
        let mut cut = 0;
        for _ in 0..count {
            let ran = self.bench.run(|_| (took, Outcome::Success));
            cut += u32::from(ran.outcome != Outcome::Success);
        }
        cut
    }

    fn limit(&self) -> Duration {
        self.timeout.limit(self.bench.now)
    }
}

/// A dependency that gets slower for good, by a little or by a lot: the limit follows, whatever the multiplier.
#[cfg(not(loom))]
#[test]
fn a_limit_does_not_keep_itself_down() {
    for multiplier in [1.0, 1.5, 3.0] {
        for slower in [6, 9, 40, 700, 20_000] {
            let mut at = Adaptive::new(Percentile { multiplier, ..Percentile::default() });
            at.cut(1_000, ms(5));
            let before = at.limit();
            assert!(before < ms(17), "{multiplier}: {before:?}");
            let cut = at.cut(1_000, ms(slower));
            assert!(cut < 500, "{multiplier}, {slower} ms: {cut} of 1,000 are cut off");
            assert_eq!(at.cut(200, ms(slower)), 0, "{multiplier}, {slower} ms");
            assert!(at.limit() >= ms(slower) && at.limit() <= Duration::from_secs(30));
        }
    }
}

/// Calls that a timeout further out or a caller ended are as unfinished as those that it cut off itself.
#[cfg(not(loom))]
#[test]
fn calls_that_others_cut_off_do_not_make_the_rest_look_quick() {
    use crate::{policies::Policy, testing::Bench};
    let adaptive = Percentile { share: 0.9, ..Percentile::default() };
    let inner = TimeoutConfig { adaptive: Some(adaptive), ..Default::default() };
    let inner = Timeout::new(inner).unwrap();
    let outer = Timeout::new(TimeoutConfig { limit: ms(100), ..Default::default() }).unwrap();
    let mut bench = Bench::with([Policy::Timeout(outer), Policy::Timeout(inner.clone())]);
    let call = |bench: &mut Bench, n: u32| {
        let took = if n.is_multiple_of(2) { ms(5) } else { ms(200) };
        bench.run(|_| (took, Outcome::Success)).outcome
    };
    for n in 0..1_000 {
        call(&mut bench, n);
    }
    let limit = inner.limit(bench.now);
    assert!(
        limit > ms(100),
        "half of all calls take longer than 100 ms, and {limit:?} is the limit"
    );
}

#[cfg(not(loom))]
#[test]
fn a_limit_does_not_outlive_its_window() {
    let window = Duration::from_secs(10);
    for idle in [10, 11, 19, 3_600, 86_400 * 365] {
        let mut at = Adaptive::new(Percentile { window, ..Percentile::default() });
        at.cut(500, ms(5));
        assert!(at.limit() < ms(10));
        at.bench.now = at.bench.now + Duration::from_secs(idle);
        assert_eq!(at.limit(), Duration::from_secs(30), "after {idle} s");
        assert_eq!(at.cut(100, ms(200)), 0, "after {idle} s");
        at.cut(2_000, ms(20));
        let limit = at.limit();
        assert!(limit >= ms(20) && limit < ms(22), "and it is found anew: {limit:?}");
    }
    // A pause that is shorter than half of it changes nothing.
    let mut at = Adaptive::new(Percentile { window, ..Percentile::default() });
    at.cut(500, ms(5));
    at.bench.now = at.bench.now + Duration::from_secs(4);
    assert!(at.limit() < ms(10));
}

#[cfg(not(loom))]
#[test]
fn a_clock_that_is_set_back_does_not_hold_the_limit() {
    let mut at = Adaptive::new(Percentile::default());
    at.bench.now = at.bench.now + Duration::from_secs(7_200);
    at.cut(500, ms(5));
    at.bench.now = at.bench.now - Duration::from_secs(3_600);
    assert!(at.cut(500, ms(50)) < 50);
    at.cut(4_000, ms(50));
    assert!(at.limit() > ms(50) && at.limit() < ms(60), "{:?}", at.limit());
    at.cut(30_000, ms(5));
    assert!(at.limit() < ms(10), "it follows down again: {:?}", at.limit());
}
