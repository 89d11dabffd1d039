//! One attempt: a request on its way through a service.

use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_service::Service;

pin_project! {
    /// A request that waits for its service to be ready, and is then under way.
    #[project = Stage]
    pub(crate) enum Sending<S, Q>
    where
        S: Service<Q>,
    {
        Waiting { service: S, request: Option<Q> },
        Calling { #[pin] answer: S::Future },
    }
}

impl<S: Service<Q>, Q> Sending<S, Q> {
    /// `service` must be this call's own: a clone is ready when it says so itself, whatever the original said.
    pub(crate) fn new(service: S, request: Q) -> Self {
        Self::Waiting { service, request: Some(request) }
    }
}

impl<S: Service<Q>, Q> Future for Sending<S, Q> {
    type Output = Result<S::Response, S::Error>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        loop {
            let answer = match self.as_mut().project() {
                Stage::Calling { answer } => return answer.poll(cx),
                Stage::Waiting { service, request } => {
                    ready!(service.poll_ready(cx))?;
                    service.call(request.take().expect("it goes when the waiting ends"))
                }
            };
            self.set(Self::Calling { answer });
        }
    }
}
