//! The work of a route and of its upstreams, as their operations drive it.

use super::{
    request::InboundRequest,
    response_start::StartedResponse,
    trace::RequestTrace,
    upstream::{CallError, Upstream},
};
use crate::runtime::HeldPermits;
use seawall::{Attempt, Attributes, Error, Outcome, Work, WorkResult};
use std::{
    future::{Future, Ready},
    pin::Pin,
    sync::Arc,
    time::Duration,
};

/// The longest `Retry-After` that is waited for while a healthy fallback stands ready.
const WORTH_WAITING: Duration = Duration::from_secs(1);

/// The answer of an upstream, with the permits that last as long as its body.
pub(super) struct UpstreamAnswer<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) started: StartedResponse,
    pub(super) permits: HeldPermits,
}

/// The reason why an upstream gave no answer: its policies refused or cut off the call, or the last call failed.
pub(super) struct UpstreamError<'a> {
    pub(super) upstream: &'a Upstream,
    pub(super) error: Error<CallError>,
}

/// The work of a route: it asks the first upstream, then the fallbacks.
pub(super) struct RouteWork<'a> {
    pub(super) request: &'a InboundRequest,
    pub(super) upstreams: &'a [Arc<Upstream>],
    pub(super) trace: &'a RequestTrace,
}

type Asking<'a> =
    Pin<Box<dyn Future<Output = Result<UpstreamAnswer<'a>, UpstreamError<'a>>> + Send + 'a>>;

impl<'a> Work for RouteWork<'a> {
    type Value = UpstreamAnswer<'a>;
    type Error = UpstreamError<'a>;
    type Call = Asking<'a>;
    type Alternative = Asking<'a>;

    fn alternatives(&self) -> u32 {
        self.upstreams.len().saturating_sub(1) as u32
    }

    fn call(&mut self, _: Attempt) -> Asking<'a> {
        self.ask(0)
    }

    fn fallback(
        &mut self,
        nth: u32,
        failed: WorkResult<Self>,
    ) -> Result<Asking<'a>, WorkResult<Self>> {
        if self.request.is_consumed() { Err(failed) } else { Ok(self.ask(nth as usize)) }
    }

    fn caller_wait(&self) -> Duration {
        self.request.waited()
    }
}

impl<'a> RouteWork<'a> {
    /// Asks the upstream at this position, under its own policies.
    fn ask(&self, position: usize) -> Asking<'a> {
        let Self { request, upstreams, trace } = *self;
        let upstream = &*upstreams[position];
        let fallback_stands_ready = upstreams[position + 1..].iter().any(|next| next.is_healthy());
        trace.note_upstream(position);
        Box::pin(async move {
            let attributes = Attributes {
                tokens: request.expected_tokens(),
                repeatable: upstream.may_repeat(request),
                max_retry_after: if fallback_stands_ready { WORTH_WAITING } else { Duration::MAX },
                ..Attributes::default()
            };
            let first_endpoint = upstream.first_endpoint();
            let call = |attempt| {
                let noted = trace.begin_call(upstream);
                async move {
                    let result = upstream.call(request, first_endpoint, attempt).await;
                    if let Some(noted) = noted {
                        noted.end(&result);
                    }
                    result
                }
            };
            let work = UpstreamWork { call, request, waited_before: request.waited() };
            match upstream
                .operation
                .drive(work)
                .attributes(attributes)
                .classify(classify_call)
                .held()
                .await
            {
                Ok((started, permits)) => Ok(UpstreamAnswer { upstream, started, permits }),
                Err(error) => {
                    if let Error::Rejected(rejected) = &error {
                        let detail = rejected.to_string();
                        trace.note_refusal(upstream, rejected.reason.label(), &detail);
                    }
                    Err(UpstreamError { upstream, error })
                }
            }
        })
    }
}

/// Classifies what an upstream's whole pipeline gave, for the policies of the route.
pub(super) fn classify_answer(result: &Result<UpstreamAnswer<'_>, UpstreamError<'_>>) -> Outcome {
    match result {
        Ok(answer) => answer.started.outcome(),
        Err(UpstreamError { error, .. }) => error.outcome(CallError::outcome),
    }
}

/// The work of an upstream: its calls. They wait for the client where its body is passed on as it comes.
struct UpstreamWork<'a, F> {
    call: F,
    request: &'a InboundRequest,
    /// How long the gateway had waited for the client before.
    waited_before: Duration,
}

impl<F, Call> Work for UpstreamWork<'_, F>
where
    F: FnMut(Attempt) -> Call,
    Call: Future<Output = Result<StartedResponse, CallError>>,
{
    type Value = StartedResponse;
    type Error = CallError;
    type Call = Call;
    type Alternative = Ready<Result<StartedResponse, CallError>>;

    fn alternatives(&self) -> u32 {
        0
    }

    fn call(&mut self, attempt: Attempt) -> Call {
        (self.call)(attempt)
    }

    fn fallback(
        &mut self,
        _: u32,
        failed: WorkResult<Self>,
    ) -> Result<Self::Alternative, WorkResult<Self>> {
        Err(failed)
    }

    fn caller_wait(&self) -> Duration {
        self.request.waited().saturating_sub(self.waited_before)
    }
}

/// Classifies one call by the start of its answer, and a failed one by its kind.
fn classify_call(result: &Result<StartedResponse, CallError>) -> Outcome {
    match result {
        Ok(started) => started.outcome(),
        Err(error) => error.outcome(),
    }
}
