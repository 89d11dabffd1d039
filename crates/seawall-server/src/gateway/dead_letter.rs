//! Requests that failed for good, as dead letters: what is kept of them, and what their clients learn.
//!
//! A letter has the request as it came, so that a replay goes the whole way again. Its method, its path and the address of
//! its client stand among its headers, by names that no header can have.

use super::{headers::remove_connection_headers, route::Route, trace::RequestTrace};
use crate::dead_letters::{DeadLetters, NotKept};
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, header, request::Parts};
use seawall_store::letters::{FailedWork, Header, LetterId, REDACTED, Redaction};
use seawall_tower::ATTEMPT_HEADER;
use sha2::{Digest, Sha256};
use std::{fmt::Write, net::SocketAddr, sync::Arc};

pub(super) const METHOD: &str = ":method";
pub(super) const PATH: &str = ":path";
pub(super) const CLIENT: &str = ":client";
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// The header in which a client finds its letter.
const DEAD_LETTER: HeaderName = HeaderName::from_static("x-seawall-dead-letter");

/// A request of a route that makes letters, as it came: kept until its answer is known.
pub(super) struct Draft {
    queue: String,
    operation: String,
    method: String,
    path: String,
    client: SocketAddr,
    headers: HeaderMap,
    tenant: Option<String>,
}

/// The failure of a request, for good.
pub(super) struct FinalFailure {
    /// Its class in one word: the `reason` of the answer, or the status of an upstream.
    pub(super) class: String,
    pub(super) error: String,
}

/// What the client learns about its letter.
pub(super) type Kept = Result<LetterId, NotKept>;

impl Draft {
    /// What a letter about this request would need; none if its route makes none, or if the hop before repeats it: then
    /// it has not failed for good yet.
    pub(super) fn of(
        route: &Route,
        parts: &Parts,
        client: SocketAddr,
        redaction: &Redaction,
        tenant: Option<&str>,
    ) -> Option<Self> {
        let queue = route.dead_letter.as_ref()?.clone();
        if parts.headers.contains_key(ATTEMPT_HEADER) {
            return None;
        }
        let path = parts.uri.path_and_query().map_or("/", |path| path.as_str());
        let mut headers = parts.headers.clone();
        remove_connection_headers(&mut headers);
        headers.remove(header::CONTENT_LENGTH);
        headers.remove(header::EXPECT);
        Some(Self {
            queue,
            operation: format!("{} {}", parts.method, route.path()),
            method: parts.method.to_string(),
            path: without_secrets(path, redaction),
            client,
            tenant: tenant
                .map_or_else(|| route.tenant(&headers, redaction), |name| Some(name.into())),
            headers,
        })
    }

    /// Keeps the request. `body` is none where it was too long to be kept.
    pub(super) async fn keep(
        self,
        letters: &Arc<DeadLetters>,
        body: Option<Bytes>,
        failure: FinalFailure,
        trace: &RequestTrace,
    ) -> Kept {
        let Some(body) = body else {
            letters.count_lost(&NotKept::BodyTooLong);
            return Err(NotKept::BodyTooLong);
        };
        let redaction = letters.redaction();
        letters.keep(self.work(&body, failure, trace, &redaction)).await
    }

    fn work(
        self,
        body: &Bytes,
        failure: FinalFailure,
        trace: &RequestTrace,
        redaction: &Redaction,
    ) -> FailedWork {
        let idempotency_key = self.idempotency_key(body);
        let own = [(METHOD, self.method), (PATH, self.path), (CLIENT, self.client.to_string())];
        let own = own.map(|(name, value)| Header { name: name.to_owned(), value });
        let came = self.headers.iter().map(|(name, value)| {
            let value = String::from_utf8_lossy(value.as_bytes());
            let value = match *name {
                // The address of a page may have the same secrets as that of a request.
                header::REFERER => without_secrets(&value, redaction),
                _ => value.into_owned(),
            };
            Header { name: name.to_string(), value }
        });
        FailedWork {
            queue: self.queue,
            operation: self.operation,
            tenant: self.tenant,
            idempotency_key,
            error_class: failure.class,
            error: failure.error,
            headers: own.into_iter().chain(came).collect(),
            attempts: trace.attempts(),
            payload: body.to_vec(),
        }
    }

    /// What names the work: the client's key, bound to what it was sent with, since two clients may choose the same key
    /// and neither's work may take the place of the other's.
    fn idempotency_key(&self, body: &[u8]) -> Option<String> {
        let key = self.headers.get(IDEMPOTENCY_KEY)?.to_str().ok()?;
        let mut hash = Sha256::new();
        let tenant = self.tenant.as_deref().unwrap_or_default();
        for part in [&self.method, &self.path, tenant, key] {
            hash.update(part.as_bytes());
            hash.update([0]);
        }
        hash.update(body);
        let mut name: String = key.chars().take(200).collect();
        name.push('#');
        hash.finalize().iter().take(8).for_each(|byte| {
            let _ = write!(name, "{byte:02x}");
        });
        Some(name)
    }
}

/// Says in an answer which letter its request has become.
pub(super) fn describe_letter(headers: &mut HeaderMap, kept: &Kept) {
    let value = match kept {
        Ok(id) => HeaderValue::try_from(id.to_string()).ok(),
        Err(_) => Some(HeaderValue::from_static("not-kept")),
    };
    if let Some(value) = value {
        headers.insert(DEAD_LETTER, value);
    }
}

/// An address with the values of secret parameters replaced.
fn without_secrets(address: &str, redaction: &Redaction) -> String {
    let Some((path, query)) = address.split_once('?') else { return address.to_owned() };
    let pairs = query.split('&').map(|pair| {
        let name = pair.split('=').next().unwrap_or(pair);
        let decoded = form_urlencoded::parse(name.as_bytes()).next();
        let secret = decoded.is_some_and(|(name, _)| redaction.is_secret(&name));
        if secret { format!("{name}={REDACTED}") } else { pair.to_owned() }
    });
    format!("{path}?{}", pairs.collect::<Vec<_>>().join("&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secret_parameters_are_replaced_and_others_stay_as_they_are() {
        let redaction = Redaction::new(["session"]);
        for (address, expected) in [
            ("/a", "/a"),
            ("/a?", "/a?"),
            ("/a?b=c&d", "/a?b=c&d"),
            ("/a?token=x&b=%20c", "/a?token=[redacted]&b=%20c"),
            ("/a?Access_Token=x", "/a?Access_Token=[redacted]"),
            ("/a?%74oken=x", "/a?%74oken=[redacted]"),
            ("/a?session=1=2&&e", "/a?session=[redacted]&&e"),
            ("https://h/p?api-key=k", "https://h/p?api-key=[redacted]"),
        ] {
            assert_eq!(without_secrets(address, &redaction), expected);
        }
    }
}
