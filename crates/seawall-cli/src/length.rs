//! Lengths of time, as arguments and as text.

use serde::de::value::{Error, StrDeserializer};
use std::time::Duration;

/// `250ms`, `30s`, `1h 30m`, or a number of seconds; more than nothing.
pub(crate) fn parse(text: &str) -> Result<Duration, String> {
    let length = match text.trim().parse::<u64>() {
        Ok(seconds) => Duration::from_secs(seconds),
        Err(_) => {
            seawall::config::duration::deserialize(StrDeserializer::<Error>::new(text.trim()))
                .map_err(|_| "write a length such as 30s, 10m or 1h 30m".to_owned())?
        }
    };
    if length.is_zero() { Err("it must be more than 0".into()) } else { Ok(length) }
}

/// Milliseconds as a person says them, in at most two units: `4 s`, `2 min 5 s`, `3 h`.
pub(crate) fn short(ms: u64) -> String {
    let seconds = ms / 1000;
    let two = |large: u64, unit: &str, small: u64, other: &str| match small {
        0 => format!("{large} {unit}"),
        small => format!("{large} {unit} {small} {other}"),
    };
    match seconds {
        0 => format!("{ms} ms"),
        1..60 => format!("{seconds} s"),
        60..3600 => two(seconds / 60, "min", seconds % 60, "s"),
        3600..86_400 => two(seconds / 3600, "h", seconds % 3600 / 60, "min"),
        _ => two(seconds / 86_400, "d", seconds % 86_400 / 3600, "h"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_people_write_them() {
        for (text, expected) in [
            ("30s", Some(30_000)),
            ("250ms", Some(250)),
            ("1h 30m", Some(5_400_000)),
            (" 12 ", Some(12_000)),
            ("0", None),
            ("0s", None),
            ("soon", None),
            ("-3s", None),
            ("", None),
        ] {
            assert_eq!(parse(text).ok(), expected.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn lengths_are_said_in_two_units() {
        for (ms, expected) in [
            (0, "0 ms"),
            (999, "999 ms"),
            (4_200, "4 s"),
            (60_000, "1 min"),
            (125_000, "2 min 5 s"),
            (3 * 3_600_000, "3 h"),
            (26 * 3_600_000, "1 d 2 h"),
        ] {
            assert_eq!(short(ms), expected);
        }
    }
}
