//! Tests of which outcomes make a dead letter.

use super::*;
use crate::{
    outcome::{CallerFault, Failure},
    rejection::Rejection,
};

#[test]
fn what_failed_for_good_makes_a_letter_and_what_the_caller_spoiled_does_not() {
    let refused = |reason| Outcome::Rejected(Rejection::new(reason, None));
    let failed = |class| Outcome::Failure(Failure::new(class));
    let default = DeadLetter::default();
    let picky = dead_letter().on_rejected(false).on_permanent(true);
    let picky = DeadLetter::new(picky).unwrap();
    for (outcome, by_default, by_picky) in [
        (Outcome::Success, false, false),
        (failed(Class::Transient), true, true),
        (failed(Class::Unknown), true, true),
        (failed(Class::RateLimited), true, true),
        (failed(Class::Permanent), false, true),
        (Outcome::TimedOut { limit: secs(1) }, true, true),
        (refused(Reason::CircuitOpen), true, false),
        (refused(Reason::BulkheadFull), true, false),
        (refused(Reason::Custom("mine")), true, false),
        (refused(Reason::RateLimited), false, false),
        (refused(Reason::LimitUnknown), false, false),
        (Outcome::CallerFault(CallerFault::Request), false, false),
        (Outcome::CallerFault(CallerFault::Deadline { limit: secs(1) }), false, false),
    ] {
        let applies = (default.applies(&outcome), picky.applies(&outcome));
        assert_eq!(applies, (by_default, by_picky), "{outcome:?}");
    }
}

#[test]
fn a_queue_has_a_name() {
    for queue in ["", "a\nb", &"q".repeat(201)] {
        let error = DeadLetter::new(dead_letter().queue(queue.to_owned())).unwrap_err();
        assert!(error.to_string().contains("1 to 200 characters"), "{error}");
    }
    assert!(DeadLetter::new(dead_letter().queue("q".repeat(200))).is_ok());
}
