//! Patterns and keys, as written in files.

use super::*;

#[test]
fn patterns() {
    let check = |pattern: &str, path: &str, expected: bool| {
        let parsed = PathPattern::parse(pattern).unwrap();
        assert_eq!(parsed.matches(path), expected, "{pattern} against {path}");
    };
    check("/v1/*", "/v1/chat/completions", true);
    check("/v1/*", "/v1/", true);
    check("/v1/*", "/v1", true);
    check("/v1/*", "/v10/chat", false);
    check("/*", "/anything", true);
    check("/*", "/", true);
    check("/health", "/health", true);
    check("/health", "/healthz-admin", false);
    check("/health", "/health/", false);
    for wrong in ["", "v1", "/v1*", "/a/*/b", "/a b", "/a?b=1", "*"] {
        assert_eq!(PathPattern::parse(wrong), None, "{wrong:?}");
    }
}

#[test]
fn keys() {
    assert_eq!(KeySource::parse(None), Some(KeySource::None));
    assert_eq!(KeySource::parse(Some("peer")), Some(KeySource::Peer));
    let header = KeySource::parse(Some("header:Authorization")).unwrap();
    for wrong in ["header:", "header:a b", "cookie:x", ""] {
        assert_eq!(KeySource::parse(Some(wrong)), None, "{wrong:?}");
    }
    let peer = IpAddr::from([10, 0, 0, 1]);
    let with = |value: &str| {
        let mut headers = HeaderMap::new();
        headers.insert("authorization", value.parse().unwrap());
        header.of(&headers, peer)
    };
    assert_eq!(with("a"), with("a"));
    assert_ne!(with("a"), with("b"));
    let nobody = header.of(&HeaderMap::new(), peer);
    assert_eq!(nobody, header.of(&HeaderMap::new(), peer));
    assert_ne!(nobody, header.of(&HeaderMap::new(), IpAddr::from([10, 0, 0, 2])));
    // Which of two the upstream goes by, nobody knows: a second line makes no second key.
    let twice = |first: &str, second: &str| {
        let mut headers = HeaderMap::new();
        headers.append("authorization", first.parse().unwrap());
        headers.append("authorization", second.parse().unwrap());
        header.of(&headers, peer)
    };
    assert_eq!([twice("a", "b"), twice("b", "a")], [nobody, nobody]);
}
