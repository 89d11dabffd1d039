//! Authorization: which requests may read, and which may change.
//!
//! Without keys the server listens on loopback only; then the address in `Host` must be loopback too, so that a web
//! page cannot reach it under a name of its own (DNS rebinding). No page of another site may change anything: what
//! needs the scope to write is refused across sites, whatever its method.

use super::{
    Control,
    extract::BodyLimit,
    problem::problem,
    refusals::{self, Reason},
};
use crate::{actor::Actor, config::Scope};
use axum::{
    extract::{Request, State},
    http::{HeaderMap, HeaderValue, Method, StatusCode, header},
    middleware::Next,
    response::Response,
};
use std::net::IpAddr;

/// The session that a client says it continues, in answers and requests.
pub(crate) const SESSION: &str = "x-session-id";

/// Requires the scope to read.
pub(super) async fn read(state: State<Control>, request: Request, next: Next) -> Response {
    admit(Need::Read, state, request, next).await
}

/// Requires the scope to write, and a page of this site.
pub(super) async fn write(state: State<Control>, request: Request, next: Next) -> Response {
    if is_foreign(&request) {
        return foreign(&state.0, &request).await;
    }
    admit(Need::Write, state, request, next).await
}

/// Requires no key; a wrong one is refused.
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
        Err(told) => {
            refusals::refused(&control, &request, Reason::WrongKey, "").await;
            return unauthorized(told);
        }
    };
    let reads_are_open = !control.access.protects_reads();
    let enough = match (need, &identity) {
        (Need::Nothing, _) | (Need::Read, Some(_)) => true,
        (Need::Read, None) => reads_are_open,
        (Need::Write, Some(identity)) if identity.scope == Scope::Read => {
            refusals::refused(&control, &request, Reason::ReadOnlyKey, "").await;
            let detail = format!("{} may look, not change", identity.name);
            let mut response =
                Response::from(problem(StatusCode::FORBIDDEN, "Key may only read", &detail));
            response.extensions_mut().insert(Actor::named(&identity.name));
            return response;
        }
        (Need::Write, identity) => identity.is_some(),
    };
    if !enough {
        refusals::refused(&control, &request, Reason::NoKey, "").await;
        return unauthorized("send a key as `Authorization: Bearer …` or `X-API-Key: …`");
    }
    let name = identity.map_or_else(|| "anyone".to_owned(), |identity| identity.name);
    let named = request.headers().get(SESSION).and_then(|value| value.to_str().ok());
    // Only what is remembered belongs to a session; a page that polls does not begin one each time.
    let session = (request.method() != Method::GET || named.is_some())
        .then(|| control.live.trail().session(&name, named));
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
    let realm = HeaderValue::from_static("Bearer realm=\"seawall\"");
    let error = problem(StatusCode::UNAUTHORIZED, "Key needed", detail);
    error.with_header(header::WWW_AUTHENTICATE, realm).into()
}

/// Keeps web pages of other sites out.
pub(super) async fn same_site(
    State(control): State<Control>,
    mut request: Request,
    next: Next,
) -> Response {
    let host = host_of(&request);
    let rebound = control.access.is_open() && !host.as_deref().is_some_and(is_loopback_host);
    if rebound {
        let named = format!(" ({})", refusals::plain(host.as_deref().unwrap_or("none named")));
        refusals::refused(&control, &request, Reason::ForbiddenHost, &named).await;
        let detail =
            "without SEAWALL_API_KEYS the control plane answers to loopback addresses only";
        return problem(StatusCode::FORBIDDEN, "Forbidden host", detail).into();
    }
    let safe = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    if !safe && is_foreign(&request) {
        return foreign(&control, &request).await;
    }
    let most = BodyLimit::of(control.live.now().config.limits.max_body_bytes);
    request.extensions_mut().insert(most);
    next.run(request).await
}

fn foreign<'c>(
    control: &'c Control,
    request: &Request,
) -> impl Future<Output = Response> + use<'c> {
    let origin = request.headers().get(header::ORIGIN).and_then(|origin| origin.to_str().ok());
    let named = origin.map(|origin| format!(" ({})", refusals::plain(origin)));
    let noted =
        refusals::refused(control, request, Reason::ForeignSite, &named.unwrap_or_default());
    async move {
        noted.await;
        let detail = "a page of another site may not change anything here";
        problem(StatusCode::FORBIDDEN, "Foreign origin", detail).into()
    }
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

/// Whether a page of another site sent the request. Browsers say so; other clients say nothing, and are let through.
fn is_foreign(request: &Request) -> bool {
    let host = host_of(request);
    !same_origin(request.headers(), host.as_deref()) || is_cross_site(request.headers())
}

/// Whether `Sec-Fetch-Site` names another site; another port of the same machine is another origin, too. `none` means
/// that a user typed the address.
fn is_cross_site(headers: &HeaderMap) -> bool {
    let mut sites = headers.get_all("sec-fetch-site").iter();
    sites.any(|site| !matches!(site.as_bytes(), b"same-origin" | b"none"))
}

/// `Origin`: of which page a request is.
fn same_origin(headers: &HeaderMap, host: Option<&str>) -> bool {
    let same = |origin: &HeaderValue| {
        let (scheme, authority) = origin.to_str().ok()?.split_once("://")?;
        let port = if scheme.eq_ignore_ascii_case("https") { ":443" } else { ":80" };
        let bare = |name: &str| name.strip_suffix(port).unwrap_or(name).to_ascii_lowercase();
        Some(bare(authority) == bare(host?))
    };
    headers.get_all(header::ORIGIN).iter().all(|origin| same(origin) == Some(true))
}

#[cfg(test)]
mod tests {
    use super::*;

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
        assert!(with("http://127.0.0.1:8000"));
        for foreign in ["null", "", "127.0.0.1:8000", "http://127.0.0.1:80", "http://127.0.0.1"] {
            assert!(!with(foreign), "{foreign}");
        }
        let mut both = HeaderMap::new();
        both.append("origin", "http://127.0.0.1:8000".parse().unwrap());
        both.append("origin", "http://evil.example".parse().unwrap());
        assert!(!same_origin(&both, Some("127.0.0.1:8000")));
        let mut plain = HeaderMap::new();
        plain.insert("origin", "http://LocalHost".parse().unwrap());
        assert!(same_origin(&plain, Some("localhost:80")), "the port of the scheme is not named");
    }
}
