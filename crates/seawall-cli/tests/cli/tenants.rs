//! `seawall tenants` against a running server.

use crate::support::Serving;
use std::{
    io::{Read, Write},
    net::TcpStream,
};

const FILE: &str = "\
trusted_proxies: [127.0.0.1]
upstreams:
  model: { endpoints: ['http://127.0.0.1:9'], protocol: openai, policies: [] }
routes: [{ path: '/*', upstream: model }]
tenants:
  from: header:x-tenant
  tiers: { gold: { budgets: [{ unit: requests, limit: 2, per: month }] } }
  named: { acme: { tier: gold, requests: { rate: 50, per: 1h } } }
";

fn ask(serving: &Serving, tenant: &str) -> String {
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    let request = format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: a\r\nx-tenant: {tenant}\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{{}}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}

#[test]
fn tenants_are_listed_shown_and_reset() {
    let serving = Serving::start(FILE, &[]);
    let answers = [ask(&serving, "acme"), ask(&serving, "acme"), ask(&serving, "acme")];
    assert!(
        answers[1].starts_with("HTTP/1.1 502") && answers[2].starts_with("HTTP/1.1 429"),
        "{answers:?}"
    );
    ask(&serving, "stranger");
    let list = serving.json(&["tenants", "list"]);
    assert_eq!(
        (&list["total"], &list["tenants"][0]["name"]),
        (&2.into(), &"acme".into()),
        "{list}"
    );
    let (code, text, told) = serving.run(&["tenants", "list"]);
    assert_eq!(code, Some(0), "{told}");
    for part in ["acme", "gold", "requests 100 % of 2 a month", "stranger"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let (_, text, told) = serving.run(&["tenants", "show", "acme"]);
    for part in ["limit of requests: 48 of 50 left", "refused by tenant_budget: 1"] {
        assert!(text.contains(part), "{part}: {text} {told}");
    }
    let (code, text, told) = serving.run(&["tenants", "reset", "acme"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(text.contains("requests 0 % of 2") && text.contains("50 of 50 left"), "{text}");
    assert!(ask(&serving, "acme").starts_with("HTTP/1.1 502"));
    let (code, _, told) = serving.run(&["tenants", "show", "nobody"]);
    assert!(code != Some(0) && told.contains("nobody"), "{told}");
}
