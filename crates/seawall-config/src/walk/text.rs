//! Texts: their length, their pattern, and the formats that configuration files use.

use super::{Site, Walker};
use crate::{findings::Fault, schema::Keywords};
use regex_lite::Regex;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

/// How to write a duration, for messages.
pub(super) const DURATION: &str = "a number with a unit, such as 250ms, 20s or 5m";
/// How to write a URL, for messages.
pub(super) const URL: &str = "a URL with its scheme, such as https://example.com";

impl<'s, 't> Walker<'s, 't> {
    pub(super) fn text(&mut self, site: Site<'s, 't>, text: &str, layers: &[&'s Keywords]) {
        for layer in layers {
            let fault = self.length(site, text, layer).or_else(|| self.format(site, text, layer));
            if let Some(fault) = fault {
                self.note(site, fault);
                return;
            }
            if let Some(pattern) = layer.get("pattern").and_then(|p| p.as_str())
                && !self.matches(pattern, text)
            {
                let fault = Fault::of_value(self.shown(site), "does not have the right form")
                    .right(format!("write text that matches `{pattern}`"));
                self.note(site, fault);
                return;
            }
        }
    }

    fn length(&self, site: Site<'s, 't>, text: &str, layer: &Keywords) -> Option<Fault> {
        let bound = |name| layer.get(name).and_then(|bound| bound.as_u64());
        let length = text.chars().count() as u64;
        if let Some(least) = bound("minLength").filter(|least| length < *least) {
            return Some(
                Fault::of_value(self.shown(site), "is too short")
                    .right(format!("write {}", at_least(least, "character"))),
            );
        }
        let most = bound("maxLength").filter(|most| length > *most)?;
        Some(
            Fault::of_value(self.shown(site), "is too long")
                .right(format!("write {}", at_most(most, "character"))),
        )
    }

    fn format(&self, site: Site<'s, 't>, text: &str, layer: &Keywords) -> Option<Fault> {
        let (good, what, right) = match layer.get("format")?.as_str()? {
            "duration" => {
                let good = humantime::parse_duration(text).is_ok();
                (good, "is not a duration", duration_right(text, site.secret))
            }
            "uri" => (is_url(text), "is not a URL", format!("write {URL}")),
            "ip" => {
                let right = "write an address such as 10.0.0.1 or ::1".to_owned();
                (text.parse::<IpAddr>().is_ok(), "is not an IP address", right)
            }
            "ipv4" => {
                let right = "write an address such as 10.0.0.1".to_owned();
                (text.parse::<Ipv4Addr>().is_ok(), "is not an IPv4 address", right)
            }
            "ipv6" => {
                let right = "write an address such as ::1".to_owned();
                (text.parse::<Ipv6Addr>().is_ok(), "is not an IPv6 address", right)
            }
            "socket-address" => {
                let right = "write an address with its port, such as 127.0.0.1:8080".to_owned();
                (text.parse::<SocketAddr>().is_ok(), "is not a socket address", right)
            }
            _ => return None,
        };
        (!good).then(|| Fault::of_value(self.shown(site), what).right(right))
    }

    /// Whether a text matches a pattern; an invalid regular expression matches every text.
    pub(super) fn matches(&mut self, pattern: &'s str, text: &str) -> bool {
        let compiled = self.patterns.entry(pattern).or_insert_with(|| Regex::new(pattern).ok());
        compiled.as_ref().is_none_or(|regex| regex.is_match(text))
    }
}

/// The unit is what is forgotten most.
fn duration_right(text: &str, secret: bool) -> String {
    let bare = !text.is_empty() && text.len() <= 12 && text.bytes().all(|b| b.is_ascii_digit());
    if bare && !secret {
        format!("add a unit, such as {text}s")
    } else {
        format!("write {DURATION}")
    }
}

/// A scheme, and behind it something without spaces; with `//`, also a host.
fn is_url(text: &str) -> bool {
    let Some((scheme, rest)) = text.split_once(':') else { return false };
    let mut letters = scheme.chars();
    let scheme_fits = letters.next().is_some_and(|c| c.is_ascii_alphabetic())
        && letters.all(|c| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.'));
    let rest_fits =
        !rest.is_empty() && !rest.contains(|c: char| c.is_whitespace() || c.is_control());
    let host_fits = match rest.strip_prefix("//") {
        Some(after) if scheme == "file" => after.starts_with('/'),
        Some(after) => after.split(['/', '?', '#']).next().is_some_and(is_authority),
        // `localhost:8080` has the form of a scheme; these two always have a host.
        None => !matches!(scheme, "http" | "https") && rest.parse::<u16>().is_err(),
    };
    scheme_fits && rest_fits && host_fits
}

/// Whether this is `user@host:port`, in which the host must not be empty and the port must be a valid one.
fn is_authority(text: &str) -> bool {
    let host = text.rsplit('@').next().unwrap_or_default();
    if let Some(inside) = host.strip_prefix('[') {
        let Some((address, port)) = inside.split_once(']') else { return false };
        return address.parse::<Ipv6Addr>().is_ok()
            && (port.is_empty() || is_port(port.strip_prefix(':')));
    }
    match host.split_once(':') {
        Some((name, port)) => !name.is_empty() && is_port(Some(port)),
        None => !host.is_empty(),
    }
}

fn is_port(text: Option<&str>) -> bool {
    text.is_some_and(|port| port.parse::<u16>().is_ok())
}

/// Text such as `at least 2 characters`.
pub(super) fn at_least(count: u64, what: &str) -> String {
    format!("at least {}", counted(count, what))
}

/// Text such as `at most 1 item`.
pub(super) fn at_most(count: u64, what: &str) -> String {
    format!("at most {}", counted(count, what))
}

fn counted(count: u64, what: &str) -> String {
    format!("{count} {what}{}", if count == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn urls() {
        for good in [
            "https://example.com",
            "http://127.0.0.1:8080/v1?x=1#y",
            "http://[::1]:80/",
            "redis://user:pass@host:6379/0",
            "unix:/run/seawall.sock",
            "file:///tmp/x",
        ] {
            assert!(is_url(good), "{good}");
        }
        for bad in [
            "",
            "example.com",
            "localhost:8080",
            "http:example.com",
            "http://",
            "http://:80",
            "http://host:99999",
            "http://a b",
            "://x",
            "1http://x",
            "http://[::1",
            "https://host:",
        ] {
            assert!(!is_url(bad), "{bad}");
        }
    }
}
