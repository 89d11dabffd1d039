//! Rules that every request must keep, whoever answers it: it says once where it goes and how long it is.

use crate::gateway::{headers::is_plainly_coded, problem_response::gateway_problem};
use http::{HeaderMap, HeaderValue, Request, StatusCode, Uri, Version, header, uri::Authority};
use seawall_tower::Problem;

/// Refuses a request that two readers could understand differently (RFC 9112, 3.2 and 6.3). Afterwards `Host` is
/// what the request is for, in every version of HTTP.
pub(super) fn check<B>(request: &mut Request<B>, is_ambiguous: bool) -> Result<(), Problem> {
    if is_ambiguous {
        let message = "it has both Content-Length and Transfer-Encoding".to_owned();
        return Err(gateway_problem(StatusCode::BAD_REQUEST, "Ambiguous length", message));
    }
    check_coding(request.headers())?;
    let host = host(request.version(), request.uri(), request.headers())
        .map_err(|message| gateway_problem(StatusCode::BAD_REQUEST, "Bad Host", message.into()))?;
    if let Some(host) = host {
        request.headers_mut().insert(header::HOST, host);
    }
    Ok(())
}

/// hyper takes off `chunked`; a coding below it would reach the upstream unnamed (RFC 9112, 6.1).
fn check_coding(headers: &HeaderMap) -> Result<(), Problem> {
    if is_plainly_coded(headers) {
        return Ok(());
    }
    let message = "the only transfer coding that is understood is chunked, once".to_owned();
    Err(gateway_problem(StatusCode::NOT_IMPLEMENTED, "Unknown transfer coding", message))
}

/// The host that a request is for: that of its target if it names one, else that of its one `Host` header.
fn host(
    version: Version,
    target: &Uri,
    headers: &HeaderMap,
) -> Result<Option<HeaderValue>, &'static str> {
    let mut lines = headers.get_all(header::HOST).iter();
    let host = lines.next();
    if lines.next().is_some() {
        return Err("there is more than one Host");
    }
    let Some(authority) = target.authority() else {
        return match host {
            Some(host) if is_host(host.as_bytes()) => Ok(Some(host.clone())),
            Some(_) => Err("the value of Host is not a host with an optional port"),
            None if version <= Version::HTTP_10 => Ok(None),
            None => Err("there is no Host"),
        };
    };
    if !is_host(authority.as_str().as_bytes()) {
        return Err("the target does not name a host with an optional port");
    }
    let named = HeaderValue::from_str(authority.as_str()).map_err(|_| "the target is no host")?;
    match host {
        None if version == Version::HTTP_11 => Err("there is no Host"),
        // In HTTP/1.1 the target wins (RFC 9112, 3.2.2); in HTTP/2 the two must agree (RFC 9113, 8.3.1).
        Some(host)
            if version >= Version::HTTP_2
                && !host.as_bytes().eq_ignore_ascii_case(named.as_bytes()) =>
        {
            Err("Host and :authority differ")
        }
        _ => Ok(Some(named)),
    }
}

/// Whether this is a host with an optional port, and without a user name before it.
fn is_host(bytes: &[u8]) -> bool {
    let Ok(authority) = Authority::try_from(bytes) else { return false };
    let whole = authority.as_str();
    let port = &whole[authority.host().len().min(whole.len())..];
    let port = port.strip_prefix(':').unwrap_or(port);
    !authority.host().is_empty()
        && !whole.contains('@')
        && (port.is_empty() || port.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The status that a request is refused with, else the host it is for.
    fn checked(version: Version, target: &str, headers: &[(&str, &str)]) -> Result<String, u16> {
        let mut request = Request::builder().version(version).uri(target).body(()).unwrap();
        for (name, value) in headers {
            let name: header::HeaderName = name.parse().unwrap();
            request.headers_mut().append(name, HeaderValue::from_str(value).unwrap());
        }
        check(&mut request, false).map_err(|problem| problem.status.as_u16())?;
        let host = request.headers().get(header::HOST);
        Ok(host.map_or(String::new(), |host| host.to_str().unwrap().into()))
    }

    #[test]
    fn host_is_there_once() {
        let (old, one, two) = (Version::HTTP_10, Version::HTTP_11, Version::HTTP_2);
        for (version, target, hosts, expected) in [
            (one, "/", &["a"][..], Ok("a")),
            (one, "/", &["a.b:8080"], Ok("a.b:8080")),
            (one, "/", &["[::1]:80"], Ok("[::1]:80")),
            (one, "/", &[], Err(400)),
            (one, "/", &["a", "a"], Err(400)),
            (one, "/", &["a", "b"], Err(400)),
            (one, "/", &[""], Err(400)),
            (one, "/", &["a b"], Err(400)),
            (one, "/", &["a, b"], Err(400)),
            (one, "/", &["a/b"], Err(400)),
            (one, "/", &["user@a"], Err(400)),
            (one, "/", &["a:port"], Err(400)),
            (one, "/", &["a:65536"], Err(400)),
            (one, "http://t/", &["a"], Ok("t")),
            (one, "http://t:81/", &["a", "t:81"], Err(400)),
            (one, "http://t/", &[], Err(400)),
            (one, "http://u:p@t/", &["t"], Err(400)),
            (old, "/", &[], Ok("")),
            (old, "/", &["a"], Ok("a")),
            (old, "/", &["a", "b"], Err(400)),
            (two, "http://t/", &[], Ok("t")),
            (two, "http://t/", &["T"], Ok("t")),
            (two, "http://t/", &["a"], Err(400)),
            (two, "/", &["a"], Ok("a")),
            (two, "/", &[], Err(400)),
        ] {
            let headers: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            let expected = expected.map(str::to_owned);
            assert_eq!(checked(version, target, &headers), expected, "{target} {hosts:?}");
        }
    }

    #[test]
    fn chunked_is_the_only_coding() {
        for (lines, good) in [
            (&["chunked"][..], true),
            (&["Chunked "], true),
            (&["gzip, chunked"], false),
            (&["chunked", "chunked"], false),
            (&["gzip", "chunked"], false),
            (&["identity"], false),
            (&[""], false),
        ] {
            let mut headers = vec![("host", "a")];
            headers.extend(lines.iter().map(|line| ("transfer-encoding", *line)));
            let expected = if good { Ok("a".to_owned()) } else { Err(501) };
            assert_eq!(checked(Version::HTTP_11, "/", &headers), expected, "{lines:?}");
        }
    }
}
