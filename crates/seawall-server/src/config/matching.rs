//! How routes match requests: paths, and the keys of their rate limits.

use http::{HeaderMap, HeaderName};
use seawall::Key;
use sha2::{Digest, Sha256};
use std::{fmt, net::IpAddr};

/// The paths that a route takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum PathPattern {
    /// Matches this path and no other.
    Exact(String),
    /// Every path that begins so, its last slash included: `/v1/*` is kept as `/v1/`, and also matches `/v1`.
    Prefix(String),
}

/// The source of the key by which a route's rate limit counts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum KeySource {
    /// One limit for all requests.
    None,
    /// A limit for each client address.
    Peer,
    /// A limit for each value of this header.
    Header(HeaderName),
    /// The keys of another source, which all instances compute alike.
    Shared(Box<Self>),
}

/// What a key stands for.
enum Subject<'a> {
    Nobody,
    Address(IpAddr),
    Text(&'a [u8]),
}

impl Subject<'_> {
    /// Its key in this process, which nobody outside can foresee.
    fn key(&self) -> Key {
        match self {
            Self::Nobody => Key::NONE,
            Self::Address(address) => Key::of(address),
            Self::Text(text) => Key::of(text),
        }
    }

    /// Its key in every process.
    fn shared_key(&self) -> Key {
        let digest = match self {
            Self::Nobody => return Key::NONE,
            Self::Address(address) => Sha256::digest(address.to_string()),
            Self::Text(text) => Sha256::digest(text),
        };
        let hash = digest.iter().take(8).fold(0, |hash, byte| hash << 8 | u64::from(*byte));
        Key::from_hash(hash)
    }
}

/// The key of this text in every process.
pub(crate) fn shared_key(text: &str) -> Key {
    Subject::Text(text.as_bytes()).shared_key()
}

/// The header that `header:<name>` names; `None` where it names none.
pub(super) fn header_of(text: &str) -> Option<HeaderName> {
    HeaderName::try_from(text.strip_prefix("header:")?).ok()
}

/// Whether the control plane answers this path, so that no route can take it.
pub(crate) fn is_reserved(path: &str) -> bool {
    let under = |root: &str| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    ["/internal", "/dashboard", "/metrics", "/livez", "/readyz"].into_iter().any(under)
}

impl PathPattern {
    /// Reads a path as files have it; `None` where it is not one.
    pub(crate) fn parse(path: &str) -> Option<Self> {
        let (start, wild) = match path.strip_suffix('*') {
            Some(start) => (start, true),
            None => (path, false),
        };
        let good = start.starts_with('/')
            && !start.contains(['*', '?', '#'])
            && !start.chars().any(|c| c.is_whitespace() || c.is_control());
        match (good, wild) {
            (false, _) => None,
            (true, false) => Some(Self::Exact(start.into())),
            (true, true) => start.ends_with('/').then(|| Self::Prefix(start.into())),
        }
    }

    /// Whether a request for this path matches.
    pub(crate) fn matches(&self, path: &str) -> bool {
        match self {
            Self::Exact(whole) => path == whole,
            Self::Prefix(start) => {
                // CONNECT names no path at all: that is not the `/` of `/*`.
                let whole = !path.is_empty() && path == &start[..start.len() - 1];
                whole || path.starts_with(start.as_str())
            }
        }
    }
}

impl fmt::Display for KeySource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::None => f.write_str("all"),
            Self::Peer => f.write_str("peer"),
            Self::Header(name) => write!(f, "header:{name}"),
            Self::Shared(source) => source.fmt(f),
        }
    }
}

impl KeySource {
    /// Reads `peer` or `header:<name>`; `None` where it is neither.
    pub(crate) fn parse(key: Option<&str>) -> Option<Self> {
        match key {
            None => Some(Self::None),
            Some("peer") => Some(Self::Peer),
            Some(key) => header_of(key).map(Self::Header),
        }
    }

    /// The key that a person writes as this text: an address, or the value of the header.
    ///
    /// # Errors
    /// A sentence that says what to write instead.
    pub(crate) fn of_text(&self, text: &str) -> Result<Key, String> {
        match self {
            Self::Shared(source) => Ok(source.subject_of_text(text)?.shared_key()),
            source => Ok(source.subject_of_text(text)?.key()),
        }
    }

    fn subject_of_text<'a>(&self, text: &'a str) -> Result<Subject<'a>, String> {
        match self {
            Self::None => Ok(Subject::Nobody),
            Self::Peer => match text.parse::<IpAddr>() {
                Ok(address) => Ok(Subject::Address(address)),
                Err(_) => Err("its keys are addresses of clients, such as 192.0.2.7".into()),
            },
            Self::Header(_) => Ok(Subject::Text(text.as_bytes())),
            Self::Shared(source) => source.subject_of_text(text),
        }
    }

    /// The key of a request. Without the header the client's address takes its place; so it does if the header occurs
    /// twice, since it is not known which of the two the upstream uses.
    pub(crate) fn of(&self, headers: &HeaderMap, client: IpAddr) -> Key {
        match self {
            Self::Shared(source) => source.subject(headers, client).shared_key(),
            source => source.subject(headers, client).key(),
        }
    }

    fn subject<'a>(&self, headers: &'a HeaderMap, client: IpAddr) -> Subject<'a> {
        match self {
            Self::None => Subject::Nobody,
            Self::Peer => Subject::Address(client),
            Self::Header(name) => {
                let mut lines = headers.get_all(name).iter();
                match (lines.next(), lines.next()) {
                    (Some(value), None) => Subject::Text(value.as_bytes()),
                    _ => Subject::Address(client),
                }
            }
            Self::Shared(source) => source.subject(headers, client),
        }
    }
}

#[cfg(test)]
mod tests;
