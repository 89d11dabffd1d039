//! Two gateways share an upstream's circuit through a real Redis.

use crate::{
    redis::Redis,
    support::{Gateway, Upstream, eventually, respond},
};
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

/// The upstream `only`, whose circuit is open for an hour after two failures.
fn yaml(redis: &Redis, upstream: &Upstream) -> String {
    format!(
        "listen: 127.0.0.1:0\nstore: {{ redis: {{ url: '{}' }} }}\n\
         upstreams:\n  only:\n    endpoints: ['{}']\n    policies:\n      - {{ type: circuit_breaker, failure_threshold: 2, \
         recovery_timeout: 1h, shared: {{ timeout: 2s }} }}\n\
         routes:\n  - {{ path: '/*', upstream: only }}\n",
        redis.url(),
        upstream.endpoint()
    )
}

async fn until_alone(gateway: &Gateway, alone: bool) {
    eventually("it is shared, or alone", || async {
        gateway.circuit("only").await["shared"]["degraded"] == alone
    })
    .await;
}

async fn until(gateway: &Gateway, state: &str) -> serde_json::Value {
    eventually(state, || async { gateway.circuit("only").await["state"] == state }).await;
    gateway.circuit("only").await
}

#[tokio::test(flavor = "multi_thread")]
async fn two_gateways_have_one_circuit_together() {
    let (redis, works) = (Redis::start(), Arc::new(AtomicBool::new(false)));
    let answers = works.clone();
    let upstream = Upstream::start(move |_, _| {
        let status = if answers.load(Ordering::Relaxed) { 200 } else { 500 };
        async move { respond(status, "") }
    })
    .await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seawall.yaml");
    std::fs::write(&file, yaml(&redis, &upstream)).unwrap();
    let (one, two) = (Gateway::start_file(&file).await, Gateway::start_file(&file).await);
    until_alone(&one, false).await;
    until_alone(&two, false).await;
    for _ in 0..2 {
        assert_eq!(one.get("/work").await.status, 500);
    }
    let circuit = until(&two, "open").await;
    assert_eq!(circuit["why"], "another instance shared it");
    assert_eq!(two.get("/work").await.status, 503);
    assert_eq!(upstream.calls(), 2, "the other gateway has not tried");
    // An operator who resets it at one resets it everywhere.
    works.store(true, Ordering::Relaxed);
    let reset = "/internal/resilience/circuit-breakers/only/reset";
    assert_eq!(two.post(reset, "{}").await.status, 200);
    until(&one, "closed").await;
    assert_eq!(one.get("/work").await.status, 200);
    let text = one.get("/metrics").await.text().to_owned();
    assert!(text.contains("seawall_circuit_degraded{name=\"only\"} 0"), "{text}");
    drop(redis);
    until_alone(&one, true).await;
    assert_eq!(one.get("/work").await.status, 200);
    let health = one.get("/internal/resilience/health/detailed").await.json();
    let parts = health["components"].as_array().unwrap();
    let part = parts.iter().find(|part| part["name"] == "shared_circuits").unwrap();
    assert_eq!(part["status"], "degraded", "{part}");
    assert!(one.counts("only").await["store_losses"].as_u64() >= Some(1));
}
