//! Health, metrics, circuit breakers and operations, with an upstream that really fails.

use crate::{
    support::{Upstream, eventually},
    world::World,
};
use serde_json::json;
use std::time::Duration;

/// A breaker of three failures in front of this upstream, and one that stays well.
async fn failing(upstream: &Upstream, well: &Upstream) -> World {
    World::of(&format!(
        "upstreams:\n  sick:\n    endpoints: ['{}']\n    policies:\n      - {{ type: fallback }}\n      \
         - {{ type: circuit_breaker, failure_threshold: 3, recovery_timeout: 1h }}\n      \
         - {{ type: retry, max_attempts: 2, backoff: {{ base_delay: 1ms }} }}\n  \
         well: {{ endpoints: ['{}'], policies: [] }}\n\
         routes:\n  - {{ path: /sick/*, upstream: sick }}\n  - {{ path: /well/*, upstream: well }}\n",
        upstream.endpoint(),
        well.endpoint()
    ))
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_open_circuit_is_reported_everywhere() {
    let (sick, well) = (Upstream::statuses(&[500]).await, Upstream::statuses(&[200]).await);
    let world = failing(&sick, &well).await;
    let before = world.json("health").await;
    assert_eq!((&before["healthy"], &before["total_circuit_breakers"]), (&true.into(), &1.into()));
    for _ in 0..3 {
        assert_eq!(world.get("/sick/x").await.status, 500);
    }
    assert_eq!(world.get("/sick/x").await.status, 503, "refused");
    assert_eq!(world.get("/well/x").await.status, 200);

    let health = world.json("health").await;
    assert_eq!(
        (&health["healthy"], &health["open_circuit_breakers"]),
        (&false.into(), &json!(["sick"]))
    );
    assert_eq!(health["total_operations"], 4);
    let detailed = world.json("health/detailed").await;
    assert_eq!(detailed["status"], "unhealthy");
    let part = detailed["components"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["name"] == "sick")
        .unwrap();
    assert_eq!((&part["status"], &part["kind"]), (&"unhealthy".into(), &"circuit_breaker".into()));
    assert!(part["reason"].as_str().unwrap().contains('3') && part["since"].is_string(), "{part}");

    let metrics = world.json("metrics").await;
    assert_eq!(metrics["summary"]["healthy_circuit_breakers"], 0);
    assert_eq!(metrics["circuit_breakers"]["sick"]["state"], "open");
    let one = world.json("metrics/sick").await;
    let counted = &one["metrics"];
    assert_eq!(one["operation"], "sick");
    for (field, expected) in [
        ("total_calls", 4),
        ("failed_calls", 3),
        ("rejected_calls", 1),
        ("attempts", 6),
        ("retries_executed", 3),
    ] {
        assert_eq!(counted[field], expected, "{field}");
    }
    assert_eq!(counted["success_rate"], 0.0);
    world.get("metrics/none").await.problem(404);
    assert_eq!(
        world.json("metrics").await["operations"].as_object().unwrap().len(),
        4,
        "asking makes none"
    );

    let dashboard = world.json("dashboard").await;
    assert_eq!(dashboard["health"], json!({ "overall": false, "open": 1, "half_open": 0 }));
    // Routes are operations, too: each request counts there and at its upstream.
    assert_eq!(dashboard["performance"]["total_calls"], 10);
    assert_eq!(dashboard["performance"]["retry_attempts"], 3);
    assert_eq!(dashboard["operations"].as_array().unwrap().len(), 4);

    let all = world.json("circuit-breakers").await;
    assert_eq!(
        (&all["total_count"], &all["healthy_count"], &all["open_count"]),
        (&1.into(), &0.into(), &1.into())
    );
    let breaker = &all["circuit_breakers"]["sick"];
    assert_eq!((&breaker["threshold"], &breaker["recovery_timeout"]), (&3.into(), &3600.0.into()));
    assert!(breaker["opened_at"].is_string() && breaker["next_probe_at"].is_string(), "{breaker}");
    assert!(breaker["last_failure"].is_string(), "{breaker}");
    let table = world.get("circuit-breakers?format=csv").await;
    assert_eq!(table.header("content-type"), "text/csv; charset=utf-8");
    assert!(table.text().contains("\r\nsick,open,3,3,3600,"), "{}", table.text());
    world.get("circuit-breakers/well").await.problem(404);

    let reset = world.posted("circuit-breakers/sick/reset", json!({})).await;
    assert_eq!((&reset["old_state"], &reset["new_state"]), (&"open".into(), &"closed".into()));
    assert_eq!(world.json("circuit-breakers/sick").await["state"], "closed");
    assert_eq!(world.get("/sick/x").await.status, 500, "calls go through again");
    world.post("circuit-breakers/none/reset", json!({})).await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn counters_are_reset_for_one_operation_or_all() {
    let (sick, well) = (Upstream::statuses(&[500]).await, Upstream::statuses(&[200]).await);
    let world = failing(&sick, &well).await;
    world.get("/sick/x").await;
    world.get("/well/x").await;
    let reset = world.posted("metrics/reset?operation_name=sick", json!({})).await;
    assert_eq!(reset["operations"], json!(["sick"]));
    assert_eq!(world.json("metrics/sick").await["metrics"]["total_calls"], 0);
    assert_eq!(world.json("metrics/well").await["metrics"]["total_calls"], 1);
    assert_eq!(
        world.json("circuit-breakers/sick").await["failure_count"],
        1,
        "the circuit goes on"
    );
    world.posted("metrics/reset", json!({})).await;
    assert_eq!(world.json("dashboard").await["performance"]["total_calls"], 0);
    world.post("metrics/reset?operation_name=none", json!({})).await.problem(404);
    world.post("metrics/reset?operation=x", json!({})).await.problem(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_can_be_forced_for_a_reason_and_a_time() {
    let (sick, well) = (Upstream::statuses(&[200]).await, Upstream::statuses(&[200]).await);
    let world = failing(&sick, &well).await;
    let ask = json!({ "state": "open", "reason": "the provider bills us twice", "seconds": 3600 });
    let forced = world.posted("circuit-breakers/sick/force", ask).await;
    assert_eq!(
        (&forced["old_state"], &forced["new_state"]),
        (&"closed".into(), &"forced_open".into())
    );
    assert_eq!(world.get("/sick/x").await.status, 503);
    let breaker = world.json("circuit-breakers/sick").await;
    assert!(
        breaker["forced"]["reason"].as_str().unwrap().starts_with("the provider bills us twice")
    );
    assert!(breaker["forced"]["until"].is_string());
    let freed = world.posted("circuit-breakers/sick/force", json!({ "state": "auto" })).await;
    assert_eq!(
        (&freed["old_state"], &freed["new_state"]),
        (&"forced_open".into(), &"closed".into())
    );
    assert_eq!(world.get("/sick/x").await.status, 200);
    for (ask, field) in [
        (json!({ "state": "open" }), "reason"),
        (json!({ "state": "open", "reason": "a\nb" }), "reason"),
        (json!({ "state": "open", "reason": "r", "seconds": 0 }), "seconds"),
        (json!({ "state": "ajar", "reason": "r" }), "state"),
        (json!({ "state": "open", "reason": "r", "until": 5 }), "until"),
    ] {
        let problem = world.post("circuit-breakers/sick/force", ask.clone()).await.problem(422);
        assert_eq!(problem["field"], field, "{ask}: {problem}");
    }
    world.post("circuit-breakers/well/force", json!({ "state": "auto" })).await.problem(404);
    let short = json!({ "state": "disabled", "reason": "a test", "seconds": 1 });
    world.posted("circuit-breakers/sick/force", short).await;
    eventually("the time is over", || async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.json("circuit-breakers/sick").await["state"] == "closed"
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_show_their_policies_with_origins_and_can_be_registered() {
    let world = World::with(
        "upstreams:\n  a:\n    endpoints: ['http://127.0.0.1:9']\n    policies:\n      \
         - { type: retry, max_attempts: 4 }\n  b: { endpoints: ['http://127.0.0.1:9'], attempt_timeout: 7s }\n\
         routes: [{ path: /*, upstream: a, fallback: [b] }]\n",
        &[("RESILIENCE_CUSTOM_CONFIG", "{\"retry_attempts\": 2}")],
    )
    .await;
    let page = world.json("operations?limit=2").await;
    assert_eq!((&page["total_count"], &page["next"]), (&3.into(), &"b".into()));
    let rest = world.json("operations?limit=2&after=b").await;
    assert_eq!((&rest["operations"][0]["name"], &rest["next"]), (&"route /*".into(), &json!(null)));
    let table = world.get("operations?format=csv").await;
    assert!(table.text().starts_with("name,strategy,policies"), "{}", table.text());
    world.get("operations?limit=0").await.problem(422);

    let a = world.json("operations/a").await;
    let value = |operation: &serde_json::Value, policy: usize, field: &str| {
        let values = operation["policies"][policy]["values"].as_array().unwrap().clone();
        let found = values.into_iter().find(|value| value["field"] == field);
        let found = found.unwrap_or_else(|| panic!("{field} is not in {operation}"));
        (found["value"].clone(), found["origin"].as_str().unwrap().to_owned())
    };
    let (attempts, origin) = value(&a, 0, "max_attempts");
    assert!(attempts == 4 && origin.ends_with("seawall.yaml:6"), "{origin}");
    assert_eq!(value(&a, 0, "retry_unknown").1, "default");
    let b = world.json("operations/b").await;
    assert_eq!(
        value(&b, 3, "max_attempts"),
        (2.into(), "variable RESILIENCE_CUSTOM_CONFIG".into())
    );
    assert_eq!(value(&b, 2, "failure_threshold"), (5.into(), "preset simple".into()));
    // One attempt, and all of it: the minute in which attempts may begin, and one attempt more.
    for (place, limit) in [(4, "7s"), (1, "1m 7s")] {
        let (value, origin) = value(&b, place, "limit");
        assert!(value == limit && origin.ends_with("seawall.yaml:7"), "{value} {origin}");
    }

    let made = world.post("operations", json!({ "name": "mine", "strategy": "database" })).await;
    assert_eq!(made.status, 201, "{}", made.text());
    assert_eq!(made.json()["strategy"], "database");
    world.post("operations", json!({ "name": "mine" })).await.problem(409);
    let wrong = json!({ "name": "x", "policies": [{ "type": "retry", "max_attempts": 0 }] });
    let problem = world.post("operations", wrong).await.problem(422);
    let path = problem["errors"][0]["path"].as_str().unwrap();
    assert!(path.starts_with("operations.x.policies[0]"), "{problem}");
    let own = json!({ "name": "own", "policies": [{ "type": "timeout", "limit": "3s" }] });
    assert_eq!(world.post("operations", own).await.status, 201);
    assert_eq!(value(&world.json("operations/own").await, 0, "limit"), ("3s".into(), "API".into()));
    assert_eq!(world.json("operations").await["total_count"], 5, "mine is still there");
}

#[tokio::test(flavor = "multi_thread")]
async fn modes_and_the_brake_act_at_once() {
    let (sick, well) = (Upstream::statuses(&[500]).await, Upstream::statuses(&[200]).await);
    let world = failing(&sick, &well).await;
    let switch = json!({ "policy": "retry", "mode": "off" });
    assert_eq!(world.put("operations/sick/mode", switch).await.json()["changed"], 1);
    world.get("/sick/x").await;
    assert_eq!(sick.calls(), 1, "no retry");
    let shown = world.json("operations/sick").await;
    assert_eq!(
        (&shown["policies"][2]["type"], &shown["policies"][2]["mode"]),
        (&"retry".into(), &"off".into())
    );
    world.put("operations/sick/mode", json!({ "policy": "retry", "mode": "enforce" })).await;
    let paused =
        world.posted("retries/pause", json!({ "paused": true, "operation": "sick" })).await;
    assert_eq!(paused["operations"], json!(["sick"]));
    world.get("/sick/x").await;
    assert_eq!(sick.calls(), 2, "the brake holds");
    assert_eq!(world.json("operations/sick").await["repeats_paused"], true);
    world.posted("retries/pause", json!({ "paused": false })).await;
    world.get("/sick/x").await;
    assert_eq!(sick.calls(), 4);
    for (ask, words) in [
        (
            json!({ "policy": "hedge", "mode": "off" }),
            "it has fallback, circuit_breaker, retry, timeout",
        ),
        (json!({ "policy": "retry", "mode": "sleep" }), "shadow"),
    ] {
        let problem = world.put("operations/sick/mode", ask).await.problem(422);
        assert!(problem["detail"].as_str().unwrap().contains(words), "{problem}");
    }
}
