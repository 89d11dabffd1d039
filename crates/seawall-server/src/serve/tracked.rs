//! The body of an answer, which holds what must last until its last byte.

use super::InProgress;
use crate::{
    gateway::{in_flight::InFlightPermit, response_body::ResponseBody},
    runtime::BoxError,
};
use bytes::Bytes;
use http::{Response, StatusCode, Version, header};
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// A body that keeps its request in progress.
pub(super) struct Tracked {
    body: ResponseBody,
    /// The length of a body that does not come with this answer.
    promised: Option<u64>,
    _in_progress: InProgress,
    /// The place among the requests in flight; requests of the control plane have none.
    _place: Option<InFlightPermit>,
}

impl Tracked {
    pub(super) fn new(
        body: ResponseBody,
        in_progress: InProgress,
        place: Option<InFlightPermit>,
    ) -> Self {
        Self { body, promised: None, _in_progress: in_progress, _place: place }
    }

    /// Adds the length that the headers name for a body that is not sent.
    pub(super) fn promising(mut self, promised: Option<u64>) -> Self {
        self.promised = promised;
        self
    }
}

/// The length that a 304 names: that of the body which the client has (RFC 9110, 8.6). hyper writes it in HTTP/1.1
/// only if the body claims the same length, and sends nothing of it.
pub(super) fn promised<B>(response: &Response<B>, version: Version) -> Option<u64> {
    let names = response.status() == StatusCode::NOT_MODIFIED && version < Version::HTTP_2;
    let length = response.headers().get(header::CONTENT_LENGTH).filter(|_| names)?;
    length.to_str().ok()?.parse().ok()
}

impl Body for Tracked {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.promised.is_none() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.promised.map_or_else(|| self.body.size_hint(), SizeHint::with_exact)
    }
}
