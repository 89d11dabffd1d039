//! Changes of a running server: all or nothing, without losing a request, with a way back.

use crate::{
    support::{Upstream, eventually, respond},
    world::{QUIET, World},
};
use http::Method;
use serde_json::{Value, json};
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

#[tokio::test(flavor = "multi_thread")]
async fn a_wrong_change_changes_nothing_and_names_everything() {
    let world = World::quiet().await;
    let before = world.json("config").await["document"].clone();
    let wrong = json!({ "configuration": {
        "limits": { "max_body_byts": 5 }, "drain_timeout": "soon", "upstreams": { "chat": { "strategy": "balancd" } },
    } });
    let problem = world.put("config", wrong).await.problem(422);
    let paths: Vec<&str> = problem["errors"]
        .as_array()
        .unwrap()
        .iter()
        .map(|error| error["path"].as_str().unwrap())
        .collect();
    for path in ["limits.max_body_byts", "drain_timeout", "upstreams.chat.strategy"] {
        assert!(paths.contains(&path), "{path} is not among {paths:?}");
    }
    assert_eq!(world.json("config").await["document"], before);
    assert_eq!(world.json("config/history").await["current"], 1);
    for field in ["auth", "listen", "store"] {
        let problem =
            world.put("config", json!({ "configuration": { field: {} } })).await.problem(422);
        assert_eq!(problem["field"], format!("configuration.{field}"));
    }
    let events = world.json("monitoring/export").await;
    let told = events.to_string();
    assert!(told.contains("validation_event") && !told.contains("config_error"), "{events}");
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_are_tried_applied_remembered_and_undone() {
    let world = World::quiet().await;
    let change = json!({ "preset": "production", "limits": { "max_body_bytes": 77 } });
    let dry = world.put("config", json!({ "configuration": change, "dry_run": true })).await.json();
    assert_eq!((&dry["applied"], dry["diff"].as_array().unwrap().len()), (&false.into(), 2));
    assert_eq!(world.json("config").await["revision"], 1, "weighing changes nothing");
    let made = world
        .put("config", json!({ "configuration": change, "expected_revision": 1 }))
        .await
        .json();
    assert_eq!((&made["applied"], &made["revision"]), (&true.into(), &2.into()));
    let diff = made["diff"].as_array().unwrap();
    assert_eq!(
        diff[0],
        json!({ "path": "limits.max_body_bytes", "old": 33554432, "new": 77, "origin": "API" })
    );
    let late = world.put("config", json!({ "configuration": {}, "expected_revision": 1 })).await;
    assert!(late.problem(409)["detail"].as_str().unwrap().contains("revision 2"));
    let large = world.ask(Method::POST, "/chat/x", &"x".repeat(100)).await;
    assert_eq!(large.status, 413, "the new limit acts");

    let restart = json!({ "configuration": { "limits": { "max_connections": 5 } } });
    assert_eq!(
        world.put("config", restart).await.json()["needs_restart"],
        json!(["limits.max_connections"])
    );
    let history = world.json("config/history?limit=2").await;
    let numbers: Vec<u64> = history["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["revision"].as_u64().unwrap())
        .collect();
    assert_eq!((numbers, &history["next"]), (vec![3, 2], &2.into()));
    assert_eq!(history["revisions"][0]["cause"], "api");
    assert_eq!(history["revisions"][0]["who"], "local");
    let second = world.json("config/history/2").await;
    assert_eq!(second["document"]["limits"]["max_body_bytes"], 77);
    world.get("config/history/9").await.problem(404);
    world.get("config/history/x").await.problem(422);

    let dry = world.posted("config/rollback", json!({ "revision": 1, "dry_run": true })).await;
    assert_eq!(dry["applied"], false);
    let late = json!({ "revision": 1, "expected_revision": 2 });
    world.post("config/rollback", late).await.problem(409);
    let back =
        world.posted("config/rollback", json!({ "revision": 1, "expected_revision": 3 })).await;
    assert_eq!(back["revision"], 4);
    let config = world.json("config").await;
    assert_eq!(config["api_mode"], "replace");
    assert_eq!(
        (&config["preset_name"], &config["document"]["limits"]["max_body_bytes"]),
        (&"simple".into(), &33554432.into())
    );
    world.post("config/rollback", json!({ "revision": 99 })).await.problem(404);
    let health = world.json("health/detailed").await.to_string();
    assert!(health.contains("takes the place of the file"), "{health}");
    let small = json!({ "configuration": { "drain_timeout": "3s" } });
    let diff = world.put("config", small).await.json()["diff"].clone();
    assert_eq!(diff.as_array().unwrap().len(), 1, "it does not undo the rollback: {diff}");
    let nothing = world.put("config", json!({ "configuration": {} })).await.json();
    let paths: Vec<&Value> =
        nothing["diff"].as_array().unwrap().iter().map(|one| &one["path"]).collect();
    assert_eq!(paths, ["drain_timeout"], "but for that the file says the same");
    let audit = world.json("audit").await;
    assert_eq!(audit["entries"][0]["path"], "/internal/resilience/config");
    assert!(world.get("audit?format=csv").await.text().contains("config/rollback"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_changed_file_is_followed_and_a_wrong_one_is_not() {
    let world = World::quiet().await;
    world.write(&format!("{QUIET}preset: production\n"));
    eventually("the file is followed", || async {
        tokio::time::sleep(Duration::from_millis(50)).await;
        world.json("config").await["preset_name"] == "production"
    })
    .await;
    let history = world.json("config/history").await;
    assert_eq!(
        (&history["revisions"][0]["cause"], &history["revisions"][0]["who"]),
        (&"file".into(), &"file".into())
    );
    world.write(&format!("{QUIET}preset: nonsense\n"));
    let problem = world.post("config/reload", json!({})).await.problem(422);
    assert_eq!(problem["errors"][0]["path"], "preset");
    let health = world.json("health/detailed").await;
    assert_eq!(health["status"], "degraded", "{health}");
    assert!(health.to_string().contains("the file is refused"), "{health}");
    assert_eq!(world.json("config").await["preset_name"], "production");
    world.write(&format!("{QUIET}preset: development\n"));
    world.stop.reload().await;
    assert_eq!(world.json("config").await["preset_name"], "development");
}

#[tokio::test(flavor = "multi_thread")]
async fn unchanged_parts_keep_their_state() {
    let sick = Upstream::statuses(&[500]).await;
    let yaml = |retry: u32| {
        format!(
            "upstreams:\n  a:\n    endpoints: ['{}']\n    policies:\n      \
             - {{ type: circuit_breaker, failure_threshold: 2, recovery_timeout: 1h }}\n      \
             - {{ type: retry, max_attempts: {retry}, backoff: {{ base_delay: 1ms }} }}\n\
             routes: [{{ path: /*, upstream: a }}]\n",
            sick.endpoint()
        )
    };
    let world = World::of(&yaml(1)).await;
    world.get("/x").await;
    world.get("/x").await;
    assert_eq!(world.json("circuit-breakers/a").await["state"], "open");
    let opened = world.json("circuit-breakers/a").await["metrics"]["opens"].clone();
    world.write(&yaml(3));
    world.posted("config/reload", json!({})).await;
    let breaker = world.json("circuit-breakers/a").await;
    assert_eq!((&breaker["state"], &breaker["metrics"]["opens"]), (&"open".into(), &opened));
    world.put("operations/a/mode", json!({ "policy": "retry", "mode": "shadow" })).await;
    let tougher = yaml(3).replace("failure_threshold: 2", "failure_threshold: 4");
    world.write(&tougher);
    world.posted("config/reload", json!({})).await;
    let breaker = world.json("circuit-breakers/a").await;
    assert_eq!(
        (&breaker["state"], &breaker["threshold"]),
        (&"open".into(), &4.into()),
        "another number, the same circuit"
    );
    let detail = world.json("operations/a").await;
    assert_eq!(detail["policies"][1]["mode"], "shadow", "what was switched by hand stays");
    world.write(&yaml(3));
    world.posted("config/reload", json!({})).await;
    let detail = world.json("operations/a").await;
    assert!(
        detail["policies"][1]["values"].to_string().contains("seawall.yaml:7\",\"value\":3"),
        "{detail}"
    );
    let gone = yaml(3).replace("  a:", "  b:").replace("upstream: a", "upstream: b");
    world.write(&gone);
    world.posted("config/reload", json!({})).await;
    world.get("operations/a").await.problem(404);
    assert_eq!(world.json("circuit-breakers/b").await["state"], "closed");
}

#[tokio::test(flavor = "multi_thread")]
async fn reloading_under_load_loses_no_request() {
    let slow = |text: &'static str| async move {
        Upstream::start(move |_, _| async move {
            tokio::time::sleep(Duration::from_millis(3)).await;
            respond(200, text)
        })
        .await
    };
    let (one, two) = (slow("one").await, slow("two").await);
    let yaml = |to: &Upstream, attempts: u32| {
        format!(
            "upstreams: {{ a: {{ endpoints: ['{}'], policies: [{{ type: retry, max_attempts: {attempts} }}, \
             {{ type: bulkhead, max_concurrent: 1000 }}] }} }}\nroutes: [{{ path: /*, upstream: a }}]\n",
            to.endpoint()
        )
    };
    let world = Arc::new(World::of(&yaml(&one, 2)).await);
    let (stop, answered) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let clients: Vec<_> = (0..8)
        .map(|_| {
            let (world, stop, answered) = (world.clone(), stop.clone(), answered.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let answer = world.get("/x").await;
                    assert_eq!(answer.status, 200, "{}", answer.text());
                    answered.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    for round in 0..40_u32 {
        world.write(&yaml(if round % 2 == 0 { &two } else { &one }, 2 + round % 3));
        let changed: Value = world.posted("config/reload", json!({})).await;
        assert_eq!(changed["applied"], true, "{round}: {changed}");
    }
    stop.store(true, Ordering::Relaxed);
    for client in clients {
        client.await.unwrap();
    }
    assert!(answered.load(Ordering::Relaxed) > 40, "there was load");
    assert!(one.calls() > 0 && two.calls() > 0, "both were used");
    let metrics = world.json("metrics/a").await;
    assert_eq!(metrics["metrics"]["failed_calls"], 0);
    assert_eq!(metrics["metrics"]["in_flight"], 0);
}
