//! What names a letter, and what groups letters: identifiers that sort by time, and fingerprints of errors.

use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error};
use std::{fmt, str::FromStr};
use uuid::{NoContext, Timestamp, Uuid};

/// The identifier of a letter: a UUID of version 7 (RFC 9562). As text and as a number it sorts by the millisecond in
/// which the letter was made.
#[derive(
    Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema,
)]
#[serde(transparent)]
pub struct LetterId(#[schemars(with = "String")] Uuid);

impl LetterId {
    /// A new identifier for a letter made at this time, in milliseconds since 1970. It is random beyond the time, so no
    /// two are alike.
    pub fn new(now: u64) -> Self {
        let nanoseconds = u32::try_from(now % 1000).unwrap_or(0) * 1_000_000;
        Self(Uuid::new_v7(Timestamp::from_unix(NoContext, now / 1000, nanoseconds)))
    }

    pub(crate) const fn from_number(number: u128) -> Self {
        Self(Uuid::from_u128(number))
    }

    pub(crate) const fn number(self) -> u128 {
        self.0.as_u128()
    }

    /// The lowest identifier of a time, for ranges.
    pub(crate) fn first_of(ms: u64) -> u128 {
        u128::from(ms.min((1 << 48) - 1)) << 80
    }
}

impl fmt::Display for LetterId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for LetterId {
    type Err = uuid::Error;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// What letters of one kind of failure share: a hash of error class, operation, and the error's message without what
/// differs each time (numbers, UUIDs, hexadecimal identifiers). As text it is 16 hexadecimal digits. It stays the same
/// across versions and machines.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, JsonSchema)]
#[schemars(with = "String")]
pub struct Fingerprint(pub(crate) u64);

impl Fingerprint {
    /// The fingerprint of a failure.
    pub fn of(error_class: &str, operation: &str, error: &str) -> Self {
        let mut hash = ring::digest::Context::new(&ring::digest::SHA256);
        for part in [error_class, operation, &normalised(error)] {
            hash.update(part.as_bytes());
            // Ends the part, so that no two splits of one text are alike.
            hash.update(&[0xff]);
        }
        let hash = hash.finish();
        Self(hash.as_ref().iter().take(8).fold(0, |all, byte| all << 8 | u64::from(*byte)))
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl FromStr for Fingerprint {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        u64::from_str_radix(text, 16).map(Self)
    }
}

impl Serialize for Fingerprint {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Fingerprint {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        String::deserialize(from)?.parse().map_err(D::Error::custom)
    }
}

/// A message with `#` in place of each number, UUID and hexadecimal identifier.
fn normalised(message: &str) -> String {
    let mut text = String::with_capacity(message.len());
    let mut rest = message;
    while let Some(first) = rest.chars().next() {
        let word =
            rest.len() - rest.trim_start_matches(|c: char| c.is_alphanumeric() || c == '-').len();
        let (now, later) = rest.split_at(if word > 0 { word } else { first.len_utf8() });
        if word > 0 {
            push_word(&mut text, now)
        } else {
            text.push_str(now)
        }
        rest = later;
    }
    // A fraction is a number like any other.
    while text.contains("#.#") {
        text = text.replace("#.#", "#");
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// Adds a word of letters, digits and hyphens. With the hyphens a UUID is recognised whole.
fn push_word(text: &mut String, word: &str) {
    let bare = word.replace('-', "");
    if bare.len() == 32 && is_hexadecimal(&bare) {
        return text.push('#');
    }
    for (n, part) in word.split('-').enumerate() {
        if n > 0 {
            text.push('-');
        }
        let digits = part.strip_prefix("0x").unwrap_or(part);
        let has_digit = part.bytes().any(|byte| byte.is_ascii_digit());
        // Sixteen letters and digits mixed are what requests and traces are named by.
        if (is_hexadecimal(digits) && (has_digit || digits.len() >= 8))
            || (has_digit && part.len() >= 16)
        {
            text.push('#');
            continue;
        }
        for c in part.chars() {
            match c {
                '0'..='9' if text.ends_with('#') => {}
                '0'..='9' => text.push('#'),
                c => text.push(c),
            }
        }
    }
}

fn is_hexadecimal(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identifiers_sort_by_time_as_numbers_and_as_text() {
        let ids: Vec<_> =
            [1, 999, 1000, 1_700_000_000_000, 1_700_000_000_001].map(LetterId::new).into();
        assert!(ids.is_sorted(), "{ids:?}");
        let texts: Vec<_> = ids.iter().map(ToString::to_string).collect();
        assert!(texts.is_sorted(), "{texts:?}");
        assert_eq!(texts[3].parse(), Ok(ids[3]));
        assert!(LetterId::first_of(1000) <= ids[2].number());
        assert!(LetterId::first_of(1001) > ids[2].number());
        assert_ne!(LetterId::new(5), LetterId::new(5));
        assert!("no id".parse::<LetterId>().is_err());
    }

    #[test]
    fn messages_of_one_kind_are_alike() {
        for (message, expected) in [
            ("timed out after 1.5 s", "timed out after # s"),
            ("timed out after  250ms", "timed out after #ms"),
            ("order 550e8400-e29b-41d4-a716-446655440000 not found", "order # not found"),
            ("order abcdefab-cdef-abcd-efab-cdefabcdefab not found", "order # not found"),
            ("at 0xDEADBEEF, sha 9f86d081884c7d65", "at #, sha #"),
            ("10.0.0.1:8080: connection refused", "#:#: connection refused"),
            ("request req_011CSHoEeqs5C35K2UUqR7Fy failed", "request req_# failed"),
            ("bad facade: non-zero exit", "bad facade: non-zero exit"),
            ("é ü 3", "é ü #"),
            ("", ""),
        ] {
            assert_eq!(normalised(message), expected, "{message}");
        }
    }

    #[test]
    fn fingerprints_are_stable_and_tell_kinds_apart() {
        let of = Fingerprint::of("timeout", "POST /orders", "no answer after 30 s");
        assert_eq!(of, Fingerprint::of("timeout", "POST /orders", "no answer after 5 s"));
        assert_eq!(of.to_string(), "930636c908c42b7f", "stored letters know it by this");
        assert_eq!(of.to_string().parse(), Ok(of));
        for other in [
            Fingerprint::of("connect", "POST /orders", "no answer after 30 s"),
            Fingerprint::of("timeout", "POST /order", "sno answer after 30 s"),
            Fingerprint::of("timeout", "POST /orders", "no route"),
        ] {
            assert_ne!(of, other);
        }
    }
}
