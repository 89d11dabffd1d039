//! A request on its way: what is kept of it, so that it can be sent more than once.

use super::{interim::Passage, kept::Kept, trailers};
use crate::{BoxError, config::Limits};
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either};
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
pub(crate) type Outgoing = Either<Kept, Upload>;

/// A request without its connection.
pub(crate) struct Exchange {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    /// Without the headers that belong to the client's connection.
    pub(crate) headers: HeaderMap,
    /// The host that the client asked for.
    pub(crate) host: Option<HeaderValue>,
    /// Whether the client can read trailers.
    takes_trailers: bool,
    /// Where interim responses go.
    pub(crate) interim: Option<Passage>,
    body: Payload,
    fault: Fault,
}

/// What the client did wrong while its body was already being passed on.
type Fault = Arc<OnceLock<Refused>>;

enum Payload {
    Whole(Kept),
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
        let takes_trailers = has_token(&headers, &header::TE, b"trailers");
        let has_length = headers.contains_key(header::CONTENT_LENGTH);
        let says_length = has_length || headers.contains_key(header::TRANSFER_ENCODING);
        remove_connection_headers(&mut headers);
        match &body {
            Payload::Whole(kept) => kept.describe(&mut headers, &method, says_length),
            Payload::Once(_) if has_length => drop(headers.remove(header::TRAILER)),
            Payload::Once(_) => {}
        }
        let host = headers.get(header::HOST).cloned();
        Ok(Self { method, uri, headers, host, takes_trailers, interim: None, body, fault })
    }

    /// Adds the headers that belong to one connection to an upstream.
    pub(crate) fn frame(&self, headers: &mut HeaderMap, is_http1: bool) {
        if self.takes_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            // HTTP/2 knows `TE: trailers` and no `Connection`; behind TLS either may be spoken.
            if is_http1 {
                headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
            }
        }
        let is_endless = match &self.body {
            Payload::Whole(kept) => kept.size_hint().exact().is_none(),
            Payload::Once(_) => !headers.contains_key(header::CONTENT_LENGTH),
        };
        // hyper sends no body of unknown length with these unless it is asked to.
        if is_endless && matches!(self.method, Method::GET | Method::HEAD) {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }

    /// Has the interim responses to a request passed on to the client, where it can take them.
    pub(crate) fn take_interim<B>(&self, request: &mut http::Request<B>) {
        let Some(passage) = self.interim.clone() else { return };
        hyper::ext::on_informational(request, move |response| {
            passage.pass(response.status(), response.version(), response.headers());
        });
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
            Payload::Whole(kept) => Some(Either::Left(kept.clone())),
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
        return Ok(Payload::Whole(Kept::default()));
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
                let data = match frame.into_data() {
                    Ok(data) => data,
                    // They are the end of a body.
                    Err(frame) => {
                        let trailers = frame.into_trailers().ok().map(trailers::cleaned);
                        return Ok(Payload::Whole(Kept::new(kept.freeze(), trailers)));
                    }
                };
                if kept.len().saturating_add(data.len()) as u64 > limits.max_body_bytes {
                    return Err(Refused::TooLarge(limits.max_body_bytes));
                }
                // Most bodies are one piece: no copy then.
                if kept.is_empty() && body.is_end_stream() {
                    return Ok(Payload::Whole(Kept::new(data, None)));
                }
                kept.extend_from_slice(&data);
            }
            Some(Err(_)) => return Err(Refused::Broken),
            None => return Ok(Payload::Whole(Kept::new(kept.freeze(), None))),
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
                        Poll::Ready(Some(Ok(trailers::of(frame))))
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

/// Whether a list of tokens has this one.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    let lines = headers.get_all(name).iter();
    let mut tokens = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    tokens.any(|one| {
        // What stands behind a semicolon is a parameter.
        let bare = one.split(|&byte| byte == b';').next().unwrap_or_default();
        bare.trim_ascii().eq_ignore_ascii_case(token)
    })
}

/// Whether a message has no transfer coding but `chunked`.
pub(crate) fn is_plainly_coded(headers: &HeaderMap) -> bool {
    let codings = headers.get_all(header::TRANSFER_ENCODING).iter();
    let mut codings = codings.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    match codings.next() {
        None => true,
        Some(only) => {
            only.trim_ascii().eq_ignore_ascii_case(b"chunked") && codings.next().is_none()
        }
    }
}

/// Headers that speak of one connection, not of the message (RFC 9110, 7.6.1). A length beside
/// `Transfer-Encoding` is no length (RFC 9112, 6.3).
pub(crate) fn remove_connection_headers(headers: &mut HeaderMap) {
    let lines = headers.get_all(header::CONNECTION).iter();
    let names = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    let listed: Vec<HeaderName> = names
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        .filter(|name| !is_for_everyone(name))
        .collect();
    for name in listed {
        headers.remove(name);
    }
    if headers.contains_key(header::TRANSFER_ENCODING) {
        headers.remove(header::CONTENT_LENGTH);
    }
    for name in [
        header::CONNECTION,
        header::PROXY_AUTHENTICATE,
        header::PROXY_AUTHORIZATION,
        header::TE,
        header::TRANSFER_ENCODING,
        header::UPGRADE,
        HeaderName::from_static("keep-alive"),
        HeaderName::from_static("proxy-connection"),
    ] {
        headers.remove(name);
    }
}

/// What is written for every recipient cannot be taken out of the message by naming it in `Connection`: a client
/// could make what a trusted proxy said of it disappear.
fn is_for_everyone(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-")
        || name.starts_with("x-seawall-")
        || ["host", "via", "forwarded", "content-length", "x-correlation-id"].contains(&name)
}
