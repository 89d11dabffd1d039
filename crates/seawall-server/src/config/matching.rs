//! How routes match requests: paths, and the keys of their rate limits.

use http::{HeaderMap, HeaderName};
use seawall::Key;
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
            Self::None => Ok(Key::NONE),
            Self::Peer => match text.parse::<IpAddr>() {
                Ok(address) => Ok(Key::of(address)),
                Err(_) => Err("its keys are addresses of clients, such as 192.0.2.7".into()),
            },
            Self::Header(_) => Ok(Key::of(text.as_bytes())),
        }
    }

    /// The key of a request. Without the header the client's address takes its place; so it does if the header occurs
    /// twice, since it is not known which of the two the upstream uses.
    pub(crate) fn of(&self, headers: &HeaderMap, client: IpAddr) -> Key {
        match self {
            Self::None => Key::NONE,
            Self::Peer => Key::of(client),
            Self::Header(name) => {
                let mut lines = headers.get_all(name).iter();
                match (lines.next(), lines.next()) {
                    (Some(value), None) => Key::of(value.as_bytes()),
                    _ => Key::of(client),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
