//! The headers that say who is before the gateway: the client, the host it asked for, and its proxies.
//!
//! `Via` is added on both sides, with a pseudonym that no other instance has, so that a request which comes back is
//! recognized (RFC 9110, 7.6.3). What a client says of others is believed along a chain of `trusted_proxies` only.

use crate::config::Network;
use http::{HeaderMap, HeaderName, HeaderValue, Version, header};
use std::net::IpAddr;

mod chain;

use chain::Hop;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

/// The name of one instance in `Via`.
pub(crate) struct Pseudonym(String);

impl Pseudonym {
    pub(crate) fn new() -> Self {
        let id = seawall::Random::new(seawall::fresh_seed()).bits();
        Self(format!("seawall-{id:016x}"))
    }

    /// Whether a request went through this instance before.
    pub(crate) fn is_in(&self, headers: &HeaderMap) -> bool {
        let lines = headers.get_all(header::VIA).iter();
        let mut entries = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
        entries.any(|entry| {
            let mut words = entry.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            words.nth(1).is_some_and(|name| name.eq_ignore_ascii_case(self.0.as_bytes()))
        })
    }

    /// Adds this instance behind those that the message went through before.
    pub(crate) fn add_to(&self, headers: &mut HeaderMap, received: Version) {
        let entry = format!("{} {}", version(received), self.0);
        append(headers, &header::VIA, entry.as_bytes());
    }
}

/// The version of HTTP that a message came in, without the protocol's name.
fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_09 => "0.9",
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2.0",
        Version::HTTP_3 => "3.0",
        _ => "1.1",
    }
}

/// Adds an entry to a list. Its lines become one, since lines of one field are one list (RFC 9110, 5.3), and
/// there are recipients that read the first line only.
fn append(headers: &mut HeaderMap, name: &HeaderName, entry: &[u8]) {
    let mut list: Vec<&[u8]> =
        headers.get_all(name).iter().map(|line| line.as_bytes().trim_ascii()).collect();
    list.retain(|line| !line.is_empty());
    list.push(entry);
    if let Ok(whole) = HeaderValue::from_bytes(&list.join(&b", "[..])) {
        headers.insert(name, whole);
    }
}

/// The proxies whose word about a client counts.
#[derive(Default)]
pub(crate) struct Forwarding {
    trusted: Vec<Network>,
}

impl Forwarding {
    /// Trusts these addresses and networks.
    ///
    /// # Errors
    /// The first text that is neither.
    pub(crate) fn new(trusted: &[String]) -> Result<Self, String> {
        let parsed = trusted.iter().map(|text| Network::parse(text).ok_or_else(|| text.clone()));
        Ok(Self { trusted: parsed.collect::<Result<_, _>>()? })
    }

    /// Whether the word of whoever has this address counts: it is a trusted proxy.
    pub(super) fn trusts(&self, address: IpAddr) -> bool {
        self.trusted.iter().any(|network| network.contains(address))
    }

    /// The client's address: the last one in the chain that no trusted proxy has. `X-Forwarded-For` decides; where
    /// there is none, `Forwarded` does.
    pub(crate) fn client(&self, headers: &HeaderMap, peer: IpAddr) -> IpAddr {
        let mut client = peer.to_canonical();
        if !self.trusts(client) {
            return client;
        }
        let mut hops = chain::hops(headers, &FORWARDED_FOR);
        while let Some(Hop::Address(hop)) = hops.pop() {
            client = hop;
            if !self.trusts(hop) {
                break;
            }
        }
        client
    }

    /// Writes the headers that describe the client to the upstream: behind what a trusted proxy said, else in its
    /// place.
    pub(crate) fn write(&self, headers: &mut HeaderMap, peer: IpAddr) {
        let peer = peer.to_canonical();
        let host = headers.remove(header::HOST);
        let had_forwarded = headers.contains_key(header::FORWARDED);
        if !self.trusts(peer) {
            remove_claims(headers);
        }
        append(headers, &FORWARDED_FOR, peer.to_string().as_bytes());
        if had_forwarded {
            if !chain::is_whole(headers) {
                headers.remove(header::FORWARDED);
            }
            append(headers, &header::FORWARDED, &chain::element(peer, host.as_ref()));
        }
        if let Some(host) = host {
            headers.entry(FORWARDED_HOST).or_insert(host);
        }
        let proto = HeaderValue::from_static("http");
        headers.entry(FORWARDED_PROTO).or_insert(proto);
    }
}

/// Removes what a client that is not trusted says of others.
fn remove_claims(headers: &mut HeaderMap) {
    headers.remove(header::FORWARDED);
    let claims: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("x-forwarded-")).cloned().collect();
    for name in claims {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests;
