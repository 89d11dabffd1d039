//! Tables of statuses and of `Retry-After` forms.

use super::*;

fn class(status: u16) -> Option<Class> {
    match classify_status(StatusCode::from_u16(status).unwrap(), &HeaderMap::new()) {
        Outcome::Failure(failure) => Some(failure.class),
        _ => None,
    }
}

#[test]
fn statuses() {
    for status in [200, 204, 206, 301, 304, 101] {
        assert_eq!(class(status), None, "{status}");
    }
    // Those of content delivery networks, too: an origin that is down behind one is down.
    for status in [408, 425, 500, 502, 503, 504, 507, 520, 521, 522, 523, 524, 529, 530, 599] {
        assert_eq!(class(status), Some(Class::Transient), "{status}");
    }
    assert_eq!(class(429), Some(Class::RateLimited));
    for status in [400, 401, 402, 403, 404, 409, 422, 451, 499, 501, 505, 508] {
        assert_eq!(class(status), Some(Class::Permanent), "{status}");
    }
}

#[test]
fn waits() {
    let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
    let check = |name: &'static str, value: &str, expected: Option<Duration>| {
        let mut headers = HeaderMap::new();
        headers.insert(name, value.parse().unwrap());
        assert_eq!(retry_after(&headers, now), expected, "{name}: {value}");
    };
    check("retry-after", "120", Some(Duration::from_secs(120)));
    check("retry-after", " 1.5 ", Some(Duration::from_millis(1500)));
    check("retry-after-ms", "250", Some(Duration::from_millis(250)));
    check("retry-after", "Sun, 06 Nov 1994 08:49:47 GMT", Some(Duration::from_secs(10)));
    check("retry-after", "Sun, 06 Nov 1994 08:49:27 GMT", Some(Duration::ZERO));
    check("retry-after", "0", Some(Duration::ZERO));
    // Numbers without bound are the longest wait: they are no wait that nobody asked for.
    check(
        "retry-after",
        "18000000000000000000",
        Some(Duration::from_secs(18_000_000_000_000_000_000)),
    );
    check("retry-after", "99999999999999999999", Some(Duration::MAX));
    check("retry-after", &"9".repeat(1_000), Some(Duration::MAX));
    check("retry-after-ms", "99999999999999999999999999", Some(Duration::MAX));
    check("retry-after", "1e300", None);
    check("retry-after", "inf", None);
    check("retry-after", ".", None);
    check("retry-after", "", None);
    check("retry-after", "-1", None);
    check("retry-after", "NaN", None);
    check("retry-after", "soon", None);
    check("x-other", "120", None);
    let mut both = HeaderMap::new();
    both.insert("retry-after-ms", "soon".parse().unwrap());
    both.insert("retry-after", "3".parse().unwrap());
    assert_eq!(retry_after(&both, now), Some(Duration::from_secs(3)));
}

#[test]
fn the_upstream_has_the_last_word_on_retrying() {
    for (value, expected) in [("true", Some(true)), ("false", Some(false)), ("maybe", None)] {
        let mut headers = HeaderMap::new();
        headers.insert("x-should-retry", value.parse().unwrap());
        let Outcome::Failure(failure) = classify_status(StatusCode::BAD_REQUEST, &headers) else {
            panic!("400 is a failure");
        };
        assert_eq!(failure.should_retry, expected);
    }
}

#[test]
fn grpc_has_statuses_of_its_own() {
    let class = |status: &'static str| {
        let mut headers = HeaderMap::new();
        headers.insert("grpc-status", HeaderValue::from_static(status));
        match classify_grpc(StatusCode::OK, &headers) {
            Outcome::Failure(failure) => Some(failure.class),
            _ => None,
        }
    };
    assert_eq!(class("0"), None);
    for status in ["4", "10", "13", "14", "15"] {
        assert_eq!(class(status), Some(Class::Transient), "{status}");
    }
    for status in ["1", "3", "5", "6", "7", "9", "11", "12", "16"] {
        assert_eq!(class(status), Some(Class::Permanent), "{status}");
    }
    assert_eq!(class("8"), Some(Class::RateLimited));
    for status in ["2", "17", "-1", "", "soon", "99999999999999"] {
        assert_eq!(class(status), Some(Class::Unknown), "{status}");
    }
    let without = classify_grpc(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new());
    assert_eq!(without, classify_status(StatusCode::SERVICE_UNAVAILABLE, &HeaderMap::new()));
}
