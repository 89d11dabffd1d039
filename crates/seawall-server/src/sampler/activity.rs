//! The counters that charts and alerts look at, under the short names of the stream of snapshots.

use seawall::Counts;
use serde::{Deserialize, Serialize};

/// Declares [`Activity`]: each field with the counter that it shows.
macro_rules! activity {
    ($($(#[doc = $doc:literal])+ $field:ident: $counter:ident,)*) => {
        /// The activity of an operation in a few numbers: since the last reset, or per second.
        #[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
        pub struct Activity<N> {
            $($(#[doc = $doc])+ pub $field: N,)*
        }

        impl Activity<u64> {
            /// The activity that these counters show.
            pub(crate) fn of(counts: &Counts) -> Self {
                Self { $($field: counts.$counter,)* }
            }

            /// The activity since `old`; after a reset in between, since the reset.
            pub(crate) fn since(&self, old: &Self) -> Self {
                Self { $($field: grown(self.$field, old.$field),)* }
            }

            /// The activity per second, over this many seconds, rounded to a tenth.
            pub(crate) fn per_second(&self, seconds: f64) -> Activity<f64> {
                let rate = |count: u64| (count as f64 / seconds.max(0.001) * 10.0).round() / 10.0;
                Activity { $($field: rate(self.$field),)* }
            }
        }
    };
}

activity! {
    /// Executions begun.
    calls: total_calls,
    /// Executions that succeeded.
    successes: successful_calls,
    /// Executions that ended in a failure for which the dependency is to blame.
    failures: failed_calls,
    /// Executions that ended in a timeout.
    timed_out: timed_out_calls,
    /// Executions that the caller spoiled: client errors, requests that broke off, deadlines of the caller.
    caller_faults: caller_faults,
    /// Executions that ended in a rejection.
    rejected: rejected_calls,
    /// Of those rejected, those that a rate limiter rejected.
    rate_limited: rate_limited_calls,
    /// Calls of the operation, those of retries included.
    attempts: attempts,
    /// Retries scheduled.
    retries: retries_executed,
    /// Alternatives called.
    fallbacks: fallbacks,
    /// Times that the circuit opened.
    opens: circuit_breaker_opens,
    /// Times that the circuit became half-open.
    half_opens: circuit_breaker_half_opens,
}

impl Activity<u64> {
    /// Executions that ended and that the caller neither spoiled nor left.
    pub(super) fn judged(&self) -> u64 {
        self.successes + self.failures + self.timed_out + self.rejected
    }

    /// Executions that failed or timed out.
    pub(super) fn failed(&self) -> u64 {
        self.failures + self.timed_out
    }

    /// Executions that were rejected for another reason than that the caller asks too often.
    pub(super) fn refused(&self) -> u64 {
        self.rejected.saturating_sub(self.rate_limited)
    }
}

/// The growth of a counter; after a reset in between the new count is the smaller one, and counts from zero.
fn grown(new: u64, old: u64) -> u64 {
    if new >= old { new - old } else { new }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn calls(calls: u64) -> Activity<u64> {
        Activity { calls, ..Activity::default() }
    }

    #[test]
    fn a_reset_is_no_negative_number() {
        assert_eq!(calls(5).since(&calls(3)).calls, 2);
        assert_eq!(calls(5).since(&calls(30)).calls, 5);
    }

    #[test]
    fn rates_are_per_second_and_survive_a_reset() {
        assert_eq!(calls(150).since(&calls(100)).per_second(5.0).calls, 10.0);
        assert_eq!(calls(20).since(&calls(100)).per_second(5.0).calls, 4.0);
    }
}
