//! Two gateways share a route's limit through a real Redis.

use crate::{
    redis::Redis,
    support::{Gateway, Upstream},
};
use http::Method;
use http_body_util::Full;
use std::time::{Duration, Instant};

async fn until_limits_are(gateway: &Gateway, status: &str) {
    let began = Instant::now();
    loop {
        let health = gateway.get("/internal/resilience/health/detailed").await;
        assert!(!health.text().contains("sesame-of-the-test"), "a password is shown");
        let health = health.json();
        let parts = health["components"].as_array().unwrap();
        let part = parts.iter().find(|part| part["name"] == "shared_limits").unwrap();
        if part["status"] == status {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "{part} is not {status}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn passed(gateway: &Gateway, client: &str, requests: usize) -> usize {
    let mut passed = 0;
    for _ in 0..requests {
        let request = gateway.request(Method::GET, "/work").header("x-client", client);
        let answer = crate::support::send(request.body(Full::default()).unwrap()).await;
        passed += usize::from(answer.status == 200);
    }
    passed
}

#[tokio::test]
async fn two_gateways_share_a_limit_for_each_client() {
    let (redis, upstream) = (Redis::start(), Upstream::statuses(&[200]).await);
    let yaml = format!(
        "listen: 127.0.0.1:0\nstore: {{ redis: {{ url: '{}' }} }}\n\
         upstreams: {{ only: {{ endpoints: ['{}'] }} }}\n\
         routes:\n  - path: '/*'\n    upstream: only\n    rate_limit: {{ rate: 10, per: 1h, key: 'header:x-client', \
         shared: {{ timeout: 5s, degraded: closed }} }}\n",
        redis.url(),
        upstream.endpoint()
    );
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("seawall.yaml");
    std::fs::write(&file, yaml).unwrap();
    let (one, two) = (Gateway::start_file(&file).await, Gateway::start_file(&file).await);
    until_limits_are(&one, "healthy").await;
    until_limits_are(&two, "healthy").await;
    assert_eq!(passed(&one, "a", 6).await, 6);
    assert_eq!(passed(&two, "a", 9).await, 4, "the other gateway counts, too");
    assert_eq!(passed(&two, "b", 1).await, 1, "each client has a limit of its own");
    drop(redis);
    until_limits_are(&one, "degraded").await;
    let refused = one.get("/work").await;
    assert_eq!(refused.problem(503)["reason"], "limit_unknown");
    let counts = one.counts("route /*").await;
    assert!(counts["degraded_decisions"].as_u64() > Some(0), "{counts}");
}
