//! The control plane: what it says, who may ask, and what it changes.

use crate::support::{Gateway, Upstream, client, eventually, send};
use http::Method;
use http_body_util::{BodyExt, Full};
use seawall_config::{Format, load_str};
use seawall_server::{GatewayConfig, Server};
use std::collections::BTreeMap;

/// The samples of a Prometheus text by name and labels. Every line must parse.
fn samples(text: &str) -> BTreeMap<String, f64> {
    let mut types = BTreeMap::new();
    let mut found = BTreeMap::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.split(' ');
            let (kind, name) = (words.next().unwrap(), words.next().unwrap());
            assert!(["HELP", "TYPE"].contains(&kind), "{line}");
            if kind == "TYPE" {
                let repeated = types.insert(name.to_owned(), words.next().unwrap().to_owned());
                assert_eq!(repeated, None, "{name} twice");
            }
            continue;
        }
        let (series, value) = line.rsplit_once(' ').expect("a name and a value");
        let name = series.split('{').next().unwrap();
        let of_histogram =
            ["_bucket", "_sum", "_count"].iter().find_map(|end| name.strip_suffix(end));
        let known =
            types.contains_key(name) || of_histogram.is_some_and(|name| types.contains_key(name));
        assert!(known, "{name} has no TYPE");
        let value: f64 = value.parse().unwrap_or_else(|_| panic!("{line}"));
        assert_eq!(found.insert(series.to_owned(), value), None, "{series} twice");
    }
    found
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_moves() {
    let flaky = Upstream::statuses(&[503, 200, 500, 500, 500, 500]).await;
    let backup = Upstream::statuses(&[200]).await;
    let gateway = Gateway::start(&format!(
        "upstreams:\n  flaky: {{ endpoints: ['{}'], policies: [\
         {{ type: circuit_breaker, failure_threshold: 2, recovery_timeout: 1h }}, \
         {{ type: retry, max_attempts: 2, backoff: {{ base_delay: 1ms }} }}, \
         {{ type: bulkhead, max_concurrent: 1 }}] }}\n  \
         backup: {{ endpoints: ['{}'], policies: [] }}\n\
         routes: [{{ path: '/*', upstream: flaky, fallback: [backup], rate_limit: {{ rate: 4, per: 1h }} }}]\n",
        flaky.endpoint(),
        backup.endpoint()
    ))
    .await;
    for _ in 0..5 {
        gateway.get("/").await;
    }
    let answer = gateway.get("/metrics").await;
    assert_eq!(answer.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let samples = samples(answer.text());
    for (series, expected) in [
        ("seawall_calls_total{operation=\"flaky\",outcome=\"success\"}", 1.0),
        ("seawall_calls_total{operation=\"flaky\",outcome=\"failure\"}", 2.0),
        ("seawall_calls_total{operation=\"flaky\",outcome=\"rejected\"}", 1.0),
        ("seawall_calls_total{operation=\"route /*\",outcome=\"success\"}", 4.0),
        ("seawall_calls_total{operation=\"route /*\",outcome=\"rejected\"}", 1.0),
        ("seawall_rejections_total{operation=\"flaky\",reason=\"circuit_open\"}", 1.0),
        ("seawall_rejections_total{operation=\"route /*\",reason=\"rate_limited\"}", 1.0),
        ("rate_limit_rejections_total{operation=\"route /*\"}", 1.0),
        ("seawall_attempts_total{operation=\"flaky\"}", 6.0),
        ("seawall_failed_attempts_total{operation=\"flaky\"}", 5.0),
        ("seawall_retries_total{operation=\"flaky\"}", 3.0),
        ("seawall_fallbacks_total{operation=\"route /*\"}", 3.0),
        ("seawall_in_flight{operation=\"flaky\"}", 0.0),
        ("seawall_latency_seconds_count{operation=\"flaky\"}", 3.0),
        ("seawall_latency_seconds_bucket{operation=\"flaky\",le=\"+Inf\"}", 3.0),
        ("seawall_circuit_state{name=\"flaky\",state=\"open\"}", 1.0),
        ("seawall_circuit_state{name=\"flaky\",state=\"closed\"}", 0.0),
        ("circuit_breaker_state{name=\"flaky\"}", 1.0),
        ("seawall_circuit_opened_total{name=\"flaky\"}", 1.0),
        ("circuit_breaker_failures_total{name=\"flaky\"}", 2.0),
        ("circuit_breaker_success_count{name=\"flaky\"}", 1.0),
        ("bulkhead_active_operations{name=\"flaky\"}", 0.0),
        ("bulkhead_rejected_operations{name=\"flaky\"}", 0.0),
        ("seawall_build_info{version=\"0.1.0\"}", 1.0),
    ] {
        assert_eq!(samples.get(series), Some(&expected), "{series}");
    }
    assert!(samples["seawall_latency_seconds_sum{operation=\"flaky\"}"] > 0.0);
    assert!(samples["seawall_uptime_seconds"] > 0.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_budget_is_counted_and_exported() {
    let upstream = Upstream::statuses(&[503]).await;
    let policy = "{ type: retry, max_attempts: 3, backoff: { base_delay: 1ms }, \
                  budget: { share: { ratio: 0, min_per_second: 0, max_saved: 3 } } }";
    let gateway = Gateway::before(&upstream, policy).await;
    for expected in ["3", "2", "1"] {
        assert_eq!(gateway.get("/").await.header("x-seawall-attempts"), expected);
    }
    let answer = gateway.get("/metrics").await;
    let spent = samples(answer.text())["seawall_retries_unaffordable_total{operation=\"only\"}"];
    assert_eq!(spent, 2.0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reset_closes_the_circuit_and_traffic_flows() {
    let upstream = Upstream::statuses(&[500, 200]).await;
    let policy = "{ type: circuit_breaker, failure_threshold: 1, recovery_timeout: 1h }";
    let gateway = Gateway::before(&upstream, policy).await;
    gateway.get("/").await;
    gateway.get("/").await.problem(503);
    let health = gateway.get("/internal/resilience/health").await.json();
    assert_eq!(health["healthy"], false);
    assert!(
        health["open_circuit_breakers"].as_array().unwrap().contains(&"only".into()),
        "{health}"
    );

    let reset = gateway.post("/internal/resilience/circuit-breakers/only/reset", "").await.json();
    assert_eq!((&reset["old_state"], &reset["new_state"]), (&"open".into(), &"closed".into()));
    assert_eq!(gateway.get("/").await.status, 200);
    let circuit = gateway.circuit("only").await;
    assert_eq!((&circuit["state"], &circuit["failure_count"]), (&"closed".into(), &0.into()));
    assert_eq!(gateway.get("/internal/resilience/health").await.json()["healthy"], true);

    let unknown = gateway.post("/internal/resilience/circuit-breakers/onyl/reset", "").await;
    let detail = unknown.problem(404)["detail"].to_string();
    assert!(detail.contains("onyl") && detail.contains("only"), "{detail}");
    gateway.post("/internal/resilience/health", "").await.problem(405);
    gateway.get("/internal/resilience/nothing").await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn events_stream_as_they_happen() {
    let upstream = Upstream::statuses(&[500]).await;
    let gateway =
        Gateway::before(&upstream, "{ type: circuit_breaker, failure_threshold: 1 }").await;
    let request = gateway.request(Method::GET, "/internal/resilience/events");
    let response = client().request(request.body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    gateway.get("/").await;
    let mut body = response.into_body();
    let mut text = String::new();
    let complete =
        |text: &str| text.contains("event: snapshot") && text.contains("failure_threshold 1");
    while !complete(&text) {
        let frame = tokio::time::timeout(std::time::Duration::from_secs(20), body.frame()).await;
        let data = frame.expect("in time").unwrap().unwrap().into_data().unwrap_or_default();
        text.push_str(std::str::from_utf8(&data).unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_guard_what_they_should() {
    let upstream = Upstream::statuses(&[200]).await;
    let yaml = format!(
        "upstreams:\n  only: {{ endpoints: ['{}'] }}\nroutes: [{{ path: '/*', upstream: only }}]\n",
        upstream.endpoint()
    );
    let gateway = Gateway::start_with_keys(&yaml, "alpha-key, beta-key").await;
    let ask = async |method: Method, path: &str, header: Option<(&str, &str)>| {
        let mut request = gateway.request(method, path);
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        send(request.body(Full::default()).unwrap()).await
    };
    for (method, path) in [
        (Method::GET, "/metrics"),
        (Method::GET, "/internal/resilience/metrics"),
        (Method::GET, "/internal/resilience/circuit-breakers"),
        (Method::GET, "/internal/resilience/circuit-breakers/only"),
        (Method::POST, "/internal/resilience/circuit-breakers/only/reset"),
        (Method::GET, "/internal/resilience/events"),
    ] {
        for wrong in [None, Some(("x-api-key", "alpha")), Some(("authorization", "Bearer "))] {
            let answer = ask(method.clone(), path, wrong).await;
            answer.problem(401);
            assert!(answer.header("www-authenticate").starts_with("Bearer"), "{path}");
            assert!(!answer.text().contains("alpha-key"));
        }
    }
    for right in [("x-api-key", "alpha-key"), ("authorization", "Bearer beta-key")] {
        let answer = ask(Method::GET, "/internal/resilience/metrics", Some(right)).await;
        assert_eq!(answer.status, 200);
        assert!(!answer.text().contains("-key"));
    }
    // Watchdogs and the page that asks for the key need none, and the data path is not ours to guard.
    for path in ["/livez", "/readyz", "/internal/resilience/health", "/dashboard", "/"] {
        assert_eq!(ask(Method::GET, path, None).await.status, 200, "{path}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn without_keys_only_loopback_is_served_and_no_foreign_page() {
    let open = "listen: 0.0.0.0:0\nupstreams: { a: { endpoints: ['http://127.0.0.1:1'] } }\n\
                routes: [{ path: '/*', upstream: a }]\n";
    let config: GatewayConfig = load_str("open.yaml", open, Format::Yaml).unwrap();
    let refused = Server::bind(&config, "").await.err().expect("it must refuse").to_string();
    assert!(refused.contains("SEAWALL_API_KEYS"), "{refused}");
    assert!(Server::bind(&config, "a-key").await.is_err(), "a key that can be guessed is none");
    assert!(Server::bind(&config, "a-key-of-sixteen").await.is_ok());

    let upstream = Upstream::statuses(&[200]).await;
    let gateway = Gateway::before(&upstream, "{ type: circuit_breaker }").await;
    let reset = "/internal/resilience/circuit-breakers/only/reset";
    for (method, path, name, value) in [
        (Method::GET, "/metrics", "host", "evil.example"),
        (Method::GET, "/dashboard", "host", "evil.example:8000"),
        (Method::POST, reset, "origin", "http://evil.example"),
        (Method::POST, reset, "origin", "null"),
    ] {
        let request = gateway.request(method, path).header(name, value);
        send(request.body(Full::default()).unwrap()).await.problem(403);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn while_it_drains_it_is_not_ready_and_streams_finish() {
    let (go, wait) = tokio::sync::watch::channel(false);
    let upstream = Upstream::start(move |_, _| {
        let mut wait = wait.clone();
        async move {
            wait.wait_for(|go| *go).await.unwrap();
            crate::support::respond(200, "finished")
        }
    })
    .await;
    let mut gateway = Gateway::before(&upstream, "").await;
    assert_eq!(gateway.get("/readyz").await.status, 200);
    let asking = tokio::spawn({
        let request = gateway.request(Method::GET, "/").body(Full::default()).unwrap();
        send(request)
    });
    eventually("the upstream is asked", async || upstream.calls() == 1).await;
    gateway.stop();
    let address = gateway.address;
    eventually("nobody new is let in", async || {
        tokio::net::TcpStream::connect(address).await.is_err()
    })
    .await;
    go.send(true).unwrap();
    assert_eq!(asking.await.unwrap().text(), "finished");
    assert!(gateway.running.take().unwrap().await.unwrap(), "everything could finish");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_page_comes_with_a_strict_policy_and_its_files_with_their_types() {
    let upstream = Upstream::statuses(&[200]).await;
    let gateway = Gateway::before(&upstream, "").await;
    let page = gateway.get("/dashboard").await;
    assert!(page.header("content-type").starts_with("text/html"));
    let policy = page.header("content-security-policy");
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    for (file, kind) in [("app.js", "text/javascript"), ("theme.css", "text/css")] {
        let answer = gateway.get(&format!("/dashboard/{file}")).await;
        assert!(
            answer.header("content-type").starts_with(kind),
            "{}",
            answer.header("content-type")
        );
        assert_eq!(answer.header("x-content-type-options"), "nosniff");
    }
    gateway.get("/dashboard/nothing.js").await.problem(404);
    gateway.get("/dashboard/..%2fCargo.toml").await.problem(404);
}
