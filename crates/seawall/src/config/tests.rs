//! Tests of how durations are written, and of the paths of problems.

use super::*;
use std::time::Duration;

#[cfg(feature = "serde")]
#[derive(serde::Serialize, serde::Deserialize, PartialEq, Debug)]
struct Held {
    #[serde(with = "super::duration")]
    length: Duration,
    #[serde(default, with = "super::duration::option")]
    other: Option<Duration>,
}

#[cfg(feature = "serde")]
#[test]
fn durations_as_people_write_them() {
    let read = |text: &str| {
        let json = format!("{{\"length\":{text},\"other\":{text}}}");
        serde_json::from_str::<Held>(&json).ok().map(|held| {
            assert_eq!(Some(held.length), held.other);
            held.length
        })
    };
    for (text, expected) in [
        ("\"250ms\"", Some(Duration::from_millis(250))),
        ("\"20s\"", Some(Duration::from_secs(20))),
        ("\"1h 30m\"", Some(Duration::from_secs(5_400))),
        ("\"5m\"", Some(Duration::from_secs(300))),
        ("\"500us\"", Some(Duration::from_micros(500))),
        ("\"0s\"", Some(Duration::ZERO)),
        ("20", Some(Duration::from_secs(20))),
        ("0.5", Some(Duration::from_millis(500))),
        ("-1", None),
        ("-0.5", None),
        ("1e300", None),
        ("\"\"", None),
        ("\"soon\"", None),
        ("\"5 parsecs\"", None),
        ("true", None),
        ("[1]", None),
    ] {
        assert_eq!(read(text), expected, "{text}");
    }
}

#[cfg(feature = "serde")]
#[test]
fn durations_come_back_as_they_were() {
    for nanos in [0, 1, 999, 1_500_000, 60_000_000_000, 86_399_999_999_999] {
        let length = Duration::from_nanos(nanos);
        let held = Held { length, other: None };
        let text = serde_json::to_string(&held).unwrap();
        assert_eq!(serde_json::from_str::<Held>(&text).unwrap(), held, "{text}");
    }
}

#[test]
fn problems_are_named_by_path() {
    let mut problems = Problems::default();
    problems.within("policies", |problems| {
        problems.within("[2]", |problems| {
            problems.require(false, "limit", 7, "more");
            problems.within("backoff", |problems| problems.require(false, "base", "x", "less"));
        });
    });
    problems.require(true, "fine", 1, "anything");
    problems.hold("wait", Duration::ZERO, configuration!(@range positive), None);
    let error = problems.into_result().unwrap_err();
    let paths: Vec<&str> = error.problems.iter().map(|problem| &*problem.path).collect();
    assert_eq!(paths, ["policies[2].limit", "policies[2].backoff.base", "wait"]);
    assert!(error.to_string().starts_with("policies[2].limit: 7 is not more; "));
    assert!(Problems::default().into_result().is_ok());
}

#[test]
fn a_range_says_what_would_be_right() {
    fn right<T: Bounded>(value: impl Into<Option<T>>, range: impl RangeBounds<T>) -> String {
        let mut problems = Problems::default();
        problems.hold("x", value, range, None);
        problems.into_result().map_or_else(|error| error.to_string(), |()| "fine".to_owned())
    }
    let ms = Duration::from_millis;
    for (found, expected) in [
        (right(0_u32, 1..=1_000_000), "x: 0 is not a whole number from 1 to 1000000"),
        (right(1_u32, 1..=1_000_000), "fine"),
        (right::<u32>(None, 1..=1_000_000), "fine"),
        (right(1.5, 0.0..=1.0), "x: 1.5 is not a share from 0 to 1"),
        (right(f64::NAN, 0.0..=100.0), "x: NaN is not a number from 0 to 100"),
        (
            right(0.0, configuration!(@range over 0.0..=1.0)),
            "x: 0.0 is not a share over 0 and up to 1",
        ),
        (
            right(1.0, configuration!(@range over 0.0..1.0)),
            "x: 1.0 is not a share over 0 and under 1",
        ),
        (right(1.0, 0.5..1.0), "x: 1.0 is not a number from 0.5 to under 1"),
        (right(ms(0), configuration!(@range positive)), "x: 0ns is not more than 0"),
        (right(ms(0), configuration!(@range positive..=days(30))), "x: 0ns is not more than 0"),
        (
            right(days(31), configuration!(@range positive..=days(30))),
            "x: 2678400s is not at most 30 days",
        ),
        (right(hours(2), ..=hours(1)), "x: 7200s is not at most 1h"),
        (right(ms(1), ms(100)..=hours(24)), "x: 1ms is not a duration from 100ms to 24h"),
        (right(secs(61), ms(1)..=secs(60)), "x: 61s is not a duration from 1ms to 60s"),
    ] {
        assert_eq!(found, expected);
    }
}
