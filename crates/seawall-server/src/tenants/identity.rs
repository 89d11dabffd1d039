//! Finds out whose a request is, from its headers.

use crate::config::TenantSource;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderName, header::AUTHORIZATION};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// The tenant of requests that do not say whose they are, or are not believed.
pub(crate) const ANONYMOUS: &str = "anonymous";
/// The longest name that is kept as it is, in bytes.
const LONGEST_NAME: usize = 64;
/// The longest JWT that is read, in bytes.
const LONGEST_TOKEN: usize = 16 << 10;
/// The headers, beside `Authorization`, in which clients of language models send their keys.
const KEY_HEADERS: [&str; 3] = ["x-api-key", "api-key", "x-goog-api-key"];

/// What a request says of its tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Nothing,
    Name(String),
    /// The hash of the API key that it has.
    Key([u8; 32]),
}

/// Reads what a request says of its tenant, as far as whoever sent it is believed. What occurs twice says nothing, since
/// it is not known which of the two the upstream takes.
pub(super) fn said(source: &TenantSource, headers: &HeaderMap, trusted: bool) -> Said {
    if source.needs_trust() && !trusted {
        return Said::Nothing;
    }
    let name = match source {
        TenantSource::Header(name) => only(headers, name).map(str::to_owned),
        TenantSource::Claim(claim) => bearer(headers).and_then(|token| claim_of(token, claim)),
        TenantSource::Key => {
            return key(headers).map_or(Said::Nothing, |key| Said::Key(hash_of(key)));
        }
    };
    name.map(|name| bounded(&name))
        .filter(|name| !name.is_empty())
        .map_or(Said::Nothing, Said::Name)
}

/// The hash under which an API key is known.
pub(super) fn hash_of(key: &str) -> [u8; 32] {
    Sha256::digest(key).into()
}

/// The name of whoever has a key that no tenant has: a part of its hash, from which nobody finds the key.
pub(super) fn name_of_key(hash: &[u8; 32]) -> String {
    format!("key-{}", hex(&hash[..8]))
}

/// The name itself; of one that is long or odd, a part of its hash.
fn bounded(name: &str) -> String {
    let name = name.trim();
    if name.len() <= LONGEST_NAME && !name.chars().any(char::is_control) {
        return name.to_owned();
    }
    format!("hash-{}", hex(&hash_of(name)[..8]))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// The value of a header that occurs once.
fn only<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a str> {
    let mut lines = headers.get_all(name).iter();
    match (lines.next(), lines.next()) {
        (Some(value), None) => std::str::from_utf8(value.as_bytes()).ok(),
        _ => None,
    }
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let (scheme, token) = only(headers, &AUTHORIZATION)?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// The API key of a request, in whichever header the clients of each API send it.
fn key(headers: &HeaderMap) -> Option<&str> {
    let named = KEY_HEADERS.iter().map(|name| HeaderName::from_static(name));
    let mut keys = named.filter_map(|name| only(headers, &name)).chain(bearer(headers));
    keys.find(|key| !key.is_empty())
}

/// A claim of a JWT, if it is a text or a number. The signature is not checked.
fn claim_of(token: &str, claim: &str) -> Option<String> {
    let mut parts = token.split('.');
    let (Some(_), Some(payload), Some(_), None) =
        (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return None;
    };
    if payload.len() > LONGEST_TOKEN {
        return None;
    }
    let payload = URL_SAFE_NO_PAD.decode(payload.trim_end_matches('=')).ok()?;
    let claims: Value = serde_json::from_slice(&payload).ok()?;
    match claims.get(claim)? {
        Value::String(text) => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use http::HeaderValue;

    fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        headers
    }

    fn from(source: &str, lines: &[(&'static str, &str)], trusted: bool) -> Said {
        said(&TenantSource::parse(source).unwrap(), &headers(lines), trusted)
    }

    fn name(name: &str) -> Said {
        Said::Name(name.to_owned())
    }

    #[test]
    fn a_header_is_believed_from_those_who_are_trusted_and_bounded() {
        let by = "header:x-tenant";
        assert_eq!(from(by, &[("x-tenant", " acme ")], true), name("acme"));
        assert_eq!(from(by, &[("x-tenant", "acme")], false), Said::Nothing);
        assert_eq!(from(by, &[("x-tenant", "a"), ("x-tenant", "b")], true), Said::Nothing);
        assert_eq!(from(by, &[("x-tenant", "  ")], true), Said::Nothing);
        assert_eq!(from(by, &[], true), Said::Nothing);
        let long = "x".repeat(10_000);
        let Said::Name(short) = from(by, &[("x-tenant", &long)], true) else { panic!() };
        assert!(short.starts_with("hash-") && short.len() < LONGEST_NAME);
        let other = format!("{long}y");
        assert_ne!(from(by, &[("x-tenant", &other)], true), name(&short));
    }

    #[test]
    fn a_key_proves_itself_and_only_its_hash_is_kept() {
        let key = Said::Key(hash_of("sk-secret"));
        assert_eq!(from("key", &[("authorization", "Bearer sk-secret")], false), key);
        assert_eq!(from("key", &[("x-api-key", "sk-secret")], false), key);
        assert_eq!(from("key", &[("x-goog-api-key", "sk-secret")], false), key);
        assert_eq!(from("key", &[("authorization", "Basic c2VjcmV0")], false), Said::Nothing);
        assert!(!name_of_key(&hash_of("sk-secret")).contains("secret"));
    }

    #[test]
    fn a_claim_is_read_where_it_is_believed_and_nothing_broken_is() {
        let token = |payload: &str| format!("Bearer e30.{}.sig", URL_SAFE_NO_PAD.encode(payload));
        let read = |value: &str, trusted| from("claim:org", &[("authorization", value)], trusted);
        assert_eq!(read(&token(r#"{"org":"acme"}"#), true), name("acme"));
        assert_eq!(read(&token(r#"{"org":"acme"}"#), false), Said::Nothing);
        assert_eq!(read(&token(r#"{"org":17}"#), true), name("17"));
        for payload in [r#"{"org":["a"]}"#, r#"{"org":null}"#, "{}", "[]", "not JSON", ""] {
            assert_eq!(read(&token(payload), true), Said::Nothing, "{payload}");
        }
        for value in ["Bearer", "Bearer a.b", "Bearer a.!!.c", "Bearer a.b.c.d", "a.b.c"] {
            assert_eq!(read(value, true), Said::Nothing, "{value}");
        }
    }
}
