//! Several changes at the same time: none is lost, and none is in force by half.

use crate::world::{QUIET, World};
use http::Method;
use serde_json::{Value, json};
use std::{collections::BTreeSet, sync::Arc};
use tokio::task::JoinSet;

fn names(config: &Value) -> BTreeSet<String> {
    let operations = config["document"]["operations"].as_object();
    operations.into_iter().flatten().map(|(name, _)| name.clone()).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_that_are_registered_at_once_are_all_there() {
    let world = Arc::new(World::quiet().await);
    let mut asked = JoinSet::new();
    for n in 0..24 {
        let asking = world.clone();
        asked.spawn(async move {
            let name = format!("op-{n}");
            let answer = asking.post("operations", json!({ "name": name })).await;
            assert_eq!(answer.status, 201, "{}", answer.text());
            name
        });
        if n % 8 == 0 {
            let world = world.clone();
            asked.spawn(async move {
                world.posted("config/reload", json!({})).await;
                String::new()
            });
        }
    }
    let expected: BTreeSet<String> =
        asked.join_all().await.into_iter().filter(|name| !name.is_empty()).collect();
    assert_eq!(expected.len(), 24);
    assert_eq!(names(&world.json("config").await), expected);
    let listed = world.json("operations?limit=1000").await.to_string();
    for name in &expected {
        assert!(listed.contains(&format!("\"{name}\"")), "{name} is not registered: {listed}");
    }
    world.posted("config/reload", json!({})).await;
    assert_eq!(names(&world.json("config").await), expected, "a reload keeps them");
}

#[tokio::test(flavor = "multi_thread")]
async fn one_name_is_registered_once() {
    let world = Arc::new(World::quiet().await);
    let mut asked = JoinSet::new();
    for strategy in ["aggressive", "balanced", "conservative", "critical"] {
        let world = world.clone();
        let body = json!({ "name": "mine", "strategy": strategy });
        asked.spawn(async move {
            let answer = world.post("operations", body).await;
            (answer.status.as_u16(), strategy)
        });
    }
    let answers = asked.join_all().await;
    let made: Vec<&str> = answers
        .iter()
        .filter(|(status, _)| *status == 201)
        .map(|(_, strategy)| *strategy)
        .collect();
    assert_eq!((made.len(), answers.iter().filter(|(status, _)| *status == 409).count()), (1, 3));
    let config = world.json("config").await;
    assert_eq!(config["document"]["operations"]["mine"]["strategy"], made[0]);
}

#[tokio::test(flavor = "multi_thread")]
async fn changes_over_a_rollback_and_reloads_at_once_are_all_in_force() {
    let world = Arc::new(World::quiet().await);
    world.put("config", json!({ "configuration": { "preset": "production" } })).await;
    world.posted("config/rollback", json!({ "revision": 1 })).await;
    let fields = [
        json!({ "drain_timeout": "7s" }),
        json!({ "limits": { "max_body_bytes": 77 } }),
        json!({ "monitoring": { "max_revisions": 70 } }),
        json!({ "operations": { "a": {} } }),
    ];
    let mut asked = JoinSet::new();
    for configuration in fields {
        let (changing, reloading) = (world.clone(), world.clone());
        asked.spawn(async move {
            let answer = changing.put("config", json!({ "configuration": configuration })).await;
            assert_eq!(answer.status, 200, "{}", answer.text());
        });
        asked.spawn(async move {
            reloading.posted("config/reload", json!({})).await;
        });
    }
    asked.join_all().await;
    let document = world.json("config").await["document"].clone();
    assert_eq!(document["drain_timeout"], "7s");
    assert_eq!(document["limits"]["max_body_bytes"], 77);
    assert_eq!(document["monitoring"]["max_revisions"], 70);
    assert!(document["operations"]["a"].is_object());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_reload_and_a_rollback_at_once_leave_one_whole_configuration() {
    let world = Arc::new(World::quiet().await);
    let made =
        |bytes: u64| json!({ "preset": "production", "limits": { "max_body_bytes": bytes } });
    for round in 1..=8 {
        let change = json!({ "configuration": made(round) });
        assert_eq!(world.put("config", change).await.status, 200);
        world.write(&format!("{QUIET}drain_timeout: {round}s\n"));
        let (rolling, reloading) = (world.clone(), world.clone());
        let back = tokio::spawn(async move {
            rolling.posted("config/rollback", json!({ "revision": 1 })).await
        });
        let again = tokio::spawn(async move { reloading.posted("config/reload", json!({})).await });
        let (back, _) = (back.await.unwrap(), again.await.unwrap());
        assert_eq!(back["applied"], true, "{back}");
        let config = world.json("config").await;
        let seen = (&config["preset_name"], &config["document"]["limits"]["max_body_bytes"]);
        assert_eq!(seen, (&json!("simple"), &json!(33554432)), "round {round}");
        assert_eq!(config["api_mode"], "replace");
        let nothing = world.put("config", json!({ "configuration": {}, "mode": "merge" })).await;
        assert_eq!(nothing.status, 200);
        let config = world.json("config").await;
        assert_eq!(config["document"]["drain_timeout"], format!("{round}s"));
    }
    let history = world.json("config/history?limit=1000").await;
    let numbers: Vec<u64> = history["revisions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["revision"].as_u64().unwrap())
        .collect();
    assert!(numbers.windows(2).all(|pair| pair[0] == pair[1] + 1), "{numbers:?}");
}

/// A file with this many operations beside those of the quiet one.
fn many(operations: usize) -> String {
    use std::fmt::Write;
    let mut yaml = format!("{QUIET}operations:\n");
    for n in 0..operations {
        let _ = writeln!(yaml, "  o{n}: {{ policies: [] }}");
    }
    yaml
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_the_registry_has_no_room_for_changes_nothing() {
    // Two upstreams and a route beside them: one place is left of ten thousand.
    let world = World::of(&many(9_996)).await;
    let before = world.json("config").await;
    let listed = world.json("operations?limit=1").await;
    assert_eq!(listed["total_count"], 9_999);
    let change = json!({ "configuration": {
        "upstreams": {
            "aaa": { "endpoints": ["http://127.0.0.1:9"] },
            "chat": { "strategy": "critical" },
            "zzz": { "endpoints": ["http://127.0.0.1:9"] },
        },
        "limits": { "max_body_bytes": 7 },
    } });
    let detail = world.json("operations/chat").await["policies"].clone();
    for dry_run in [true, false] {
        let mut asked = change.clone();
        asked["dry_run"] = dry_run.into();
        let problem = world.put("config", asked).await.problem(409);
        assert!(problem["detail"].as_str().unwrap().contains("10000"), "{problem}");
    }
    let after = world.json("config").await;
    assert_eq!(
        (&after["revision"], &after["document"]),
        (&before["revision"], &before["document"])
    );
    assert_eq!(world.json("operations?limit=1").await["total_count"], 9_999);
    world.get("operations/aaa").await.problem(404);
    assert_eq!(world.json("operations/chat").await["policies"], detail);
    let body = world.ask(Method::POST, "/chat/x", "more than seven bytes").await;
    assert_ne!(body.status, 413, "the limits are the old ones, too");
    assert_eq!(world.post("operations", json!({ "name": "last" })).await.status, 201);
    world.post("operations", json!({ "name": "one-more" })).await.problem(409);
}
