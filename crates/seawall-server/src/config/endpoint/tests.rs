//! Tests of how endpoints are written in files.

use super::*;

#[test]
fn endpoints() {
    let check = |endpoint: &str, request: &str, expected: &str| {
        let uri = Endpoint::parse(endpoint).unwrap().uri(&request.parse().unwrap()).unwrap();
        assert_eq!(uri.to_string(), expected);
    };
    check("http://127.0.0.1:9001", "/v1/chat?x=1", "http://127.0.0.1:9001/v1/chat?x=1");
    check("http://a.example/", "/v1", "http://a.example/v1");
    check("https://a.example/base/", "/v1", "https://a.example/base/v1");
    check("http://[::1]:80/b", "/", "http://[::1]:80/b/");
    for wrong in ["", "127.0.0.1:80", "ftp://a", "http://", "/v1", "http://u:p@a", "http://a/?q=1"]
    {
        assert_eq!(Endpoint::parse(wrong), None, "{wrong:?}");
    }
}

#[test]
fn an_endpoint_that_is_the_listener_is_known() {
    let check = |endpoint: &str, listen: &str, expected: bool| {
        let reaches = Endpoint::parse(endpoint).unwrap().reaches(listen.parse().unwrap());
        assert_eq!(reaches, expected, "{endpoint} against {listen}");
    };
    for (endpoint, listen) in [
        ("http://127.0.0.1:8000", "127.0.0.1:8000"),
        ("http://127.0.0.1:8000/elsewhere", "127.0.0.1:8000"),
        ("https://127.0.0.1", "127.0.0.1:443"),
        ("http://127.0.0.1", "127.0.0.1:80"),
        ("http://localhost:8000", "127.0.0.1:8000"),
        ("http://LocalHost.:8000", "[::1]:8000"),
        ("http://a.localhost:8000", "0.0.0.0:8000"),
        ("http://0.0.0.0:8000", "127.0.0.1:8000"),
        ("http://0.0.0.0:8000", "0.0.0.0:8000"),
        ("http://127.9.9.9:8000", "0.0.0.0:8000"),
        ("http://127.0.0.1:8000", "[::]:8000"),
        ("http://[::1]:8000", "[::]:8000"),
        ("http://[::ffff:127.0.0.1]:8000", "127.0.0.1:8000"),
        ("http://10.0.0.1:8000", "10.0.0.1:8000"),
    ] {
        check(endpoint, listen, true);
    }
    for (endpoint, listen) in [
        ("http://127.0.0.1:8001", "127.0.0.1:8000"),
        ("http://127.0.0.1", "127.0.0.1:8000"),
        ("http://127.0.0.2:8000", "127.0.0.1:8000"),
        ("http://10.0.0.1:8000", "127.0.0.1:8000"),
        ("http://10.0.0.1:8000", "0.0.0.0:8000"),
        ("http://localhost:8000", "10.0.0.1:8000"),
        ("http://localhost.example:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "127.0.0.1:8000"),
        ("http://[::1]:8000", "0.0.0.0:8000"),
        ("http://127.0.0.1:1", "127.0.0.1:0"),
    ] {
        check(endpoint, listen, false);
    }
}
