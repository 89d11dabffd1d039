//! A client's request: what the gateway has of it, and what may still be sent.

use super::{
    buffered_body::BufferedBody,
    client_body::{ClientBody, UnreadBody},
    headers::{has_token, remove_connection_headers},
    interim::InterimRelay,
    upload::{StreamedUpload, UploadLease},
    usage::Estimate,
};
use crate::config::Limits;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, HeaderValue, Method, Uri, header};
use http_body::Body;
use http_body_util::Either;
use hyper::body::Incoming;
use seawall_tower::ATTEMPT_HEADER;
use std::{
    future::poll_fn,
    sync::{Arc, OnceLock},
    time::Duration,
};

/// The body of one call to an upstream: a copy of what is kept whole, or the stream that is passed on once.
pub(super) type OutgoingBody = Either<BufferedBody, UploadLease>;

/// A client's request, without the connection that it came on.
pub(super) struct InboundRequest {
    pub(super) method: Method,
    pub(super) uri: Uri,
    /// The headers that upstreams get, without those of the client's connection.
    pub(super) headers: HeaderMap,
    /// The host that the client asked for.
    pub(super) host: Option<HeaderValue>,
    /// Whether the client can read trailers.
    takes_trailers: bool,
    /// The relay of interim responses; `None` if the client can take none.
    pub(super) interim: Option<InterimRelay>,
    /// Whether its client repeats requests by itself. Two layers of retries would multiply.
    pub(super) is_retried_outside: bool,
    /// The tokens of language models that it is expected to use; `None` where nobody counts them.
    pub(super) estimate: Option<Estimate>,
    body: RequestBody,
    fault: SharedFault,
}

/// The first fault of the client while its body is passed on, as its readers share it.
pub(super) type SharedFault = Arc<OnceLock<RequestError>>;

enum RequestBody {
    /// Read to its end, and sent as often as needed.
    Buffered(BufferedBody),
    /// Too long to keep: passed on once, as it comes.
    Streamed(Arc<StreamedUpload>),
}

/// A fault of a request that its client is to blame for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum RequestError {
    /// The body is longer than this many bytes.
    BodyTooLarge(u64),
    /// Nothing of the body came for this long.
    BodyTooSlow(Duration),
    /// The body came, on average, in fewer bytes a second than this.
    BodyBelowRate(u64),
    /// The body broke off before its end.
    BodyBroken,
    /// The path, behind that of the endpoint, is longer than an address may be.
    PathTooLong,
}

impl InboundRequest {
    /// Reads a request, and its body as far as that is to be kept.
    pub(super) async fn read(
        mut parts: http::request::Parts,
        body: Incoming,
        limits: &Limits,
    ) -> Result<Self, RequestError> {
        let fault = SharedFault::default();
        let unread = parts.extensions.remove::<UnreadBody>().unwrap_or_default();
        let body = read_body(body, limits, unread, &fault).await?;
        Ok(Self::new(parts, body, fault))
    }

    /// A request that was kept, with its whole body.
    pub(super) fn kept(parts: http::request::Parts, body: Bytes) -> Self {
        let body = RequestBody::Buffered(BufferedBody::new(body, None));
        Self::new(parts, body, SharedFault::default())
    }

    fn new(parts: http::request::Parts, body: RequestBody, fault: SharedFault) -> Self {
        let http::request::Parts { method, uri, mut headers, .. } = parts;
        let is_retried_outside = headers.remove(ATTEMPT_HEADER).is_some();
        let takes_trailers = has_token(&headers, &header::TE, b"trailers");
        let has_length = headers.contains_key(header::CONTENT_LENGTH);
        let says_length = has_length || headers.contains_key(header::TRANSFER_ENCODING);
        remove_connection_headers(&mut headers);
        match &body {
            RequestBody::Buffered(body) => body.describe(&mut headers, &method, says_length),
            RequestBody::Streamed(_) if has_length => drop(headers.remove(header::TRAILER)),
            RequestBody::Streamed(_) => {}
        }
        let host = headers.get(header::HOST).cloned();
        Self {
            method,
            uri,
            headers,
            host,
            takes_trailers,
            interim: None,
            is_retried_outside,
            estimate: None,
            body,
            fault,
        }
    }

    /// Estimates the tokens that the request will use, so that limits count them. Its answer must be readable for that: it is
    /// asked for without compression.
    pub(super) fn count_tokens(&mut self) {
        let path = self.uri.path();
        self.estimate = Some(match &self.body {
            RequestBody::Buffered(body) => Estimate::of(path, &body.data(), 0),
            RequestBody::Streamed(upload) => {
                let length = self.headers.get(header::CONTENT_LENGTH);
                let length = length.and_then(|length| length.to_str().ok()?.parse().ok());
                Estimate::of(path, &upload.kept(), length.unwrap_or(0))
            }
        });
        let plain = HeaderValue::from_static("identity");
        if let Some(encoding) = self.headers.get_mut(header::ACCEPT_ENCODING) {
            *encoding = plain;
        }
    }

    /// The number of tokens that limits take for the request before it is sent.
    pub(super) fn expected_tokens(&self) -> u32 {
        self.estimate.as_ref().map_or(0, Estimate::total)
    }

    /// Adds the headers that belong to the connection to an upstream.
    pub(super) fn add_connection_headers(&self, headers: &mut HeaderMap, is_http1: bool) {
        if self.takes_trailers {
            headers.insert(header::TE, HeaderValue::from_static("trailers"));
            // HTTP/2 knows `TE: trailers` and no `Connection`; behind TLS either may be spoken.
            if is_http1 {
                headers.insert(header::CONNECTION, HeaderValue::from_static("te"));
            }
        }
        let is_endless = match &self.body {
            RequestBody::Buffered(body) => body.size_hint().exact().is_none(),
            RequestBody::Streamed(_) => !headers.contains_key(header::CONTENT_LENGTH),
        };
        // hyper sends no body of unknown length with these unless it is asked to.
        if is_endless && matches!(self.method, Method::GET | Method::HEAD) {
            headers.insert(header::TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
    }

    /// Has interim responses to a call passed on to the client, where it can take them.
    pub(super) fn relay_interim<B>(&self, call: &mut http::Request<B>) {
        let Some(relay) = self.interim.clone() else { return };
        hyper::ext::on_informational(call, move |response| {
            relay.pass(response.status(), response.version(), response.headers());
        });
    }

    /// Whether the gateway may send the request more than once, as far as the request itself is concerned.
    pub(super) fn is_replayable(&self) -> bool {
        matches!(self.body, RequestBody::Buffered(_)) && !self.is_retried_outside
    }

    /// The client's fault, where it and not the upstream is to blame for a call that failed.
    pub(super) fn fault(&self) -> Option<RequestError> {
        self.fault.get().copied()
    }

    /// Notes what is wrong with the request; the first fault is the cause of those that follow.
    pub(super) fn blame(&self, fault: RequestError) {
        let _ = self.fault.set(fault);
    }

    /// Whether a part of the body is gone, so that the request cannot be sent any more.
    pub(super) fn is_consumed(&self) -> bool {
        match &self.body {
            RequestBody::Buffered(_) => false,
            RequestBody::Streamed(upload) => upload.is_consumed(),
        }
    }

    /// How long the gateway has waited for the client's bytes while passing its body on.
    pub(super) fn waited(&self) -> Duration {
        match &self.body {
            RequestBody::Buffered(_) => Duration::ZERO,
            RequestBody::Streamed(upload) => upload.waited(),
        }
    }

    /// The body, if it is kept whole.
    pub(super) fn kept_body(&self) -> Option<Bytes> {
        match &self.body {
            RequestBody::Buffered(body) => Some(body.data()),
            RequestBody::Streamed(_) => None,
        }
    }

    /// The upload, if the body is passed on as it comes.
    pub(super) fn upload(&self) -> Option<Arc<StreamedUpload>> {
        match &self.body {
            RequestBody::Buffered(_) => None,
            RequestBody::Streamed(upload) => Some(upload.clone()),
        }
    }

    /// The body for one more call; `None` when some of it is gone.
    pub(super) async fn body(&self) -> Option<OutgoingBody> {
        match &self.body {
            RequestBody::Buffered(body) => Some(Either::Left(body.clone())),
            RequestBody::Streamed(upload) => upload.lend().await.map(Either::Right),
        }
    }
}

/// Reads a body as far as it is to be kept: to its end, or until it is longer than `max_replay_bytes`.
async fn read_body(
    body: Incoming,
    limits: &Limits,
    unread: UnreadBody,
    fault: &SharedFault,
) -> Result<RequestBody, RequestError> {
    let declared = body.size_hint().lower();
    if declared > limits.max_body_bytes {
        return Err(RequestError::BodyTooLarge(limits.max_body_bytes));
    }
    let whole = |data, trailers| Ok(RequestBody::Buffered(BufferedBody::new(data, trailers)));
    if body.is_end_stream() {
        return whole(Bytes::new(), None);
    }
    let mut body = ClientBody::new(body, limits, unread);
    let mut kept = BytesMut::new();
    while declared.max(kept.len() as u64) <= limits.max_replay_bytes {
        let Some(frame) = poll_fn(|cx| body.poll(cx)).await else {
            return whole(kept.freeze(), None);
        };
        let data = match frame?.into_data() {
            Ok(data) => data,
            // Trailers are the end of a body.
            Err(frame) => return whole(kept.freeze(), frame.into_trailers().ok()),
        };
        // Most bodies are one piece: no copy then.
        if kept.is_empty() && body.is_end() {
            return whole(data, None);
        }
        kept.extend_from_slice(&data);
    }
    Ok(RequestBody::Streamed(StreamedUpload::new(body, kept.freeze(), fault.clone())))
}
