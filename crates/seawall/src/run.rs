//! Running a caller's operation under a pipeline: the call that [`Run`] puts together, and its two drivers, async and
//! blocking.
//!
//! They hold the values and the clock; the [`Execution`] decides. On the fast path, where the operation succeeds at
//! once, nothing is allocated and no timer is made: the operation is polled first.

use crate::{
    execution::Execution,
    outcome::Outcome,
    pipeline::Pipeline,
    policy::Cause,
    time::{Clock, Timer},
};
use std::ops::Deref;

mod blocking;
mod builder;
mod driver;
mod function;
mod kept;
mod recorded;
mod results;
mod work;

pub(crate) use function::{Answer, NoFallback};

pub use builder::{Run, RunFuture};
pub use kept::{KeptFuture, KeptRun};
pub use work::{Attempt, Work, WorkResult};

/// The permits of a stream that has begun, by [`Run::held`]. Say how the stream ended with [`end`](Self::end); dropping
/// them instead means that the caller went away.
pub struct HeldPermits<P: Deref<Target = Pipeline>, C: Clock>(Running<P, C>);

impl<P: Deref<Target = Pipeline>, C: Clock> HeldPermits<P, C> {
    /// The stream ended with this outcome: the permits go back, and circuit breakers count it.
    pub fn end(mut self, outcome: Outcome) {
        let now = self.0.clock.now();
        self.0.execution.handle_end(outcome, now);
    }

    /// The stream has used so many tokens more, by its own report or as far as it was read. Rate limits of tokens are settled
    /// with it when the permits go back.
    pub fn used_tokens(&mut self, tokens: u32) {
        self.0.execution.handle_used_tokens(tokens);
    }

    /// How many calls were made for the answer, of the operation and of alternatives.
    pub fn calls(&self) -> u32 {
        self.0.execution.calls()
    }
}

/// An execution with its clock, so that it can end at the right time however its driver ends.
struct Running<P: Deref<Target = Pipeline>, C: Clock> {
    execution: Execution<P>,
    clock: C,
    /// Set while the operation's own code runs: if it is still set when we are dropped, it panicked.
    in_operation: bool,
}

impl<P: Deref<Target = Pipeline>, C: Clock> Drop for Running<P, C> {
    fn drop(&mut self) {
        if self.in_operation {
            self.execution.abandon(self.clock.now(), Cause::Panicked);
        } else if self.execution.is_open() {
            self.execution.abandon(self.clock.now(), Cause::CallerGone);
        }
    }
}

impl<P: Deref<Target = Pipeline>, C: Clock> Running<P, C> {
    fn operation<R>(&mut self, run: impl FnOnce() -> R) -> R {
        self.in_operation = true;
        let result = run();
        self.in_operation = false;
        result
    }
}

impl Pipeline {
    /// A run of `operation` under these policies, outside of any registry; see [`Run`].
    pub fn run<Tm, F, R, M>(&self, timer: Tm, operation: F) -> Run<&Self, Tm, NoFallback<F, M>>
    where
        F: FnMut(Attempt) -> R,
        R: Answer<M>,
    {
        Run::new(self, timer, NoFallback::new(operation))
    }

    /// A run of `work` under these policies, outside of any registry: for work that has more to say than a function does.
    pub fn drive<Tm: Timer, W: Work>(&self, timer: Tm, work: W) -> Run<&Self, Tm, W> {
        Run::new(self, timer, work)
    }
}
