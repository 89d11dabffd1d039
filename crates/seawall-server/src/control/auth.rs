//! Who may look and change.
//!
//! Keys come from `SEAWALL_API_KEYS` and are kept as hashes only. Without keys the server listens on loopback
//! only; then the address in `Host` must be loopback too, so that a web page cannot reach it under a name
//! of its own (DNS rebinding), and no page of another site may change anything.

use super::{Control, problem};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use sha2::{Digest, Sha256};
use std::net::IpAddr;
use subtle::ConstantTimeEq;

/// Hashes of the keys that open the control plane.
#[derive(Clone, Default)]
pub(crate) struct Keys(Vec<[u8; 32]>);

impl Keys {
    /// From a list with commas; empty entries do not count.
    pub(crate) fn parse(list: &str) -> Self {
        let keys = list.split(',').map(str::trim).filter(|key| !key.is_empty());
        Self(keys.map(hash).collect())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Compares with every key, in constant time.
    fn accepts(&self, key: &str) -> bool {
        let given = hash(key);
        let hits = self.0.iter().map(|known| known.ct_eq(&given).unwrap_u8());
        hits.fold(0, |any, hit| any | hit) == 1
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// The rules of one server.
pub(crate) struct Access {
    pub(crate) keys: Keys,
}

/// `Authorization: Bearer` wins over `X-API-Key`.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    match bearer.and_then(|value| value.strip_prefix("Bearer ")) {
        Some(key) => Some(key.trim()),
        None => headers.get("x-api-key").and_then(|value| value.to_str().ok()),
    }
}

/// Lets through who has a key, or everyone where none is set.
pub(super) async fn require_key(
    State(control): State<Control>,
    request: Request,
    next: Next,
) -> Response {
    let keys = &control.access.keys;
    let allowed =
        keys.is_empty() || presented(request.headers()).is_some_and(|key| keys.accepts(key));
    if allowed {
        return next.run(request).await;
    }
    let detail = "send a key as `Authorization: Bearer …` or `X-API-Key: …`";
    let mut response = problem(StatusCode::UNAUTHORIZED, "Key needed", detail);
    let realm = HeaderValue::from_static("Bearer realm=\"seawall\"");
    response.headers_mut().insert(header::WWW_AUTHENTICATE, realm);
    response
}

/// Keeps web pages of other sites out.
pub(super) async fn same_site(
    State(control): State<Control>,
    request: Request,
    next: Next,
) -> Response {
    let host = host_of(&request);
    let rebound = control.access.keys.is_empty() && !host.as_deref().is_some_and(is_loopback_host);
    if rebound {
        let detail =
            "without SEAWALL_API_KEYS the control plane answers to loopback addresses only";
        return problem(StatusCode::FORBIDDEN, "Forbidden host", detail);
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe && !same_origin(request.headers(), host.as_deref()) {
        let detail = "a page of another site may not change anything here";
        return problem(StatusCode::FORBIDDEN, "Foreign origin", detail);
    }
    next.run(request).await
}

/// `Host`, or the authority of an HTTP/2 request.
fn host_of(request: &Request) -> Option<String> {
    let header = request.headers().get(header::HOST).and_then(|value| value.to_str().ok());
    header.map(str::to_owned).or_else(|| request.uri().authority().map(ToString::to_string))
}

fn is_loopback_host(host: &str) -> bool {
    let Ok(authority) = host.parse::<http::uri::Authority>() else { return false };
    let name = authority.host().trim_start_matches('[').trim_end_matches(']');
    name.eq_ignore_ascii_case("localhost")
        || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Browsers name the page that sends a request; other clients name none.
fn same_origin(headers: &HeaderMap, host: Option<&str>) -> bool {
    let Some(origin) = headers.get(header::ORIGIN) else { return true };
    let origin = origin.to_str().unwrap_or("");
    let named = origin.split_once("://").map(|(_, authority)| authority);
    named.is_some() && named == host
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_compared_whole() {
        let keys = Keys::parse(" alpha, ,beta ");
        for (key, expected) in [("alpha", true), ("beta", true), ("", false), ("alph", false)] {
            assert_eq!(keys.accepts(key), expected, "{key:?}");
        }
        assert!(Keys::parse(" , ").is_empty());
    }

    #[test]
    fn bearer_wins() {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", "a".parse().unwrap());
        assert_eq!(presented(&headers), Some("a"));
        headers.insert("authorization", "Bearer b".parse().unwrap());
        assert_eq!(presented(&headers), Some("b"));
    }

    #[test]
    fn hosts() {
        for host in ["localhost", "LOCALHOST:80", "127.0.0.1:8000", "127.9.9.9", "[::1]:8000"] {
            assert!(is_loopback_host(host), "{host}");
        }
        for host in ["evil.example", "127.0.0.1.evil.example", "10.0.0.1", "", "a b"] {
            assert!(!is_loopback_host(host), "{host}");
        }
    }

    #[test]
    fn origins() {
        let with = |origin: &str| {
            let mut headers = HeaderMap::new();
            headers.insert("origin", origin.parse().unwrap());
            same_origin(&headers, Some("127.0.0.1:8000"))
        };
        assert!(same_origin(&HeaderMap::new(), None));
        assert!(with("http://127.0.0.1:8000"));
        assert!(!with("http://evil.example"));
        assert!(!with("null"));
    }
}
