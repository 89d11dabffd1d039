//! A request on its way: what is kept of it, so that it can be sent more than once.

use super::{
    interim::InterimRelay,
    kept::Kept,
    upload::{Source, Unread, Upload, Uploads},
};
use crate::config::Limits;
use bytes::BytesMut;
use http::{HeaderMap, HeaderName, HeaderValue, Method, Uri, header};
use http_body::Body;
use http_body_util::Either;
use hyper::body::Incoming;
use std::{
    future::poll_fn,
    sync::{Arc, OnceLock},
    time::Duration,
};

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
    pub(crate) interim: Option<InterimRelay>,
    body: Payload,
    fault: Fault,
}

/// What the client did wrong while its body was already being passed on.
pub(super) type Fault = Arc<OnceLock<Refused>>;

enum Payload {
    Whole(Kept),
    Once(Arc<Uploads>),
}

/// Why a request was not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refused {
    TooLarge(u64),
    TooSlow(Duration),
    /// Its body came, on average, in fewer bytes a second.
    BelowRate(u64),
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
        let http::request::Parts { method, uri, mut headers, mut extensions, .. } = parts;
        let fault = Fault::default();
        let unread = extensions.remove::<Unread>().unwrap_or_default();
        let body = read_payload(body, limits, unread, &fault).await?;
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

    /// Whether some of its body is gone, so that it cannot be sent any more.
    pub(crate) fn is_spent(&self) -> bool {
        match &self.body {
            Payload::Whole(_) => false,
            Payload::Once(uploads) => uploads.is_spent(),
        }
    }

    /// How long the client has been waited for while its body was passed on.
    pub(crate) fn waited(&self) -> Duration {
        match &self.body {
            Payload::Whole(_) => Duration::ZERO,
            Payload::Once(uploads) => uploads.waited(),
        }
    }

    /// Its body, where it is passed on as it comes.
    pub(super) fn uploads(&self) -> Option<Arc<Uploads>> {
        match &self.body {
            Payload::Whole(_) => None,
            Payload::Once(uploads) => Some(uploads.clone()),
        }
    }

    /// The body for one more attempt; `None` when it is spent.
    pub(crate) async fn body(&self) -> Option<Outgoing> {
        match &self.body {
            Payload::Whole(kept) => Some(Either::Left(kept.clone())),
            Payload::Once(uploads) => uploads.lend().await.map(Either::Right),
        }
    }
}

async fn read_payload(
    body: Incoming,
    limits: &Limits,
    unread: Unread,
    fault: &Fault,
) -> Result<Payload, Refused> {
    let declared = body.size_hint().lower();
    if declared > limits.max_body_bytes {
        return Err(Refused::TooLarge(limits.max_body_bytes));
    }
    if body.is_end_stream() {
        return Ok(Payload::Whole(Kept::default()));
    }
    let mut source = Source::new(body, limits, unread);
    let mut kept = BytesMut::new();
    loop {
        if declared.max(kept.len() as u64) > limits.max_replay_bytes {
            return Ok(Payload::Once(Uploads::new(source, kept.freeze(), fault.clone())));
        }
        let Some(frame) = poll_fn(|cx| source.poll(cx)).await else {
            return Ok(Payload::Whole(Kept::new(kept.freeze(), None)));
        };
        let data = match frame?.into_data() {
            Ok(data) => data,
            // They are the end of a body.
            Err(frame) => {
                let trailers = frame.into_trailers().ok();
                return Ok(Payload::Whole(Kept::new(kept.freeze(), trailers)));
            }
        };
        // Most bodies are one piece: no copy then.
        if kept.is_empty() && source.is_end() {
            return Ok(Payload::Whole(Kept::new(data, None)));
        }
        kept.extend_from_slice(&data);
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
