//! A state is reported alike in every place that reports it.

use crate::{
    support::{Upstream, client, eventually},
    world::{QUIET, World},
};
use http::Method;
use http_body_util::{BodyExt, Full};
use serde_json::{Value, json};
use std::time::Duration;

/// One upstream behind a breaker of two failures.
async fn behind(upstream: &Upstream, breaker: &str) -> World {
    World::of(&format!(
        "upstreams:\n  only:\n    endpoints: ['{}']\n    policies:\n      \
         - {{ type: circuit_breaker, failure_threshold: 2, {breaker} }}\n\
         routes: [{{ path: /*, upstream: only }}]\n\
         monitoring: {{ alerts: {{ circuit_open: 100ms, minimum_calls: 3 }} }}\n",
        upstream.endpoint()
    ))
    .await
}

async fn fail(world: &World, times: usize) {
    for _ in 0..times {
        assert_eq!(world.get("/x").await.status, 500);
    }
}

async fn mode(world: &World, mode: &str) {
    let ask = json!({ "policy": "circuit_breaker", "mode": mode });
    assert_eq!(world.put("operations/only/mode", ask).await.status, 200);
}

fn component<'v>(health: &'v Value, name: &str) -> &'v Value {
    let parts = health["components"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == name).unwrap()
}

/// Reads the stream until `find` finds something in it.
async fn streamed<T>(world: &World, find: impl Fn(&str) -> Option<T>) -> T {
    let request = world.request(Method::GET, "events").body(Full::default()).unwrap();
    let mut body = client().request(request).await.unwrap().into_body();
    let mut text = String::new();
    loop {
        let frame = tokio::time::timeout(Duration::from_secs(20), body.frame()).await;
        let data = frame.expect("in time").unwrap().unwrap().into_data().unwrap_or_default();
        text.push_str(std::str::from_utf8(&data).unwrap());
        let whole = text.rsplit_once("\n\n").map_or("", |(whole, _)| whole);
        if let Some(found) = find(whole) {
            return found;
        }
    }
}

/// The operation's entry in the first snapshot of the stream whose circuit is like this.
async fn snapshot(world: &World, is_so: impl Fn(&Value) -> bool) -> Value {
    streamed(world, |text| {
        let snapshots = text.split("\n\n").filter(|message| message.contains("event: snapshot"));
        let entries = snapshots.filter_map(|message| {
            let (_, data) = message.split_once("data: ")?;
            let snapshot: Value = serde_json::from_str(data).ok()?;
            let operations = snapshot["operations"].as_array()?;
            operations.iter().find(|one| one["name"] == "only").cloned()
        });
        entries.filter(|one| is_so(&one["circuit"])).last()
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_in_shadow_would_refuse_and_is_said_to_refuse_nobody() {
    let sick = Upstream::statuses(&[500]).await;
    let world = behind(&sick, "recovery_timeout: 1h, mode: shadow").await;
    fail(&world, 4).await;
    let answer = world.get("/x").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-seawall-circuit")),
        (500, "open;mode=shadow")
    );

    let health = world.json("health").await;
    assert_eq!((&health["healthy"], &health["status"]), (&json!(true), &json!("healthy")));
    assert_eq!(health["open_circuit_breakers"], json!([]));
    assert_eq!(health["would_refuse_circuit_breakers"], json!(["only"]));
    let detailed = world.json("health/detailed").await;
    let part = component(&detailed, "only");
    assert_eq!(part["status"], "healthy");
    assert!(part["reason"].as_str().unwrap().contains("would refuse"), "{part}");

    let all = world.json("circuit-breakers").await;
    let counts =
        ["open_count", "healthy_count", "shadow_count", "off_count"].map(|at| all[at].clone());
    assert_eq!(counts, [0, 1, 1, 0].map(Value::from));
    let one = world.json("circuit-breakers/only").await;
    assert_eq!(
        (&one["state"], &one["mode"], &one["refuses"]),
        (&json!("open"), &json!("shadow"), &json!(false))
    );
    assert_eq!(world.json("metrics").await["summary"]["healthy_circuit_breakers"], 1);
    assert_eq!(
        world.json("dashboard").await["health"],
        json!({ "overall": true, "open": 0, "half_open": 0 })
    );
    let line = &world.json("operations").await["operations"][0];
    assert_eq!((&line["circuit"], &line["circuit_mode"]), (&json!("open"), &json!("shadow")));
    let page = world.get("/metrics").await.text().to_owned();
    assert!(page.contains("circuit_breaker_state{name=\"only\",mode=\"shadow\"} 1"), "{page}");
    assert!(!page.contains("circuit_breaker_state{name=\"only\"}"), "{page}");

    let seen = snapshot(&world, |circuit| circuit["state"] == "open").await;
    assert_eq!(
        (&seen["circuit"]["state"], &seen["circuit"]["mode"]),
        (&json!("open"), &json!("shadow"))
    );
    assert!(seen["hour"].as_str().unwrap().ends_with('s'), "{seen}");
    // It is open for longer than the bound; the errors alone are a reason for an alert.
    eventually("the error rate is alerted", || async {
        world.json("monitoring/alerts").await.to_string().contains("Error rate")
    })
    .await;
    let alerts = world.json("monitoring/alerts").await;
    assert!(!alerts.to_string().contains("Circuit open"), "{alerts}");
    // Once it acts, all of this is said.
    mode(&world, "enforce").await;
    let answer = world.get("/x").await;
    assert_eq!((answer.status.as_u16(), answer.header("x-seawall-circuit")), (503, "open"));
    let health = world.json("health").await;
    assert_eq!((&health["healthy"], &health["status"]), (&json!(false), &json!("unhealthy")));
    eventually("the circuit is alerted", || async {
        world.json("monitoring/alerts").await.to_string().contains("Circuit open")
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_circuit_that_is_off_forgets_its_state_and_begins_closed() {
    let sick = Upstream::statuses(&[500]).await;
    let world = behind(&sick, "recovery_timeout: 1h").await;
    fail(&world, 2).await;
    assert_eq!(world.get("/x").await.status, 503);
    mode(&world, "off").await;
    let answer = world.get("/x").await;
    assert_eq!(
        (answer.status.as_u16(), answer.header("x-seawall-circuit")),
        (500, "closed;mode=off")
    );
    let one = world.json("circuit-breakers/only").await;
    assert_eq!(
        (&one["state"], &one["mode"], &one["refuses"]),
        (&json!("closed"), &json!("off"), &json!(false))
    );
    assert_eq!((&one["broken_since"], &one["next_probe_at"]), (&Value::Null, &Value::Null));
    let health = world.json("health").await;
    assert_eq!((&health["healthy"], &health["status"]), (&json!(true), &json!("healthy")));
    assert_eq!(health["would_refuse_circuit_breakers"], json!([]));
    assert_eq!(world.json("circuit-breakers").await["off_count"], 1);
    fail(&world, 5).await;
    mode(&world, "enforce").await;
    assert_eq!(world.json("circuit-breakers/only").await["state"], "closed");
    fail(&world, 2).await;
    assert_eq!(world.get("/x").await.status, 503, "it counts again, from nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn time_in_a_state_is_not_the_time_of_the_outage() {
    let sick = Upstream::statuses(&[500]).await;
    let world = behind(&sick, "recovery_timeout: 50ms").await;
    fail(&world, 2).await;
    let first = world.json("circuit-breakers/only").await;
    assert_eq!(first["in_state_since"], first["broken_since"]);
    // Probes fail until it has opened some times more.
    eventually("probes failed", || async {
        world.get("/x").await;
        world.json("circuit-breakers/only").await["openings_in_a_row"].as_u64() >= Some(4)
    })
    .await;
    let one = world.json("circuit-breakers/only").await;
    assert_eq!(one["state"], "open");
    assert_eq!(one["broken_since"], first["broken_since"], "one outage");
    let text = |field: &str| one[field].as_str().unwrap().to_owned();
    assert!(text("in_state_since") > text("broken_since"), "{one}");
    assert_eq!(one["in_state_since"], one["last_transition"]["at"]);
    let metrics = &one["metrics"];
    let (opens, half_opens) =
        (metrics["opens"].as_u64().unwrap(), metrics["half_opens"].as_u64().unwrap());
    assert!(half_opens >= 3 && opens == half_opens + 1, "{metrics}");
    assert_eq!(metrics["closes"], 0);
    let part = world.json("health/detailed").await;
    let part = component(&part, "only");
    assert_eq!(
        (&part["since"], &part["broken_since"]),
        (&one["in_state_since"], &one["broken_since"])
    );
    let seen = snapshot(&world, |circuit| circuit["broken_for_ms"].is_number()).await;
    let ms = |field: &str| seen["circuit"][field].as_u64().unwrap();
    assert!(ms("broken_for_ms") >= ms("in_state_ms") + 50, "{seen}");
    world.posted("circuit-breakers/only/reset", json!({})).await;
    let counts = world.json("metrics/only").await["metrics"].clone();
    assert_eq!(counts["circuit_breaker_closes"], 1);
    assert_eq!(counts["circuit_breaker_half_opens"], half_opens);
    let page = world.get("/metrics").await.text().to_owned();
    assert!(page.contains("seawall_circuit_closed_total{name=\"only\"} 1\n"), "{page}");
    assert!(
        page.contains(&format!(
            "seawall_circuit_half_opened_total{{name=\"only\"}} {half_opens}\n"
        ))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_repaired_file_ends_its_alert_at_once() {
    let world = World::quiet().await;
    let lasting = async || {
        let alerts = world.json("monitoring/alerts").await["alerts"].as_array().unwrap().clone();
        let of_file = |one: &Value| one["category"] == "configuration" && one["ended_at"].is_null();
        alerts.into_iter().filter(of_file).collect::<Vec<_>>()
    };
    world.write(&format!("{QUIET}drain_timeout: soon\n"));
    eventually("it is alerted", || async { !lasting().await.is_empty() }).await;
    let alert = lasting().await.remove(0);
    assert!(alert["description"].as_str().unwrap().contains("drain_timeout"), "{alert}");
    assert_eq!(world.json("health").await["status"], "degraded");
    // As it was: what is in force does not change, and the file is good all the same.
    world.write(QUIET);
    eventually("it ends", || async { lasting().await.is_empty() }).await;
    assert_eq!(world.json("health").await["status"], "healthy");
    streamed(&world, |text| text.contains("the file is good again").then_some(())).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_route_counts_what_its_clients_get() {
    let sick = Upstream::statuses(&[500]).await;
    let world = behind(&sick, "recovery_timeout: 1h").await;
    fail(&world, 2).await;
    for _ in 0..18 {
        assert_eq!(world.get("/x").await.status, 503);
    }
    for name in ["route%20%2F%2A", "only"] {
        let metrics = world.json(&format!("metrics/{name}")).await["metrics"].clone();
        assert_eq!(metrics["rejections"]["circuit_open"], 18, "{name}: {metrics}");
        assert_eq!(metrics["rejected_calls"], 18, "{name}");
        assert_eq!(
            (&metrics["attempts"], &metrics["failed_attempts"]),
            (&2.into(), &2.into()),
            "{name}"
        );
    }
    let alert = async || {
        let alerts = world.json("monitoring/alerts").await["alerts"].as_array().unwrap().clone();
        let of_route =
            |one: &&Value| one["operation"] == "route /*" && one["category"] == "error_rate";
        alerts.iter().find(of_route).cloned()
    };
    eventually("the route is alerted, with all of its clients", || async {
        alert().await.is_some_and(|alert| alert["actual_value"] == 1.0)
    })
    .await;
}
