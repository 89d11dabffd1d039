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
