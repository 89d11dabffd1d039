//! Responses that are collected, up to a bound, so that they can be given more than once.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, header, response::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// The body of a response of [`CacheLayer`](crate::CacheLayer) or [`CoalesceLayer`](crate::CoalesceLayer): collected
/// bytes, or the service's own body where that was too long to be collected.
pub type Buffered<R> = Either<Full<Bytes>, Resumed<R>>;

/// A collected response, which can be given again.
#[derive(Clone, Debug)]
pub(crate) struct Whole {
    pub(crate) parts: Parts,
    pub(crate) body: Bytes,
}

impl Whole {
    pub(crate) fn response<R: Body>(self) -> Response<Buffered<R>> {
        Response::from_parts(self.parts, Either::Left(Full::from(self.body)))
    }
}

/// Whether the response to a request may be given to other callers: it is a GET or HEAD without ranges and without
/// credentials, except credentials that are part of the key.
pub(crate) fn is_for_all<B>(request: &Request<B>, keyed: &[header::HeaderName]) -> bool {
    let plain = matches!(*request.method(), Method::GET | Method::HEAD);
    let has =
        |name: header::HeaderName| !keyed.contains(&name) && request.headers().contains_key(name);
    plain && !has(header::AUTHORIZATION) && !has(header::COOKIE) && !has(header::RANGE)
}

/// The values of these headers in the order of `names`, as part of a key.
pub(crate) fn values(headers: &HeaderMap, names: &[header::HeaderName]) -> Vec<Vec<u8>> {
    let all = |name: &header::HeaderName| {
        let values = headers.get_all(name).iter();
        values.flat_map(|value| value.as_bytes().iter().copied().chain([b'\n'])).collect()
    };
    names.iter().map(all).collect()
}

/// Removes the headers that are about one connection (RFC 9110, 7.6.1), and the extensions.
fn without_connection(mut parts: Parts) -> Parts {
    parts.extensions.clear();
    let listed: Vec<header::HeaderName> = directives(&parts.headers, header::CONNECTION)
        .filter_map(|name| name.parse().ok())
        .collect();
    let always = [
        "connection",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
    ];
    for name in listed.into_iter().chain(always.map(header::HeaderName::from_static)) {
        parts.headers.remove(name);
    }
    parts
}

/// The members of a comma-separated header, in lower case.
pub(crate) fn directives(
    headers: &HeaderMap,
    name: header::HeaderName,
) -> impl Iterator<Item = String> + use<> {
    let values = headers.get_all(name).iter().filter_map(|value| value.to_str().ok());
    let words: Vec<String> = values
        .flat_map(|value| value.split(','))
        .map(|word| word.trim().to_ascii_lowercase())
        .filter(|word| !word.is_empty())
        .collect();
    words.into_iter()
}

/// The result of [`collect`].
pub(crate) enum Collected<R: Body> {
    /// The whole response.
    Whole(Whole),
    /// A response that cannot be kept. Its body begins with what was read of it.
    Resumed(Response<Buffered<R>>),
}

/// Collects the body of a response, if it has at most `most` bytes, no trailers and no error.
pub(crate) async fn collect<R>(response: Response<R>, most: usize) -> Collected<R>
where
    R: Body<Data = Bytes> + Unpin,
{
    let (parts, mut body) = response.into_parts();
    let mut read = BytesMut::new();
    let resumed = |parts, read: BytesMut, failed, trailers, rest| {
        let first = (!read.is_empty()).then(|| read.freeze());
        let resumed = Resumed { first, failed, trailers, rest };
        Collected::Resumed(Response::from_parts(parts, Either::Right(resumed)))
    };
    if body.size_hint().lower() > most as u64 {
        return resumed(parts, read, None, None, body);
    }
    while let Some(frame) = body.frame().await {
        match frame.map(Frame::into_data) {
            Ok(Ok(data)) => {
                read.extend_from_slice(&data);
                if read.len() > most {
                    return resumed(parts, read, None, None, body);
                }
            }
            // Trailers are not kept.
            Ok(Err(trailers)) => return resumed(parts, read, None, Some(trailers), body),
            Err(error) => return resumed(parts, read, Some(error), None, body),
        }
    }
    // Copied, so that no spare capacity is kept.
    Collected::Whole(Whole {
        parts: without_connection(parts),
        body: Bytes::copy_from_slice(&read),
    })
}

pin_project! {
    /// A body whose beginning was read before it turned out too long to be kept, or to fail.
    #[derive(Debug)]
    pub struct Resumed<R: Body> {
        first: Option<Bytes>,
        failed: Option<R::Error>,
        trailers: Option<Frame<Bytes>>,
        #[pin]
        rest: R,
    }
}

impl<R: Body<Data = Bytes>> Body for Resumed<R> {
    type Data = Bytes;
    type Error = R::Error;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, R::Error>>> {
        let this = self.project();
        if let Some(first) = this.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        if let Some(error) = this.failed.take() {
            return Poll::Ready(Some(Err(error)));
        }
        if let Some(trailers) = this.trailers.take() {
            return Poll::Ready(Some(Ok(trailers)));
        }
        this.rest.poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        let kept = self.first.is_some() || self.failed.is_some() || self.trailers.is_some();
        !kept && self.rest.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = self.rest.size_hint();
        let first = self.first.as_ref().map_or(0, |first| first.len() as u64);
        let mut hint = SizeHint::new();
        hint.set_lower(rest.lower() + first);
        if let Some(upper) = rest.upper() {
            hint.set_upper(upper + first);
        }
        hint
    }
}

/// Passes a body on without collecting it.
pub(crate) fn untouched<R: Body<Data = Bytes>>(rest: R) -> Buffered<R> {
    Either::Right(Resumed { first: None, failed: None, trailers: None, rest })
}
