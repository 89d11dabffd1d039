//! The facts about one request that its log line, its answer and its dead letter need, whatever becomes of it.

use super::{
    response_start::StartedResponse,
    route::Route,
    upstream::{CallError, CallErrorKind, Upstream},
};
use crate::{runtime::Operation, wall_clock};
use http::HeaderValue;
use seawall::Key;
use seawall_store::letters::{Attempt, MAX_ATTEMPTS};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU32, AtomicUsize, Ordering},
    },
    time::Instant,
};

/// What is noted of one request on its way.
pub(super) struct RequestTrace {
    pub(super) correlation: HeaderValue,
    /// The operation of the route that the request comes under, once there is one.
    pub(super) operation: Option<Operation>,
    /// The key of the route's rate limit.
    pub(super) key: Key,
    /// Calls of all upstreams; the permits of an answer know only those of the upstream that gave it.
    calls: AtomicU32,
    /// The number of upstreams of the route that were asked.
    asked: AtomicUsize,
    /// The calls one by one, where a dead letter may need them.
    attempts: Option<Mutex<Vec<Attempt>>>,
}

impl RequestTrace {
    pub(super) fn new(correlation: HeaderValue) -> Self {
        Self {
            correlation,
            operation: None,
            key: Key::NONE,
            calls: AtomicU32::new(0),
            asked: AtomicUsize::new(0),
            attempts: None,
        }
    }

    /// Notes each call from now on.
    pub(super) fn note_attempts(&mut self) {
        self.attempts = Some(Mutex::default());
    }

    /// The number of calls.
    pub(super) fn calls(&self) -> u32 {
        self.calls.load(Ordering::Relaxed)
    }

    /// A call of this upstream begins.
    pub(super) fn begin_call<'a>(&'a self, upstream: &'a Upstream) -> Option<OpenAttempt<'a>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let attempts = self.attempts.as_ref()?;
        Some(OpenAttempt { attempts, attempt: attempt_at(upstream), began: Instant::now() })
    }

    /// Notes that this upstream refused the request, so that there was no call.
    pub(super) fn note_refusal(&self, upstream: &Upstream, reason: &str, detail: &str) {
        if let Some(attempts) = &self.attempts {
            let (outcome, errors) = (reason.to_owned(), vec![detail.to_owned()]);
            push(attempts, Attempt { outcome, errors, ..attempt_at(upstream) });
        }
    }

    /// The calls that were noted, in the order in which they ended.
    pub(super) fn attempts(&self) -> Vec<Attempt> {
        let attempts = self.attempts.as_ref();
        attempts.map_or_else(Vec::new, |attempts| {
            attempts.lock().unwrap_or_else(PoisonError::into_inner).clone()
        })
    }

    /// The upstream at this position of the route is asked.
    pub(super) fn note_upstream(&self, position: usize) {
        self.asked.store(position + 1, Ordering::Relaxed);
    }

    /// The upstream that was asked last.
    pub(super) fn last_asked<'r>(&self, route: &'r Route) -> Option<&'r Upstream> {
        let position = self.asked.load(Ordering::Relaxed).checked_sub(1)?;
        route.upstreams.get(position).map(Arc::as_ref)
    }
}

/// A call that has begun. One that is dropped before its end was cut off.
pub(super) struct OpenAttempt<'a> {
    attempts: &'a Mutex<Vec<Attempt>>,
    attempt: Attempt,
    began: Instant,
}

impl OpenAttempt<'_> {
    /// Notes how the call ended.
    pub(super) fn end(mut self, result: &Result<StartedResponse, CallError>) {
        match result {
            Ok(started) => started.parts.status.as_str().clone_into(&mut self.attempt.outcome),
            Err(error) => {
                self.attempt.outcome = match error.kind {
                    CallErrorKind::NotSent => "not connected",
                    CallErrorKind::Broken => "broken off",
                    CallErrorKind::Late(_) => "timed out",
                    CallErrorKind::ClientFault => "spoiled by its client",
                }
                .to_owned();
                self.attempt.errors.push(error.to_string());
            }
        }
    }
}

impl Drop for OpenAttempt<'_> {
    fn drop(&mut self) {
        let mut attempt = std::mem::take(&mut self.attempt);
        if attempt.outcome.is_empty() {
            "cut off".clone_into(&mut attempt.outcome);
        }
        let took = self.began.elapsed().as_millis();
        attempt.duration_ms = u64::try_from(took).unwrap_or(u64::MAX);
        push(self.attempts, attempt);
    }
}

/// An attempt at this upstream that begins now.
fn attempt_at(upstream: &Upstream) -> Attempt {
    Attempt {
        at: wall_clock::now_ms(),
        upstream: Some(upstream.name.clone()),
        breaker: upstream.circuit().map(|state| state.label().to_owned()),
        ..Attempt::default()
    }
}

fn push(attempts: &Mutex<Vec<Attempt>>, attempt: Attempt) {
    let mut attempts = attempts.lock().unwrap_or_else(PoisonError::into_inner);
    if attempts.len() < MAX_ATTEMPTS {
        attempts.push(attempt);
    }
}
