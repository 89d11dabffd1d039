//! What is written has the intended effect: each output is read back, the script by a shell.

use super::*;
use crate::legacy::read_env_file;
use seawall::Override;
use seawall_config::{Document, Format, load_str};
use serde_json::Value;
use std::{
    fs,
    path::PathBuf,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};

const HOSTILE: &str =
    "it's \"so\"\n$(rm -rf /) `id` ${HOME} $$ \\ \\n # é \u{1f600}\u{85}\u{2028}\u{7f}: }\t";

/// The configuration that was read back: the preset and the differences.
type Said = (String, Override);

fn originals(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs.iter().map(|(a, b)| (a.to_string(), b.to_string())).collect()
}

/// Variables of the first system, one of the second, and one that has no meaning for either.
fn typical() -> BTreeMap<String, String> {
    originals(&[
        ("RETRY_MAX_ATTEMPTS", "7"),
        ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "8"),
        ("RETRY_MAX_DELAY", "300"),
        ("RETRY_EXPONENTIAL_MULTIPLIER", "0.5"),
        ("RETRY_JITTER_ENABLED", "off"),
        ("QA_RESILIENCE_STRATEGY", "balanced"),
        ("RETRY_ENABLED", "true"),
        ("REDIS_HOST", "it's $(redis)\nhere"),
        ("API_KEY", "hunter2"),
    ])
}

/// Values that no analysis produces, but a caller could pass in.
fn hostile() -> Legacy {
    let mut legacy = legacy::analyze(&typical());
    legacy.recommended_preset = HOSTILE.into();
    legacy.custom_overrides.default_strategy = Some(HOSTILE.into());
    legacy.custom_overrides.operation_overrides = [
        (HOSTILE.into(), HOSTILE.into()),
        ("null".into(), "yes".into()),
        (" ".into(), String::new()),
    ]
    .into();
    legacy.warnings.push(HOSTILE.into());
    legacy.problems.push("\n}\nrm -rf /\n".into());
    legacy
}

fn of_variables(variables: &BTreeMap<String, String>) -> Said {
    let custom = variables.get(CUSTOM).map(|text| serde_json::from_str(text).unwrap());
    (variables[PRESET].clone(), custom.unwrap_or_default())
}

fn yaml(text: &str) -> Value {
    /// A document of any form.
    #[derive(serde::Deserialize, schemars::JsonSchema)]
    #[serde(transparent)]
    struct Anything(Value);

    impl Document for Anything {}

    let Anything(value) =
        load_str("", text, Format::Yaml).unwrap_or_else(|wrong| panic!("{wrong}\n{text}"));
    value
}

fn strings(object: &Value) -> BTreeMap<String, String> {
    serde_json::from_value(object.clone()).unwrap()
}

/// A folder that is gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("seawall-migrate-{}-{number}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        fs::create_dir_all(&folder).unwrap();
        Self(folder)
    }

    /// The variables after these lines, of which some read the files here.
    fn run(&self, lines: &str, variables: &BTreeMap<String, String>) -> BTreeMap<String, String> {
        let output = Command::new("bash")
            .args(["--norc", "-c", &format!("{lines}\n/usr/bin/env -0")])
            .current_dir(&self.0)
            .env_clear()
            .envs(variables)
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stderr), "");
        let text = String::from_utf8(output.stdout).unwrap();
        let split = |pair: &str| pair.split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned()));
        text.split('\0').filter_map(split).collect()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn read_back(text: &str, target: Target, before: &BTreeMap<String, String>) -> Said {
    match target {
        Target::Bash => {
            let folder = Folder::new();
            fs::write(folder.0.join("new.sh"), text).unwrap();
            of_variables(&folder.run("source ./new.sh", before))
        }
        Target::Env => of_variables(&read_env_file(text).unwrap()),
        Target::Docker => {
            let mut variables = strings(&yaml(text)["services"]["app"]["environment"]);
            for value in variables.values_mut() {
                let lone = value.replace("$$", "").contains('$');
                assert!(!lone, "compose would put a variable in: {value}");
                *value = value.replace("$$", "$");
            }
            of_variables(&variables)
        }
        Target::Kubernetes => {
            let map = yaml(text);
            assert_eq!(
                (map["apiVersion"].as_str(), map["kind"].as_str()),
                (Some("v1"), Some("ConfigMap"))
            );
            of_variables(&strings(&map["data"]))
        }
        Target::Yaml => {
            let file = yaml(text);
            let custom = file.get("custom").cloned();
            let custom = custom.map(|custom| serde_json::from_value(custom).unwrap());
            (file["preset"].as_str().unwrap().to_owned(), custom.unwrap_or_default())
        }
    }
}

#[test]
fn every_format_says_what_was_put_in() {
    let plain = originals(&[("RETRY_MAX_ATTEMPTS", "3")]);
    for (name, legacy, before) in [
        ("typical", legacy::analyze(&typical()), typical()),
        ("nothing differs", legacy::analyze(&plain), plain),
        ("nothing set", legacy::analyze(&BTreeMap::new()), BTreeMap::new()),
        ("hostile", hostile(), typical()),
    ] {
        for target in Target::ALL {
            let text = write(&legacy, &before, target);
            let said = read_back(&text, target, &before);
            let expected = (legacy.recommended_preset.clone(), legacy.custom_overrides.clone());
            assert_eq!(said, expected, "{name}, {target}: {text}");
            assert!(!text.contains("hunter2"), "{target}");
            let empty = legacy.custom_overrides.is_empty();
            let key = if target == Target::Yaml { "custom:" } else { CUSTOM };
            assert!(
                empty != text.contains(key) || target == Target::Bash,
                "{name}, {target}: {text}"
            );
        }
    }
}

#[test]
fn the_effect_is_that_of_the_old_variables() {
    let (before, legacy) = (typical(), legacy::analyze(&typical()));
    let settings =
        |preset: &str, change: &Override| seawall::preset(preset).unwrap().settings(change);
    let expected = settings(&legacy.recommended_preset, &legacy::overrides(&before));
    for target in Target::ALL {
        let (preset, change) = read_back(&write(&legacy, &before, target), target, &before);
        assert_eq!(settings(&preset, &change), expected, "{target}");
    }
}

#[test]
fn the_script_removes_the_old_variables_and_can_be_taken_back() {
    let mut before = typical();
    before.insert(CUSTOM.into(), HOSTILE.into());
    let folder = Folder::new();
    let script = write(&legacy::analyze(&before), &before, Target::Bash);
    fs::write(folder.0.join("new.sh"), script).unwrap();
    // The second run must not save what the first one set.
    let after = folder.run("source ./new.sh; source ./new.sh", &before);
    assert!(!legacy::is_legacy(&after));
    assert!(!after.contains_key("RETRY_ENABLED"));
    assert_eq!(after["REDIS_HOST"], before["REDIS_HOST"], "another program may read it");
    assert_eq!(after[PRESET], "production");
    let back = folder.run("source ./seawall-backup.sh", &BTreeMap::new());
    for (name, value) in before.iter().filter(|(name, _)| *name != "API_KEY") {
        assert_eq!(back.get(name), Some(value), "{name}");
    }
    assert!(!back.contains_key("API_KEY"));
}

#[cfg(unix)]
#[test]
fn the_backup_is_for_its_owner_only() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let script = write(&legacy::analyze(&typical()), &typical(), Target::Bash);
    fs::write(folder.0.join("new.sh"), script).unwrap();
    folder.run("export SEAWALL_BACKUP=./mine; source ./new.sh", &typical());
    let mode = fs::metadata(folder.0.join("mine")).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

#[test]
fn a_failed_backup_changes_nothing() {
    let folder = Folder::new();
    let script = write(&legacy::analyze(&typical()), &typical(), Target::Bash);
    fs::write(folder.0.join("new.sh"), script).unwrap();
    let lines = "export SEAWALL_BACKUP=./none/x; source ./new.sh 2>/dev/null";
    let after = folder.run(lines, &typical());
    assert_eq!(after["RETRY_MAX_ATTEMPTS"], "7");
    assert!(!after.contains_key(PRESET));
}

#[test]
fn comments_hold_the_old_values_as_an_env_file_would() {
    for target in [Target::Env, Target::Docker, Target::Kubernetes, Target::Yaml] {
        let mut before = typical();
        before.insert("REDIS_HOST".into(), "it's \"so\"\n$(rm) \\ `id`\t".into());
        let text = write(&legacy::analyze(&before), &before, target);
        let (_, backup) = text.split_once("# Backup of the old values:\n").unwrap();
        let lines = backup.lines().map_while(|line| line.strip_prefix("# "));
        let lines: Vec<&str> = lines.filter(|line| !line.starts_with("To be removed")).collect();
        before.remove("API_KEY");
        assert_eq!(read_env_file(&lines.join("\n")), Ok(before), "{target}");
        assert!(text.contains("# To be removed: CIRCUIT_BREAKER_FAILURE_THRESHOLD, QA_RES"));
    }
}

#[test]
fn names_that_are_none_stand_nowhere() {
    let before = originals(&[
        ("X;rm -rf /;_RESILIENCE_STRATEGY", "balanced"),
        ("A\n_RESILIENCE_STRATEGY", "x"),
    ]);
    for target in Target::ALL {
        let text = write(&legacy::analyze(&before), &before, target);
        assert!(
            !text.lines().any(|line| line.starts_with("unset X") || line.starts_with("_RES")),
            "{text}"
        );
        read_back(&text, target, &BTreeMap::new());
    }
}

#[test]
fn the_file_takes_the_upstream_along() {
    for (url, timeout, expected) in [
        ("http://a.example:8000/v1", "30", Some("30s")),
        ("http://a.example", "2.5", Some("2500ms")),
        ("http://a.example", "soon", None),
        ("http://a.example", "-1", None),
        ("http://a.example/it's#\"x", "1", Some("1s")),
    ] {
        let before =
            originals(&[("EXTERNAL_API_BASE_URL", url), ("EXTERNAL_API_TIMEOUT", timeout)]);
        let file = yaml(&write(&legacy::analyze(&before), &before, Target::Yaml));
        let upstream = &file["upstreams"]["external_api"];
        assert_eq!(upstream["endpoints"], serde_json::json!([url]));
        assert_eq!(upstream.get("attempt_timeout").and_then(Value::as_str), expected);
        assert_eq!(file["routes"], serde_json::json!([{"path": "/*", "upstream": "external_api"}]));
    }
    let alone = originals(&[("EXTERNAL_API_TIMEOUT", "3")]);
    let file = yaml(&write(&legacy::analyze(&alone), &alone, Target::Yaml));
    assert_eq!(file, serde_json::json!({"preset": "simple"}));
}

#[test]
fn formats_have_names() {
    for target in Target::ALL {
        assert_eq!(target.to_string().parse(), Ok(target));
        assert_eq!(serde_json::to_value(target).unwrap(), target.to_string());
    }
    let error = "xml".parse::<Target>().unwrap_err();
    assert_eq!(error, "`xml` is not a format; there are bash, env, docker, kubernetes, yaml");
}
