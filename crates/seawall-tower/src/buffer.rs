//! Answers small enough to be given to more than one.

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Method, Request, Response, header, response::Parts};
use http_body::{Body, Frame, SizeHint};
use http_body_util::{BodyExt, Either, Full};
use pin_project_lite::pin_project;
use std::{
    pin::Pin,
    task::{Context, Poll},
};

/// An answer's body: whole, or as it comes.
pub type Buffered<R> = Either<Full<Bytes>, Resumed<R>>;

/// An answer that can be given again.
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

/// Whether a request asks for nothing but what everybody may have: GET or HEAD, without credentials (unless they
/// are in the key) and without ranges.
pub(crate) fn is_for_all<B>(request: &Request<B>, keyed: &[header::HeaderName]) -> bool {
    let plain = matches!(*request.method(), Method::GET | Method::HEAD);
    let has =
        |name: header::HeaderName| !keyed.contains(&name) && request.headers().contains_key(name);
    plain && !has(header::AUTHORIZATION) && !has(header::COOKIE) && !has(header::RANGE)
}

/// The values of these headers, as part of a key.
pub(crate) fn values(headers: &HeaderMap, names: &[header::HeaderName]) -> Vec<Vec<u8>> {
    let all = |name: &header::HeaderName| {
        let values = headers.get_all(name).iter();
        values.flat_map(|value| value.as_bytes().iter().copied().chain([b'\n'])).collect()
    };
    names.iter().map(all).collect()
}

/// Headers that speak of one connection stay behind (RFC 9110, 7.6.1), and so does what was attached to it.
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

/// The words of a header that is a list, in small letters.
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

/// A body that was read up to a bound.
pub(crate) enum Collected<R: Body> {
    /// All of it.
    Whole(Whole),
    /// What could not be kept, as it goes on.
    Resumed(Response<Buffered<R>>),
}

/// Reads a body up to a bound: all of it, or what could not be kept, as it goes on.
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
            // Trailers are for one reader.
            Ok(Err(trailers)) => return resumed(parts, read, None, Some(trailers), body),
            Err(error) => return resumed(parts, read, Some(error), None, body),
        }
    }
    // Copied, so that what is kept is no longer than it is.
    Collected::Whole(Whole {
        parts: without_connection(parts),
        body: Bytes::copy_from_slice(&read),
    })
}

pin_project! {
    /// A body of which the beginning has been read already.
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

/// A body as it comes.
pub(crate) fn untouched<R: Body<Data = Bytes>>(rest: R) -> Buffered<R> {
    Either::Right(Resumed { first: None, failed: None, trailers: None, rest })
}
