//! Several instances that share a Redis: a change on one reaches all, or is refused.

use crate::{
    redis::{PASSWORD, Redis},
    support::Upstream,
    world::World,
};
use serde_json::{Value, json};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// How long anything may take on a busy machine.
const PATIENCE: Duration = Duration::from_secs(60);

/// A file of an instance with this name; `more` is at its end.
fn file(redis: &Redis, name: &str, upstream: &str, more: &str) -> String {
    format!(
        "store: {{ redis: {{ url: '{}' }} }}\nfleet: {{ name: {name} }}\n\
         upstreams: {{ chat: {{ endpoints: ['{upstream}'], policies: [] }} }}\n\
         routes: [{{ path: /*, upstream: chat }}]\n{more}",
        redis.url()
    )
}

async fn instance(redis: &Redis, name: &str) -> World {
    World::of(&file(redis, name, "http://127.0.0.1:9", "")).await
}

async fn until<F: Future<Output = bool>>(what: &str, mut done: impl FnMut() -> F) {
    let began = Instant::now();
    while !done().await {
        assert!(began.elapsed() < PATIENCE, "it takes too long until {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The instances in these states, by name, as one of them sees the fleet.
async fn states(world: &World) -> Vec<(String, String)> {
    let fleet = world.json("fleet").await;
    assert!(!fleet.to_string().contains(PASSWORD), "a password is shown");
    let text = |one: &Value, field: &str| one[field].as_str().unwrap().to_owned();
    let instances = fleet["instances"].as_array().unwrap();
    instances.iter().map(|one| (text(one, "name"), text(one, "state"))).collect()
}

async fn until_ready(world: &World, names: &[&str]) {
    let expected: Vec<_> =
        names.iter().map(|name| ((*name).to_owned(), "ready".to_owned())).collect();
    until("all instances are known", async || {
        states(world).await == expected && world.json("fleet").await["degraded"].is_null()
    })
    .await;
}

/// A change that gives the operations another preset.
fn change(preset: &str) -> Value {
    json!({ "configuration": { "preset": preset } })
}

async fn preset(world: &World) -> String {
    world.json("config").await["preset_name"].as_str().unwrap().to_owned()
}

async fn own(world: &World) -> Value {
    world.json("fleet/instance").await
}

async fn three(redis: &Redis) -> [World; 3] {
    let all = [instance(redis, "a").await, instance(redis, "b").await, instance(redis, "c").await];
    for one in &all {
        until_ready(one, &["a", "b", "c"]).await;
    }
    all
}

#[tokio::test(flavor = "multi_thread")]
async fn a_change_on_one_is_in_force_on_all_and_names_who_made_it() {
    let redis = Redis::start();
    let [a, b, c] = three(&redis).await;
    let began = Instant::now();
    let changed = a.put("config", change("production")).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    assert_eq!(changed.json()["applied"], true, "{}", changed.text());
    assert_eq!(preset(&a).await, "production");
    for other in [&b, &c] {
        until("the others have it", async || preset(other).await == "production").await;
    }
    println!("in force on all after {:?}", began.elapsed());
    let history = b.json("config/history").await;
    let line = &history["revisions"][0];
    assert_eq!(line["cause"], "fleet", "{line}");
    assert!(line["who"].as_str().unwrap().ends_with(" on a"), "{line}");
    let audit = b.json("audit").await;
    let noted = |one: &Value| one["method"] == "FLEET" && one["from"] == "a";
    assert!(audit["entries"].as_array().unwrap().iter().any(noted), "{audit}");
    until("all report the revision", async || {
        let fleet = c.json("fleet").await;
        let instances = fleet["instances"].as_array().unwrap();
        fleet["revision"]["number"] == 1
            && fleet["revision"]["instance"] == "a"
            && instances.iter().all(|one| one["fleet_revision"] == 1 && one["differs"] == false)
    })
    .await;
    // A rollback is a change like any other, and so is an operation that is registered.
    let first = a.json("config/history").await["revisions"][1]["revision"].clone();
    let back = a.post("config/rollback", json!({ "revision": first })).await;
    assert_eq!(back.status, 200, "{}", back.text());
    until("it is back on the others", async || preset(&c).await == "simple").await;
    until("the instance knows the revision", async || own(&b).await["fleet_revision"] == 2).await;
    let registered = b.post("operations", json!({ "name": "search" })).await;
    assert_eq!(registered.status, 201, "{}", registered.text());
    until("the operation is everywhere", async || c.get("operations/search").await.status == 200)
        .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_changes_at_once_one_wins_and_the_other_learns_of_it() {
    let redis = Redis::start();
    let [a, b, c] = three(&redis).await;
    let (one, other) =
        tokio::join!(a.put("config", change("production")), b.put("config", change("development")));
    let (won, lost, by) =
        if one.status == 200 { (one, other, "on a") } else { (other, one, "on b") };
    assert_eq!(won.status, 200, "{}", won.text());
    let problem = lost.problem(409);
    let detail = problem["detail"].as_str().unwrap();
    for words in ["no revision of the fleet", "revision 1 (by ", by] {
        assert!(detail.contains(words), "{detail}");
    }
    let present = if by == "on a" { "production" } else { "development" };
    for world in [&a, &b, &c] {
        until("all have the winner's", async || preset(world).await == present).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn an_instance_that_cannot_plan_it_refuses_it_for_all() {
    let redis = Redis::start();
    let a = instance(&redis, "a").await;
    // This one has an operation of the name that the change gives to an upstream.
    let more = "operations: { search: {} }\n";
    let b = World::of(&file(&redis, "b", "http://127.0.0.1:9", more)).await;
    until_ready(&a, &["a", "b"]).await;
    let upstreams = json!({ "search": { "endpoints": ["http://127.0.0.1:9"] } });
    let refused = a.put("config", json!({ "configuration": { "upstreams": upstreams } })).await;
    let problem = refused.problem(409);
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("nothing has changed on any instance: b cannot"), "{detail}");
    assert!(detail.contains("an upstream has this name"), "{detail}");
    for world in [&a, &b] {
        assert_eq!(world.json("config").await["revision"], 1);
        assert_eq!(own(world).await["fleet_revision"], Value::Null);
        assert_eq!(own(world).await["state"], "ready");
    }
    // A change that fits goes through right after it.
    let changed = a.put("config", change("production")).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_store_requests_go_on_and_changes_are_refused_until_it_is_back() {
    let upstream = Upstream::statuses(&[200]).await;
    let mut redis = Redis::start();
    let endpoint = upstream.endpoint();
    let a = World::of(&file(&redis, "a", &endpoint, "")).await;
    let b = World::of(&file(&redis, "b", &endpoint, "")).await;
    until_ready(&a, &["a", "b"]).await;
    assert_eq!(a.put("config", change("production")).await.status, 200);
    until("b has it", async || preset(&b).await == "production").await;

    redis.freeze();
    until("the loss is seen", async || own(&a).await["degraded"] == json!(["fleet"])).await;
    assert_eq!(a.get("/work").await.status, 200, "requests go on");
    let refused = a.put("config", change("development")).await;
    let problem = refused.problem(503);
    assert!(problem["detail"].as_str().unwrap().contains("?local=true"), "{problem}");
    assert_eq!(preset(&a).await, "production", "nothing has changed");
    assert!(a.json("fleet").await["degraded"].is_string());
    let health = a.json("health/detailed").await;
    assert!(
        health["components"]
            .as_array()
            .unwrap()
            .iter()
            .any(|part| { part["name"] == "fleet" && part["status"] == "degraded" })
    );
    assert!(a.get("/metrics").await.text().contains("\nseawall_fleet_degraded 1\n"));
    let alone = a.put("config?local=true", change("development")).await;
    assert_eq!(alone.status, 200, "{}", alone.text());
    assert_eq!(
        (preset(&a).await.as_str(), preset(&b).await.as_str()),
        ("development", "production")
    );
    redis.thaw();
    until_ready(&a, &["a", "b"]).await;
    let of_a = own(&a).await;
    assert_eq!((&of_a["changed_alone"], &of_a["fleet_revision"]), (&json!(true), &json!(1)));
    until("the difference is shown", async || {
        let fleet = b.json("fleet").await;
        fleet["instances"][0]["differs"] == true
    })
    .await;

    // Killed, it forgets everything; the instances do not.
    redis.kill();
    until("the loss is seen", async || own(&b).await["degraded"] == json!(["fleet"])).await;
    assert_eq!(b.get("/work").await.status, 200, "requests go on");
    redis.restart();
    until_ready(&b, &["a", "b"]).await;
    until("the revision is in the store again", async || {
        redis.run(&["get", "seawall:{fleet}:revision"]).contains("\"number\":1")
    })
    .await;
    let changed = b.put("config", change("simple")).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    until("the fleet's change ends the one alone", async || preset(&a).await == "simple").await;
    assert_eq!(own(&a).await["changed_alone"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn who_comes_late_or_comes_back_has_the_fleets_revision_before_it_takes_requests() {
    let redis = Redis::start();
    let a = instance(&redis, "a").await;
    assert_eq!(a.put("config", change("production")).await.status, 200);
    let b = instance(&redis, "b").await;
    assert_eq!(preset(&b).await, "production", "at its first answer");
    let folder = b.ended().await;
    until_ready(&a, &["a"]).await;
    assert_eq!(a.put("config", change("development")).await.status, 200, "nobody waits for it");
    // The file is an older one than that of the other; what the API changed lies over it.
    let b = World::again(
        folder,
        &file(&redis, "b", "http://127.0.0.1:9", "preset: simple\ndrain_timeout: 7s\n"),
        &[],
    )
    .await;
    assert_eq!(preset(&b).await, "development");
    until("the difference of the files is shown", async || {
        let fleet = a.json("fleet").await;
        fleet["instances"][1]["differs"] == true && fleet["instances"][1]["fleet_revision"] == 2
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_makes_the_fleets_revision_impossible_is_a_state_and_no_silence() {
    let redis = Redis::start();
    let a = instance(&redis, "a").await;
    let upstreams = json!({ "search": { "endpoints": ["http://127.0.0.1:9"] } });
    let changed = a.put("config", json!({ "configuration": { "upstreams": upstreams } })).await;
    assert_eq!(changed.status, 200, "{}", changed.text());
    let more = "operations: { search: {} }\n";
    let b = World::of(&file(&redis, "b", "http://127.0.0.1:9", more)).await;
    let report = own(&b).await;
    assert_eq!(report["state"], "refused", "{report}");
    let reason = report["reason"].as_str().unwrap();
    assert!(reason.contains("revision 1 (by ") && reason.contains("an upstream has"), "{reason}");
    until("it is shown", async || states(&a).await[1] == ("b".into(), "refused".into())).await;
    until("an alert says so", async || {
        b.get("monitoring/alerts").await.text().contains("Fleet revision refused")
    })
    .await;
    // Its own changes are refused: it does not have what they would be made for.
    let refused = b.put("config", change("production")).await;
    assert!(refused.problem(409)["detail"].as_str().unwrap().contains("no revision of the fleet"));
    b.write(&file(&redis, "b", "http://127.0.0.1:9", ""));
    until("the file fits", async || own(&b).await["state"] == "ready").await;
    assert_eq!(own(&b).await["fleet_revision"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn garbage_in_the_store_is_a_state_and_ends_with_it() {
    let redis = Redis::start();
    let a = instance(&redis, "a").await;
    assert_eq!(a.put("config", change("production")).await.status, 200);
    let key = "seawall:{fleet}:revision";
    let protected = json!({
        "number": 9, "at": "2026-01-02T03:04:05.678Z", "who": "x", "instance": "y", "cause": "api",
        "change": { "document": { "auth": { "protect_reads": false } }, "alone": false }
    });
    for garbage in ["nonsense", "{\"number\":1}", "[]", &protected.to_string()] {
        redis.run(&["set", key, garbage]);
        until("it is seen", async || own(&a).await["state"] == "refused").await;
        let report = own(&a).await;
        assert_eq!(
            (preset(&a).await.as_str(), &report["fleet_revision"]),
            ("production", &json!(1))
        );
        let refused = a.put("config", change("simple")).await;
        assert_eq!(refused.status, 409, "{garbage}: {}", refused.text());
        // Deleted, as the reason says, it is what is in force.
        redis.run(&["del", key]);
        until("it is well again", async || own(&a).await["state"] == "ready").await;
    }
    // A value of another type, and a report that is none.
    redis.run(&["del", key]);
    redis.run(&["hset", "seawall:{fleet}:reports", "z~1", "nonsense"]);
    redis.run(&["zadd", "seawall:{fleet}:members", "99999999999999", "z~1"]);
    until("it is shown", async || states(&a).await.len() == 2).await;
    redis.run(&["del", "seawall:{fleet}:members"]);
    redis.run(&["set", "seawall:{fleet}:members", "text"]);
    until("it is seen", async || own(&a).await["degraded"] == json!(["fleet"])).await;
    assert_eq!(a.put("config", change("simple")).await.status, 503);
    redis.run(&["del", "seawall:{fleet}:members"]);
    until_ready(&a, &["a"]).await;
    assert_eq!(a.put("config", change("simple")).await.status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn instances_of_a_list_show_one_another_and_change_alone() {
    let ports: Vec<u16> = (0..2)
        .map(|_| std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port())
        .collect();
    let yaml = |name: &str| {
        let [one, other] = [ports[0], ports[1]];
        format!(
            "fleet:\n  name: {name}\n  key: ${{FLEET_KEY}}\n  instances: ['http://127.0.0.1:{one}', \
             'http://127.0.0.1:{other}/', 'http://127.0.0.1:9']\n\
             upstreams: {{ chat: {{ endpoints: ['http://127.0.0.1:9'] }} }}\n\
             routes: [{{ path: /*, upstream: chat }}]\n"
        )
    };
    let key = "a-key-for-the-whole-fleet";
    let start = async |name: &str, port: u16| {
        let listen = format!("127.0.0.1:{port}");
        let variables =
            [("SEAWALL_API_KEYS", key), ("FLEET_KEY", key), ("SEAWALL__LISTEN", listen.as_str())];
        World::again(TempDir::new().unwrap(), &yaml(name), &variables).await
    };
    let (a, b) = (start("a", ports[0]).await, start("b", ports[1]).await);
    let well = |state: &str| {
        vec![
            ("a".to_owned(), "ready".to_owned()),
            ("b".to_owned(), state.to_owned()),
            ("http://127.0.0.1:9".to_owned(), "gone".to_owned()),
        ]
    };
    until("a sees b", async || states(&a).await == well("ready")).await;
    assert_eq!(a.put("config", change("production")).await.status, 200);
    assert_eq!((preset(&a).await.as_str(), preset(&b).await.as_str()), ("production", "simple"));
    until("it differs", async || a.json("fleet").await["instances"][1]["differs"] == true).await;
    let _folder = b.ended().await;
    until("b is gone", async || states(&a).await == well("gone")).await;
}
