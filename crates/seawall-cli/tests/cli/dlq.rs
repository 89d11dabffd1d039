//! `seawall dlq` against a running server.

use crate::support::{Folder, Serving};
use std::{
    io::{Read, Write},
    net::TcpStream,
};

const FILE: &str = "\
upstreams:
  shop: { endpoints: ['http://127.0.0.1:9'], policies: [] }
routes: [{ path: '/orders/*', upstream: shop, dead_letter: orders }]
";

/// Sends an order that fails.
fn fail(serving: &Serving, number: usize) {
    let mut stream = TcpStream::connect(&serving.address).unwrap();
    let request = format!(
        "POST /orders/{number} HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\nconnection: close\r\n\r\nhello"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.contains("\"dead_letter_id\""), "{answer}");
}

#[test]
fn letters_are_listed_replayed_carried_and_purged() {
    let serving = Serving::start(FILE, &[]);
    (0..3).for_each(|number| fail(&serving, number));
    let page = serving.json(&["dlq", "list", "--queue", "orders", "--text", "ORDERS"]);
    let letters = page["letters"].as_array().unwrap();
    assert_eq!(letters.len(), 3, "{page}");
    let id = letters[0]["id"].as_str().unwrap();
    let (code, text, told) = serving.run(&["dlq", "show", id]);
    assert_eq!(code, Some(0), "{told}");
    for part in ["orders", "waiting", "POST /orders/*", "not connected", ":path", "hello"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let group = letters[0]["fingerprint"].as_str().unwrap();
    for (arguments, part) in [
        (&["dlq", "groups"][..], group),
        (&["dlq", "stats"], "orders"),
        (&["dlq", "list", "--limit", "1"], "more: --after"),
        (&["dlq", "list", "--state", "replayed"], "no letters"),
        (&["dlq", "replay", "--group", group, "--dry-run"], "3 letters would be replayed"),
        (&["dlq", "jobs"], "done"),
    ] {
        let (code, text, told) = serving.run(arguments);
        assert_eq!(code, Some(0), "{arguments:?}: {told}");
        assert!(text.contains(part), "{arguments:?}: {text}");
    }
    let (code, text, _) = serving.run(&["dlq", "replay", id, "--wait"]);
    assert_eq!(code, Some(1), "its upstream is still away: {text}");

    let folder = Folder::new();
    let file = folder.file("letters.ndjson", "");
    let file = file.to_str().unwrap();
    assert_eq!(serving.run(&["dlq", "export", "--out", file]).0, Some(0));
    assert_eq!(std::fs::read_to_string(file).unwrap().lines().count(), 3);
    let (code, _, told) = serving.run(&["dlq", "purge", "--expect", "2"]);
    assert_eq!(code, Some(1), "{told}");
    assert!(told.contains("means 3 letters"), "{told}");
    let (_, text, _) = serving.run(&["dlq", "purge", "--queue", "orders", "--expect", "3"]);
    assert_eq!(text, "3 letters deleted\n");
    let (code, text, _) = serving.run(&["dlq", "import", file]);
    assert_eq!((code, &*text), (Some(0), "3 letters stored, 0 merged, 0 refused\n"));
    assert_eq!(serving.run(&["dlq", "delete", id]).1, "1 letters deleted\n");

    let (code, _, told) = serving.run(&["dlq", "reseal"]);
    assert_eq!(code, Some(1), "there is no key: {told}");
    assert!(told.contains("SEAWALL_DEAD_LETTER_KEYS"), "{told}");

    for (arguments, part) in [
        (&["dlq", "replay"][..], "--all"),
        (&["dlq", "replay", "--all", "--queue", "orders"], "one of these"),
        (&["dlq", "list", "--state", "lost"], "--state"),
    ] {
        let (code, _, told) = serving.run(arguments);
        assert_eq!(code, Some(2), "{arguments:?}");
        assert!(told.contains(part), "{arguments:?}: {told}");
    }
}
