//! Which headers are secrets: their values are replaced before a letter is made of them.

use super::content::Header;

/// What stands in place of a secret value.
pub const REDACTED: &str = "[redacted]";

/// Names of headers that carry secrets, whatever the configuration says.
const SECRET: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "authentication",
    "cookie",
    "set-cookie",
    "x-api-key",
    "api-key",
    "apikey",
    "x-goog-api-key",
];

/// Parts of names that tell of a secret.
const PARTS: &[&str] = &["token", "secret", "password", "passwd", "credential", "signature"];

/// Says which headers are secrets: those that carry credentials by the standards and by custom (`authorization`, cookies,
/// API keys), those whose names contain a word such as `token`, `secret` or `password`, and those named in addition.
#[derive(Clone, Debug, Default)]
pub struct Redaction {
    further: Vec<String>,
}

impl Redaction {
    /// With further names, in any case.
    pub fn new(further: impl IntoIterator<Item = impl AsRef<str>>) -> Self {
        Self { further: further.into_iter().map(|name| name.as_ref().to_lowercase()).collect() }
    }

    /// Whether the value under this name is a secret. It holds for names of query parameters, too.
    pub fn is_secret(&self, name: &str) -> bool {
        let name = name.to_lowercase();
        SECRET.contains(&&*name)
            || PARTS.iter().any(|part| name.contains(part))
            || self.further.contains(&name)
    }

    /// Replaces the values of secret headers.
    pub fn apply(&self, headers: &mut [Header]) {
        for header in headers {
            if self.is_secret(&header.name) {
                REDACTED.clone_into(&mut header.value);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_known_by_name() {
        let redaction = Redaction::new(["X-Customer"]);
        for secret in [
            "Authorization",
            "COOKIE",
            "set-cookie",
            "Proxy-Authorization",
            "X-Api-Key",
            "api-key",
            "x-goog-api-key",
            "X-Amz-Security-Token",
            "my-SECRET-header",
            "x-password",
            "x-customer",
        ] {
            assert!(redaction.is_secret(secret), "{secret}");
        }
        for open in ["content-type", "accept", "idempotency-key", "x-request-id", "x-customers"] {
            assert!(!redaction.is_secret(open), "{open}");
        }
    }
}
