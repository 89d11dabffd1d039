//! Milliseconds since 1970, as text outside: RFC 3339 in UTC.

use serde::{Deserialize, Deserializer, Serializer, de::Error};
use std::time::{Duration, UNIX_EPOCH};

/// The last millisecond that the format can show: the end of the year 9999.
const LAST: u64 = 253_402_300_799_999;

fn text(ms: u64) -> String {
    humantime::format_rfc3339_millis(UNIX_EPOCH + Duration::from_millis(ms.min(LAST))).to_string()
}

fn milliseconds<E: Error>(text: &str) -> Result<u64, E> {
    let time = humantime::parse_rfc3339(text).map_err(E::custom)?;
    let since = time.duration_since(UNIX_EPOCH).map_err(E::custom)?;
    u64::try_from(since.as_millis()).map_err(E::custom)
}

pub(super) fn serialize<S: Serializer>(ms: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&text(*ms))
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    milliseconds(&String::deserialize(from)?)
}

/// For a time that may be missing.
pub(super) mod optional {
    use super::{Deserialize, Deserializer, Serializer, milliseconds, text};

    pub(in super::super) fn serialize<S: Serializer>(
        ms: &Option<u64>,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        match ms {
            Some(ms) => to.serialize_some(&text(*ms)),
            None => to.serialize_none(),
        }
    }

    pub(in super::super) fn deserialize<'de, D: Deserializer<'de>>(
        from: D,
    ) -> Result<Option<u64>, D::Error> {
        Option::<String>::deserialize(from)?.as_deref().map(milliseconds).transpose()
    }
}
