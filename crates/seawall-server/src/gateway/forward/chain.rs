//! The chain of proxies that a request names: `X-Forwarded-For`, or `Forwarded` (RFC 7239).

use http::{HeaderMap, HeaderName, HeaderValue, header};
use std::net::{IpAddr, SocketAddr};

/// One place in the chain of proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Hop {
    /// An address that a proxy names.
    Address(IpAddr),
    /// `unknown`, a name of the proxy's own making, or nonsense: nothing before it can be believed.
    Hidden,
}

/// Reads the chain in its order, the client first.
pub(super) fn hops(headers: &HeaderMap, forwarded_for: &HeaderName) -> Vec<Hop> {
    let lines = || headers.get_all(forwarded_for).iter();
    if lines().next().is_some() {
        return lines()
            .flat_map(|line| line.as_bytes().split(|&byte| byte == b','))
            .map(|entry| Hop::parse(entry.trim_ascii()))
            .collect();
    }
    let lines = headers.get_all(header::FORWARDED).iter();
    lines.flat_map(|line| parts(line.as_bytes(), b',')).map(named).collect()
}

impl Hop {
    /// Reads an address, with or without a port; IPv6 may stand in brackets.
    fn parse(text: &[u8]) -> Self {
        let address = std::str::from_utf8(text).ok().and_then(|text| {
            let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']'));
            let bare = bare.unwrap_or(text).parse::<IpAddr>().ok();
            bare.or_else(|| text.parse::<SocketAddr>().ok().map(|address| address.ip()))
        });
        address.map_or(Self::Hidden, |address| Self::Address(address.to_canonical()))
    }
}

/// Reads the `for` of an element of `Forwarded`.
fn named(element: &[u8]) -> Hop {
    let pairs = parts(element, b';');
    let mut named = pairs.into_iter().filter_map(|pair| {
        let equals = pair.iter().position(|&byte| byte == b'=')?;
        let (name, value) = (pair[..equals].trim_ascii(), pair[equals + 1..].trim_ascii());
        name.eq_ignore_ascii_case(b"for").then_some(value)
    });
    match (named.next(), named.next()) {
        (Some(value), None) => {
            let bare = value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\""));
            Hop::parse(bare.unwrap_or(value))
        }
        _ => Hop::Hidden,
    }
}

/// The parts of a text between separators that stand outside of quotes.
fn parts(text: &[u8], separator: u8) -> Vec<&[u8]> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(|&byte| {
        if escaped {
            escaped = false;
            return false;
        }
        match byte {
            b'\\' => escaped = quoted,
            b'"' => quoted = !quoted,
            _ => return byte == separator && !quoted,
        }
        false
    })
    .collect()
}

/// Whether every quote in `Forwarded` is closed, so that an element added behind it is read as one.
pub(super) fn is_whole(headers: &HeaderMap) -> bool {
    headers.get_all(header::FORWARDED).iter().all(|line| {
        let (mut quoted, mut escaped) = (false, false);
        for &byte in line.as_bytes() {
            (quoted, escaped) = match byte {
                _ if escaped => (quoted, false),
                b'\\' => (quoted, quoted),
                b'"' => (!quoted, false),
                _ => (quoted, false),
            };
        }
        !quoted
    })
}

/// The element that stands for the connection which a request came by.
pub(super) fn element(peer: IpAddr, host: Option<&HeaderValue>) -> Vec<u8> {
    let mut element = match peer {
        IpAddr::V4(peer) => format!("for={peer}"),
        IpAddr::V6(peer) => format!("for=\"[{peer}]\""),
    }
    .into_bytes();
    // A host that was checked has neither quotes nor backslashes.
    if let Some(host) = host {
        element.extend_from_slice(b";host=\"");
        element.extend_from_slice(host.as_bytes());
        element.push(b'"');
    }
    element.extend_from_slice(b";proto=http");
    element
}
