//! Rate limits are shown as they decide, for everybody and for one key, and are reset.

use crate::{support::Upstream, world::World};
use http::Method;
use http_body_util::Full;
use serde_json::{Value, json};

/// A route for each way to count, each with two requests an hour.
async fn limited(upstream: &Upstream) -> World {
    World::of(&format!(
        "upstreams: {{ up: {{ endpoints: ['{}'], policies: [] }} }}\n\
         routes:\n\
         - {{ path: /header, upstream: up, rate_limit: {{ rate: 2, per: 1h, key: 'header:x-tenant' }} }}\n\
         - {{ path: /peer, upstream: up, rate_limit: {{ rate: 2, per: 1h, key: peer }} }}\n\
         - {{ path: /all, upstream: up, rate_limit: {{ rate: 2, per: 1h }} }}\n",
        upstream.endpoint()
    ))
    .await
}

async fn status(world: &World, path: &str, tenant: &str) -> u16 {
    let request = world.request(Method::GET, path).header("x-tenant", tenant);
    crate::support::send(request.body(Full::default()).unwrap()).await.status.as_u16()
}

fn left(limits: &Value) -> &Value {
    &limits["limiters"][0]["quota"]["remaining"]
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_left_is_shown_and_reset_for_each_way_to_count() {
    let upstream = Upstream::statuses(&[200]).await;
    let world = limited(&upstream).await;
    for (path, by, key) in [
        ("header", "header:x-tenant", json!({ "key": "acme" })),
        ("peer", "peer", json!({ "key": "127.0.0.1" })),
        ("all", "all", json!({})),
    ] {
        let at = format!("rate-limits/route%20%2F{path}");
        let statuses = [
            status(&world, &format!("/{path}"), "acme").await,
            status(&world, &format!("/{path}"), "acme").await,
        ];
        assert_eq!(statuses, [200, 200], "{path}");
        assert_eq!(status(&world, &format!("/{path}"), "acme").await, 429, "{path}");
        let shown = world.json(&at).await;
        assert_eq!((&shown["counts_by"], &shown["refused"]), (&json!(by), &json!(1)), "{shown}");
        let keyed = by != "all";
        assert_eq!(shown["limiters"][0]["quota"].is_null(), keyed, "{shown}");
        assert_eq!(shown["limiters"][0]["keys"], json!(u32::from(keyed)), "{shown}");
        let quota = world.posted(&format!("{at}/quota"), key.clone()).await;
        assert_eq!(left(&quota), 0, "{quota}");
        let after = world.posted(&format!("{at}/reset"), key).await;
        assert_eq!(left(&after), 2, "{after}");
        assert_eq!(status(&world, &format!("/{path}"), "acme").await, 200, "{path}");
    }
    // Another key has a limit of its own, and asking for it takes nothing.
    for _ in 0..3 {
        let other = json!({ "key": "other" });
        let quota = world.posted("rate-limits/route%20%2Fheader/quota", other).await;
        assert_eq!(left(&quota), 2, "{quota}");
    }
    let list = world.json("rate-limits").await;
    let names: Vec<&str> = list["rate_limits"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| one["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["route /all", "route /header", "route /peer"]);
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_near_their_limit_are_listed_by_a_hash_and_reset_by_it() {
    let upstream = Upstream::statuses(&[200]).await;
    let world = limited(&upstream).await;
    for tenant in ["one", "two", "two"] {
        assert_eq!(status(&world, "/header", tenant).await, 200);
    }
    assert_eq!(status(&world, "/peer", "").await, 200);
    assert_eq!(world.json("rate-limits").await["near"], json!([]), "only who asks is told");
    let list = world.json("rate-limits?near=2").await;
    let near = list["near"].as_array().unwrap();
    assert_eq!(near.len(), 2, "{list}");
    assert_eq!(
        (&near[0]["operation"], &near[0]["quota"]["remaining"]),
        (&json!("route /header"), &json!(0))
    );
    assert_eq!(
        (&near[1]["quota"]["remaining"], &near[1]["quota"]["limit"]),
        (&json!(1), &json!(2))
    );
    let id = near[0]["key"].as_str().unwrap();
    assert!(id.len() == 16 && !list.to_string().contains("two"), "{list}");
    let after = world.posted("rate-limits/route%20%2Fheader/reset", json!({ "id": id })).await;
    assert_eq!(left(&after), 2, "{after}");
    assert_eq!(status(&world, "/header", "two").await, 200);
    for (at, body, words) in [
        ("route%20%2Fheader/reset", json!({ "id": "no hash" }), "16 hexadecimal digits"),
        ("route%20%2Fheader/reset", json!({ "id": id, "key": "two" }), "needs no id"),
        ("route%20%2Fall/reset", json!({ "id": id }), "needs no id"),
    ] {
        let answer = world.post(&format!("rate-limits/{at}"), body).await;
        assert_eq!(answer.status, 422, "{}", answer.text());
        assert!(answer.text().contains(words), "{}", answer.text());
    }
    assert_eq!(world.get("rate-limits?near=1001").await.status, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_that_does_not_fit_is_refused_with_what_would() {
    let upstream = Upstream::statuses(&[200]).await;
    let world = limited(&upstream).await;
    for (at, body, status, words) in [
        ("route%20%2Fpeer/reset", json!({ "key": "acme" }), 422, "addresses of clients"),
        ("route%20%2Fpeer/reset", json!({}), 422, "say which"),
        ("route%20%2Fall/quota", json!({ "key": "acme" }), 422, "one limit for all calls"),
        ("route%20%2Fall/reset", json!({ "kye": "acme" }), 422, "kye"),
        ("up/quota", json!({}), 404, "route /all, route /header, route /peer"),
    ] {
        let answer = world.post(&format!("rate-limits/{at}"), body.clone()).await;
        assert_eq!(answer.status, status, "{at} {body}: {}", answer.text());
        assert!(answer.text().contains(words), "{at} {body}: {}", answer.text());
    }
}
