//! A request on its way: what is kept of it, so that it can be sent more than once.

use crate::{BoxError, config::Limits};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full};
use hyper::body::Incoming;
use std::{
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::Sleep;

/// The body as it is sent: kept whole, or passed on once as it comes.
pub(crate) type Outgoing = Either<Full<Bytes>, Upload>;

/// A request without its connection.
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// Without the headers that belong to the client's connection.
    pub(crate) headers: HeaderMap,
    body: Payload,
    fault: Fault,
}

/// What the client did wrong while its body was already being passed on.
type Fault = Arc<OnceLock<Refused>>;

enum Payload {
    Whole(Bytes),
    Once(Mutex<Option<Upload>>),
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    TooLarge(u64),
    TooSlow(Duration),
    /// Its path, behind that of the endpoint, is longer than an address may be.
    TooLong,
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
        let fault = Fault::default();
        let body = read_payload(body, limits, &fault).await?;
        remove_connection_headers(&mut headers);
        if let Payload::Whole(_) = body {
            headers.remove(header::CONTENT_LENGTH);
        }
        Ok(Self { method, uri, headers, body, fault })
    }

    /// Whether its body can be sent more than once.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self.body, Payload::Whole(_))
    }

    /// Why the client, and not the upstream, is to blame for a call that failed.
    pub(crate) fn fault(&self) -> Option<Refused> {
        self.fault.get().copied()
    }

    /// Notes what is wrong with the request; the first fault is the cause of those that follow.
    pub(crate) fn blame(&self, refused: Refused) {
        let _ = self.fault.set(refused);
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

async fn read_payload(
    mut body: Incoming,
    limits: &Limits,
    fault: &Fault,
) -> Result<Payload, Refused> {
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
            let left = limits.max_body_bytes.checked_sub(kept.len() as u64);
            let upload = Upload {
                kept: Some(kept.freeze()),
                rest: body,
                left: left.ok_or(Refused::TooLarge(limits.max_body_bytes))?,
                bound: limits.max_body_bytes,
                patience: limits.client_timeout,
                alarm: None,
                fault: fault.clone(),
            };
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
    bound: u64,
    patience: Duration,
    /// Rings when nothing has come for `patience`; set while the client is waited for.
    alarm: Option<Pin<Box<Sleep>>>,
    fault: Fault,
}

impl Upload {
    fn blame(&self, refused: Refused) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        // The first fault is the cause of those that follow.
        let _ = self.fault.set(refused);
        Poll::Ready(Some(Err("the client's request broke off".into())))
    }

    fn is_too_slow(&mut self, cx: &mut Context<'_>) -> bool {
        let patience = self.patience;
        let alarm = self.alarm.get_or_insert_with(|| Box::pin(tokio::time::sleep(patience)));
        alarm.as_mut().poll(cx).is_ready()
    }
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
        match Pin::new(&mut self.rest).poll_frame(cx) {
            Poll::Pending if self.is_too_slow(cx) => self.blame(Refused::TooSlow(self.patience)),
            Poll::Pending => Poll::Pending,
            Poll::Ready(None) => Poll::Ready(None),
            Poll::Ready(Some(Err(_))) => self.blame(Refused::Broken),
            Poll::Ready(Some(Ok(frame))) => {
                self.alarm = None;
                let length = frame.data_ref().map_or(0, Bytes::len) as u64;
                match self.left.checked_sub(length) {
                    Some(left) => {
                        self.left = left;
                        Poll::Ready(Some(Ok(frame)))
                    }
                    None => self.blame(Refused::TooLarge(self.bound)),
                }
            }
        }
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

/// HTTP/2 may send a cookie in parts; HTTP/1.1 knows one field of them only (RFC 9113, 8.2.3).
pub(crate) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let parts: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        headers.insert(header::COOKIE, whole);
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
