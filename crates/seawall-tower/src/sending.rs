//! One attempt: a request on its way through a service.

use pin_project_lite::pin_project;
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};
use tower_service::Service;

pin_project! {
    /// A request that waits until its service is ready, and is then sent.
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
    /// `service` must be a clone for this call alone, since the readiness of the original says nothing about a clone.
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
