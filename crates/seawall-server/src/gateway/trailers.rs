//! Trailers on their way: without fields that mean something only before a body (RFC 9110, 6.5.1).

use bytes::Bytes;
use http::{HeaderMap, HeaderName, header};
use http_body::Frame;

/// The frame, with its trailers cleaned where it has some.
pub(super) fn of(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(cleaned(trailers)),
        Err(frame) => frame,
    }
}

/// Takes out what frames or routes the message, says who sent it or who it is for: a recipient that adds trailers to
/// the headers must not be misled by them.
pub(super) fn cleaned(mut trailers: HeaderMap) -> HeaderMap {
    super::request::remove_connection_headers(&mut trailers);
    let forbidden: Vec<HeaderName> =
        trailers.keys().filter(|name| is_forbidden(name)).cloned().collect();
    for name in forbidden {
        trailers.remove(name);
    }
    trailers
}

fn is_forbidden(name: &HeaderName) -> bool {
    const FORBIDDEN: [HeaderName; 14] = [
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONTENT_ENCODING,
        header::CONTENT_LENGTH,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::COOKIE,
        header::EXPECT,
        header::FORWARDED,
        header::HOST,
        header::MAX_FORWARDS,
        header::SET_COOKIE,
        header::TRAILER,
        header::VIA,
    ];
    FORBIDDEN.contains(name)
        || name.as_str().starts_with("x-forwarded-")
        || name.as_str().starts_with("x-seawall-")
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    #[test]
    fn what_belongs_before_a_body_is_taken_out() {
        let mut trailers = HeaderMap::new();
        for name in [
            "grpc-status",
            "x-checksum",
            "content-length",
            "transfer-encoding",
            "host",
            "x-forwarded-for",
            "authorization",
            "te",
            "connection",
            "x-seawall-attempt",
            "set-cookie",
            "trailer",
        ] {
            trailers.insert(name, HeaderValue::from_static("x"));
        }
        let mut left: Vec<_> = cleaned(trailers).keys().map(HeaderName::to_string).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-status", "x-checksum"]);
    }
}
