//! Two gateways keep their letters in one real Redis.

use crate::{
    redis::{PASSWORD, Redis},
    support::{Answer, Gateway, Upstream, eventually, send, sick},
};
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};
use std::{
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

/// Tells a gateway in a process of its own which file is its configuration.
const RUNNER: &str = "SEAWALL_LETTERS_RUNNER";
const API: &str = "/internal/resilience/dlq";

/// A file for gateways before this upstream that keep letters in this Redis.
fn file(redis: &Redis, upstream: &Upstream, folder: &Path) -> PathBuf {
    let yaml = format!(
        "listen: 127.0.0.1:0\nstore: {{ redis: {{ url: '{}' }} }}\n\
         upstreams: {{ shop: {{ endpoints: ['{}'], policies: [] }} }}\n\
         routes: [{{ path: '/*', upstream: shop, dead_letter: orders }}]\n\
         dead_letters: {{ store: redis, lease: 2s }}\n",
        redis.url(),
        upstream.endpoint()
    );
    let file = folder.join("seawall.yaml");
    std::fs::write(&file, yaml).unwrap();
    file
}

async fn keeping(redis: &Redis, upstream: &Upstream) -> Gateway {
    let folder = tempfile::tempdir().unwrap();
    Gateway::start_file(&file(redis, upstream, folder.path())).await
}

/// Not a test by itself: a gateway in a process of its own, which is killed. It replays slowly what it finds.
#[tokio::test(flavor = "multi_thread")]
async fn runner() {
    let Ok(file) = std::env::var(RUNNER) else { return };
    let gateway = Gateway::start_file(Path::new(&file)).await;
    let slow = json!({ "selection": { "query": {} }, "rate": 2, "concurrency": 1 });
    change(&gateway, "replays", slow).await;
    std::future::pending::<()>().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_of_a_gateway_that_is_killed_goes_on_elsewhere() {
    let (redis, (upstream, healed)) = (Redis::start(), sick().await);
    let gateway = keeping(&redis, &upstream).await;
    for n in 0..8 {
        assert_eq!(failed(&gateway, &format!("/orders/{n}")).await.len(), 36);
    }
    healed.store(true, Ordering::SeqCst);
    let (folder, before) = (tempfile::tempdir().unwrap(), upstream.calls());
    let mut other = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["shared_letters::runner", "--exact"])
        .env(RUNNER, file(&redis, &upstream, folder.path()))
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    eventually("the other gateway replays", || async { upstream.calls() >= before + 2 }).await;
    let (_, _) = (other.kill().unwrap(), other.wait().unwrap());
    let jobs = json_of(&gateway, "replays").await;
    assert_eq!(
        (&jobs[0]["status"], jobs.as_array().unwrap().len()),
        (&json!("running"), 1),
        "{jobs}"
    );
    eventually("this gateway ends the job", || async {
        json_of(&gateway, "replays").await[0]["status"] == "done"
    })
    .await;
    eventually("what was on the way has ended", || async {
        json_of(&gateway, "stats").await["queues"]["orders"]["replaying"] == 0
    })
    .await;
    let stats = json_of(&gateway, "stats").await["queues"]["orders"].clone();
    // One may have been on the way when it was killed; it counts as failed, and is there for another job.
    assert!(stats["replayed"].as_u64() >= Some(7), "{stats}");
    assert!(upstream.calls() - before <= 8, "none is sent twice by one job");
}

async fn order(gateway: &Gateway, path: &str) -> Answer {
    let request = gateway.request(Method::POST, path).body(Full::from("an order")).unwrap();
    send(request).await
}

/// The identifier of the letter of a request that fails.
async fn failed(gateway: &Gateway, path: &str) -> String {
    order(gateway, path).await.header("x-seawall-dead-letter").to_owned()
}

async fn change(gateway: &Gateway, path: &str, body: Value) -> Value {
    let request = gateway
        .request(Method::POST, &format!("{API}/{path}"))
        .header("content-type", "application/json")
        .body(Full::new(body.to_string().into()))
        .unwrap();
    let answer = send(request).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.text());
    answer.json()
}

async fn json_of(gateway: &Gateway, path: &str) -> Value {
    let answer = gateway.get(&format!("{API}/{path}")).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    answer.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_letter_of_one_gateway_is_replayed_by_another() {
    let (redis, (upstream, healed)) = (Redis::start(), sick().await);
    let (one, two) = (keeping(&redis, &upstream).await, keeping(&redis, &upstream).await);
    let id = failed(&one, "/orders/1").await;
    let letter = json_of(&two, &format!("letters/{id}")).await;
    assert_eq!(letter["payload"], json!({ "text": "an order" }), "{letter}");
    healed.store(true, Ordering::SeqCst);
    let selection = json!({ "selection": { "query": { "queue": "orders" } } });
    let job = change(&two, "replays", selection).await;
    let path = format!("replays/{}", job["id"].as_str().unwrap());
    eventually("it is replayed", || async {
        json_of(&one, &path).await["progress"]["succeeded"] == 1
    })
    .await;
    assert_eq!(json_of(&one, &format!("letters/{id}")).await["state"], "replayed");
    let stats = json_of(&one, "stats").await;
    assert_eq!(stats["queues"]["orders"]["replayed"], 1, "{stats}");
    assert!(stats["place"].as_str().unwrap().starts_with("Redis"), "{stats}");
    assert!(!stats.to_string().contains(PASSWORD), "{stats}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_job_is_run_by_one_gateway_changed_by_another_and_goes_on_elsewhere() {
    let (redis, (upstream, healed)) = (Redis::start(), sick().await);
    let (one, two) = (keeping(&redis, &upstream).await, keeping(&redis, &upstream).await);
    for n in 0..8 {
        assert_eq!(failed(&one, &format!("/orders/{n}")).await.len(), 36);
    }
    healed.store(true, Ordering::SeqCst);
    let before = upstream.calls();
    let slow = json!({ "selection": { "query": {} }, "rate": 2, "concurrency": 1 });
    let job = change(&one, "replays", slow).await["id"].as_str().unwrap().to_owned();
    let path = format!("replays/{job}");
    change(&two, &format!("{path}/pause"), json!({})).await;
    eventually("the other gateway pauses it", || async {
        json_of(&one, &path).await["status"] == "paused"
    })
    .await;
    change(&two, &format!("{path}/resume"), json!({})).await;
    eventually("it goes on", || async { json_of(&two, &path).await["status"] == "running" }).await;
    drop(one);
    eventually("the other gateway ends it", || async {
        json_of(&two, &path).await["status"] == "done"
    })
    .await;
    let stats = json_of(&two, "stats").await["queues"]["orders"].clone();
    assert_eq!((&stats["replaying"], &stats["quarantined"]), (&json!(0), &json!(0)), "{stats}");
    // One that was on its way when the gateway ended counts as failed, and waits for another job.
    let replayed = stats["replayed"].as_u64().unwrap();
    assert!(replayed >= 7, "{stats}");
    assert!(upstream.calls() - before <= 8, "none is sent twice");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lost_redis_is_a_clear_error_and_passes() {
    let (mut redis, (upstream, _)) = (Redis::start(), sick().await);
    let gateway = keeping(&redis, &upstream).await;
    failed(&gateway, "/orders/1").await;
    redis.kill();
    let answer = order(&gateway, "/orders/2").await;
    assert_eq!(answer.status, 503, "the answer passes on");
    assert_eq!(answer.header("x-seawall-dead-letter"), "not-kept");
    let health = gateway.get("/internal/resilience/health/detailed").await.json();
    let parts = health["components"].as_array().unwrap();
    let part = parts.iter().find(|part| part["name"] == "dead_letters").unwrap();
    assert_eq!(part["status"], "degraded", "{part}");
    assert!(part["reason"].as_str().unwrap().contains("Redis"), "{part}");
    assert!(!health.to_string().contains(PASSWORD));
    let metrics = gateway.get("/metrics").await;
    assert!(metrics.text().contains("seawall_dlq_lost_total{reason=\"store_failed\"} 1"));
    redis.restart();
    eventually("letters are kept again", || async {
        order(&gateway, "/orders/3").await.header("x-seawall-dead-letter").len() == 36
    })
    .await;
    let health = gateway.get("/internal/resilience/health/detailed").await.json();
    let parts = health["components"].as_array().unwrap();
    let part = parts.iter().find(|part| part["name"] == "dead_letters").unwrap();
    assert_eq!(part["status"], "healthy", "{part}");
}
