//! Who may look and change.
//!
//! Keys come from `SEAWALL_API_KEYS`, `SEAWALL_READ_API_KEYS` and the file, and are kept as hashes only. Without keys
//! the server listens on loopback only; then the address in `Host` must be loopback too, so that a web page cannot
//! reach it under a name of its own (DNS rebinding), and no page of another site may change anything.

use super::{Control, problem};
use crate::{GatewayConfig, Scope, monitor::Actor};
use arc_swap::ArcSwap;
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, net::IpAddr};
use subtle::ConstantTimeEq;

/// Hashes of the keys that open the control plane.
#[derive(Clone, Default)]
struct Keys(Vec<Key>);

#[derive(Clone)]
struct Key {
    hash: [u8; 32],
    name: String,
    scope: Scope,
}

/// Whose key was presented.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) scope: Scope,
}

impl Keys {
    /// Those of the file and of the variables.
    fn of(config: &GatewayConfig, variables: &BTreeMap<String, String>) -> Self {
        let mut keys = Self::default();
        for (variable, scope) in
            [("SEAWALL_API_KEYS", Scope::Write), ("SEAWALL_READ_API_KEYS", Scope::Read)]
        {
            keys.add_list(variables.get(variable).map_or("", String::as_str), scope);
        }
        for key in &config.auth.keys {
            keys.0.push(Key {
                hash: hash(key.key.expose()),
                name: key.name.clone(),
                scope: key.scope,
            });
        }
        keys
    }

    /// From a list with commas; empty entries do not count.
    fn add_list(&mut self, list: &str, scope: Scope) {
        let keys = list.split(',').map(str::trim).filter(|key| !key.is_empty());
        for (n, key) in (1..).zip(keys) {
            let kind = if scope == Scope::Write { "key" } else { "read key" };
            self.0.push(Key { hash: hash(key), name: format!("{kind} {n}"), scope });
        }
    }

    /// Compares with every key, in constant time.
    fn find(&self, given: &str) -> Option<&Key> {
        let given = hash(given);
        let mut found = None;
        for key in &self.0 {
            if key.hash.ct_eq(&given).into() {
                found = Some(key);
            }
        }
        found
    }
}

fn hash(key: &str) -> [u8; 32] {
    Sha256::digest(key.as_bytes()).into()
}

/// The rules of one server.
pub(crate) struct Access(ArcSwap<Rules>);

struct Rules {
    keys: Keys,
    protect_reads: bool,
}

impl Access {
    pub(crate) fn new(config: &GatewayConfig, variables: &BTreeMap<String, String>) -> Self {
        Self(ArcSwap::from_pointee(rules(config, variables)))
    }

    /// With the keys of another configuration from now on.
    pub(crate) fn renew(&self, config: &GatewayConfig, variables: &BTreeMap<String, String>) {
        self.0.store(std::sync::Arc::new(rules(config, variables)));
    }

    /// Whether a server with this configuration is not open to other machines.
    pub(crate) fn stays_closed(
        &self,
        config: &GatewayConfig,
        variables: &BTreeMap<String, String>,
    ) -> bool {
        config.listen.ip().is_loopback() || !Keys::of(config, variables).0.is_empty()
    }

    /// Whether there is no key at all.
    fn is_open(&self) -> bool {
        self.0.load().keys.0.is_empty()
    }

    /// Whose key came along; a wrong one is refused even where none is needed.
    fn identify(&self, headers: &HeaderMap) -> Result<Option<Identity>, &'static str> {
        let rules = self.0.load();
        if rules.keys.0.is_empty() {
            return Ok(Some(Identity { name: "local".into(), scope: Scope::Write }));
        }
        let Some(given) = presented(headers) else { return Ok(None) };
        match rules.keys.find(given) {
            Some(key) => Ok(Some(Identity { name: key.name.clone(), scope: key.scope })),
            None => Err("the key that was sent is not known here"),
        }
    }
}

fn rules(config: &GatewayConfig, variables: &BTreeMap<String, String>) -> Rules {
    Rules { keys: Keys::of(config, variables), protect_reads: config.auth.protect_reads }
}

/// `Authorization: Bearer` wins over `X-API-Key`; an empty one is none.
fn presented(headers: &HeaderMap) -> Option<&str> {
    let bearer = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok());
    let bearer = bearer.and_then(|value| value.split_once(' '));
    let bearer = bearer.filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"));
    let key = match bearer {
        Some((_, key)) => key,
        // A key that is no text is a wrong key, not none.
        None => headers.get("x-api-key")?.to_str().unwrap_or("\u{fffd}"),
    };
    Some(key.trim()).filter(|key| !key.is_empty())
}

/// The session that a client says it continues, in answers and requests.
pub(crate) const SESSION: &str = "x-session-id";

/// Lets through who may look.
pub(super) async fn read(state: State<Control>, request: Request, next: Next) -> Response {
    admit(Need::Read, state, request, next).await
}

/// Lets through who may change.
pub(super) async fn write(state: State<Control>, request: Request, next: Next) -> Response {
    admit(Need::Write, state, request, next).await
}

/// Lets through everyone but who has a wrong key.
pub(super) async fn open(state: State<Control>, request: Request, next: Next) -> Response {
    admit(Need::Nothing, state, request, next).await
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Need {
    Nothing,
    Read,
    Write,
}

async fn admit(
    need: Need,
    State(control): State<Control>,
    mut request: Request,
    next: Next,
) -> Response {
    let identity = match control.access.identify(request.headers()) {
        Ok(identity) => identity,
        Err(told) => return unauthorized(told),
    };
    let reads_are_open = !control.access.0.load().protect_reads;
    let enough = match (need, &identity) {
        (Need::Nothing, _) | (Need::Read, Some(_)) => true,
        (Need::Read, None) => reads_are_open,
        (Need::Write, Some(identity)) if identity.scope == Scope::Read => {
            let detail = format!("{} may look, not change", identity.name);
            let mut response = problem(StatusCode::FORBIDDEN, "Key may only read", &detail);
            response.extensions_mut().insert(Actor::named(&identity.name));
            return response;
        }
        (Need::Write, identity) => identity.is_some(),
    };
    if !enough {
        return unauthorized("send a key as `Authorization: Bearer …` or `X-API-Key: …`");
    }
    let name = identity.map_or_else(|| "anyone".to_owned(), |identity| identity.name);
    let named = request.headers().get(SESSION).and_then(|value| value.to_str().ok());
    // Only what is remembered belongs to a session; a page that polls does not begin one each time.
    let session = (request.method() != Method::GET || named.is_some())
        .then(|| control.live.monitor().session(&name, named));
    let actor = Actor { name, session: session.clone() };
    request.extensions_mut().insert(actor.clone());
    let mut response = next.run(request).await;
    response.extensions_mut().insert(actor);
    if let Some(session) = session.and_then(|session| HeaderValue::from_str(&session).ok()) {
        response.headers_mut().insert(SESSION, session);
    }
    response
}

fn unauthorized(detail: &str) -> Response {
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
    let rebound = control.access.is_open() && !host.as_deref().is_some_and(is_loopback_host);
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
    fn keys_are_compared_whole_and_have_a_scope() {
        let mut keys = Keys::default();
        keys.add_list(" alpha, ,beta ", Scope::Write);
        keys.add_list("gamma", Scope::Read);
        for (key, expected) in [
            ("alpha", Some(("key 1", Scope::Write))),
            ("beta", Some(("key 2", Scope::Write))),
            ("gamma", Some(("read key 1", Scope::Read))),
            ("", None),
            ("alph", None),
        ] {
            let found = keys.find(key).map(|key| (key.name.as_str(), key.scope));
            assert_eq!(found, expected, "{key:?}");
        }
    }

    #[test]
    fn bearer_wins() {
        let mut headers = HeaderMap::new();
        headers.insert("x-api-key", "a".parse().unwrap());
        assert_eq!(presented(&headers), Some("a"));
        headers.insert("authorization", "Basic eDp5".parse().unwrap());
        assert_eq!(presented(&headers), Some("a"));
        headers.insert("authorization", "bearer b".parse().unwrap());
        assert_eq!(presented(&headers), Some("b"));
        headers.insert("authorization", "Bearer ".parse().unwrap());
        assert_eq!(presented(&headers), None);
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
