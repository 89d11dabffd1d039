//! Endpoints, as written in files.

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
