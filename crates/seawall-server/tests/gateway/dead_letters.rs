//! Requests that failed for good: kept without their secrets, and replayed through the live pipeline.

use crate::support::{Answer, Gateway, Upstream, eventually, nobody, send, sick};
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};
use std::{path::Path, sync::atomic::Ordering, time::Duration};

const API: &str = "/internal/resilience/dlq";
const SECRET: &str = "s3cret-of-a-client";

/// A gateway that keeps letters in this folder, before an endpoint with these policies.
async fn keeping(folder: &Path, endpoint: &str, policies: &str, more: &str) -> Gateway {
    let file = folder.join("letters.redb");
    Gateway::start(&format!(
        "upstreams:\n  shop: {{ endpoints: ['{endpoint}'], policies: [{policies}] }}\n\
         routes: [{{ path: '/orders/*', upstream: shop, dead_letter: orders }}, {{ path: '/*', upstream: shop }}]\n\
         dead_letters: {{ path: '{}' }}\n{more}",
        file.display()
    ))
    .await
}

async fn order(gateway: &Gateway, path: &str, body: &str) -> Answer {
    let request = gateway
        .request(Method::POST, path)
        .header("authorization", format!("Bearer {SECRET}"))
        .header("cookie", format!("session={SECRET}"))
        .header("x-kind", "plain")
        .body(Full::new(body.to_owned().into()))
        .unwrap();
    send(request).await
}

async fn change(gateway: &Gateway, path: &str, body: Value) -> Answer {
    let request = gateway
        .request(Method::POST, &format!("{API}/{path}"))
        .header("content-type", "application/json")
        .body(Full::new(body.to_string().into()))
        .unwrap();
    send(request).await
}

async fn json_of(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.get(&format!("{API}/{path}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

/// Begins a replay and waits for its end.
async fn replayed(gateway: &Gateway, order: Value) -> Value {
    let job = change(gateway, "replays", order).await;
    assert_eq!(job.status, 200, "{}", job.text());
    ended(gateway, job.json()["id"].as_str().unwrap()).await
}

async fn ended(gateway: &Gateway, id: &str) -> Value {
    let path = format!("replays/{id}");
    eventually("the replay ends", || async {
        ["done", "cancelled"].contains(&json_of(gateway, &path).await["status"].as_str().unwrap())
    })
    .await;
    json_of(gateway, &path).await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_has_the_request_and_its_attempts_and_no_secret_anywhere() {
    let folder = tempfile::tempdir().unwrap();
    let (upstream, _) = sick().await;
    let retry = "{ type: retry, max_attempts: 3, backoff: { base_delay: 1ms, min_delay: 1ms, max_delay: 2ms } }";
    let gateway = keeping(folder.path(), &upstream.endpoint(), retry, "").await;
    let request = gateway
        .request(Method::PUT, &format!("/orders/7?token={SECRET}&page=2"))
        .header("authorization", format!("Bearer {SECRET}"))
        .header("cookie", format!("session={SECRET}"))
        .header("referer", format!("https://shop/?api_token={SECRET}"))
        .header("x-kind", "plain")
        .header("idempotency-key", "order-7")
        .body(Full::from("the body"))
        .unwrap();
    let answer = send(request).await;
    assert_eq!((answer.status.as_u16(), answer.text()), (503, "503"), "the answer passes on");
    let id = answer.header("x-seawall-dead-letter").to_owned();

    let letter = json_of(&gateway, &format!("letters/{id}")).await;
    for (field, expected) in [
        ("queue", "orders"),
        ("operation", "PUT /orders/*"),
        ("error_class", "status_503"),
        ("error", "shop answered with status 503"),
        ("state", "waiting"),
    ] {
        assert_eq!(letter[field], expected, "{letter}");
    }
    assert!(letter["idempotency_key"].as_str().unwrap().starts_with("order-7#"), "{letter}");
    assert_eq!(letter["payload"], json!({ "text": "the body" }));
    let attempts = letter["attempts"].as_array().unwrap();
    assert_eq!(attempts.len(), 3, "{letter}");
    assert!(attempts.iter().all(|one| one["upstream"] == "shop" && one["outcome"] == "503"));
    let header = |name: &str| {
        let all = letter["headers"].as_array().unwrap().iter();
        let found = all.filter(|header| header["name"] == name).collect::<Vec<_>>();
        assert_eq!(found.len(), 1, "{name}: {letter}");
        found[0]["value"].as_str().unwrap().to_owned()
    };
    assert_eq!(header(":method"), "PUT");
    assert_eq!(header(":path"), "/orders/7?token=[redacted]&page=2");
    assert_eq!(header("authorization"), "[redacted]");
    assert_eq!(header("cookie"), "[redacted]");
    assert_eq!(header("referer"), "https://shop/?api_token=[redacted]");
    assert_eq!(header("x-kind"), "plain");

    for page in ["letters", "groups", "stats", "export"] {
        let answer = gateway.get(&format!("{API}/{page}")).await;
        assert!(!answer.text().contains(SECRET), "{page}: {}", answer.text());
    }
    let export = gateway.get(&format!("{API}/export")).await;
    assert!(export.text().contains("the body") && export.text().ends_with('\n'));
    let bytes = std::fs::read(folder.path().join("letters.redb")).unwrap();
    let has = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(has("plain") && !has(SECRET), "the file has the letter, and no secret");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_goes_through_the_pipeline_once() {
    let folder = tempfile::tempdir().unwrap();
    let (upstream, healed) = sick().await;
    let gateway = keeping(folder.path(), &upstream.endpoint(), "", "").await;
    let answer = order(&gateway, &format!("/orders/1?token={SECRET}&a=b"), "one").await;
    let id = answer.header("x-seawall-dead-letter").to_owned();
    assert_eq!(order(&gateway, "/orders/2", "two").await.status, 503);

    let failed = replayed(&gateway, json!({ "selection": { "ids": [id] } })).await;
    assert_eq!(
        failed["progress"],
        json!({ "found": 1, "succeeded": 0, "failed": 1, "skipped": 0 })
    );
    let letters = json_of(&gateway, "letters").await;
    assert_eq!(letters["letters"].as_array().unwrap().len(), 2, "no letter of a replay: {letters}");
    let letter = json_of(&gateway, &format!("letters/{id}")).await;
    assert_eq!((&letter["state"], &letter["replays"]), (&"waiting".into(), &1.into()));
    assert_eq!(letter["attempts"][1]["replay"], true, "{letter}");

    healed.store(true, Ordering::SeqCst);
    let dry = json!({ "selection": { "query": {} }, "dry_run": true });
    assert_eq!(replayed(&gateway, dry).await["progress"]["found"], 2);
    let calls = upstream.calls();
    let all = replayed(&gateway, json!({ "selection": { "query": {} }, "rate": 1000.0 })).await;
    assert_eq!((&all["progress"]["succeeded"], &all["total"]), (&2.into(), &2.into()), "{all}");
    assert_eq!(upstream.calls(), calls + 2);
    let seen = upstream.seen();
    let (method, path, headers) =
        seen.iter().rev().find(|(_, path, _)| path.starts_with("/orders/1")).unwrap();
    assert_eq!((method, path.as_str()), (&Method::POST, "/orders/1?a=b"));
    assert_eq!(headers["x-seawall-replay"], id.as_str());
    assert_eq!(headers["x-kind"], "plain");
    assert!(!headers.contains_key("authorization"), "what is not known is not sent");

    let again = replayed(&gateway, json!({ "selection": { "ids": [id] } })).await;
    assert_eq!(again["progress"]["skipped"], 1, "{again}");
    assert_eq!(upstream.calls(), calls + 2, "what is done is not done again");
    let metrics = gateway.get("/metrics").await;
    for line in [
        "seawall_dlq_enqueued_total{reason=\"status_503\"} 2",
        "seawall_dlq_replayed_total{outcome=\"succeeded\"} 2",
        "seawall_dlq_replayed_total{outcome=\"failed\"} 1",
    ] {
        assert!(metrics.text().contains(line), "{line}:\n{}", metrics.text());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_by_an_upstream_make_letters_and_faults_of_clients_do_not() {
    let folder = tempfile::tempdir().unwrap();
    let breaker = "{ type: circuit_breaker, failure_threshold: 1, recovery_timeout: 1h }";
    let endpoint = format!("http://{}", nobody().await);
    let gateway = keeping(folder.path(), &endpoint, breaker, "").await;
    for class in ["connect", "circuit_open"] {
        let answer = order(&gateway, "/orders/1", "x").await;
        let id = answer.header("x-seawall-dead-letter");
        assert_eq!(answer.json()["dead_letter_id"], id, "{}", answer.text());
        let letter = json_of(&gateway, &format!("letters/{id}")).await;
        assert_eq!(letter["error_class"], class);
        assert_eq!(letter["attempts"].as_array().unwrap().len(), 1, "{letter}");
        assert!(letter["attempts"][0]["breaker"].is_string(), "{letter}");
    }
    assert_eq!(order(&gateway, "/other", "x").await.header("x-seawall-dead-letter"), "");
    assert_eq!(json_of(&gateway, "groups").await["groups"].as_array().unwrap().len(), 2);

    let folder = tempfile::tempdir().unwrap();
    let upstream = Upstream::statuses(&[404]).await;
    let gateway = keeping(folder.path(), &upstream.endpoint(), "", "").await;
    assert_eq!(order(&gateway, "/orders/1", "x").await.header("x-seawall-dead-letter"), "");
    assert_eq!(json_of(&gateway, "letters").await["letters"], json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_kept_is_said() {
    let folder = tempfile::tempdir().unwrap();
    let endpoint = format!("http://{}", nobody().await);
    let more = "limits: { max_replay_bytes: 10 }\n";
    let gateway = keeping(folder.path(), &endpoint, "", more).await;
    let answer = order(&gateway, "/orders/1", &"x".repeat(100)).await;
    assert_eq!(answer.header("x-seawall-dead-letter"), "not-kept");
    let problem = answer.json();
    assert_eq!(problem["dead_letter_id"], Value::Null);
    assert!(problem["dead_letter_not_kept"].as_str().unwrap().contains("max_replay_bytes"));
    let metrics = gateway.get("/metrics").await;
    let line = "seawall_dlq_lost_total{reason=\"too_large\"} 1";
    assert!(metrics.text().contains(line), "{}", metrics.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replay_waits_while_the_circuit_is_open() {
    let folder = tempfile::tempdir().unwrap();
    let (upstream, healed) = sick().await;
    let breaker = "{ type: circuit_breaker, failure_threshold: 1, recovery_timeout: 1h }";
    let gateway = keeping(folder.path(), &upstream.endpoint(), breaker, "").await;
    let id = order(&gateway, "/orders/1", "x").await.header("x-seawall-dead-letter").to_owned();
    healed.store(true, Ordering::SeqCst);
    let job = change(&gateway, "replays", json!({ "selection": { "ids": [id] } })).await.json();
    let job = job["id"].as_str().unwrap();
    tokio::time::sleep(Duration::from_millis(700)).await;
    let now = json_of(&gateway, &format!("replays/{job}")).await;
    assert_eq!((&now["status"], &now["progress"]["failed"]), (&"running".into(), &0.into()));
    let letter = json_of(&gateway, &format!("letters/{id}")).await;
    assert_eq!((&letter["state"], &letter["replays"]), (&"waiting".into(), &0.into()));
    assert_eq!(upstream.calls(), 1);
    let reset = gateway
        .request(Method::POST, "/internal/resilience/circuit-breakers/shop/reset")
        .body(Full::default())
        .unwrap();
    assert_eq!(send(reset).await.status, 200);
    assert_eq!(ended(&gateway, job).await["progress"]["succeeded"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn jobs_are_paused_resumed_and_cancelled() {
    let folder = tempfile::tempdir().unwrap();
    let (upstream, healed) = sick().await;
    let gateway = keeping(folder.path(), &upstream.endpoint(), "", "").await;
    for n in 0..5 {
        assert_eq!(order(&gateway, &format!("/orders/{n}"), "x").await.status, 503);
    }
    healed.store(true, Ordering::SeqCst);
    // The first goes at once, the second only after minutes.
    let slow = json!({ "selection": { "query": {} }, "rate": 0.001 });
    let job = change(&gateway, "replays", slow).await.json();
    let job = job["id"].as_str().unwrap().to_owned();
    let path = format!("replays/{job}");
    eventually("the first is replayed", || async {
        json_of(&gateway, &path).await["progress"]["succeeded"] == 1
    })
    .await;
    for (verb, status) in [("pause", "paused"), ("resume", "running"), ("cancel", "cancelled")] {
        let answer = change(&gateway, &format!("{path}/{verb}"), json!({})).await;
        assert_eq!(answer.json()["status"], status, "{}", answer.text());
        if verb == "resume" {
            // What a pause held up goes at once.
            eventually("the second is replayed", || async {
                json_of(&gateway, &path).await["progress"]["succeeded"] == 2
            })
            .await;
        }
    }
    eventually("it is over", || async {
        change(&gateway, &format!("{path}/cancel"), json!({})).await.status == 409
    })
    .await;
    assert_eq!(upstream.calls(), 7);
    let waiting = json_of(&gateway, "letters?state=waiting").await;
    assert_eq!(waiting["letters"].as_array().unwrap().len(), 3, "{waiting}");
}

#[tokio::test(flavor = "multi_thread")]
async fn after_too_many_failed_replays_a_letter_is_quarantined_until_it_is_released() {
    let folder = tempfile::tempdir().unwrap();
    let (upstream, _) = sick().await;
    let file = folder.path().join("letters.redb");
    let gateway = Gateway::start(&format!(
        "upstreams:\n  shop: {{ endpoints: ['{}'], policies: [] }}\n\
         routes: [{{ path: '/*', upstream: shop, dead_letter: true }}]\n\
         dead_letters: {{ path: '{}', queues: {{ default: {{ max_retry_attempts: 1 }} }} }}\n",
        upstream.endpoint(),
        file.display()
    ))
    .await;
    let id = order(&gateway, "/1", "x").await.header("x-seawall-dead-letter").to_owned();
    let ids = json!({ "ids": [id] });
    assert_eq!(replayed(&gateway, json!({ "selection": ids })).await["progress"]["failed"], 1);
    assert_eq!(json_of(&gateway, &format!("letters/{id}")).await["state"], "quarantined");
    assert_eq!(replayed(&gateway, json!({ "selection": ids })).await["progress"]["skipped"], 1);
    assert_eq!(change(&gateway, "release", ids.clone()).await.json()["letters"], 1);
    assert_eq!(json_of(&gateway, &format!("letters/{id}")).await["state"], "waiting");
    assert_eq!(change(&gateway, "delete", ids).await.json()["letters"], 1);
    assert_eq!(gateway.get(&format!("{API}/letters/{id}")).await.status, 404);
}
