//! Tests of what the upstream is sent about the client, and of which proxies are believed.

use crate::support::{Answer, Gateway, Upstream, raw, send};
use http::{HeaderMap, Method};
use http_body_util::Full;

/// A gateway with these top-level lines, and fields of its upstream and of its route.
async fn before(upstream: &Upstream, lines: &str, fields: &str, route: &str) -> Gateway {
    Gateway::start(&format!(
        "{lines}\nupstreams:\n  only: {{ endpoints: ['{}'], policies: []{fields} }}\n\
         routes: [{{ path: '/*', upstream: only{route} }}]\n",
        upstream.endpoint()
    ))
    .await
}

/// The headers that the upstream was sent when the client sent these lines.
async fn sent(lines: &str, headers: &str) -> HeaderMap {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = before(&upstream, lines, "", "").await;
    let request =
        format!("GET / HTTP/1.1\r\nhost: public.example\r\nconnection: close\r\n{headers}\r\n");
    let answer = raw(&gateway, request.as_bytes()).await;
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    upstream.seen().remove(0).2
}

fn only<'a>(headers: &'a HeaderMap, name: &str) -> &'a [u8] {
    let mut lines = headers.get_all(name).iter();
    let line = lines.next().map_or(&b""[..], |line| line.as_bytes());
    assert!(lines.next().is_none(), "{name} is there twice");
    line
}

const CLAIMS: &str = "x-forwarded-for: 8.8.8.8\r\nx-forwarded-for: 10.0.0.9\r\n\
                      x-forwarded-host: first.example\r\nx-forwarded-proto: https\r\n\
                      x-forwarded-port: 443\r\nforwarded: for=8.8.8.8\r\n";

#[tokio::test(flavor = "multi_thread")]
async fn only_named_proxies_are_believed() {
    for lines in ["", "trusted_proxies: []", "trusted_proxies: [10.0.0.0/8, '::1']"] {
        let told = sent(lines, CLAIMS).await;
        assert_eq!(only(&told, "x-forwarded-for"), b"127.0.0.1", "{lines}");
        assert_eq!(only(&told, "x-forwarded-host"), b"public.example");
        assert_eq!(only(&told, "x-forwarded-proto"), b"http");
        assert_eq!(only(&told, "x-forwarded-port"), b"");
        assert_eq!(only(&told, "forwarded"), b"for=127.0.0.1;host=\"public.example\";proto=http");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trusted_proxy_is_believed_and_its_lines_are_one_list() {
    let told = sent("trusted_proxies: [127.0.0.0/8]", CLAIMS).await;
    assert_eq!(only(&told, "x-forwarded-for"), b"8.8.8.8, 10.0.0.9, 127.0.0.1");
    assert_eq!(only(&told, "x-forwarded-host"), b"first.example");
    assert_eq!(only(&told, "x-forwarded-proto"), b"https");
    assert_eq!(only(&told, "x-forwarded-port"), b"443");
    let chain = b"for=8.8.8.8, for=127.0.0.1;host=\"public.example\";proto=http";
    assert_eq!(only(&told, "forwarded"), chain);
}

#[tokio::test(flavor = "multi_thread")]
async fn the_chain_survives_odd_bytes_and_a_client_that_disowns_it() {
    let odd = "x-forwarded-for: caf\u{e9}\r\nx-forwarded-for: 8.8.8.8\r\n\
               connection: x-forwarded-for, via, caf\u{e9}, x-hop\r\nx-hop: 1\r\nvia: 1.1 fred\r\n";
    let told = sent("trusted_proxies: [127.0.0.1]", odd).await;
    let chain = "caf\u{e9}, 8.8.8.8, 127.0.0.1".as_bytes();
    assert_eq!(only(&told, "x-forwarded-for"), chain);
    assert!(!told.contains_key("x-hop") && only(&told, "via").starts_with(b"1.1 fred, "));
}

#[tokio::test(flavor = "multi_thread")]
async fn the_upstream_gets_the_clients_host_where_it_is_to() {
    for (fields, expected) in [("", None), (", preserve_host: true", Some("public.example:81"))] {
        let upstream = Upstream::statuses(&[200]).await;
        let gateway = before(&upstream, "", fields, "").await;
        let own = upstream.address.to_string();
        for request in [
            "GET / HTTP/1.1\r\nhost: public.example:81\r\nconnection: close\r\n\r\n",
            "GET http://public.example:81/ HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n",
        ] {
            assert!(raw(&gateway, request.as_bytes()).await.starts_with("HTTP/1.1 200"));
        }
        // A client that names no host is sent on under the endpoint's.
        assert!(raw(&gateway, b"GET / HTTP/1.0\r\n\r\n").await.starts_with("HTTP/1.0 200"));
        let seen = upstream.seen();
        for (_, _, headers) in &seen[..2] {
            assert_eq!(only(headers, "host"), expected.unwrap_or(&own).as_bytes());
            assert_eq!(only(headers, "x-forwarded-host"), b"public.example:81");
        }
        assert_eq!(only(&seen[2].2, "host"), own.as_bytes());
        assert_eq!(only(&seen[2].2, "x-forwarded-host"), b"");
    }
}

/// One request that claims to be for these, one line each.
async fn claiming(gateway: &Gateway, lines: &[&str]) -> Answer {
    let mut request = gateway.request(Method::GET, "/");
    for line in lines {
        request = request.header("x-forwarded-for", *line);
    }
    send(request.body(Full::default()).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_limit_for_each_client_follows_the_trusted_chain() {
    let upstream = Upstream::statuses(&[200]).await;
    let route = ", rate_limit: { rate: 1, per: 1h, key: peer }";
    let gateway = before(&upstream, "", "", route).await;
    assert_eq!(claiming(&gateway, &["1.1.1.1"]).await.status, 200);
    assert_eq!(
        claiming(&gateway, &["2.2.2.2"]).await.status,
        429,
        "a client's word dodges nothing"
    );

    let gateway = before(&upstream, "trusted_proxies: [127.0.0.1, 10.0.0.0/8]", "", route).await;
    for (lines, status) in [
        (&["1.1.1.1"][..], 200),
        (&["2.2.2.2"], 200),
        // What stands before the last address that is not trusted is the client's own word.
        (&["9.9.9.9, 1.1.1.1"], 429),
        (&["9.9.9.9", "2.2.2.2"], 429),
        (&["9.9.9.9", "2.2.2.2, 10.0.0.4"], 429),
        (&["3.3.3.3", "10.0.0.4", "10.0.0.5"], 200),
        (&["unknown, 3.3.3.3, 10.0.0.4"], 429),
    ] {
        assert_eq!(claiming(&gateway, lines).await.status, status, "{lines:?}");
    }
}
