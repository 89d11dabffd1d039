//! Bodies that are too large, too deep, doubled, no text, too slow, or no JSON; and what clients may poll cheaply.

use crate::{support::send, world::World};
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use serde_json::json;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const PATHS: [(Method, &str); 4] = [
    (Method::POST, "config/validate"),
    (Method::PUT, "config"),
    (Method::POST, "circuit-breakers/chat/force"),
    (Method::POST, "performance/benchmark"),
];

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_bad_body_gets_its_answer() {
    let world = World::quiet().await;
    let deep = format!("{{\"configuration\": {}1{}}}", "[".repeat(5000), "]".repeat(5000));
    for (method, path) in PATHS {
        let ask = |body: String| {
            let (world, method) = (&world, method.clone());
            async move { world.ask(method, path, &body).await }
        };
        ask(format!("{{\"a\": \"{}\"}}", "x".repeat(1 << 20))).await.problem(413);
        let told = ask(deep.clone()).await.problem(422);
        assert!(told["detail"].as_str().unwrap().contains("deep"), "{told}");
        let told = ask("{\"state\": 1, \"state\": 2}".into()).await.problem(422);
        assert!(told["detail"].as_str().unwrap().contains("state"), "{told}");
        for body in ["", "{", "null", "[]", "\"x\"", "{} {}", "NaN", "{'a': 1}"] {
            ask(body.into()).await.problem(422);
        }
        let broken = world.request(method.clone(), path).header("content-type", "application/json");
        let broken = broken.body(Full::new(Bytes::from_static(b"{\"a\": \"\xff\"}"))).unwrap();
        let told = send(broken).await.problem(422);
        assert!(told["detail"].as_str().unwrap().contains("not UTF-8 from byte 7"), "{told}");
        let text = world.request(method.clone(), path).header("content-type", "text/plain");
        send(text.body(Full::new("{}".into())).unwrap()).await.problem(415);
    }
    assert_eq!(world.json("config").await["revision"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_slow_body_is_not_waited_for_for_ever() {
    let world = World::quiet().await;
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let head = format!(
        "POST /internal/resilience/config/validate HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
         content-length: 100\r\n\r\n{{",
        world.address
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = [0; 256];
    let read = tokio::time::timeout(Duration::from_secs(20), stream.read(&mut answer)).await;
    let read = read.expect("it hangs").unwrap();
    assert!(
        String::from_utf8_lossy(&answer[..read]).starts_with("HTTP/1.1 408"),
        "{:?}",
        &answer[..read]
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn paths_and_methods_that_are_none() {
    let world = World::quiet().await;
    world.get("nothing").await.problem(404);
    world.ask(Method::DELETE, "config", "").await.problem(405);
    world.get("metrics/%ff").await.problem(422);
    let long = "x".repeat(1000);
    world.get(&format!("monitoring/preset-trends/{long}")).await.problem(422);
    world.get(&format!("metrics/{long}")).await.problem(404);
    world.get("circuit-breakers/..%2f..%2fetc").await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_polls_is_told_in_few_bytes_that_nothing_changed() {
    let world = World::quiet().await;
    for path in [
        "health",
        "config",
        "circuit-breakers",
        "operations",
        "monitoring/alerts",
        "config/presets",
    ] {
        let first = world.get(path).await;
        let tag = first.header("etag").to_owned();
        assert!(tag.starts_with('"'), "{path}");
        let again = world.request(Method::GET, path).header("if-none-match", &tag);
        let again = send(again.body(Full::default()).unwrap()).await;
        assert_eq!((again.status.as_u16(), again.body.len()), (304, 0), "{path}");
    }
    let before = world.get("config").await.header("etag").to_owned();
    world.put("config", json!({ "configuration": { "preset": "production" } })).await;
    assert_ne!(world.get("config").await.header("etag"), before);
}
