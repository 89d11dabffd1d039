//! Tests of what survives a restart, and of what is reported when something cannot.

use crate::world::{QUIET, World};
use seawall_server::{Inputs, Server, Startup};
use serde_json::json;

const STORED: &str = "store: { path: FOLDER/state.redb }\n";

#[tokio::test(flavor = "multi_thread")]
async fn revisions_monitoring_benchmarks_and_the_audit_survive() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("{QUIET}{}", STORED.replace("FOLDER", folder.path().to_str().unwrap()));
    let world = World::of(&yaml).await;
    let change = json!({ "configuration": { "preset": "production" } });
    assert_eq!(world.put("config", change).await.status, 200);
    let ask = json!({ "operation_name": "preset_access", "iterations": 1000 });
    world.posted("performance/benchmark", ask).await;
    let before = world.json("monitoring/export").await;
    let home = world.ended().await;

    let world = World::again(home, &yaml, &[]).await;
    let config = world.json("config").await;
    assert_eq!((&config["preset_name"], &config["revision"]), (&"production".into(), &2.into()));
    assert_eq!(config["sources"]["preset"], "API");
    let history = world.json("config/history").await;
    assert_eq!(history["revisions"].as_array().unwrap().len(), 2, "a start alone is no revision");
    let after = world.json("monitoring/export").await;
    let count = before.as_array().unwrap().len();
    assert_eq!(&after.as_array().unwrap()[..count], &before.as_array().unwrap()[..]);
    assert_eq!(world.json("performance/history").await["total_runs"], 1);
    let audit = world.json("audit").await;
    assert_eq!(audit["entries"].as_array().unwrap().len(), 2);
    let back = world.posted("config/rollback", json!({ "revision": 1 })).await;
    assert_eq!(back["revision"], 3);
    assert_eq!(world.json("config").await["preset_name"], "simple");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_that_does_not_fit_the_file_any_more_is_left_out_and_reported() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("{QUIET}{}", STORED.replace("FOLDER", folder.path().to_str().unwrap()));
    let world = World::of(&yaml).await;
    let change = json!({ "configuration": { "routes": [{ "path": "/x", "upstream": "qa" }] } });
    assert_eq!(world.put("config", change).await.status, 200);
    let home = world.ended().await;
    let without = yaml
        .replace("  qa: { endpoints: ['http://127.0.0.1:9'] }\n", "")
        .replace(", fallback: [qa]", "");
    let world = World::again(home, &without, &[]).await;
    let config = world.json("config").await;
    assert_eq!(
        (&config["api_change"], &config["document"]["routes"][0]["path"]),
        (&json!(null), &"/chat/*".into())
    );
    let health = world.json("health/detailed").await;
    let part = health["components"]
        .as_array()
        .unwrap()
        .iter()
        .find(|part| part["kind"] == "configuration");
    assert_eq!(part.unwrap()["status"], "degraded", "{health}");
    assert!(part.unwrap()["reason"].as_str().unwrap().contains("\"qa\""), "{health}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_load_balancer_is_told_before_the_server_goes() {
    let mut world = World::of(&format!("{QUIET}shutdown_delay: 1s\n")).await;
    assert_eq!(world.get("/readyz").await.status, 200);
    world.stop.now();
    crate::support::eventually("it says so", || async { world.get("/readyz").await.status == 503 })
        .await;
    assert_eq!(world.get("health").await.status, 200, "it still serves");
    assert!(world.running.take().unwrap().await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn two_servers_do_not_share_a_store() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = format!("{QUIET}{}", STORED.replace("FOLDER", folder.path().to_str().unwrap()));
    let world = World::of(&yaml).await;
    let startup = Startup::read(Inputs::file(world.file())).unwrap();
    let refused = Server::start(startup, Vec::new()).await.err().unwrap();
    assert!(refused.to_string().contains("in use by another process"), "{refused}");
}
