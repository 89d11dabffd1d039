//! Wall-clock time, as people and files read it: RFC 3339, UTC, milliseconds.

use seawall::Instant;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// Milliseconds since 1970; what the clock says before that counts as 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// As text. Years beyond what the format holds are shown as the last one.
pub(crate) fn text(ms: u64) -> String {
    const LAST: u64 = 253_402_300_799_999;
    let time = UNIX_EPOCH + Duration::from_millis(ms.min(LAST));
    humantime::format_rfc3339_millis(time).to_string()
}

/// Now, as text.
pub(crate) fn now() -> String {
    text(now_ms())
}

/// An instant of the policies' clock, as wall-clock text.
pub(crate) fn of(at: Instant, now: Instant) -> String {
    let ms = |length: Duration| u64::try_from(length.as_millis()).unwrap_or(u64::MAX);
    text(if at <= now {
        now_ms().saturating_sub(ms(now.since(at)))
    } else {
        now_ms().saturating_add(ms(at.since(now)))
    })
}

/// For `#[serde(with = "crate::wall")]`: text outside, milliseconds inside.
pub(crate) fn serialize<S: serde::Serializer>(ms: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&text(*ms))
}

/// The way back.
pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text: String = serde::Deserialize::deserialize(from)?;
    let time = humantime::parse_rfc3339(&text).map_err(serde::de::Error::custom)?;
    let since = time.duration_since(UNIX_EPOCH).map_err(serde::de::Error::custom)?;
    Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    #[test]
    fn text_and_back() {
        assert_eq!(super::text(0), "1970-01-01T00:00:00.000Z");
        assert!(super::text(u64::MAX).starts_with("9999-12-31"));
        #[derive(serde::Serialize, serde::Deserialize)]
        struct At(#[serde(with = "super")] u64);
        let at: At = serde_json::from_str("\"2026-01-02T03:04:05.678Z\"").unwrap();
        assert_eq!(serde_json::to_string(&at).unwrap(), "\"2026-01-02T03:04:05.678Z\"");
    }
}
