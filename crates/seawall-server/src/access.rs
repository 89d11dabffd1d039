//! The keys of the control plane: whose each is, what it opens, and how it is recognised.
//!
//! They come from `SEAWALL_API_KEYS`, `SEAWALL_READ_API_KEYS` and the file, and are kept as hashes only.

use crate::config::{GatewayConfig, SHORTEST_KEY, Scope};
use arc_swap::ArcSwap;
use axum::http::{HeaderMap, header};
use sha2::{Digest, Sha256};
use std::{collections::BTreeMap, net::SocketAddr};
use subtle::ConstantTimeEq;

/// The address that a request came from.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub(crate) SocketAddr);

/// The keys that open the control plane.
#[derive(Clone, Default)]
struct Keys {
    all: Vec<Key>,
    /// Whether one of the keys is short enough to be guessed.
    guessable: bool,
}

#[derive(Clone)]
struct Key {
    hash: [u8; 32],
    name: String,
    scope: Scope,
}

/// The key that a request presented: its name and its scope.
#[derive(Clone, Debug)]
pub(crate) struct Identity {
    pub(crate) name: String,
    pub(crate) scope: Scope,
}

impl Keys {
    /// The keys of the file and of the variables.
    fn of(config: &GatewayConfig, variables: &BTreeMap<String, String>) -> Self {
        let mut keys = Self::default();
        for (variable, scope) in
            [("SEAWALL_API_KEYS", Scope::Write), ("SEAWALL_READ_API_KEYS", Scope::Read)]
        {
            keys.add_list(variables.get(variable).map_or("", String::as_str), scope);
        }
        for key in &config.auth.keys {
            keys.all.push(Key {
                hash: hash(key.key.expose()),
                name: key.name.clone(),
                scope: key.scope,
            });
        }
        keys
    }

    /// Adds the keys of a list with commas; empty entries do not count.
    fn add_list(&mut self, list: &str, scope: Scope) {
        let keys = list.split(',').map(str::trim).filter(|key| !key.is_empty());
        for (n, key) in (1..).zip(keys) {
            self.guessable |= key.len() < SHORTEST_KEY;
            let kind = if scope == Scope::Write { "key" } else { "read key" };
            self.all.push(Key { hash: hash(key), name: format!("{kind} {n}"), scope });
        }
    }

    /// The key that was presented, if it is one of these. It is compared with every key, in constant time.
    fn find(&self, given: &str) -> Option<&Key> {
        let given = hash(given);
        let mut found = None;
        for key in &self.all {
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

/// The access rules of a server, swapped whole with its configuration.
pub(crate) struct Access(ArcSwap<Rules>);

struct Rules {
    keys: Keys,
    protect_reads: bool,
}

impl Access {
    /// Makes the rules of this configuration.
    pub(crate) fn new(config: &GatewayConfig, variables: &BTreeMap<String, String>) -> Self {
        Self(ArcSwap::from_pointee(rules(config, variables)))
    }

    /// Follows another configuration from now on.
    pub(crate) fn renew(&self, config: &GatewayConfig, variables: &BTreeMap<String, String>) {
        self.0.store(std::sync::Arc::new(rules(config, variables)));
    }

    /// Whether no other machine could use the control plane of this configuration without a key: it listens on loopback,
    /// or has keys that are long enough.
    pub(crate) fn is_closed(config: &GatewayConfig, variables: &BTreeMap<String, String>) -> bool {
        let keys = Keys::of(config, variables);
        config.listen.ip().is_loopback() || (!keys.all.is_empty() && !keys.guessable)
    }

    /// Whether reading needs a key, too.
    pub(crate) fn protects_reads(&self) -> bool {
        self.0.load().protect_reads
    }

    /// Whether there is no key at all.
    pub(crate) fn is_open(&self) -> bool {
        self.0.load().keys.all.is_empty()
    }

    /// Identifies the key of a request; `None` without one. A wrong key is an error even if none is needed.
    pub(crate) fn identify(&self, headers: &HeaderMap) -> Result<Option<Identity>, &'static str> {
        let rules = self.0.load();
        if rules.keys.all.is_empty() {
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
}
