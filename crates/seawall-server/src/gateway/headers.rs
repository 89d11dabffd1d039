//! Rules of HTTP for headers and trailers that pass through a proxy.

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header};
use http_body::Frame;

/// Joins the fields in which HTTP/2 may send a cookie: HTTP/1.1 knows a single one (RFC 9113, 8.2.3).
pub(super) fn join_cookies(headers: &mut HeaderMap) {
    if headers.get_all(header::COOKIE).iter().nth(1).is_none() {
        return;
    }
    let parts: Vec<&[u8]> =
        headers.get_all(header::COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if let Ok(whole) = HeaderValue::from_bytes(&parts.join(&b"; "[..])) {
        headers.insert(header::COOKIE, whole);
    }
}

/// Whether a header that is a list of tokens has this one; parameters of the tokens are ignored.
pub(super) fn has_token(headers: &HeaderMap, name: &HeaderName, token: &[u8]) -> bool {
    let lines = headers.get_all(name).iter();
    let mut tokens = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    tokens.any(|one| {
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

/// Removes the headers that concern one connection, not the message (RFC 9110, 7.6.1), and a length beside
/// `Transfer-Encoding`, which is none (RFC 9112, 6.3).
pub(super) fn remove_connection_headers(headers: &mut HeaderMap) {
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

/// Whether a header is written for every recipient. Naming it in `Connection` does not remove it, or a client could make
/// what a trusted proxy said of it disappear.
fn is_for_everyone(name: &HeaderName) -> bool {
    let name = name.as_str();
    name.starts_with("x-forwarded-")
        || name.starts_with("x-seawall-")
        || ["host", "via", "forwarded", "content-length", "x-correlation-id"].contains(&name)
}

/// Passes a frame on; trailers lose the fields that mean something only before a body (RFC 9110, 6.5.1).
pub(super) fn with_clean_trailers(frame: Frame<Bytes>) -> Frame<Bytes> {
    match frame.into_trailers() {
        Ok(trailers) => Frame::trailers(clean_trailers(trailers)),
        Err(frame) => frame,
    }
}

/// Removes from trailers what frames or routes the message, says who sent it or who it is for: a recipient that adds
/// trailers to the headers must not be misled by them.
fn clean_trailers(mut trailers: HeaderMap) -> HeaderMap {
    remove_connection_headers(&mut trailers);
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

    #[test]
    fn headers_that_are_no_trailers_are_removed() {
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
        let mut left: Vec<_> = clean_trailers(trailers).keys().map(HeaderName::to_string).collect();
        left.sort_unstable();
        assert_eq!(left, ["grpc-status", "x-checksum"]);
    }
}
