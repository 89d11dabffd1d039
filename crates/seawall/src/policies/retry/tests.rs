//! Tests of what is retried, and after how long.

use super::*;
use crate::{
    attributes::Attributes,
    backoff::Jitter,
    command::Command,
    execution::Execution,
    pipeline::Pipeline,
    policies::PolicyConfig,
    rejection::{Reason, Rejection},
};
use std::task::Waker;

fn ms(n: u64) -> Duration {
    Duration::from_millis(n)
}

#[test]
fn retries_depend_on_the_outcome_and_on_repeatability() {
    let config = RetryConfig::default();
    let failure = |class, should_retry, unsent| {
        Outcome::Failure(Failure { should_retry, unsent, ..Failure::new(class) })
    };
    let rejected = Outcome::Rejected(Rejection::new(Reason::CircuitOpen, None));
    let timed_out = Outcome::TimedOut { limit: ms(1) };
    for (outcome, repeatable, expected) in [
        (Outcome::Success, true, false),
        (rejected, true, false),
        (timed_out, true, true),
        (timed_out, false, false),
        (failure(Class::Transient, None, false), true, true),
        (failure(Class::Transient, None, false), false, false),
        // What never left may be sent, whatever it is.
        (failure(Class::Transient, None, true), false, true),
        (failure(Class::RateLimited, None, false), true, true),
        (failure(Class::Unknown, None, false), true, true),
        (failure(Class::Permanent, None, false), true, false),
        // The dependency's own word wins over the class, not over the caller's.
        (failure(Class::Permanent, Some(true), false), true, true),
        (failure(Class::Permanent, Some(true), false), false, false),
        (failure(Class::Transient, Some(false), true), true, false),
    ] {
        assert_eq!(config.is_retryable(&outcome, repeatable), expected, "{outcome:?} {repeatable}");
    }
    let strict = RetryConfig { retry_unknown: false, retry_timeouts: false, ..config };
    assert!(!strict.is_retryable(&failure(Class::Unknown, None, false), true));
    assert!(!strict.is_retryable(&timed_out, true));
}

#[test]
fn waits_follow_the_backoff_and_the_requested_pause() {
    let backoff = Backoff { base_delay: ms(100), jitter: Jitter::None, ..Backoff::default() };
    let config = RetryConfig { backoff, max_retry_after: ms(5_000), ..RetryConfig::default() };
    let failure =
        |class, retry_after| Outcome::Failure(Failure { retry_after, ..Failure::new(class) });
    let wait = |outcome: Outcome, u| config.wait(&outcome, 2, ms(0), u);
    assert_eq!(wait(Outcome::TimedOut { limit: ms(1) }, 0.5), Some(ms(200)));
    assert_eq!(wait(failure(Class::Transient, None), 0.5), Some(ms(200)));
    assert_eq!(wait(failure(Class::RateLimited, None), 0.5), Some(ms(400)));
    // Asked for: at least that, and up to a tenth more.
    let asked = failure(Class::RateLimited, Some(ms(3_000)));
    assert_eq!((wait(asked, 0.0), wait(asked, 0.5)), (Some(ms(3_000)), Some(ms(3_150))));
    assert_eq!(wait(failure(Class::Transient, Some(ms(5_000))), 0.0), Some(ms(5_000)));
    assert_eq!(wait(failure(Class::Transient, Some(ms(5_001))), 0.0), None);
}

#[test]
fn a_hint_never_shortens_the_back_off() {
    let backoff = Backoff { base_delay: ms(100), ..Backoff::default() };
    let config = RetryConfig { backoff: backoff.clone(), ..RetryConfig::default() };
    // Zero, as a date in the past is; and shorter than the back-off's own wait.
    for asked in [Duration::ZERO, ms(1), ms(10)] {
        for class in [Class::RateLimited, Class::Transient] {
            let failure = Failure { retry_after: Some(asked), ..Failure::new(class) };
            let outcome = Outcome::Failure(failure);
            for (retry, u) in [(1, 0.01), (1, 0.5), (2, 0.999), (9, 0.5)] {
                let wait = config.wait(&outcome, retry, ms(0), u).unwrap();
                let own = backoff.delay(retry, ms(0), u);
                assert!(wait >= own && wait >= asked, "{asked:?} {retry} {u}: {wait:?}");
            }
        }
    }
    // Ten attempts that are all told to come back at once do not come back at once.
    let told = Outcome::Failure(Failure {
        retry_after: Some(Duration::ZERO),
        ..Failure::new(Class::RateLimited)
    });
    let plain = Backoff { jitter: Jitter::None, ..backoff };
    let config = RetryConfig { max_attempts: 10, backoff: plain, ..config };
    let (pauses, _) = run(config, None, &[told; 10]);
    assert_eq!(pauses, [100, 200, 400, 800, 1600, 3200, 6400, 12_800, 25_600]);
}

#[test]
fn the_longest_hints_and_waits_overflow_nothing() {
    let failure =
        |class, retry_after| Outcome::Failure(Failure { retry_after, ..Failure::new(class) });
    let asked = Duration::from_secs(18_000_000_000_000_000_000);
    let hint = Some(asked);
    // Unchecked: the check refuses such bounds.
    let backoff = Backoff {
        base_delay: Duration::MAX,
        max_delay: Duration::MAX,
        jitter: Jitter::None,
        ..Backoff::default()
    };
    let open = RetryConfig { max_retry_after: Duration::MAX, backoff, ..Default::default() };
    for u in [0.0, 0.5, 0.999_999] {
        assert!(open.wait(&failure(Class::RateLimited, hint), 1, ms(0), u) >= Some(asked));
        assert_eq!(open.wait(&failure(Class::RateLimited, None), 5, ms(0), u), Some(Duration::MAX));
    }
    let bounded = RetryConfig::default();
    assert_eq!(bounded.wait(&failure(Class::RateLimited, hint), 1, ms(0), 0.5), None);
    let error = Retry::new(open).unwrap_err().to_string();
    for field in ["backoff.base_delay", "backoff.max_delay", "max_retry_after"] {
        assert!(error.contains(&format!("{field}: ")), "{field} is not in: {error}");
    }
    assert!(error.contains("is not at most 365 days"), "{error}");
    let config = RetryConfig { max_total_delay: Some(Duration::MAX), ..bounded };
    assert!(Retry::new(config).unwrap_err().to_string().contains("max_total_delay"));
}

#[test]
fn max_delay_holds_after_a_rate_limit_too() {
    let jitters = [Jitter::None, Jitter::Full, Jitter::Equal, Jitter::Decorrelated, Jitter::Around];
    let limited = Outcome::failure(Class::RateLimited);
    for jitter in jitters {
        let backoff = Backoff { jitter, max_delay: ms(1_000), ..Backoff::default() };
        let config = RetryConfig { backoff, rate_limit_multiplier: 100.0, ..Default::default() };
        for u in [0.0, 0.3, 0.999] {
            for retry in 1..50 {
                let wait = config.wait(&limited, retry, ms(800), u).unwrap();
                assert!(wait <= ms(1_000), "{jitter:?} {retry} {u}: {wait:?}");
            }
        }
    }
    // Additive jitter comes on top, once.
    let backoff = Backoff {
        jitter: Jitter::Additive,
        max_delay: ms(1_000),
        jitter_max: ms(500),
        ..Backoff::default()
    };
    let config = RetryConfig { backoff, ..Default::default() };
    assert_eq!(config.wait(&limited, 20, ms(0), 0.5), Some(ms(1_250)));
}

/// Runs calls of 10 ms that fail; the pauses between them in milliseconds, and the last outcome.
fn run(config: RetryConfig, deadline: Option<u64>, outcomes: &[Outcome]) -> (Vec<u64>, Outcome) {
    let pipeline = Pipeline::build("retried", &[PolicyConfig::Retry(config)]).unwrap();
    let mut now = Instant::from_millis(1_000_000);
    let deadline = deadline.map_or(Instant::FAR_FUTURE, |after| now + ms(after));
    let attributes = Attributes { deadline, ..Attributes::default() };
    let waker = Waker::noop();
    let mut execution = Execution::start(&pipeline, attributes, 1, now, waker);
    let mut outcomes = outcomes.iter();
    let mut pauses = Vec::new();
    loop {
        match execution.poll_command() {
            Some(Command::Call { id, .. }) => {
                now = now + ms(10);
                let outcome = outcomes.next().expect("a call too many");
                execution.handle_result(id, *outcome, now, waker);
            }
            Some(Command::Done(done)) => return (pauses, done.outcome),
            Some(_) => {}
            None => {
                let due = execution.poll_timeout().expect("it waits for nothing");
                pauses.push(due.since(now).as_millis() as u64);
                now = due;
                execution.handle_wake(now, waker);
            }
        }
    }
}

#[test]
fn pauses_stand_between_attempts_and_nowhere_else() {
    let backoff = Backoff { base_delay: ms(100), jitter: Jitter::None, ..Backoff::default() };
    let config = RetryConfig { max_attempts: 4, backoff, ..RetryConfig::default() };
    let bad = Outcome::failure(Class::Transient);
    let good = Outcome::Success;
    let fatal = Outcome::failure(Class::Permanent);
    assert_eq!(run(config.clone(), None, &[good]), (vec![], good));
    assert_eq!(run(config.clone(), None, &[bad, bad, good]), (vec![100, 200], good));
    assert_eq!(run(config.clone(), None, &[bad; 4]), (vec![100, 200, 400], bad));
    assert_eq!(run(config.clone(), None, &[bad, fatal]), (vec![100], fatal));
    // No pause that reaches past the caller's deadline, or past the total.
    assert_eq!(run(config.clone(), Some(330), &[bad; 3]), (vec![100, 200], bad));
    assert_eq!(run(config.clone(), Some(320), &[bad; 2]), (vec![100], bad));
    let short = RetryConfig { max_total_delay: Some(ms(320)), ..config };
    assert_eq!(run(short.clone(), None, &[bad; 3]), (vec![100, 200], bad));
    let shorter = RetryConfig { max_total_delay: Some(ms(319)), ..short };
    assert_eq!(run(shorter, None, &[bad; 2]), (vec![100], bad));
    let once = RetryConfig { max_attempts: 1, ..RetryConfig::default() };
    assert_eq!(run(once, None, &[bad]), (vec![], bad));
}

#[test]
fn the_budget_is_shared_and_a_spent_one_leaves_the_first_answer() {
    let budget =
        Some(RetryBudget::Share(ShareBudget { ratio: 0.0, min_per_second: 0.0, max_saved: 3 }));
    let config = RetryConfig { max_attempts: 3, budget, ..RetryConfig::default() };
    let metrics = std::sync::Arc::new(crate::metrics::Metrics::default());
    let pipeline = Pipeline::build("retried", &[PolicyConfig::Retry(config)]).unwrap();
    let pipeline = pipeline.with_observer(metrics.clone());
    let calls = |pipeline: &Pipeline| {
        let mut calls = 0;
        let hand = |_| {
            calls += 1;
            Err::<(), _>("down")
        };
        let clock = crate::time::SystemClock;
        let attributes = Attributes::default();
        let answer = pipeline
            .run(&clock, hand)
            .attributes(attributes)
            .classify(crate::outcome::AnyError)
            .blocking();
        assert_eq!(answer, Err(crate::error::Error::Inner("down")));
        calls
    };
    assert_eq!([calls(&pipeline), calls(&pipeline), calls(&pipeline)], [3, 2, 1]);
    let counts = metrics.counts();
    assert_eq!((counts.retries_executed, counts.retries_unaffordable), (3, 2));
}

#[test]
fn bounds_are_named() {
    let wrong = RetryConfig {
        max_attempts: 101,
        rate_limit_multiplier: 0.5,
        max_total_delay: Some(Duration::ZERO),
        backoff: Backoff { exponential_multiplier: 0.5, ..Backoff::default() },
        budget: Some(RetryBudget::Share(ShareBudget {
            ratio: -1.0,
            min_per_second: f64::NAN,
            max_saved: 0,
        })),
        ..RetryConfig::default()
    };
    let told = Retry::new(wrong).unwrap_err().to_string();
    for field in [
        "max_attempts",
        "rate_limit_multiplier",
        "max_total_delay",
        "backoff.exponential_multiplier",
    ] {
        assert!(told.contains(field), "{field} is not in: {told}");
    }
}
