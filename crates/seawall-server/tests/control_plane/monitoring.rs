//! Configuration events, alerts, sessions, and benchmarks of the real paths.

use crate::{
    support::{Upstream, eventually, respond},
    world::{QUIET, World},
};
use serde_json::{Value, json};
use std::time::Duration;

#[tokio::test(flavor = "multi_thread")]
async fn loads_changes_and_validations_are_counted() {
    let world = World::quiet().await;
    world.put("config", json!({ "configuration": { "preset": "production" } })).await;
    world.write(&format!("{QUIET}drain_timeout: soon\n"));
    world.post("config/reload", json!({})).await.problem(422);
    world.posted("config/validate", json!({ "configuration": { "retry_attempts": 99 } })).await;
    let usage = world.json("monitoring/usage-statistics?time_window_hours=2").await;
    let found = &usage["usage_statistics"];
    assert_eq!((&usage["time_window_hours"], &found["total_loads"]), (&2.into(), &2.into()));
    assert_eq!(found["preset_usage_count"], json!({ "simple": 1, "production": 1 }));
    assert!((found["error_rate"].as_f64().unwrap() - 1.0 / 3.0).abs() < 1e-9, "{usage}");
    assert!(found["avg_load_time_ms"].as_f64().unwrap() > 0.0);
    assert_eq!(usage["summary"]["healthy"], false);
    let trends = world.json("monitoring/preset-trends/production?hours=3").await;
    assert_eq!(trends["trend_data"].as_array().unwrap().len(), 3);
    assert_eq!(trends["trend_data"][2]["usage_count"], 1);
    assert_eq!(
        (&trends["summary"]["total_usage"], &trends["summary"]["peak_usage"]),
        (&1.into(), &1.into())
    );
    let times = world.json("monitoring/performance-metrics").await;
    assert_eq!(times["performance_metrics"]["total_samples"], 2);
    assert!(
        times["performance_metrics"]["preset_performance"]["production"]["avg_load_time_ms"]
            .is_number()
    );
    for path in [
        "usage-statistics?time_window_hours=0",
        "usage-statistics?time_window_hours=x",
        "usage-statistics?hours=1",
        "preset-trends/x?hours=9999",
        "performance-metrics?hours=-1",
    ] {
        world.get(&format!("monitoring/{path}")).await.problem(422);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn events_can_be_exported_and_forgotten() {
    let world = World::quiet().await;
    world.put("config", json!({ "configuration": { "preset": "production" } })).await;
    let events = world.json("monitoring/export?format=json&time_window_hours=1").await;
    let kinds: Vec<&str> = events
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["metric_type"].as_str().unwrap())
        .collect();
    assert_eq!(
        kinds,
        ["preset_usage", "config_load", "preset_usage", "config_load", "config_change"]
    );
    let table = world.get("monitoring/export?format=csv").await;
    assert!(table.header("content-disposition").contains("seawall-monitoring.csv"));
    assert_eq!(table.text().lines().count(), 6, "{}", table.text());
    let numbers = world.get("monitoring/export?format=prometheus").await;
    assert!(
        numbers
            .text()
            .contains("seawall_config_events{type=\"config_load\",preset=\"production\"} 1\n")
    );
    assert!(numbers.text().contains("seawall_config_load_ms_count 2\n"), "{}", numbers.text());
    world.get("monitoring/export?format=xml").await.problem(422);
    let cleaned = world.posted("monitoring/cleanup?hours=1", json!({})).await;
    assert_eq!(
        (&cleaned["metrics_removed"], &cleaned["metrics_remaining"]),
        (&0.into(), &5.into())
    );
    world.post("monitoring/cleanup?hours=0", json!({})).await.problem(422);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_holds_what_one_client_did() {
    let world = World::quiet().await;
    let first =
        world.post("config/validate", json!({ "configuration": { "retry_attempts": 3 } })).await;
    let session = first.header("x-session-id").to_owned();
    assert_eq!(session.len(), 32);
    let request = world.request(http::Method::PUT, "config").header("x-session-id", &session);
    let body = json!({ "configuration": { "preset": "production" } }).to_string();
    let request =
        request.header("content-type", "application/json").body(http_body_util::Full::from(body));
    let second = crate::support::send(request.unwrap()).await;
    assert_eq!(second.header("x-session-id"), session, "it goes on");
    let found = world.json(&format!("monitoring/session/{session}")).await;
    let kinds: Vec<&str> = found["metrics"]
        .as_array()
        .unwrap()
        .iter()
        .map(|event| event["metric_type"].as_str().unwrap())
        .collect();
    assert_eq!(kinds, ["validation_event", "preset_usage", "config_load", "config_change"]);
    assert_eq!(found["summary"]["total_operations"], 4);
    world.get("monitoring/session/0123").await.problem(404);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_alert_begins_is_acknowledged_and_ends() {
    let upstream = Upstream::statuses(&[500; 30]).await;
    let world = World::of(&format!(
        "upstreams: {{ a: {{ endpoints: ['{}'], policies: [] }} }}\nroutes: [{{ path: /*, upstream: a }}]\n\
         monitoring: {{ alerts: {{ minimum_calls: 5 }} }}\n",
        upstream.endpoint()
    ))
    .await;
    // The sampler must have seen the time before.
    eventually("a first sample", || async {
        let events = world.json("dashboard").await;
        tokio::time::sleep(Duration::from_millis(1100)).await;
        events["alerts"].as_array().is_some()
    })
    .await;
    for _ in 0..10 {
        world.get("/x").await;
    }
    let of_a = |alerts: &Value| {
        let all = alerts["alerts"].as_array().unwrap().clone();
        all.into_iter().find(|alert| alert["operation"] == "a" && alert["category"] == "error_rate")
    };
    eventually("an alert", || async { of_a(&world.json("monitoring/alerts").await).is_some() })
        .await;
    let alerts = world.json("monitoring/alerts?level=critical&max_alerts=10").await;
    let alert = of_a(&alerts).unwrap();
    assert_eq!((&alert["threshold_value"], &alert["actual_value"]), (&0.1.into(), &1.0.into()));
    assert_eq!(alert["ended_at"], Value::Null);
    assert_eq!(alerts["summary"]["has_critical"], true);
    let id = alert["id"].as_u64().unwrap();
    let taken = world.posted(&format!("monitoring/alerts/{id}/acknowledge"), json!({})).await;
    assert_eq!(taken["acknowledged_by"], "local");
    world.post("monitoring/alerts/999/acknowledge", json!({})).await.problem(404);
    world.get("monitoring/alerts?level=loud").await.problem(422);
    assert!(
        world.get("monitoring/alerts?format=csv").await.text().contains(",critical,Error rate,a,")
    );
    world.posted("metrics/reset", json!({})).await;
    let change = json!({ "configuration": { "monitoring": { "alerts": { "error_share_critical": 1.0, "error_share_warning": 1.0 } } } });
    assert_eq!(world.put("config", change).await.status, 200);
    eventually("it ends", || async {
        of_a(&world.json("monitoring/alerts").await).unwrap()["ended_at"].is_string()
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn benchmarks_run_the_real_paths_one_at_a_time() {
    let world = std::sync::Arc::new(World::quiet().await);
    let limits = world.json("performance/thresholds").await;
    let expected = json!({ "config_loading_ms": 100.0, "preset_access_ms": 10.0, "validation_ms": 50.0, "service_initialization_ms": 200.0 });
    assert_eq!(limits["thresholds"], expected);
    let empty = world.json("performance/report").await;
    assert_eq!(empty["runs"], 0);
    let ask = json!({ "operations": ["config_loading", "breaker_call"], "iterations": 50, "concurrency": 2 });
    let run = world.posted("performance/benchmark", ask).await;
    let results = run["suite"]["results"].as_array().unwrap();
    assert_eq!(results.len(), 2);
    for result in results {
        assert_eq!(
            (&result["iterations"], &result["success_rate"]),
            (&50.into(), &1.0.into()),
            "{result}"
        );
        assert!(
            result["avg_ms"].as_f64().unwrap() > 0.0 && result["memory_peak"].is_number(),
            "{result}"
        );
    }
    let all = world.json("performance/benchmark?iterations=20").await;
    assert_eq!(all["suite"]["results"].as_array().unwrap().len(), 5, "what is slow is left out");
    let history = world.json("performance/history?operation=breaker_call&limit=5").await;
    assert_eq!((history["runs"].as_array().unwrap().len(), &history["total_runs"]), (2, &2.into()));
    let report = world.json("performance/report").await;
    let breaker = report["benchmarks"]
        .as_array()
        .unwrap()
        .iter()
        .find(|one| one["operation"] == "breaker_call");
    assert!(breaker.unwrap()["change_percent"].is_number(), "{report}");

    let busy = world.clone();
    let long = tokio::spawn(async move {
        let ask = json!({ "operations": ["config_loading"], "iterations": 1000, "concurrency": 1 });
        busy.posted("performance/benchmark", ask).await
    });
    eventually("a second one is refused", || async {
        let ask = json!({ "operation_name": "preset_access", "iterations": 1 });
        world.post("performance/benchmark", ask).await.status == 409
    })
    .await;
    assert_eq!(long.await.unwrap()["suite"]["pass_rate"], 1.0);
    for (ask, field) in [
        (json!({ "iterations": 0 }), "iterations"),
        (json!({ "iterations": 1_000_001 }), "iterations"),
        (json!({ "concurrency": 257 }), "concurrency"),
        (json!({ "operations": ["sleep"] }), "operations[0]"),
        (json!({ "operations": [] }), "operations"),
    ] {
        let problem = world.post("performance/benchmark", ask.clone()).await.problem(422);
        assert_eq!(problem["field"], field, "{ask}: {problem}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn monitoring_can_be_turned_off() {
    let world = World::with(QUIET, &[("ENABLE_RESILIENCE_MONITORING", "false")]).await;
    world.put("config", json!({ "configuration": { "preset": "production" } })).await;
    assert_eq!(world.json("monitoring/export").await, json!([]));
}

#[tokio::test(flavor = "multi_thread")]
async fn client_errors_are_nobodys_failures() {
    let upstream = Upstream::start(|_, request| async move {
        respond(if request.uri().path().starts_with("/lost") { 404 } else { 200 }, "")
    })
    .await;
    let world = World::of(&format!(
        "upstreams: {{ a: {{ endpoints: ['{}'], strategy: balanced }} }}\n\
         routes: [{{ path: /*, upstream: a }}]\nmonitoring: {{ alerts: {{ minimum_calls: 5 }} }}\n",
        upstream.endpoint()
    ))
    .await;
    for call in 0..100 {
        let path = if call % 5 < 3 { "/lost" } else { "/found" };
        world.get(path).await;
    }
    let sampled = || async {
        let metrics = world.json("metrics").await;
        tokio::time::sleep(Duration::from_millis(2100)).await;
        metrics["operations"]["a"]["total_calls"] == 100
    };
    eventually("all calls have ended, and two samples were taken since", sampled).await;
    let alerts = world.json("monitoring/alerts").await;
    assert_eq!(alerts["alerts"], json!([]), "60 times 404 is no outage");
    for operation in ["a", "route /*"] {
        let counts = world.json("metrics").await["operations"][operation].clone();
        assert_eq!((&counts["failed_calls"], &counts["caller_faults"]), (&0.into(), &60.into()));
        assert_eq!((&counts["failed_attempts"], &counts["success_rate"]), (&0.into(), &1.0.into()));
    }
    let dashboard = world.json("dashboard").await;
    assert_eq!(dashboard["performance"]["failed"], 0);
    assert_eq!(dashboard["performance"]["success_rate"], 1.0);
    let metrics = world.get("/metrics").await;
    for line in [
        "seawall_calls_total{operation=\"a\",outcome=\"caller_fault\"} 60",
        "seawall_calls_total{operation=\"a\",outcome=\"failure\"} 0",
        "circuit_breaker_failures_total{name=\"a\"} 0",
    ] {
        assert!(metrics.text().contains(line), "{line} is not in {}", metrics.text());
    }
}
