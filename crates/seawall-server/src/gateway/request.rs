//! A request on its way: what is kept of it, so that it can be sent more than once.

use crate::{BoxError, config::Limits};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use std::{
    pin::Pin,
    sync::Mutex,
    task::{Context, Poll, ready},
    time::Duration,
};

/// The body as it is sent: kept whole, or passed on once as it comes.
pub(crate) type Outgoing = Either<Full<Bytes>, Upload>;

/// A request without its connection.
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// Without the headers that belong to the client's connection.
    pub(crate) headers: HeaderMap,
    body: Payload,
}

enum Payload {
    Whole(Bytes),
    Once(Mutex<Option<Upload>>),
}

/// Why a request was not taken.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    TooLarge(u64),
    TooSlow(Duration),
    Broken,
}

impl Exchange {
    /// Reads the body as far as it is to be kept.
    pub(crate) async fn read(
        parts: http::request::Parts,
        body: Incoming,
        limits: &Limits,
    ) -> Result<Self, Refused> {
        let http::request::Parts { method, uri, mut headers, .. } = parts;
        let body = read_payload(body, limits).await?;
        remove_connection_headers(&mut headers);
        if let Payload::Whole(_) = body {
            headers.remove(header::CONTENT_LENGTH);
        }
        Ok(Self { method, uri, headers, body })
    }

    /// Whether its body can be sent more than once.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.body, Payload::Whole(_))
    }

    /// The body for one more attempt; `None` when it is spent.
    pub(crate) fn body(&self) -> Option<Outgoing> {
        match &self.body {
            Payload::Whole(bytes) => Some(Either::Left(Full::new(bytes.clone()))),
            Payload::Once(upload) => {
                let mut upload = upload.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
                upload.take().map(Either::Right)
            }
        }
    }
}

async fn read_payload(mut body: Incoming, limits: &Limits) -> Result<Payload, Refused> {
    let declared = body.size_hint().lower();
    if declared > limits.max_body_bytes {
        return Err(Refused::TooLarge(limits.max_body_bytes));
    }
    if body.is_end_stream() {
        return Ok(Payload::Whole(Bytes::new()));
    }
    let mut kept = BytesMut::new();
    loop {
        if declared.max(kept.len() as u64) > limits.max_replay_bytes {
            let left = limits.max_body_bytes.saturating_sub(kept.len() as u64);
            let upload = Upload { kept: Some(kept.freeze()), rest: body, left };
            return Ok(Payload::Once(Mutex::new(Some(upload))));
        }
        let frame = tokio::time::timeout(limits.client_timeout, body.frame()).await;
        match frame.map_err(|_| Refused::TooSlow(limits.client_timeout))? {
            Some(Ok(frame)) => {
                let Ok(data) = frame.into_data() else { continue };
                // Most bodies are one piece: no copy then.
                if kept.is_empty() && body.is_end_stream() {
                    return Ok(Payload::Whole(data));
                }
                kept.extend_from_slice(&data);
            }
            Some(Err(_)) => return Err(Refused::Broken),
            None => return Ok(Payload::Whole(kept.freeze())),
        }
    }
}

/// A body that is too long to keep: what was read of it, then the rest as it comes.
pub(crate) struct Upload {
    kept: Option<Bytes>,
    rest: Incoming,
    left: u64,
}

impl Body for Upload {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Some(kept) = self.kept.take().filter(|kept| !kept.is_empty()) {
            return Poll::Ready(Some(Ok(Frame::data(kept))));
        }
        let frame = ready!(Pin::new(&mut self.rest).poll_frame(cx));
        if let Some(Ok(frame)) = &frame {
            let length = frame.data_ref().map_or(0, Bytes::len) as u64;
            self.left = match self.left.checked_sub(length) {
                Some(left) => left,
                None => return Poll::Ready(Some(Err("the body is longer than allowed".into()))),
            };
        }
        Poll::Ready(frame.map(|frame| frame.map_err(BoxError::from)))
    }

    fn is_end_stream(&self) -> bool {
        self.kept.is_none() && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let kept = self.kept.as_ref().map_or(0, Bytes::len) as u64;
        let rest = self.rest.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(kept + rest.lower());
        if let Some(upper) = rest.upper() {
            hint.set_upper(kept + upper);
        }
        hint
    }
}

/// Headers that speak of one connection, not of the message (RFC 9110, 7.6.1).
pub(crate) fn remove_connection_headers(headers: &mut HeaderMap) {
    let listed: Vec<HeaderValue> = headers.get_all(header::CONNECTION).iter().cloned().collect();
    for name in listed.iter().filter_map(|value| value.to_str().ok()).flat_map(|l| l.split(',')) {
        headers.remove(name.trim());
    }
    for name in [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRAILER,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        http::HeaderName::from_static("keep-alive"),
        http::HeaderName::from_static("proxy-connection"),
    ] {
        headers.remove(name);
    }
}
