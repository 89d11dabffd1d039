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
async fn polling_without_a_change_is_answered_with_304() {
    let world = World::quiet().await;
    for path in [
        "health",
        "health/detailed",
        "dashboard",
        "performance/report",
        "operations/chat",
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

/// The answer to a request whose body comes in pieces, without a length.
async fn chunked(world: &World, method: &str, path: &str, body: &str) -> String {
    let mut stream = TcpStream::connect(world.address).await.unwrap();
    let mut request = format!(
        "{method} {path} HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\nconnection: close\r\n\
         transfer-encoding: chunked\r\n\r\n",
        world.address
    );
    for piece in body.as_bytes().chunks(50) {
        request += &format!("{:x}\r\n{}\r\n", piece.len(), String::from_utf8_lossy(piece));
    }
    request += "0\r\n\r\n";
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    let _ = tokio::time::timeout(Duration::from_secs(20), stream.read_to_end(&mut answer)).await;
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_length_of_a_body_is_bounded_however_it_is_framed() {
    let yaml = format!("{}limits: {{ max_body_bytes: 70000 }}\n", crate::world::QUIET);
    let world = World::of(&yaml).await;
    let long = format!("{{\"configuration\": {{\"x\": \"{}\"}}}}", "x".repeat(70_000));
    let path = "/internal/resilience/config/validate";
    for (body, status) in [(long.as_str(), "413"), ("{\"configuration\": {}}", "200")] {
        let answer = chunked(&world, "POST", path, body).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
        assert_eq!(world.ask(Method::POST, "config/validate", body).await.status.as_str(), status);
    }
    let small = json!({ "configuration": { "limits": { "max_body_bytes": 10 } } });
    assert_eq!(world.put("config", small).await.status, 200);
    let data = chunked(&world, "POST", "/chat/x", "eleven byte").await;
    assert!(data.starts_with("HTTP/1.1 413 "), "on the way of the data, too: {data}");
    let ten = chunked(&world, "POST", "/chat/x", "ten bytes!").await;
    assert!(!ten.starts_with("HTTP/1.1 413 "), "{ten}");
    let again = json!({ "configuration": { "limits": { "max_body_bytes": 1000 } } });
    assert_eq!(world.put("config", again).await.status, 200, "a small limit can be set again");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_obeys_the_rule_wherever_it_is_given() {
    let world = World::quiet().await;
    let long = "x".repeat(65);
    for bad in ["", ".", "..", "-a", "_a", "a b", "a/b", "a\"b", "a{}", "a?b", "a%2f", "ü", &long]
    {
        let problem = world.post("operations", json!({ "name": bad })).await.problem(422);
        assert_eq!(problem["field"], "name", "{bad:?}");
        assert!(problem["detail"].as_str().unwrap().contains("begin with a letter"), "{problem}");
        for section in ["operations", "upstreams", "strategies", "presets"] {
            let one = match section {
                "upstreams" => json!({ "endpoints": ["http://127.0.0.1:9"] }),
                "strategies" => json!({ "policies": [] }),
                _ => json!({}),
            };
            let change = json!({ "configuration": { section: { bad: one } } });
            let problem = world.put("config", change).await.problem(422);
            let told = problem["errors"].to_string();
            assert!(told.contains("is not a name"), "{section} {bad:?}: {told}");
        }
    }
    for good in ["a", "0", "A.b-c_d", &"x".repeat(64)] {
        let answer = world.post("operations", json!({ "name": good })).await;
        assert_eq!(answer.status, 201, "{good}: {}", answer.text());
        assert_eq!(world.get(&format!("operations/{good}")).await.status, 200);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn words_of_a_query_may_be_in_any_case() {
    let world = World::quiet().await;
    for path in [
        "monitoring/alerts?level=CRITICAL&format=Json",
        "monitoring/export?format=JSON",
        "operations?format=Json",
        "audit?format=JSON",
        "performance/report?format=JSON",
    ] {
        assert_eq!(world.get(path).await.header("content-type"), "application/json", "{path}");
    }
    for path in ["circuit-breakers?format=CSV", "monitoring/alerts?format=Csv&level=Warning"] {
        assert!(world.get(path).await.header("content-type").starts_with("text/csv"), "{path}");
    }
    for path in ["monitoring/alerts?level=loud", "audit?format=xml", "performance/report?format="] {
        world.get(path).await.problem(422);
    }
    let report = world.get("performance/report?format=Text").await;
    assert!(report.header("content-type").starts_with("text/plain"));
    assert!(report.text().contains("config_loading   not measured"), "{}", report.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn every_problem_has_a_code() {
    let world = World::quiet().await;
    for (path, status, code) in [
        ("nothing", 404, "NOT_FOUND"),
        ("operations/nope", 404, "NOT_FOUND"),
        ("audit?limit=0", 422, "VALIDATION_ERROR"),
    ] {
        assert_eq!(world.get(path).await.problem(status)["error_code"], code, "{path}");
    }
    let wrong = world.ask(Method::DELETE, "config", "").await.problem(405);
    assert_eq!(wrong["error_code"], "METHOD_NOT_ALLOWED");
    let again = json!({ "name": "chat" });
    assert_eq!(world.post("operations", again).await.problem(409)["error_code"], "CONFLICT");
}

#[tokio::test(flavor = "multi_thread")]
async fn benchmarks_are_known_by_their_former_names() {
    let world = World::quiet().await;
    for (former, name) in [
        ("preset_loading", "preset_access"),
        ("resilience_config_loading", "config_loading"),
        ("custom_config_loading", "config_loading"),
        ("legacy_config_loading", "config_loading"),
        ("settings_initialization", "config_loading"),
        ("service_initialization", "service_init"),
        ("validation_performance", "validation"),
        ("text_processing", "pipeline"),
    ] {
        let asked = json!({ "operation_name": former, "iterations": 1 });
        let answer = world.posted("performance/benchmark", asked).await;
        assert_eq!(answer["suite"]["results"][0]["operation"], name, "{former}");
        let history = world.json(&format!("performance/history?operation={former}&limit=1")).await;
        assert_eq!(history["runs"][0]["results"][0]["operation"], name, "{former}");
    }
}
