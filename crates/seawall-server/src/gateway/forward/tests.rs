//! Tests of which proxies are believed, and of what is passed on.

use super::*;

fn headers(lines: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn lines<'a>(headers: &'a HeaderMap, name: &str) -> Vec<&'a [u8]> {
    headers.get_all(name).iter().map(HeaderValue::as_bytes).collect()
}

fn trusting(networks: &[&str]) -> Forwarding {
    let networks: Vec<String> = networks.iter().map(|&text| text.to_owned()).collect();
    Forwarding::new(&networks).unwrap_or_else(|text| panic!("{text}"))
}

#[test]
fn the_client_is_the_last_untrusted_address() {
    let forwarding = trusting(&["10.0.0.0/8", "fd00::/8"]);
    for (peer, lines, client) in [
        ("10.0.0.1", &[][..], "10.0.0.1"),
        ("192.0.2.1", &[("x-forwarded-for", "8.8.8.8")], "192.0.2.1"),
        ("10.0.0.1", &[("x-forwarded-for", "8.8.8.8")], "8.8.8.8"),
        ("::ffff:10.0.0.1", &[("x-forwarded-for", "8.8.8.8")], "8.8.8.8"),
        ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, 8.8.8.8, 10.0.0.2")], "8.8.8.8"),
        (
            "10.0.0.1",
            &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "8.8.8.8,10.0.0.2")],
            "8.8.8.8",
        ),
        ("10.0.0.1", &[("x-forwarded-for", "10.0.0.3,10.0.0.2")], "10.0.0.3"),
        ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, unknown, 10.0.0.2")], "10.0.0.2"),
        ("10.0.0.1", &[("x-forwarded-for", "1.1.1.1, \u{e9}")], "10.0.0.1"),
        ("10.0.0.1", &[("x-forwarded-for", "8.8.8.8:1234")], "8.8.8.8"),
        ("10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]:80")], "2001:db8::1"),
        ("10.0.0.1", &[("x-forwarded-for", "[2001:db8::1]")], "2001:db8::1"),
        ("fd00::1", &[("x-forwarded-for", "::ffff:8.8.8.8")], "8.8.8.8"),
        ("10.0.0.1", &[("forwarded", "for=8.8.8.8;proto=https")], "8.8.8.8"),
        (
            "10.0.0.1",
            &[("forwarded", "for=1.1.1.1, host=\"a,b\";For=\"[2001:db8::1]:8\" , for=10.2.2.2")],
            "2001:db8::1",
        ),
        ("10.0.0.1", &[("forwarded", "for=8.8.8.8"), ("forwarded", "for=_hidden")], "10.0.0.1"),
        ("10.0.0.1", &[("forwarded", "for=8.8.8.8;for=9.9.9.9")], "10.0.0.1"),
        ("10.0.0.1", &[("forwarded", "for=1.1.1.1"), ("x-forwarded-for", "8.8.8.8")], "8.8.8.8"),
    ] {
        let found = forwarding.client(&headers(lines), peer.parse().unwrap());
        assert_eq!(found, client.parse::<IpAddr>().unwrap(), "{peer} {lines:?}");
    }
}

#[test]
fn a_trusted_chain_goes_on_in_one_line() {
    let mut told = headers(&[
        ("host", "a:80"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-for", "caf\u{e9}, 2.2.2.2 "),
        ("x-forwarded-for", ""),
        ("x-forwarded-host", "public.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-port", "443"),
        ("forwarded", "for=1.1.1.1"),
        ("forwarded", "for=2.2.2.2;host=\"x;y\""),
    ]);
    trusting(&["10.0.0.1"]).write(&mut told, "10.0.0.1".parse().unwrap());
    let chain = "1.1.1.1, caf\u{e9}, 2.2.2.2, 10.0.0.1".as_bytes();
    assert_eq!(lines(&told, "x-forwarded-for"), [chain]);
    assert_eq!(lines(&told, "x-forwarded-host"), [b"public.example"]);
    assert_eq!(lines(&told, "x-forwarded-proto"), [b"https"]);
    assert_eq!(lines(&told, "x-forwarded-port"), [b"443"]);
    let chain: &[u8] =
        b"for=1.1.1.1, for=2.2.2.2;host=\"x;y\", for=10.0.0.1;host=\"a:80\";proto=http";
    assert_eq!(lines(&told, "forwarded"), [chain]);
    assert!(!told.contains_key("host"));
}

#[test]
fn whoever_is_not_trusted_says_nothing_of_others() {
    let mut told = headers(&[
        ("host", "a"),
        ("x-forwarded-for", "1.1.1.1"),
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-prefix", "/admin"),
        ("x-forwarded-user", "root"),
        ("forwarded", "for=1.1.1.1"),
        ("x-other", "stays"),
    ]);
    trusting(&["10.0.0.1"]).write(&mut told, "::1".parse().unwrap());
    let mut names: Vec<_> = told.keys().map(HeaderName::as_str).collect();
    names.sort_unstable();
    let expected =
        ["forwarded", "x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-other"];
    assert_eq!(names, expected);
    assert_eq!(lines(&told, "x-forwarded-for"), [b"::1"]);
    assert_eq!(lines(&told, "x-forwarded-host"), [b"a"]);
    assert_eq!(lines(&told, "x-forwarded-proto"), [b"http"]);
    assert_eq!(lines(&told, "forwarded"), [&b"for=\"[::1]\";host=\"a\";proto=http"[..]]);
}

#[test]
fn an_open_quote_swallows_no_element() {
    let mut told = headers(&[("forwarded", "for=\"1.1.1.1")]);
    trusting(&["::/0"]).write(&mut told, "::1".parse().unwrap());
    assert_eq!(lines(&told, "forwarded"), [&b"for=\"[::1]\";proto=http"[..]]);
}

#[test]
fn an_instance_knows_itself_and_no_other() {
    let (own, other) = (Pseudonym::new(), Pseudonym::new());
    let mut through = headers(&[("via", "1.0 fred, 1.1 p.example.net (a, b)"), ("via", "2 x")]);
    assert!(!own.is_in(&through));
    other.add_to(&mut through, Version::HTTP_10);
    assert!(!own.is_in(&through));
    own.add_to(&mut through, Version::HTTP_2);
    assert!(own.is_in(&through) && other.is_in(&through));
    let expected =
        format!("1.0 fred, 1.1 p.example.net (a, b), 2 x, 1.0 {}, 2.0 {}", other.0, own.0);
    assert_eq!(lines(&through, "via"), [expected.as_bytes()]);
    let parted = headers(&[("via", "1.1 a"), ("via", &format!("HTTP/1.1\t{} (x)", own.0))]);
    assert!(own.is_in(&parted));
}
