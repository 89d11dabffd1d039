//! The addresses of upstreams, as files name them.

use http::{HeaderValue, Uri, uri};
use std::net::{IpAddr, SocketAddr};

/// One address of an upstream: `http://127.0.0.1:9001`, or `https://api.example.com/v1`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Endpoint {
    pub(crate) scheme: uri::Scheme,
    pub(crate) authority: uri::Authority,
    /// The value of the `Host` header for requests to this endpoint.
    pub(crate) host: HeaderValue,
    /// The path before that of a request, without a slash at its end.
    base: String,
}

impl Endpoint {
    /// Reads an address as files have it; `None` where it is not `http://` or `https://` with a host, or names a user
    /// or a query.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let uri: Uri = text.parse().ok()?;
        let uri::Parts { scheme, authority, path_and_query, .. } = uri.into_parts();
        let (scheme, authority) = (scheme?, authority?);
        let known = scheme == uri::Scheme::HTTP || scheme == uri::Scheme::HTTPS;
        let path = path_and_query.as_ref().map_or("", |path| path.path());
        let plain = path_and_query.as_ref().is_none_or(|path| path.query().is_none());
        let host = HeaderValue::from_str(authority.as_str()).ok()?;
        let good =
            known && plain && !authority.host().is_empty() && !authority.as_str().contains('@');
        let base = path.trim_end_matches('/').to_owned();
        good.then_some(Self { scheme, authority, host, base })
    }

    /// Whether connecting to this endpoint reaches a listener at this address on the same machine, as far as can be
    /// decided without resolving names.
    pub(crate) fn reaches(&self, listen: SocketAddr) -> bool {
        let default = if self.scheme == uri::Scheme::HTTPS { 443 } else { 80 };
        if listen.port() == 0 || self.authority.port_u16().unwrap_or(default) != listen.port() {
            return false;
        }
        let name = self.authority.host().trim_start_matches('[').trim_end_matches(']');
        let name = name.trim_end_matches('.').to_ascii_lowercase();
        let listen = listen.ip().to_canonical();
        let local = listen.is_loopback() || listen.is_unspecified();
        match name.parse::<IpAddr>().map(|address| address.to_canonical()) {
            Err(_) => local && (name == "localhost" || name.ends_with(".localhost")),
            // A connection to no address in particular goes to this machine.
            Ok(address) if address.is_unspecified() => local && same_family(address, listen),
            Ok(address) => {
                let everywhere = listen.is_unspecified() && same_family(address, listen);
                address == listen || (address.is_loopback() && everywhere)
            }
        }
    }

    /// The address that a request is sent to here: its path and query behind `base`. `None` where the two together are
    /// too long for an address.
    pub(crate) fn uri(&self, request: &Uri) -> Option<Uri> {
        let path = request.path_and_query().cloned();
        let path = if self.base.is_empty() {
            path?
        } else {
            format!("{}{}", self.base, path?.as_str()).parse().ok()?
        };
        let mut parts = uri::Parts::default();
        parts.scheme = Some(self.scheme.clone());
        parts.authority = Some(self.authority.clone());
        parts.path_and_query = Some(path);
        Uri::from_parts(parts).ok()
    }
}

/// Whether a listener takes connections to such an address; one on `[::]` takes those of IPv4, too.
fn same_family(address: IpAddr, listen: IpAddr) -> bool {
    address.is_ipv4() == listen.is_ipv4() || (listen.is_ipv6() && listen.is_unspecified())
}

#[cfg(test)]
mod tests;
