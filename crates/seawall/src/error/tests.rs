//! Tests of the texts of errors, their sources, and the places that they name.

use super::*;
use std::{error::Error as _, io};

fn limited(operation: &str) -> Rejected {
    let wait = Some(Duration::from_secs(2));
    Rejected::new(operation.into(), Rejection::new(Reason::RateLimited, wait))
}

#[test]
fn a_refusal_says_who_refused_and_when_to_come_back() {
    let limited_text = "rejected by rate_limiter: the rate limit is reached; try again in 2s";
    for (reason, wait, expected) in [
        (Reason::RateLimited, Some(2), limited_text),
        (Reason::CircuitOpen, None, "rejected by circuit_breaker: the circuit is open"),
        (Reason::Custom("quota"), None, "quota refused"),
        (Reason::NotCalled, None, "the operation was not called"),
    ] {
        let rejection = Rejection::new(reason, wait.map(Duration::from_secs));
        let error = Error::<io::Error>::Rejected(Rejected::new("payments".into(), rejection));
        assert_eq!(error.to_string(), format!("payments: {expected}"));
        assert_eq!(error.retry_after(), wait.map(Duration::from_secs));
        assert!(error.source().is_none());
    }
    assert_eq!(limited("payments").policy(), "rate_limiter");
}

/// An error with a cause of its own.
#[derive(Debug)]
struct Outer(io::Error);

impl fmt::Display for Outer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no price")
    }
}

impl std::error::Error for Outer {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

#[test]
fn a_report_of_the_whole_chain_names_each_cause_once() {
    let error = Error::Inner(Outer(io::Error::other("connection reset")));
    let mut chain = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        chain.push(cause.to_string());
        next = cause.source();
    }
    assert_eq!(chain, ["no price", "connection reset"]);
}

#[test]
fn of_two_nested_operations_the_inner_one_is_named() {
    let elapsed = |operation: &str| Elapsed {
        operation: operation.into(),
        limit: Duration::from_secs(1),
        by_caller: false,
    };
    for (nested, expected) in [
        (Error::Inner(Error::Rejected(limited("inner"))), Error::Rejected(limited("inner"))),
        (Error::Rejected(limited("outer")), Error::Rejected(limited("outer"))),
        (Error::Inner(Error::TimedOut(elapsed("inner"))), Error::TimedOut(elapsed("inner"))),
        (Error::TimedOut(elapsed("outer")), Error::TimedOut(elapsed("outer"))),
        (Error::Inner(Error::Inner("down")), Error::Inner("down")),
    ] {
        assert_eq!(nested.flatten(), expected);
    }
}
