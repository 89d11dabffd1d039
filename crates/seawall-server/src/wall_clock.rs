//! Wall-clock time, as people and files read it: RFC 3339, UTC, milliseconds.

use seawall::Instant;
use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Milliseconds since 1970; what the clock says before that counts as 1970.
pub(crate) fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}

/// The time as text. Years beyond what the format holds are shown as the last one.
pub(crate) fn text(ms: u64) -> String {
    const LAST: u64 = 253_402_300_799_999;
    let time = UNIX_EPOCH + Duration::from_millis(ms.min(LAST));
    humantime::format_rfc3339_millis(time).to_string()
}

/// The present time as text.
pub(crate) fn now() -> String {
    text(now_ms())
}

/// An instant of the policies' clock as wall-clock text: equal each time it is asked for, unless the wall clock was
/// set in between.
pub(crate) fn of(at: Instant, now: Instant) -> String {
    /// How many milliseconds the wall clock is ahead of the policies' clock.
    static AHEAD: AtomicI64 = AtomicI64::new(i64::MIN);
    let ms = |at: Instant| i64::try_from(at.as_nanos() / 1_000_000).unwrap_or(i64::MAX);
    let present = i64::try_from(now_ms()).unwrap_or(i64::MAX).saturating_sub(ms(now));
    let noted = AHEAD.load(Ordering::Relaxed);
    let ahead = if present.abs_diff(noted) <= 1000 { noted } else { present };
    AHEAD.store(ahead, Ordering::Relaxed);
    text(u64::try_from(ms(at).saturating_add(ahead)).unwrap_or(0))
}

/// For `#[serde(with = "crate::wall_clock")]`: text outside, milliseconds inside.
pub(crate) fn serialize<S: serde::Serializer>(ms: &u64, to: S) -> Result<S::Ok, S::Error> {
    to.serialize_str(&text(*ms))
}

/// Reads the text as milliseconds since 1970.
pub(crate) fn deserialize<'de, D: serde::Deserializer<'de>>(from: D) -> Result<u64, D::Error> {
    let text: String = serde::Deserialize::deserialize(from)?;
    let time = humantime::parse_rfc3339(&text).map_err(serde::de::Error::custom)?;
    let since = time.duration_since(UNIX_EPOCH).map_err(serde::de::Error::custom)?;
    Ok(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_is_shown_alike_each_time() {
        let start = std::time::Instant::now();
        let now = || Instant::from_millis(5_000) + start.elapsed();
        let at = Instant::from_millis(4_000);
        let first = of(at, now());
        for _ in 0..1000 {
            assert_eq!(of(at, now()), first);
        }
        let shown = humantime::parse_rfc3339(&first).unwrap();
        let ago = SystemTime::now().duration_since(shown).unwrap();
        assert!(ago >= Duration::from_millis(900) && ago < Duration::from_secs(60), "{ago:?}");
    }

    #[test]
    fn text_and_back() {
        assert_eq!(text(0), "1970-01-01T00:00:00.000Z");
        assert!(text(u64::MAX).starts_with("9999-12-31"));
        #[derive(serde::Serialize, serde::Deserialize)]
        struct At(#[serde(with = "super")] u64);
        let at: At = serde_json::from_str("\"2026-01-02T03:04:05.678Z\"").unwrap();
        assert_eq!(serde_json::to_string(&at).unwrap(), "\"2026-01-02T03:04:05.678Z\"");
    }
}
