//! The results of calls, kept until the execution says which of them is the answer.

use crate::{
    command::{CallId, Resolution},
    error::{Elapsed, Error, Rejected},
    outcome::{CallerFault, Outcome},
    pipeline::Pipeline,
    rejection::{Reason, Rejection},
};
use smallvec::SmallVec;
use std::time::Duration;

pub(super) type Results<T, E> = SmallVec<[(CallId, Result<T, E>); 1]>;

/// Takes a call's result out of those kept.
fn take<T, E>(results: &mut Results<T, E>, call: Option<CallId>) -> Option<Result<T, E>> {
    let at = results.iter().position(|(id, _)| Some(*id) == call)?;
    Some(results.swap_remove(at).1)
}

/// Keeps what an operation came to as the result of `id`; timeouts and rejections are no results.
pub(super) fn keep<T, E>(results: &mut Results<T, E>, id: CallId, came_to: Result<T, Error<E>>) {
    match came_to {
        Ok(value) => results.push((id, Ok(value))),
        Err(Error::Inner(error)) => results.push((id, Err(error))),
        Err(_) => {}
    }
}

/// The answer that a resolution stands for.
pub(super) fn answer<T, E>(
    done: Resolution,
    pipeline: &Pipeline,
    results: &mut Results<T, E>,
) -> Result<T, Error<E>> {
    match done.outcome {
        // A timeout or a refusal of the operation's own, by its classification: its error says more than ours, and
        // where it comes from.
        Outcome::TimedOut { limit } => match take(results, done.call) {
            Some(Err(error)) => Err(Error::Inner(error)),
            _ => Err(cut_off(pipeline, limit, false)),
        },
        Outcome::Rejected(rejection) => match take(results, done.call) {
            Some(Err(error)) => Err(Error::Inner(error)),
            _ => Err(refused(pipeline, rejection)),
        },
        Outcome::CallerFault(CallerFault::Deadline { limit }) if done.call.is_none() => {
            Err(cut_off(pipeline, limit, true))
        }
        Outcome::Success | Outcome::Failure(_) | Outcome::CallerFault(_) => {
            match take(results, done.call) {
                Some(result) => result.map_err(Error::Inner),
                // A policy answered in place of a call, so there is neither a value nor an error.
                None => {
                    let injected = matches!(done.outcome, Outcome::Failure(_));
                    let reason = if injected { Reason::FaultInjected } else { Reason::NotCalled };
                    Err(refused(pipeline, Rejection::new(reason, None)))
                }
            }
        }
    }
}

fn refused<E>(pipeline: &Pipeline, rejection: Rejection) -> Error<E> {
    Error::Rejected(Rejected::new(pipeline.name().clone(), rejection))
}

fn cut_off<E>(pipeline: &Pipeline, limit: Duration, by_caller: bool) -> Error<E> {
    Error::TimedOut(Elapsed { operation: pipeline.name().clone(), limit, by_caller })
}
