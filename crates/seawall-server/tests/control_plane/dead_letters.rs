//! The dead letters' endpoints: what survives a restart, who sees payloads, what a purge and an import refuse.

use crate::{
    support::{Answer, send},
    world::World,
};
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

/// A server that keeps letters beside its store, before an address without a listener.
fn keeping(folder: &std::path::Path, more: &str) -> String {
    format!(
        "upstreams:\n  shop: {{ endpoints: ['http://127.0.0.1:9'], policies: [] }}\n\
         routes: [{{ path: '/orders/*', upstream: shop, dead_letter: true }}]\n\
         store: {{ path: '{}/state.redb' }}\n{more}",
        folder.display()
    )
}

async fn fail(world: &World, path: &str) -> String {
    let request = world.request(Method::POST, path).body(Full::from("a payload")).unwrap();
    let answer = send(request).await;
    assert_eq!(answer.status, 502, "{}", answer.text());
    let id = answer.header("x-seawall-dead-letter");
    assert_eq!(id.len(), 36, "{id}");
    id.to_owned()
}

async fn import(world: &World, lines: &str) -> Answer {
    let request = world
        .request(Method::POST, "dlq/import")
        .header("content-type", "application/x-ndjson")
        .body(Full::new(Bytes::from(lines.to_owned())))
        .unwrap();
    send(request).await
}

async fn count(world: &World, query: &str) -> usize {
    let page = world.json(&format!("dlq/letters{query}")).await;
    page["letters"].as_array().unwrap().len()
}

#[tokio::test(flavor = "multi_thread")]
async fn letters_and_replays_survive_a_restart() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = keeping(folder.path(), "");
    let world = World::of(&yaml).await;
    let id = fail(&world, "/orders/1").await;
    let order = json!({ "selection": { "ids": [id] } });
    let job = world.posted("dlq/replays", order).await["id"].as_str().unwrap().to_owned();
    let path = format!("dlq/replays/{job}");
    crate::support::eventually("the replay fails", || async {
        world.json(&path).await["status"] == "done"
    })
    .await;
    let before = world.json(&format!("dlq/letters/{id}")).await;
    let slow = json!({ "selection": { "query": { "queue": "default" } }, "rate": 0.001 });
    fail(&world, "/orders/2").await;
    let slow = world.posted("dlq/replays", slow).await["id"].as_str().unwrap().to_owned();
    let paused = world.posted(&format!("dlq/replays/{slow}/pause"), json!({})).await;
    assert_eq!(paused["status"], "paused");
    let home = world.ended().await;

    let world = World::again(home, &yaml, &[]).await;
    let after = world.json(&format!("dlq/letters/{id}")).await;
    assert_eq!(after["payload"], before["payload"]);
    assert_eq!(after["attempts"][1], before["attempts"][1], "{after}");
    assert_eq!(world.json(&path).await["progress"]["failed"], 1);
    assert_eq!(world.json(&format!("dlq/replays/{slow}")).await["status"], "paused");
    let over = world.posted(&format!("dlq/replays/{slow}/cancel"), json!({})).await;
    assert_eq!(over["status"], "cancelled");
    let stats = world.json("dlq/stats").await;
    assert!(stats["place"].as_str().unwrap().ends_with("letters.redb"), "{stats}");
    assert_eq!(stats["queues"]["default"]["enqueued"], 2);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_purge_needs_the_right_number_and_lists_have_pages() {
    let folder = tempfile::tempdir().unwrap();
    let world = World::of(&keeping(folder.path(), "")).await;
    for n in 0..3 {
        fail(&world, &format!("/orders/{n}")).await;
    }
    let first = world.json("dlq/letters?limit=2").await;
    assert_eq!(first["letters"].as_array().unwrap().len(), 2);
    let next = first["next"].as_str().unwrap();
    assert_eq!(count(&world, &format!("?limit=2&after={next}")).await, 1);
    assert_eq!(count(&world, "?text=ORDERS&state=waiting").await, 3);
    assert_eq!(count(&world, "?error_class=other").await, 0);
    for wrong in ["?state=lost", "?from=yesterday", "?limit=0", "?after=x", "?nothing=1"] {
        assert_eq!(world.get(&format!("dlq/letters{wrong}")).await.status, 422, "{wrong}");
    }
    // A purge means what was there before it.
    tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    let refused = world.post("dlq/purge", json!({ "expect": 2 })).await;
    assert_eq!(refused.status, 409);
    assert!(refused.text().contains("means 3 letters"), "{}", refused.text());
    assert_eq!(world.post("dlq/purge", json!({})).await.status, 422, "the number is typed");
    assert_eq!(count(&world, "").await, 3);
    assert_eq!(world.posted("dlq/purge", json!({ "expect": 3 })).await["letters"], 3);
    assert_eq!(count(&world, "").await, 0);
    let audit = world.json("audit").await;
    let purges = audit["entries"].as_array().unwrap().iter();
    let purges: Vec<&Value> =
        purges.filter(|entry| entry["path"].as_str().unwrap().ends_with("/dlq/purge")).collect();
    assert_eq!(purges.len(), 3, "{audit}");
    assert_eq!(purges[0]["status"], 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_may_only_read_sees_no_payload() {
    let folder = tempfile::tempdir().unwrap();
    let keys = [
        ("SEAWALL_API_KEYS", "a-key-that-may-write"),
        ("SEAWALL_READ_API_KEYS", "a-key-that-may-read"),
    ];
    let world = World::with(&keeping(folder.path(), ""), &keys).await;
    let id = fail(&world, "/orders/1").await;
    let path = format!("dlq/letters/{id}");
    assert_eq!(world.json(&path).await["payload"]["text"], "a payload");
    let read = |path: &str| {
        let mut request = world.request(Method::GET, path).body(Full::default()).unwrap();
        request.headers_mut().insert("x-api-key", "a-key-that-may-read".parse().unwrap());
        send(request)
    };
    let seen = read(&path).await;
    assert_eq!(seen.status, 200);
    assert_eq!(seen.json()["payload"], Value::Null);
    assert!(!seen.text().contains("a payload"), "{}", seen.text());
    assert_eq!(read("dlq/export").await.status, 403);
    assert_eq!(world.get("dlq/letters/no-id").await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_export_is_imported_elsewhere_and_encrypted_there() {
    let (from, to) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let world = World::of(&keeping(from.path(), "")).await;
    let id = fail(&world, "/orders/1").await;
    fail(&world, "/orders/2").await;
    let lines = world.get("dlq/export").await.text().to_owned();
    assert_eq!(lines.lines().count(), 2);
    let none = "01890000-0000-7000-8000-000000000000";
    let single = world.post("dlq/export", json!({ "ids": [&id, none] })).await;
    let single = (single.status.as_u16(), single.text().to_owned());
    let line = lines.lines().find(|line| line.contains(&id)).unwrap();
    assert_eq!(single, (200, format!("{line}\n")), "the one that is there, as in a whole export");

    let key = "k1:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
    let encrypted = "dead_letters: { queues: { default: { encryption: true } } }\n";
    let yaml = keeping(to.path(), encrypted);
    let other = World::with(&yaml, &[("SEAWALL_DEAD_LETTER_KEYS", key)]).await;
    let plain = world.ask(Method::POST, "dlq/import", &lines).await;
    assert_eq!(plain.status, 415, "it is no JSON document");
    let answer = import(&other, &format!("{lines}\nno letter\n")).await.json();
    assert_eq!((&answer["stored"], &answer["refused"]), (&2.into(), &1.into()), "{answer}");
    assert_eq!(answer["errors"][0]["line"], 4, "{answer}");
    let again = import(&other, &lines).await.json();
    assert_eq!(again["refused"], 0);
    assert_eq!(count(&other, "").await, 2, "the same letters are there once");
    let letter = other.json(&format!("dlq/letters/{id}")).await;
    assert_eq!(letter["payload"]["text"], "a payload");
    let bytes = std::fs::read(to.path().join("letters.redb")).unwrap();
    assert!(!bytes.windows(9).any(|part| part == b"a payload"), "it is encrypted");

    // Without its key a letter is still listed, and says so.
    let home = other.ended().await;
    let other = World::again(home, &yaml, &[]).await;
    let letter = other.json(&format!("dlq/letters/{id}")).await;
    assert_eq!(letter["payload"], Value::Null);
    assert!(letter["unreadable"].as_str().unwrap().contains("k1"), "{letter}");
    let refused = send(other.request(Method::POST, "/orders/3").body(Full::default()).unwrap());
    assert_eq!(refused.await.header("x-seawall-dead-letter"), "not-kept", "no key, no letter");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_file_says_what_is_wrong_with_dead_letters() {
    let check = |section: &str| {
        let yaml = format!("{}dead_letters: {section}\n", crate::world::QUIET);
        let format = seawall_config::Format::Yaml;
        let loaded =
            seawall_config::load_str::<seawall_server::GatewayConfig>("a.yaml", &yaml, format);
        loaded.err().map(|mistakes| mistakes.to_string()).unwrap_or_default()
    };
    assert_eq!(check("{ queues: { orders: { retention_days: 90 } } }"), "");
    for (section, told) in [
        ("{ store: file }", "there is no file for the letters"),
        ("{ store: memory, path: a.redb }", "kept in memory"),
        ("{ store: redis }", "redis"),
        ("{ queues: { 'a b': {} } }", "not a name"),
        ("{ queues: { a: { retention_days: 0 } } }", "retention_days"),
    ] {
        assert!(check(section).contains(told), "{section}: {}", check(section));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn depth_raises_an_alert() {
    let folder = tempfile::tempdir().unwrap();
    let low = "dead_letters: { queues: { default: { alert_threshold: 2 } } }\n";
    let world = World::of(&keeping(folder.path(), low)).await;
    fail(&world, "/orders/1").await;
    fail(&world, "/orders/2").await;
    crate::support::eventually("an alert begins", || async {
        let alerts = world.json("monitoring/alerts").await;
        let mut all = alerts["alerts"].as_array().unwrap().iter();
        all.any(|alert| {
            alert["category"] == "dead_letters" && alert["operation"] == "queue default"
        })
    })
    .await;
    let health = world.json("health/detailed").await;
    let mut parts = health["components"].as_array().unwrap().iter();
    assert!(parts.any(|part| part["kind"] == "dead_letters" && part["status"] == "healthy"));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_is_rotated_from_beginning_to_end() {
    let folder = tempfile::tempdir().unwrap();
    let yaml = keeping(folder.path(), "");
    let (old, new) = (
        "old:AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=",
        "new:HxwdHhsaGRgXFhUUExIREA8ODQwLCgkIBwYFBAMCAQA=",
    );
    let world = World::with(&yaml, &[("SEAWALL_DEAD_LETTER_KEYS", old)]).await;
    let id = fail(&world, "/orders/1").await;
    for n in 2..40 {
        fail(&world, &format!("/orders/{n}")).await;
    }
    let none = world.posted("dlq/reseal", json!({})).await;
    assert_eq!(none, json!({ "resealed": 0, "unreadable": 0 }), "all of them have this key");

    let both = format!("{new},{old}");
    let home = world.ended().await;
    let world = World::again(home, &yaml, &[("SEAWALL_DEAD_LETTER_KEYS", &both)]).await;
    let all = world.posted("dlq/reseal", json!({})).await;
    assert_eq!(all, json!({ "resealed": 39, "unreadable": 0 }));
    assert_eq!(world.post("dlq/reseal", json!({ "before": null })).await.status, 422);

    let home = world.ended().await;
    let world = World::again(home, &yaml, &[("SEAWALL_DEAD_LETTER_KEYS", new)]).await;
    let letter = world.json(&format!("dlq/letters/{id}")).await;
    assert_eq!(letter["payload"]["text"], "a payload", "the old key is not needed any more");
    let home = world.ended().await;
    let world = World::again(home, &yaml, &[]).await;
    let refused = world.post("dlq/reseal", json!({})).await;
    assert_eq!(refused.status, 409, "{}", refused.text());
}
