//! A request's body that is kept whole, so that it can be sent more than once.

use crate::runtime::BoxError;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use http_body::{Body, Frame, SizeHint};
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// The bytes of a body, and the trailers behind them.
#[derive(Clone, Default)]
pub(super) struct BufferedBody {
    data: Bytes,
    trailers: Option<HeaderMap>,
}

impl BufferedBody {
    pub(super) fn new(data: Bytes, trailers: Option<HeaderMap>) -> Self {
        Self { data, trailers: trailers.filter(|trailers| !trailers.is_empty()) }
    }

    /// The bytes of the body, without its trailers.
    pub(super) fn data(&self) -> Bytes {
        self.data.clone()
    }

    /// Sets the headers of the request that say how long its body is, and which trailers come behind it.
    pub(super) fn describe(&self, headers: &mut HeaderMap, method: &Method, says_length: bool) {
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::TRAILER);
        if let Some(trailers) = &self.trailers {
            let names: Vec<&str> = trailers.keys().map(HeaderName::as_str).collect();
            if let Ok(names) = HeaderValue::from_str(&names.join(", ")) {
                headers.insert(header::TRAILER, names);
            }
            return;
        }
        // hyper adds the length of a body that is there; servers ask for one also where a body is expected and
        // there is none (RFC 9110, 8.6).
        let expected = matches!(*method, Method::POST | Method::PUT | Method::PATCH);
        if self.data.is_empty() && (says_length || expected) {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from(0));
        }
    }
}

impl Body for BufferedBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if !self.data.is_empty() {
            let data = std::mem::take(&mut self.data);
            return Poll::Ready(Some(Ok(Frame::data(data))));
        }
        Poll::Ready(self.trailers.take().map(|trailers| Ok(Frame::trailers(trailers))))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_empty() && self.trailers.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let mut hint = SizeHint::with_exact(self.data.len() as u64);
        if self.trailers.is_some() {
            // HTTP/1.1 has no room for trailers behind a body of a known length.
            hint = SizeHint::new();
            hint.set_lower(self.data.len() as u64);
        }
        hint
    }
}
