//! Durations as people write them, and problems by path.

use super::*;

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
    problems.require_positive("wait", Duration::ZERO);
    let error = problems.into_result().unwrap_err();
    let paths: Vec<&str> = error.problems.iter().map(|problem| &*problem.path).collect();
    assert_eq!(paths, ["policies[2].limit", "policies[2].backoff.base", "wait"]);
    assert!(error.to_string().starts_with("policies[2].limit: 7 is not more; "));
    assert!(Problems::default().into_result().is_ok());
}
