//! Keys and scopes on every endpoint, found by the API's own description; and that description against the table.

use crate::{
    support::{Answer, send},
    world::{QUIET, World},
};
use http::{Method, Request};
use http_body_util::Full;
use serde_json::Value;
use std::collections::BTreeSet;

const KEYS: &[(&str, &str)] = &[
    ("SEAWALL_API_KEYS", "write-key-0123456789"),
    ("SEAWALL_READ_API_KEYS", "read-key-0123456789"),
];

/// The endpoints that the specification asks for.
const TABLE: [(&str, &str); 38] = [
    ("get", "health"),
    ("get", "health/detailed"),
    ("get", "config"),
    ("put", "config"),
    ("get", "metrics"),
    ("get", "metrics/{operation}"),
    ("post", "metrics/reset"),
    ("get", "dashboard"),
    ("get", "circuit-breakers"),
    ("get", "circuit-breakers/{name}"),
    ("post", "circuit-breakers/{name}/reset"),
    ("get", "config/presets"),
    ("get", "config/presets/{name}"),
    ("get", "config/presets-summary"),
    ("get", "config/recommend-preset/{environment}"),
    ("get", "config/recommend-preset-auto"),
    ("get", "config/templates"),
    ("get", "config/templates/{name}"),
    ("post", "config/validate-template"),
    ("post", "config/recommend-template"),
    ("post", "config/validate"),
    ("post", "config/validate-secure"),
    ("post", "config/validate-json"),
    ("post", "config/validate/field-whitelist"),
    ("get", "config/validate/security-config"),
    ("get", "config/validate/rate-limit-status"),
    ("get", "monitoring/usage-statistics"),
    ("get", "monitoring/preset-trends/{preset}"),
    ("get", "monitoring/performance-metrics"),
    ("get", "monitoring/alerts"),
    ("get", "monitoring/session/{id}"),
    ("get", "monitoring/export"),
    ("post", "monitoring/cleanup"),
    ("get", "performance/benchmark"),
    ("post", "performance/benchmark"),
    ("get", "performance/thresholds"),
    ("get", "performance/report"),
    ("get", "performance/history"),
];

/// One endpoint as it is described.
struct Endpoint {
    method: Method,
    path: String,
    /// The scope that its key must have; none if no key is needed.
    scope: Option<String>,
}

async fn described(world: &World) -> (Value, Vec<Endpoint>) {
    let document = world.json("/internal/openapi.json").await;
    let mut endpoints = Vec::new();
    for (path, item) in document["paths"].as_object().unwrap() {
        for (method, operation) in item.as_object().unwrap() {
            let scope = operation["security"][0]["key"][0].as_str().map(str::to_owned);
            let method = Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            endpoints.push(Endpoint { method, path: path.clone(), scope });
        }
    }
    (document, endpoints)
}

async fn ask(world: &World, endpoint: &Endpoint, key: Option<(&str, &str)>) -> Answer {
    let path = endpoint.path.replace(['{', '}'], "");
    let mut request = Request::builder()
        .method(endpoint.method.clone())
        .uri(format!("http://{}{path}", world.address))
        .header("content-type", "application/json");
    if let Some((name, value)) = key {
        request = request.header(name, value);
    }
    send(request.body(Full::new("{}".into())).unwrap()).await
}

#[tokio::test(flavor = "multi_thread")]
async fn the_table_is_described_and_so_is_every_schema() {
    let world = World::quiet().await;
    let (document, endpoints) = described(&world).await;
    assert_eq!(document["openapi"], "3.1.0");
    let known: BTreeSet<(String, String)> = endpoints
        .iter()
        .map(|one| (one.method.to_string().to_lowercase(), one.path.clone()))
        .collect();
    for (method, path) in TABLE {
        let path = format!("/internal/resilience/{path}");
        assert!(known.contains(&(method.to_owned(), path.clone())), "{method} {path}");
    }
    let page = include_str!("../../../../docs/api.md");
    for endpoint in &endpoints {
        let short = endpoint.path.trim_start_matches("/internal/resilience");
        assert!(page.contains(&format!("`{short}`")), "docs/api.md does not name {short}");
    }
    let text = document.to_string();
    for part in text.split("\"#/components/schemas/").skip(1) {
        let name = part.split('"').next().unwrap();
        assert!(document["components"]["schemas"].get(name).is_some(), "{name} is not described");
    }
    for page in
        ["/internal/docs/", "/internal/docs/swagger-ui.css", "/internal/docs/swagger-ui-bundle.js"]
    {
        let answer = world.get(page).await;
        assert_eq!(answer.status, 200, "{page}");
        assert!(answer.header("content-security-policy").contains("script-src 'self'"), "{page}");
        assert!(!answer.text().contains("src=\"http"), "{page} asks another host");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn every_endpoint_asks_for_the_key_it_needs() {
    let world = World::with(QUIET, KEYS).await;
    let (_, endpoints) = described(&world).await;
    assert!(endpoints.len() > 45, "{}", endpoints.len());
    let mut open = Vec::new();
    for endpoint in &endpoints {
        let name = format!("{} {}", endpoint.method, endpoint.path);
        let wrong = ask(&world, endpoint, Some(("x-api-key", "wrong-key"))).await;
        assert_eq!(wrong.status, 401, "{name} with a wrong key");
        assert!(wrong.header("www-authenticate").starts_with("Bearer"), "{name}");
        let good = "Bearer write-key-0123456789";
        let worse = Request::builder()
            .method(endpoint.method.clone())
            .uri(format!("http://{}{}", world.address, endpoint.path.replace(['{', '}'], "")))
            .header("authorization", "Bearer wrong")
            .header("x-api-key", "write-key-0123456789");
        let worse = send(worse.body(Full::default()).unwrap()).await;
        assert_eq!(worse.status, 401, "{name}: Bearer wins, and it is wrong");
        let none = ask(&world, endpoint, None).await;
        match &endpoint.scope {
            None => {
                open.push(endpoint.path.clone());
                assert_eq!(none.status, 200, "{name} needs no key");
            }
            Some(scope) => {
                none.problem(401);
                // Its answer has no end.
                if endpoint.path.ends_with("/events") {
                    continue;
                }
                let reading = ("x-api-key", "read-key-0123456789");
                let status = ask(&world, endpoint, Some(reading)).await.status;
                assert_eq!(status == 403, scope == "write", "{name} with a read key: {status}");
                let status = ask(&world, endpoint, Some(("authorization", good))).await.status;
                assert!(status != 401 && status != 403, "{name} with a key: {status}");
            }
        }
    }
    assert_eq!(open, ["/internal/resilience/health"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn looking_can_be_left_open_and_keys_come_from_the_file_too() {
    let yaml = format!(
        "{QUIET}auth: {{ protect_reads: false, keys: [{{ name: ops, key: 'k-${{OPS}}', scope: write }}] }}\n"
    );
    let world = World::with(&yaml, &[("OPS", "from-the-environment")]).await;
    assert_eq!(world.get("config").await.status, 200);
    let (_, endpoints) = described(&world).await;
    let reset = endpoints.iter().find(|one| one.path.ends_with("metrics/reset")).unwrap();
    assert_eq!(ask(&world, reset, None).await.status, 401);
    let key = ("x-api-key", "k-from-the-environment");
    assert_eq!(ask(&world, reset, Some(key)).await.status, 200);
    let audit = world.json("audit").await;
    assert_eq!(
        (&audit["entries"][0]["who"], &audit["entries"][0]["status"]),
        (&"ops".into(), &200.into())
    );
    assert_eq!(
        audit["entries"].as_array().unwrap().len(),
        1,
        "asking without a key leaves nothing"
    );
    let all = world.get("config").await;
    assert!(!all.text().contains("from-the-environment"), "a secret is shown");
    assert_eq!(all.json()["document"]["auth"]["keys"][0]["key"], "***");
}

fn refusals(metrics: &str, reason: &str) -> u64 {
    let name = format!("seawall_control_refusals_total{{reason=\"{reason}\"}} ");
    let line = metrics.lines().find_map(|line| line.strip_prefix(&name));
    line.unwrap_or_else(|| panic!("{name} is not in {metrics}")).parse().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn unauthorized_requests_are_counted_and_logged_and_push_no_entry_out() {
    let world = World::with(QUIET, KEYS).await;
    world.posted("config/reload", serde_json::json!({})).await;
    for n in 0..30 {
        let wrong = Request::builder()
            .method(Method::POST)
            .uri(format!("http://{}/internal/resilience/metrics/reset?n={n}", world.address))
            .header("x-api-key", format!("guess-{n}"));
        send(wrong.body(Full::default()).unwrap()).await.problem(401);
    }
    let metrics = world.get("/metrics").await.text().to_owned();
    assert_eq!(refusals(&metrics, "wrong_key"), 30);
    assert_eq!(refusals(&metrics, "forbidden_host"), 0);
    let entries = world.json("audit").await["entries"].as_array().unwrap().clone();
    let strangers: Vec<&Value> = entries.iter().filter(|one| one["who"] == "unknown").collect();
    assert!((1..30).contains(&strangers.len()), "{entries:?}");
    for one in &strangers {
        assert_eq!((&one["reason"], &one["status"]), (&"wrong_key".into(), &401.into()), "{one}");
        assert!(one["from"].as_str().unwrap().starts_with("127.0.0.1:"), "{one}");
        assert!(!one.to_string().contains("guess-"), "a key is written down: {one}");
    }
    assert!(entries.iter().any(|one| one["path"].as_str().unwrap().ends_with("config/reload")));
    let table = world.get("audit?format=CSV").await.text().to_owned();
    assert!(table.starts_with("id,at,who,from,method,path,status,reason\r\n"), "{table}");
    assert!(table.contains("wrong_key"), "{table}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_host_and_a_foreign_page_are_written_down() {
    let world = World::quiet().await;
    let asked = |method: Method, path: &str, header: (&'static str, &str)| {
        let request = world.request(method, path).header(header.0, header.1);
        send(request.header("content-type", "application/json").body(Full::default()).unwrap())
    };
    asked(Method::GET, "config", ("host", "evil.example")).await.problem(403);
    asked(Method::POST, "config/reload", ("origin", "http://evil.example")).await.problem(403);
    let metrics = world.get("/metrics").await.text().to_owned();
    assert_eq!((refusals(&metrics, "forbidden_host"), refusals(&metrics, "foreign_site")), (1, 1));
    let audit = world.json("audit").await;
    let reasons = [&audit["entries"][0]["reason"], &audit["entries"][1]["reason"]];
    let expected = ["foreign_site (http://evil.example)", "forbidden_host (evil.example)"];
    assert_eq!(reasons, expected);
    let events = world.json("config/history").await;
    assert_eq!(events["current"], 1, "nothing was reloaded");
}

#[tokio::test(flavor = "multi_thread")]
async fn requests_that_write_are_refused_across_sites_whatever_their_method() {
    let world = World::quiet().await;
    let (_, endpoints) = described(&world).await;
    let mut writing = 0;
    for endpoint in &endpoints {
        let writes = endpoint.scope.as_deref() == Some("write");
        // The stream has no end, and a benchmark that is let through takes its time.
        if !writes && (endpoint.method != Method::GET || endpoint.path.ends_with("/events")) {
            continue;
        }
        writing += usize::from(writes);
        let host = format!("http://{}", world.address);
        let near = format!("http://127.0.0.1:{}", world.address.port() ^ 1);
        for (name, value, foreign) in [
            ("sec-fetch-site", "cross-site", true),
            ("sec-fetch-site", "same-site", true),
            ("origin", "http://evil.example", true),
            ("origin", "null", true),
            ("origin", &near, true),
            ("sec-fetch-site", "same-origin", false),
            ("origin", &host, false),
        ] {
            if !foreign && endpoint.path.ends_with("performance/benchmark") {
                continue;
            }
            let path = endpoint.path.replace(['{', '}'], "");
            let request = world.request(endpoint.method.clone(), &path).header(name, value);
            let request = request.header("content-type", "application/json");
            let answer = send(request.body(Full::new("{}".into())).unwrap()).await;
            let refused = answer.status == 403;
            let told = format!("{} {path} {name}: {value}: {}", endpoint.method, answer.status);
            assert_eq!(refused, writes && foreign, "{told}");
        }
    }
    assert!(writing > 10, "{writing}");
}

#[tokio::test(flavor = "multi_thread")]
async fn no_endpoint_takes_a_parameter_that_it_does_not_describe() {
    let world = World::with(QUIET, KEYS).await;
    let (document, endpoints) = described(&world).await;
    for endpoint in &endpoints {
        let operation = &document["paths"][&endpoint.path][endpoint.method.as_str().to_lowercase()];
        let described = operation["parameters"].as_array().into_iter().flatten();
        let known: Vec<&str> = described
            .filter(|one| one["in"] == "query")
            .map(|one| one["name"].as_str().unwrap())
            .collect();
        let path = endpoint.path.replace("{revision}", "1").replace(['{', '}'], "");
        let name = format!("{} {path}", endpoint.method);
        let request = world.request(endpoint.method.clone(), &format!("{path}?surplus=1"));
        let request = request.header("content-type", "application/json");
        let problem = send(request.body(Full::new("{}".into())).unwrap()).await.problem(422);
        assert_eq!(problem["field"], "surplus", "{name}");
        assert_eq!(problem["error_code"], "VALIDATION_ERROR", "{name}");
        let told = problem["detail"].as_str().unwrap();
        assert!(known.iter().all(|known| told.contains(known)), "{name}: {told}");
        let request = world.request(endpoint.method.clone(), &format!("{path}?surplus=1"));
        let stranger = request.header("authorization", "Bearer wrong");
        send(stranger.body(Full::default()).unwrap()).await.problem(401);
    }
}
