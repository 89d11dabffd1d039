//! Tests of which outcomes a fallback replaces.

use super::*;
use crate::{
    outcome::Class,
    rejection::{Reason, Rejection},
};
use std::time::Duration;

#[test]
fn alternatives_replace_failures_timeouts_and_rejections() {
    let kind = |on_permanent| Fallback::new(FallbackConfig { on_permanent, ..Default::default() });
    let (all, some) = (kind(true).unwrap(), kind(false).unwrap());
    let rejected = Outcome::Rejected(Rejection::new(Reason::BulkheadFull, None));
    for (outcome, by_all, by_some) in [
        (Outcome::Success, false, false),
        (Outcome::TimedOut { limit: Duration::ZERO }, true, true),
        (rejected, true, true),
        (Outcome::failure(Class::Transient), true, true),
        (Outcome::failure(Class::RateLimited), true, true),
        (Outcome::failure(Class::Unknown), true, true),
        (Outcome::failure(Class::Permanent), true, false),
    ] {
        assert_eq!(
            (all.applies(&outcome), some.applies(&outcome)),
            (by_all, by_some),
            "{outcome:?}"
        );
    }
}

#[test]
fn bounds_are_named() {
    for max_fallbacks in [0, 33] {
        let config = FallbackConfig { max_fallbacks, ..Default::default() };
        let told = Fallback::new(config).unwrap_err().to_string();
        assert!(told.contains("max_fallbacks") && told.contains("1 to 32"), "{told}");
    }
}
