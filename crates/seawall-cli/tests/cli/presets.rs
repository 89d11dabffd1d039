//! `seawall preset`, `template` and `migrate`; what `migrate` writes, read back by a server.

use crate::support::{Folder, Serving, ended, run, seawall};
use seawall_config::{Format, Layers, Source};
use serde_json::{Value, json};
use std::{fs, process::Command};

fn parsed(arguments: &[&str]) -> Value {
    let (code, text, told) = run(&[arguments, &["--json"]].concat());
    assert_eq!(code, Some(0), "{told}");
    serde_json::from_str(&text).unwrap()
}

#[test]
fn presets_are_listed_and_shown_to_the_number() {
    let all = parsed(&["preset", "list"]);
    let rows: Vec<Value> = all
        .as_array()
        .unwrap()
        .iter()
        .map(|one| {
            json!([
                one["name"],
                one["retry_attempts"],
                one["circuit_breaker_threshold"],
                one["recovery_timeout"],
                one["default_strategy"]
            ])
        })
        .collect();
    assert_eq!(
        rows,
        [
            json!(["simple", 3, 5, 60, "balanced"]),
            json!(["development", 2, 3, 30, "aggressive"]),
            json!(["production", 5, 10, 120, "conservative"]),
        ]
    );
    let (_, text, _) = run(&["preset", "list"]);
    assert!(
        text.lines()
            .nth(2)
            .is_some_and(|line| line.starts_with("development         2          3      30 s"))
    );
    let production = parsed(&["preset", "show", "production"]);
    assert_eq!(production["operation_overrides"]["qa"], "critical");
    let kinds: Vec<&Value> =
        production["policies"].as_array().unwrap().iter().map(|policy| &policy["type"]).collect();
    assert_eq!(kinds, ["fallback", "timeout", "circuit_breaker", "retry", "timeout"]);
    let (_, text, _) = run(&["preset", "show", "production"]);
    assert!(
        text.contains("recovery_timeout           120 s") && text.contains("    max_attempts: 5"),
        "{text}"
    );
    let (code, _, told) = run(&["preset", "show", "prod"]);
    assert_eq!(code, Some(2));
    let expected =
        "no preset is called `prod`; did you mean `production`? There are: simple, development";
    assert!(told.contains(expected), "{told}");
}

#[test]
fn presets_of_a_file_are_among_them() {
    let folder = Folder::new();
    let yaml = "presets: { edge: { retry_attempts: 1, circuit_breaker_threshold: 2, recovery_timeout: 9, \
                default_strategy: aggressive, environment_contexts: [edge] } }\noperations: { mail: {} }\n";
    let file = folder.file("a.yaml", yaml).display().to_string();
    let all = parsed(&["preset", "list", "--config", &file]);
    assert_eq!(all[3]["name"], "edge");
    assert_eq!(parsed(&["preset", "--config", &file, "show", "edge"])["recovery_timeout"], 9);
    assert_eq!(
        parsed(&["preset", "recommend", "edge", "--config", &file])["recommended_preset"],
        "edge"
    );
}

#[test]
fn a_preset_is_recommended_for_a_name_or_for_what_is_seen() {
    let named = parsed(&["preset", "recommend", " Staging"]);
    assert_eq!(
        (&named["recommended_preset"], &named["confidence"]),
        (&json!("production"), &json!(0.9))
    );
    let (_, text, _) = run(&["preset", "recommend", "devprod"]);
    assert!(
        text.starts_with("development, confidence 0.75\nenvironment: devprod\nwhy: "),
        "{text}"
    );

    let folder = Folder::new();
    let here = folder.file("x", "").parent().unwrap().to_owned();
    let detect = |variables: &[(&str, &str)], json: bool| {
        let mut command = seawall();
        command.args(["preset", "recommend"]).args(json.then_some("--json"));
        command.current_dir(&here).env_clear().envs(variables.iter().copied());
        ended(&mut command)
    };
    let (code, text, _) = detect(&[("NODE_ENV", "production"), ("DEBUG", "true")], true);
    let found: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &found["recommended_preset"]), (Some(0), &json!("production")));
    assert_eq!(
        found["signs"][0],
        json!({ "source": "NODE_ENV=production", "environment": "production", "confidence": 0.85 })
    );
    let (_, text, _) = detect(&[("ENVIRONMENT", "staging")], false);
    assert!(
        text.contains("production, confidence 0.95") && text.contains("ENVIRONMENT=staging"),
        "{text}"
    );
    let (_, text, _) = detect(&[], false);
    assert!(
        text.starts_with("simple, confidence 0.50\nenvironment: unknown (auto-detected)\n"),
        "{text}"
    );
}

#[test]
fn templates_are_listed_and_one_can_be_put_into_a_file() {
    let all = parsed(&["template", "list"]);
    assert_eq!(all.as_array().unwrap().len(), 5);
    assert_eq!(all[2]["config"]["max_delay_seconds"], 5);
    let folder = Folder::new();
    for template in all.as_array().unwrap() {
        let name = template["name"].as_str().unwrap();
        let (code, text, _) = run(&["template", "show", name]);
        assert_eq!(code, Some(0));
        let file = folder
            .file(&format!("{name}.yaml"), &(text.clone() + "operations: { mail: {} }\n"))
            .display()
            .to_string();
        let (code, told, _) = run(&["check", &file]);
        assert_eq!(code, Some(0), "{told}");
        let mut layers = Layers::default();
        layers.source(&Source::new(name, text, Format::Yaml), None);
        assert_eq!(layers.given(), json!({ "custom": template["config"] }), "{name}");
        assert_eq!(parsed(&["template", "show", name]), *template);
    }
    let (code, _, told) = run(&["template", "show", "low"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("did you mean `low_latency`?"), "{told}");
}

const OLD: &str = "\
RETRY_MAX_ATTEMPTS=7
CIRCUIT_BREAKER_FAILURE_THRESHOLD=8
RETRY_MAX_DELAY=300
RETRY_JITTER_MAX=lots
MAIL_RESILIENCE_STRATEGY=critical
";

#[test]
fn an_analysis_names_what_was_found_skipped_and_is_to_do() {
    let folder = Folder::new();
    let old = folder.file("old.env", OLD).display().to_string();
    let legacy = parsed(&["migrate", "--from", &old]);
    assert_eq!(
        (&legacy["recommended_preset"], &legacy["score"]),
        (&json!("production"), &json!(0.637))
    );
    assert_eq!(legacy["custom_overrides"]["retry_attempts"], 7);
    let (code, text, _) = run(&["migrate", "--from", &old]);
    assert_eq!(code, Some(0));
    for words in [
        "preset production fits best: score 0.637, confidence low",
        "RETRY_MAX_DELAY                    300",
        "max_delay_seconds: 300",
        "operation_overrides.mail: critical",
        "RETRY_JITTER_MAX: \"lots\" is not a number; skipped",
        "set RESILIENCE_PRESET to production",
    ] {
        assert!(text.contains(words), "{words}: {text}");
    }
    let (_, text, _) = ended(seawall().arg("migrate").env("RETRY_MAX_ATTEMPTS", "4"));
    assert!(text.contains("preset production fits best: score 0.800"), "{text}");
}

/// The configuration that a server makes of these variables.
fn effective(yaml: &str, variables: &[(&str, &str)]) -> Value {
    let serving = Serving::start_with("127.0.0.1:0", yaml, &[], variables);
    let config = serving.json(&["config", "show"]);
    json!([config["preset_name"], config["configuration"], config["operation_strategies"]])
}

#[test]
fn written_files_give_the_same_configuration() {
    const OPERATIONS: &str = "operations: { mail: {}, qa: {}, other: {} }\n";
    let folder = Folder::new();
    let old = folder.file("old.env", OLD).display().to_string();
    let pairs: Vec<(&str, &str)> = OLD.lines().filter_map(|line| line.split_once('=')).collect();
    let before = effective(OPERATIONS, &pairs);
    assert_eq!(before[1]["retry_attempts"], 7);
    assert_eq!(before[2], json!({ "mail": "critical", "qa": "critical", "other": "conservative" }));

    for target in ["env", "bash", "docker", "kubernetes"] {
        let output = folder.file(target, "").display().to_string();
        let (code, out, told) =
            run(&["migrate", "--from", &old, "--to", target, "--output", &output, "--force"]);
        assert_eq!((code, out.as_str()), (Some(0), ""), "{told}");
        assert!(told.contains("skipped: RETRY_JITTER_MAX"), "{told}");
        let set = variables(target, &output, &pairs);
        let pairs: Vec<(&str, &str)> = set.iter().map(|(a, b)| (a.as_str(), b.as_str())).collect();
        assert_eq!(effective(OPERATIONS, &pairs), before, "{target}: {pairs:?}");
    }
    let (_, yaml, _) = run(&["migrate", "--from", &old, "--to", "yaml"]);
    assert_eq!(effective(&(yaml + OPERATIONS), &[]), before);
}

/// The two variables in a written file, as the program reads them that the file is for.
fn variables(target: &str, file: &str, old: &[(&str, &str)]) -> Vec<(String, String)> {
    let text = fs::read_to_string(file).unwrap();
    let names = ["RESILIENCE_PRESET", "RESILIENCE_CUSTOM_CONFIG"];
    if target == "bash" {
        let folder = Folder::new();
        let mut bash = Command::new("bash");
        bash.args(["-c", "source \"$0\" && env -0", file]).envs(old.iter().copied());
        bash.current_dir(folder.file("x", "").parent().unwrap());
        let (_, set, told) = ended(&mut bash);
        let set: Vec<(&str, &str)> =
            set.split('\0').filter_map(|one| one.split_once('=')).collect();
        assert!(
            !set.iter().any(|(name, _)| old.iter().any(|(old, _)| old == name)),
            "{told}{set:?}"
        );
        let ours = set.iter().filter(|(name, _)| names.contains(name));
        return ours.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    }
    if target == "env" {
        return seawall_presets::legacy::read_env_file(&text).unwrap().into_iter().collect();
    }
    let mut layers = Layers::default();
    layers.source(&Source::new(target, text, Format::Yaml), None);
    let given = layers.given();
    let section = match target {
        "docker" => &given["services"]["app"]["environment"],
        _ => &given["data"],
    };
    let value =
        |name: &&str| Some(((*name).to_owned(), section[*name].as_str()?.replace("$$", "$")));
    names.iter().filter_map(value).collect()
}

#[test]
fn migrate_writes_over_nothing_and_refuses_what_it_cannot_read() {
    let folder = Folder::new();
    let old = folder.file("old.env", OLD).display().to_string();
    let there = folder.file("there", "precious").display().to_string();
    let (code, _, told) = run(&["migrate", "--from", &old, "--to", "yaml", "--output", &there]);
    assert_eq!(code, Some(2));
    assert!(told.contains("is there already; --force writes over it"), "{told}");
    assert_eq!(fs::read_to_string(&there).unwrap(), "precious");

    let broken = folder.file("broken.env", "A='x\nnonsense\n").display().to_string();
    for (arguments, words) in [
        (&["migrate", "--from", &*broken][..], "broken.env: line 1"),
        (&["migrate", "--from", "no-such.env"], "cannot read no-such.env"),
        (&["migrate", "--to", "toml"], "`toml` is not a format; there are bash, env, docker"),
        (&["migrate", "--output", "x"], "--to"),
    ] {
        let (code, _, told) = run(arguments);
        assert_eq!(code, Some(2), "{told}");
        assert!(told.contains(words), "{words}: {told}");
    }
}
