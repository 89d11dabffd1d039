//! Deadlines that travel from hop to hop in headers.

use http::{HeaderMap, HeaderName, HeaderValue};
use seawall::Instant;
use std::time::Duration;

const GRPC: &str = "grpc-timeout";
const ENVOY: &str = "x-envoy-expected-rq-timeout-ms";

/// The longest wait that is read or written. Longer ones are mistakes, and would overflow elsewhere.
const LONGEST: Duration = Duration::from_secs(24 * 3600);

/// The instant at which the caller of a request gives up. [`ServerLayer`](crate::ServerLayer) puts it into the
/// extensions of the request that it serves. Put it into the extensions of the requests that are made meanwhile, or
/// give it to [`ClientLayer::until`](crate::ClientLayer::until), so that they end as early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Deadline(pub Instant);

/// The header by which a [`ClientLayer`](crate::ClientLayer) says to the next hop how long it may take.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeadlineHeader {
    /// `grpc-timeout`: a number of at most eight digits and a unit.
    Grpc,
    /// `x-envoy-expected-rq-timeout-ms`, in milliseconds.
    Envoy,
    /// Milliseconds in a header of your own.
    Millis(HeaderName),
}

impl DeadlineHeader {
    /// Writes the time that is left, rounded down, so that no hop further on waits longer than this one.
    pub(crate) fn write(&self, headers: &mut HeaderMap, left: Duration) {
        let millis = left.min(LONGEST).as_millis() as u64;
        match self {
            Self::Grpc => {
                // The finest unit in which eight digits are enough.
                let nanos = left.min(LONGEST).as_nanos();
                let text = [(1, 'n'), (1_000, 'u'), (1_000_000, 'm'), (1_000_000_000, 'S')]
                    .into_iter()
                    .map(|(unit, name)| (nanos / unit, name))
                    .find(|(count, _)| *count < 100_000_000)
                    .map(|(count, name)| format!("{count}{name}"));
                if let Some(value) = text.and_then(|text| HeaderValue::try_from(text).ok()) {
                    headers.insert(GRPC, value);
                }
            }
            Self::Envoy => _ = headers.insert(ENVOY, HeaderValue::from(millis)),
            Self::Millis(name) => _ = headers.insert(name.clone(), HeaderValue::from(millis)),
        }
    }
}

/// How long the caller waits: the shortest of the values in `grpc-timeout`, `x-envoy-expected-rq-timeout-ms` and the
/// user's own header. A value that cannot be read is ignored.
pub(crate) fn read(headers: &HeaderMap, own: Option<&HeaderName>) -> Option<Duration> {
    let text = |name: &str| headers.get(name)?.to_str().ok();
    let millis = |text: &str| -> Option<Duration> {
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().map_or(LONGEST, Duration::from_millis))
    };
    let grpc = text(GRPC).and_then(grpc);
    let envoy = text(ENVOY).and_then(millis);
    let own = own.and_then(|name| text(name.as_str())).and_then(millis);
    [grpc, envoy, own].into_iter().flatten().min().map(|wait| wait.min(LONGEST))
}

/// Reads the value of `grpc-timeout`, such as `100m` for a tenth of a second.
fn grpc(text: &str) -> Option<Duration> {
    let (number, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let digits =
        (1..=8).contains(&number.len()) && number.bytes().all(|byte| byte.is_ascii_digit());
    let number: u64 = digits.then(|| number.parse().ok())??;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_read_and_garbage_is_not() {
        let own = HeaderName::from_static("x-wait-ms");
        let ms = |n| Some(Duration::from_millis(n));
        for (name, value, expected) in [
            ("grpc-timeout", "100m", ms(100)),
            ("grpc-timeout", "2S", ms(2_000)),
            ("grpc-timeout", "1M", ms(60_000)),
            ("grpc-timeout", "5000u", ms(5)),
            ("grpc-timeout", "99999999H", Some(LONGEST)),
            ("grpc-timeout", "123456789m", None),
            ("grpc-timeout", "m", None),
            ("grpc-timeout", "", None),
            ("grpc-timeout", "-1m", None),
            ("grpc-timeout", "1é", None),
            ("x-envoy-expected-rq-timeout-ms", "250", ms(250)),
            ("x-envoy-expected-rq-timeout-ms", "+250", None),
            ("x-envoy-expected-rq-timeout-ms", "99999999999999999999999", Some(LONGEST)),
            ("x-wait-ms", "0", ms(0)),
            ("x-other", "5", None),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(
                name,
                HeaderValue::from_bytes(value.as_bytes()).unwrap_or_else(|_| panic!("{value}")),
            );
            assert_eq!(read(&headers, Some(&own)), expected, "{name}: {value}");
        }
    }

    #[test]
    fn written_durations_are_read_back_and_are_never_longer() {
        for nanos in [1, 999, 1_234_567, 250_000_000, 61_000_000_001, u64::MAX] {
            let left = Duration::from_nanos(nanos);
            for header in [DeadlineHeader::Grpc, DeadlineHeader::Envoy] {
                let mut headers = HeaderMap::new();
                header.write(&mut headers, left);
                let read = read(&headers, None).unwrap_or(LONGEST * 2);
                assert!(read <= left.min(LONGEST), "{header:?}: {left:?} became {read:?}");
                assert!(
                    read + Duration::from_millis(1) > left.min(LONGEST),
                    "{header:?}: {read:?}"
                );
            }
        }
    }
}
