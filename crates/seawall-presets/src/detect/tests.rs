//! Signs of an environment, alone and against one another.

use super::*;

/// `NAME=value` for variables, else names of files.
fn surroundings(seen: &str) -> Surroundings {
    let mut surroundings = Surroundings::default();
    for word in seen.split_whitespace() {
        match word.split_once('=') {
            Some((name, value)) => {
                surroundings.variables.insert(name.into(), value.into());
            }
            None => {
                surroundings.files.insert(word.into());
            }
        }
    }
    surroundings
}

#[test]
fn signs_lead_to_presets() {
    for (seen, environment, preset, confidence, conflicts) in [
        ("ENVIRONMENT=staging", "staging", "production", 0.95, 0),
        ("ENVIRONMENT=development", "development", "development", 0.95, 0),
        ("ENVIRONMENT=Test", "testing", "development", 0.95, 0),
        ("NODE_ENV=production DEBUG=true", "production", "production", 0.85, 1),
        ("HOSTNAME=web-prod-1", "production", "production", 0.70, 0),
        ("", "unknown", "simple", 0.50, 0),
        ("ENVIRONMENT=staging-v2", "unknown", "simple", 0.50, 0),
        ("ENVIRONMENT=", "unknown", "simple", 0.50, 0),
        ("APP_ENV=dev", "development", "development", 0.85, 0),
        ("ENV=live", "production", "production", 0.85, 0),
        ("RUST_ENV=stage", "staging", "production", 0.85, 0),
        ("FLASK_ENV=testing", "testing", "development", 0.85, 0),
        ("RAILS_ENV=prod", "production", "production", 0.85, 0),
        ("DEPLOYMENT_ENV=prod", "production", "production", 0.85, 0),
        ("DEBUG=1", "development", "development", 0.70, 0),
        ("DEBUG=True", "development", "development", 0.70, 0),
        (".env", "development", "development", 0.70, 0),
        (".git", "development", "development", 0.70, 0),
        (".git .env", "development", "development", 0.75, 0),
        ("PRODUCTION=true", "production", "production", 0.75, 0),
        ("PROD=true", "production", "production", 0.75, 0),
        ("PROD=1", "unknown", "simple", 0.50, 0),
        ("DEBUG=0", "production", "production", 0.75, 0),
        ("DEBUG=false", "production", "production", 0.75, 0),
        ("KUBERNETES_SERVICE_HOST=10.0.0.1", "production", "production", 0.75, 0),
        ("AWS_EXECUTION_ENV=x", "production", "production", 0.75, 0),
        ("K_SERVICE=x", "production", "production", 0.75, 0),
        ("DYNO=web.1", "production", "production", 0.75, 0),
        ("FLY_APP_NAME=x", "production", "production", 0.75, 0),
        ("CI=true", "testing", "development", 0.70, 0),
        ("HOSTNAME=dev1", "development", "development", 0.60, 0),
        ("HOSTNAME=stag-1", "staging", "production", 0.65, 0),
        // Several of the same: each adds, up to a bound.
        ("ENVIRONMENT=production NODE_ENV=prod", "production", "production", 0.98, 0),
        ("PROD=true DEBUG=0", "production", "production", 0.80, 0),
        (
            "ENVIRONMENT=production NODE_ENV=prod PRODUCTION=true DEBUG=false HOSTNAME=prod-1",
            "production",
            "production",
            0.98,
            0,
        ),
        // Against one another: only a sure sign takes confidence.
        ("ENVIRONMENT=production DEBUG=true HOSTNAME=dev1", "production", "production", 0.95, 2),
        ("NODE_ENV=production DEBUG=true HOSTNAME=dev-box", "production", "production", 0.85, 2),
        ("ENVIRONMENT=development DYNO=web.1", "development", "development", 0.807, 1),
        ("ENVIRONMENT=development NODE_ENV=production", "development", "development", 0.807, 1),
        (".git DYNO=web.1", "production", "production", 0.75, 1),
        ("CI=true .git", "development", "development", 0.70, 0),
        ("ENVIRONMENT=staging DYNO=web.1", "staging", "production", 0.95, 0),
    ] {
        let found = detect(&surroundings(seen));
        let answer = &found.recommendation;
        let detected = format!("{environment} (auto-detected)");
        assert_eq!(answer.environment_detected, detected, "{seen}");
        assert_eq!(answer.recommended_preset, preset, "{seen}");
        assert!((answer.confidence - confidence).abs() < 0.0011, "{seen}: {}", answer.confidence);
        assert_eq!(found.conflicts.len(), conflicts, "{seen}");
        assert!(!answer.reasoning.is_empty());
    }
}

#[test]
fn the_answer_lists_what_was_seen_and_no_secrets() {
    let seen =
        "NODE_ENV=production DEBUG=true K_SERVICE=hunter2 API_KEY=hunter2 HOSTNAME=hunter2-prod";
    let found = serde_json::to_value(detect(&surroundings(seen))).unwrap();
    assert_eq!(found["detection_method"], "NODE_ENV=production");
    assert_eq!(found["recommended_preset"], "production");
    assert_eq!(found["conflicts"], serde_json::json!(["DEBUG=true tells of development"]));
    let sources: Vec<&str> =
        found["signs"].as_array().unwrap().iter().map(|s| s["source"].as_str().unwrap()).collect();
    assert_eq!(
        sources,
        ["NODE_ENV=production", "K_SERVICE is set", "DEBUG=true", "HOSTNAME contains `prod`"]
    );
    assert!(!found.to_string().contains("hunter2"), "{found}");
}

#[test]
fn of_a_process_only_signs_are_kept() {
    let seen = Surroundings::of_process();
    assert!(!seen.variables.contains_key("PATH"));
    assert!(seen.files.iter().all(|file| FILES.contains(&file.as_str())));
}
