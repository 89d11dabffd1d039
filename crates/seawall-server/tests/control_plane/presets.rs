//! Tests of presets, templates and validation.

use crate::world::{QUIET, World};
use http::Method;
use serde_json::{Value, json};

#[tokio::test(flavor = "multi_thread")]
async fn presets_and_which_fits() {
    let yaml = format!(
        "{QUIET}presets:\n  mine: {{ retry_attempts: 4, circuit_breaker_threshold: 6, recovery_timeout: 45, \
         default_strategy: critical, environment_contexts: [lab] }}\npreset: mine\n"
    );
    let world = World::with(&yaml, &[("NODE_ENV", "production"), ("DEBUG", "true")]).await;
    let all = world.json("config/presets").await;
    let names: Vec<&str> =
        all.as_array().unwrap().iter().map(|one| one["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["simple", "development", "production", "mine"]);
    assert_eq!(all[2]["recovery_timeout"], 120);
    let one = world.json("config/presets/production").await;
    assert_eq!(one["configuration"]["operation_overrides"]["qa"], "critical");
    assert_eq!(one["environment_contexts"], json!(["production", "staging"]));
    let unknown = world.get("config/presets/Simple").await.problem(404);
    let detail = unknown["detail"].as_str().unwrap();
    assert!(detail.contains("simple, development, production, mine"), "{detail}");
    let summary = world.json("config/presets-summary").await;
    assert_eq!(summary["mine"]["configuration"]["retry_attempts"], 4);

    for (environment, preset, confidence) in [
        ("staging", "production", 0.9),
        ("%20prod%20", "production", 0.9),
        ("devprod", "development", 0.75),
        ("integration-test", "production", 0.7),
        ("moon", "simple", 0.4),
        ("lab", "mine", 0.95),
    ] {
        let found = world.json(&format!("config/recommend-preset/{environment}")).await;
        assert_eq!(found["recommended_preset"], preset, "{environment}");
        assert_eq!(found["confidence"], confidence, "{environment}");
        assert_eq!(found["auto_detected"], false);
        assert_eq!(found["available_presets"].as_array().unwrap().len(), 4);
        assert!(!found["reasoning"].as_str().unwrap().is_empty());
    }
    let found = world.json("config/recommend-preset-auto").await;
    assert_eq!(
        (&found["recommended_preset"], &found["auto_detected"]),
        (&"production".into(), &true.into())
    );
    assert!(found["confidence"].as_f64().unwrap() >= 0.7, "{found}");
    assert!(found["signs"].to_string().contains("NODE_ENV"), "{found}");
    assert!(found["conflicts"].to_string().contains("DEBUG"), "{found}");
}

#[tokio::test(flavor = "multi_thread")]
async fn templates() {
    let world = World::quiet().await;
    let all = world.json("config/templates").await;
    assert_eq!(all["templates"].as_object().unwrap().len(), 5);
    let one = world.json("config/templates/maximum_reliability").await;
    assert_eq!(one["config"]["exponential_max"], 60.0);
    world.get("config/templates/none").await.problem(404);
    let ask = json!({ "template_name": "low_latency", "overrides": { "retry_attempts": 2 } });
    let verdict = world.posted("config/validate-template", ask).await;
    assert_eq!(verdict["is_valid"], true, "{verdict}");
    let ask = json!({ "template_name": "low_latency", "overrides": { "retry_attempts": 99 } });
    let verdict = world.posted("config/validate-template", ask).await;
    assert!(verdict["errors"][0].as_str().unwrap().contains("retry_attempts"), "{verdict}");
    let verdict = world.posted("config/validate-template", json!({ "template_name": "x" })).await;
    assert_eq!(verdict["is_valid"], false);
    let near = json!({ "retry_attempts": 6, "circuit_breaker_threshold": 12, "default_strategy": "conservative" });
    let found = world.posted("config/recommend-template", json!({ "configuration": near })).await;
    assert_eq!(
        (&found["suggested_template"], &found["confidence"]),
        (&"robust_production".into(), &1.0.into())
    );
    let odd =
        json!({ "configuration": { "retry_attempts": "many", "circuit_breaker_threshold": [] } });
    let found = world.posted("config/recommend-template", odd).await;
    assert_eq!(found["available_templates"].as_array().unwrap().len(), 5);
}

async fn verdict(world: &World, path: &str, configuration: Value) -> Value {
    world.posted(path, json!({ "configuration": configuration })).await
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_names_the_field_and_what_is_right() {
    let world = World::quiet().await;
    let good = json!({ "retry_attempts": 4, "exponential_min": 1.0, "exponential_max": 20.0 });
    let found = verdict(&world, "config/validate", good.clone()).await;
    assert_eq!((&found["is_valid"], &found["errors"]), (&true.into(), &json!([])));
    assert_eq!(found["security_info"]["field_count"], 3);
    for (wrong, words) in [
        (json!({ "retry_attempts": 11 }), "retry_attempts must be between 1 and 10"),
        (json!({ "retry_atempts": 3 }), "retry_attempts"),
        (json!({ "default_strategy": "wild" }), "default_strategy"),
        (json!({ "exponential_min": 10, "exponential_max": 5 }), "exponential_min"),
        (json!({ "jitter_enabled": "yes" }), "jitter_enabled"),
        (json!({}), "at least one"),
    ] {
        let found = verdict(&world, "config/validate", wrong.clone()).await;
        assert_eq!(found["is_valid"], false, "{wrong}");
        assert!(found["errors"].to_string().contains(words), "{wrong}: {found}");
    }
    let found =
        world.posted("config/validate-json", json!({ "json_config": good.to_string() })).await;
    assert_eq!(found["is_valid"], true);
    let doubled = json!({ "json_config": "{\"retry_attempts\": 3, \"retry_attempts\": 4}" });
    let found = world.posted("config/validate-json", doubled).await;
    assert!(found["errors"].to_string().contains("retry_attempts"), "{found}");
    let fields = verdict(
        &world,
        "config/validate/field-whitelist",
        json!({ "retry_attempts": 99, "evil": 1 }),
    )
    .await;
    let analysis = &fields["field_analysis"];
    assert_eq!(
        (&analysis["retry_attempts"]["allowed"], &analysis["evil"]["allowed"]),
        (&true.into(), &false.into())
    );
    assert!(analysis["retry_attempts"]["problem"].as_str().unwrap().contains("10"), "{fields}");
    assert_eq!(fields["allowed_fields"].as_array().unwrap().len(), 11);
}

#[tokio::test(flavor = "multi_thread")]
async fn secure_validation_looks_at_content_and_is_bounded_in_number() {
    let world = World::quiet().await;
    let limits = world.json("config/validate/security-config").await;
    assert_eq!(limits["security_limits"]["max_config_size_bytes"], 4096);
    assert_eq!(limits["rate_limiting"]["max_per_minute"], 60);
    assert!(limits["forbidden_pattern_count"].as_u64().unwrap() >= 15);
    let status = world.json("config/validate/rate-limit-status").await;
    assert_eq!((&status["requests_last_hour"], &status["max_per_hour"]), (&0.into(), &1000.into()));
    let evil = json!({ "operation_overrides": { "<script>x": "balanced" } });
    let found = verdict(&world, "config/validate-secure", evil).await;
    assert_eq!(found["is_valid"], false, "{found}");
    assert_eq!(found["security_info"]["max_size_bytes"], 4096);
    let body = json!({ "configuration": { "retry_attempts": 3 } });
    // Nobody may say who he is: the first answer came a moment ago, whatever the second says of itself.
    let stranger = world.post("config/validate-secure?client_ip=other", body.clone()).await;
    assert_eq!(stranger.problem(422)["field"], "client_ip");
    let second = world.post("config/validate-secure", body).await;
    assert_eq!(second.problem(429)["status"], 429);
    assert_eq!(second.header("retry-after"), "1");
    let status = world.json("config/validate/rate-limit-status").await;
    assert_eq!(status["requests_last_minute"], 1);
    assert!(status["cooldown_remaining"].as_f64().unwrap() > 0.0);
    let large = json!({ "configuration": { "default_strategy": "x".repeat(5000) } }).to_string();
    let found = world.ask(Method::POST, "config/validate", &large).await.json();
    assert_eq!(found["is_valid"], false);
}

#[tokio::test(flavor = "multi_thread")]
async fn validation_can_be_turned_off() {
    let world = World::with(QUIET, &[("ENABLE_RESILIENCE_VALIDATION", "false")]).await;
    world.post("config/validate", json!({ "configuration": {} })).await.problem(403);
}
