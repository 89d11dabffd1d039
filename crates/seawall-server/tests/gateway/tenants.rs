//! Tenants: whose a request is, what each may use, and that one's storm leaves the others alone.

use crate::support::{Answer, Gateway, Upstream, eventually, respond, send};
use bytes::Bytes;
use http::Method;
use http_body_util::Full;
use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

const REPORT: &str = r#"{"usage":{"prompt_tokens":100,"completion_tokens":50}}"#;

async fn model() -> Upstream {
    Upstream::start(|_, _| async {
        let mut response = respond(200, REPORT);
        response.headers_mut().insert("content-type", "application/json".parse().unwrap());
        response
    })
    .await
}

fn yaml(upstream: &Upstream, tenants: &str) -> String {
    format!(
        "trusted_proxies: [127.0.0.1]\n\
         upstreams:\n  only: {{ endpoints: ['{}'], protocol: openai, policies: [{{ type: bulkhead, max_concurrent: 10 }}] }}\n\
         routes: [{{ path: '/*', upstream: only, dead_letter: true }}]\n\
         tenants:\n  from: header:x-tenant\n{tenants}",
        upstream.endpoint()
    )
}

async fn ask_with(gateway: &Gateway, header: &str, value: &str) -> Answer {
    let request = gateway.request(Method::POST, "/v1/chat/completions").header(header, value);
    let body: Full<Bytes> = Full::from(r#"{"model":"gpt-4o","max_tokens":10}"#);
    send(request.body(body).unwrap()).await
}

async fn ask(gateway: &Gateway, tenant: &str) -> Answer {
    ask_with(gateway, "x-tenant", tenant).await
}

async fn tenant(gateway: &Gateway, name: &str) -> serde_json::Value {
    gateway.get(&format!("/internal/resilience/tenants/{name}")).await.json()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_budget_stops_its_tenant_and_says_which_how_much_and_until_when() {
    let upstream = model().await;
    let gateway = Gateway::start(&yaml(
        &upstream,
        "  tiers:\n    paid: { budgets: [{ unit: money, limit: 0.0015, per: month }, { unit: tokens, limit: 10000, per: day }] }\n  \
           named:\n    acme: { tier: paid }\n  prices:\n    gpt-4o*: { input: 2.5, output: 10 }\n",
    ))
    .await;
    // 0.00075 each.
    for _ in 0..2 {
        assert_eq!(ask(&gateway, "acme").await.status, 200);
    }
    let refused = ask(&gateway, "acme").await;
    let problem = refused.problem(429);
    assert_eq!((&problem["reason"], &problem["tenant"]), (&"tenant_budget".into(), &"acme".into()));
    let budget = &problem["budget"];
    assert_eq!((&budget["unit"], &budget["per"]), (&"money".into(), &"month".into()));
    assert!((budget["used"].as_f64().unwrap() - 0.0015).abs() < 1e-9, "{budget}");
    assert!(budget["resets_at"].as_str().unwrap().contains("-01T00:00:00"), "{budget}");
    // Trying again soon does not help.
    assert_eq!((refused.header("x-should-retry"), refused.header("retry-after")), ("false", ""));
    assert_eq!(problem["error"]["type"], "rate_limit_error");
    assert_eq!(ask(&gateway, "other").await.status, 200);

    let shown = tenant(&gateway, "acme").await;
    assert_eq!((&shown["input_tokens"], &shown["output_tokens"]), (&200.into(), &100.into()));
    assert_eq!(shown["refused"]["tenant_budget"], 1);
    assert_eq!(
        (&shown["models"][0]["model"], &shown["models"][0]["tokens"]),
        (&"gpt-4o".into(), &300.into())
    );
    assert_eq!(
        (&shown["budgets"][0]["left"], &shown["budgets"][1]["left"]),
        (&0.0.into(), &9_700.0.into())
    );
    let text = gateway.get("/metrics").await;
    for series in [
        "seawall_tenant_requests_total{tenant=\"acme\"} 3",
        "seawall_tenant_refused_total{tenant=\"acme\",reason=\"tenant_budget\"} 1",
        "seawall_tenant_tokens_total{tenant=\"acme\",kind=\"output\"} 100",
        "seawall_tenant_cost_total{tenant=\"acme\"} 0.0015",
        "seawall_tenant_budget_used{tenant=\"acme\",unit=\"money\",per=\"month\"} 1",
    ] {
        assert!(text.text().contains(series), "{series}: {}", text.text());
    }
    let alerts = || async {
        gateway
            .get("/internal/resilience/monitoring/alerts")
            .await
            .text()
            .contains("Budget used up")
    };
    eventually("an alert", alerts).await;

    let reset = gateway.post("/internal/resilience/tenants/acme/reset", "").await;
    assert_eq!(reset.json()["budgets"][0]["used"], 0.0, "{}", reset.text());
    assert_eq!(ask(&gateway, "acme").await.status, 200);
    assert_eq!(gateway.get("/internal/resilience/tenants/nobody").await.status, 404);
}

#[tokio::test(flavor = "multi_thread")]
async fn tenants_have_limits_of_requests_and_tokens_and_the_unnamed_one_each() {
    let upstream = model().await;
    let gateway = Gateway::start(&yaml(
        &upstream,
        "  named:\n    big: { tokens: { rate: 400, per: 1h } }\n  default: { requests: { rate: 2, per: 1h } }\n",
    ))
    .await;
    let statuses = async |name: &str| {
        let mut all = Vec::new();
        for _ in 0..4 {
            all.push(ask(&gateway, name).await.status.as_u16());
        }
        all
    };
    assert_eq!(statuses("big").await, [200, 200, 200, 429], "a debt of 50 after three");
    assert_eq!(statuses("one").await, [200, 200, 429, 429]);
    assert_eq!(statuses("two").await, [200, 200, 429, 429]);
    // A header of 10 kB is a tenant of a short name.
    assert_eq!(statuses(&"x".repeat(10_000)).await, [200, 200, 429, 429]);
    let shown = tenant(&gateway, "one").await;
    assert_eq!(
        (&shown["refused"]["rate_limited"], &shown["limits"]["requests"]["remaining"]),
        (&2.into(), &0.into())
    );
    let list = gateway.get("/internal/resilience/tenants").await.json();
    assert_eq!(list["tenants"].as_array().unwrap().len(), 4, "{list}");
}

#[tokio::test(flavor = "multi_thread")]
async fn keys_are_known_by_their_hashes_and_never_shown() {
    let upstream = model().await;
    // Of `sk-of-acme`.
    let hash = "0a246445620424727fad9a234326ed7ede2ab46a5f3b7262441db35d485da915";
    let gateway = Gateway::start(
        &yaml(
            &upstream,
            &format!("  refuse_unknown: true\n  named:\n    acme: {{ key_hashes: ['{hash}'] }}\n"),
        )
        .replace("header:x-tenant", "key"),
    )
    .await;
    assert_eq!(ask_with(&gateway, "authorization", "Bearer sk-of-acme").await.status, 200);
    let refused = ask_with(&gateway, "authorization", "Bearer sk-of-another").await;
    assert_eq!(refused.problem(403)["reason"], "tenant_unknown");
    let list = gateway.get("/internal/resilience/tenants").await;
    assert!(!list.text().contains("sk-of"), "{}", list.text());
    assert_eq!(tenant(&gateway, "acme").await["requests"], 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn dead_letters_belong_to_tenants() {
    let upstream = Upstream::statuses(&[500]).await;
    let gateway = Gateway::start(&yaml(&upstream, "")).await;
    for name in ["acme", "other", "acme"] {
        assert_eq!(ask(&gateway, name).await.status, 500);
    }
    let letters = gateway.get("/internal/resilience/dlq/letters?tenant=acme").await.json();
    assert_eq!(letters["letters"].as_array().unwrap().len(), 2, "{letters}");
    // What failed has used nothing.
    assert_eq!(tenant(&gateway, "acme").await["output_tokens"], 0);
}

/// Calls one after the other until they are enough; how many were refused, and the 90th percentile of the others.
async fn steady(gateway: &Gateway, name: &str, calls: usize) -> (usize, Duration) {
    let (mut refused, mut took) = (0, Vec::new());
    for _ in 0..calls {
        let began = Instant::now();
        let passed = ask(gateway, name).await.status == 200;
        refused += usize::from(!passed);
        took.push(began.elapsed());
    }
    took.sort();
    (refused, took[took.len() * 9 / 10])
}

#[tokio::test(flavor = "multi_thread")]
async fn the_storm_of_one_tenant_leaves_the_others_alone() {
    // Ten places at the upstream, 20 ms each.
    let upstream = Upstream::start(|_, _| async {
        tokio::time::sleep(Duration::from_millis(20)).await;
        respond(200, REPORT)
    })
    .await;
    let gateway = Gateway::start(&yaml(&upstream, "  default: { max_concurrent: 4 }\n")).await;
    let gateway = Arc::new(gateway);
    let (refused, alone) = steady(&gateway, "quiet", 30).await;
    assert_eq!(refused, 0);

    let (stop, stormed) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let storm: Vec<_> = (0..40)
        .map(|_| {
            let (gateway, stop, stormed) = (gateway.clone(), stop.clone(), stormed.clone());
            tokio::spawn(async move {
                while !stop.load(Ordering::Relaxed) {
                    let refused = ask(&gateway, "stormy").await.status == 429;
                    stormed.fetch_add(usize::from(refused), Ordering::Relaxed);
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            })
        })
        .collect();
    eventually("the storm rages", || async { stormed.load(Ordering::Relaxed) > 100 }).await;
    let (one, two) = tokio::join!(steady(&gateway, "quiet", 30), steady(&gateway, "calm", 30));
    stop.store(true, Ordering::Relaxed);
    for task in storm {
        task.await.unwrap();
    }
    assert_eq!((one.0, two.0), (0, 0), "nobody else is refused");
    // The machine is shared with the storm itself; without the bound of the tenant they would wait or be refused for ever.
    let bound = alone * 10 + Duration::from_millis(500);
    assert!(one.1 < bound && two.1 < bound, "{alone:?} alone, {one:?} and {two:?} in the storm");
    let shown = tenant(&gateway, "stormy").await;
    assert!(shown["refused"]["tenant_concurrency"].as_u64() > Some(100), "{shown}");
    assert_eq!(shown["in_flight"], 0, "its places come back");
    let full = gateway.counts("only").await["rejections"]["bulkhead_full"].as_u64();
    assert_eq!(full.unwrap_or(0), 0);
}
