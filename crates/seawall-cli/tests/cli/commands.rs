//! `check` and `schema`, and what every command says of bad input.

use crate::support::{Folder, ended, run, seawall};
use serde_json::Value;
use std::{fs, process::Stdio};

const GOOD: &str =
    "upstreams: { a: { endpoints: ['http://a'] } }\nroutes: [{ path: /*, upstream: a }]\n";

const BROKEN: &str = "\
preset: productoin
upstreams:
  chat: { endpoints: [ftp://a], strategy: balanced }
  backup: { endpoints: [] }
routes:
  - { path: /v1/*, upstream: cha, rate_limit: { rate: -1 } }
limts: 3
";

const MISTAKES: [&str; 6] = [
    ":1:9: preset:",
    ":3:23: upstreams.chat.endpoints[0]:",
    ":4:24: upstreams.backup.endpoints:",
    ":6:30: routes[0].upstream:",
    ":6:55: routes[0].rate_limit.rate:",
    ":7:1: limts: unknown field `limts`; did you mean `limits`?",
];

#[test]
fn check_and_serve_tell_every_mistake_with_path_and_line() {
    let folder = Folder::new();
    let file = folder.file("broken.yaml", BROKEN).display().to_string();
    let (code, checked, _) = run(&["check", &file]);
    assert_eq!(code, Some(1), "{checked}");
    let (code, _, served) = run(&["serve", "--config", &file]);
    assert_eq!(code, Some(2), "{served}");
    for told in [checked.as_str(), &served] {
        let lines: Vec<&str> = told.lines().filter(|line| !line.ends_with("6 errors")).collect();
        for (line, expected) in lines.iter().zip(MISTAKES) {
            assert!(line.starts_with(&file) && line.contains(expected), "{expected}: {line}");
        }
        assert_eq!(lines.len(), MISTAKES.len(), "{told}");
    }
    assert!(checked.ends_with(&format!("{file}: 6 errors\n")), "{checked}");
    assert!(!checked.contains('\u{1b}'), "colours in a pipe: {checked}");
}

#[test]
fn check_tells_programs_the_same_in_json_and_sarif() {
    let folder = Folder::new();
    let file = folder.file("bro ken.yaml", BROKEN).display().to_string();
    let (code, text, _) = run(&["check", &file, "--format", "json"]);
    let json: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &json["valid"]), (Some(1), &false.into()));
    let errors = json["errors"].as_array().unwrap();
    assert_eq!(
        (errors.len(), &errors[4]["line"], &errors[4]["column"]),
        (6, &6.into(), &55.into())
    );
    assert_eq!(errors[4]["right"], "write a whole number from 1 to 1000000000");
    assert_eq!(run(&["check", &file, "--json"]).1, text);

    let (code, text, _) = run(&["check", &file, "--format", "sarif"]);
    let sarif: Value = serde_json::from_str(&text).unwrap();
    assert_eq!((code, &sarif["version"]), (Some(1), &"2.1.0".into()));
    let run = &sarif["runs"][0];
    let rules = run["tool"]["driver"]["rules"].as_array().unwrap();
    let results = run["results"].as_array().unwrap();
    assert_eq!(results.len(), 6);
    for result in results {
        let rule = &rules[usize::try_from(result["ruleIndex"].as_u64().unwrap()).unwrap()];
        assert_eq!((&rule["id"], &result["level"]), (&result["ruleId"], &"error".into()));
        assert!(result["message"]["text"].as_str().is_some_and(|text| !text.is_empty()));
        let place = &result["locations"][0]["physicalLocation"];
        let uri = place["artifactLocation"]["uri"].as_str().unwrap();
        assert!(uri.starts_with("file:///") && uri.ends_with("/bro%20ken.yaml"), "{uri}");
        for field in ["startLine", "startColumn"] {
            assert!(place["region"][field].as_u64().is_some_and(|number| number > 0), "{result}");
        }
    }
    assert_eq!(results[5]["ruleId"], "unknown-field");
    assert_eq!(results[5]["locations"][0]["physicalLocation"]["region"]["startLine"], 7);
}

#[test]
fn check_looks_at_environments_and_variables() {
    let folder = Folder::new();
    let yaml = format!("{GOOD}production: {{ preset: nothing }}\n");
    let file = folder.file("a.yaml", &yaml).display().to_string();
    for arguments in [&["check", &*file][..], &["check", &file, "--env", "production"]] {
        let (code, told, _) = run(arguments);
        assert_eq!(code, Some(1));
        assert!(told.contains("a.yaml:3:23: preset: no preset is called \"nothing\""), "{told}");
    }
    let (code, _, told) = run(&["check", &file, "--env", "lab"]);
    assert_eq!(code, Some(2));
    assert!(
        told.contains("[possible values: development, testing, staging, production]"),
        "{told}"
    );

    let file = folder.file("b.yaml", GOOD).display().to_string();
    let mut command = seawall();
    command.args(["check", &file, "--format", "sarif"]).env("SEAWALL__PRESET", "nothing");
    let (code, text, _) = ended(&mut command);
    let sarif: Value = serde_json::from_str(&text).unwrap();
    let place = &sarif["runs"][0]["results"][0]["locations"][0];
    assert_eq!(code, Some(1), "{text}");
    assert_eq!(place["logicalLocations"][0]["fullyQualifiedName"], "SEAWALL__PRESET", "{text}");
    assert!(place.get("physicalLocation").is_none(), "a variable has no lines: {text}");
}

#[test]
fn warnings_are_reported_and_are_errors_where_that_is_asked() {
    let folder = Folder::new();
    let yaml = "upstreams: { a: { endpoints: ['http://a'], policies: [{ type: timeout, limit: 1s }, \
                { type: retry, max_attempts: 5 }, { type: timeout, limit: 30s }] } }\n\
                routes: [{ path: /*, upstream: a }]\n";
    let file = folder.file("a.yaml", yaml).display().to_string();
    let (code, told, _) = run(&["check", &file]);
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains(": warning: upstreams.a.policies"), "{told}");
    assert!(told.lines().last().is_some_and(|line| line.contains("warning")), "{told}");
    let (code, again, _) = run(&["check", &file, "--strict"]);
    assert_eq!((code, again), (Some(1), told));
    let sarif: Value =
        serde_json::from_str(&run(&["check", &file, "--format", "sarif"]).1).unwrap();
    assert_eq!(sarif["runs"][0]["results"][0]["level"], "warning");
}

#[test]
fn check_is_content_with_a_good_file_in_every_format() {
    let folder = Folder::new();
    for (name, text) in [
        ("a.yaml", GOOD),
        (
            "a.json",
            "{\"upstreams\":{\"a\":{\"endpoints\":[\"http://a\"]}},\"routes\":[{\"path\":\"/*\",\"upstream\":\"a\"}]}",
        ),
        (
            "a.toml",
            "[upstreams.a]\nendpoints = ['http://a']\n[[routes]]\npath = '/*'\nupstream = 'a'\n",
        ),
    ] {
        let file = folder.file(name, text).display().to_string();
        let (code, told, _) = run(&["check", &file]);
        assert_eq!((code, told), (Some(0), format!("{file}: no mistakes\n")));
    }
}

#[test]
fn a_file_that_is_not_there_is_named() {
    for command in [&["check"][..], &["serve", "--config"], &["explain", "listen", "--config"]] {
        let (code, out, told) = run(&[command, &["no-such-file.yaml"]].concat());
        assert_eq!((code, out.as_str()), (Some(2), ""));
        assert!(told.contains("no-such-file.yaml"), "{told}");
    }
}

#[test]
fn the_schema_is_of_the_whole_file() {
    let (code, printed, _) = run(&["schema"]);
    assert_eq!(code, Some(0));
    let schema: Value = serde_json::from_str(&printed).unwrap();
    for field in ["upstreams", "include", "production"] {
        assert!(schema["properties"][field].is_object(), "{field}");
    }
}

#[test]
fn a_reader_who_leaves_is_no_error() {
    let mut child =
        seawall().arg("schema").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stdout.take());
    let ended = child.wait_with_output().unwrap();
    assert_eq!((ended.status.code(), ended.stderr), (Some(0), Vec::new()));
}

#[test]
fn every_shell_completes_every_command() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (code, script, _) = run(&["completions", shell]);
        assert_eq!(code, Some(0));
        for command in ["check", "breakers", "force", "--reason", "rollback"] {
            let flag = command.trim_start_matches("--");
            assert!(script.contains(flag), "{shell}: {command}");
        }
    }
    // The shell that is always there takes its script.
    let folder = Folder::new();
    let file = folder.file("seawall.bash", &run(&["completions", "bash"]).1);
    let complete = format!(
        "source {}; COMP_WORDS=(seawall bre); COMP_CWORD=1; _seawall seawall bre seawall; echo ${{COMPREPLY[*]}}",
        file.display()
    );
    let (code, words, told) = ended(std::process::Command::new("bash").args(["-c", &complete]));
    assert_eq!((code, words.as_str()), (Some(0), "breakers\n"), "{told}");
    assert_eq!(run(&["completions", "tcsh"]).0, Some(2));
}

#[test]
fn every_command_helps_and_refuses_what_it_does_not_know() {
    let commands = [
        "demo",
        "serve",
        "check",
        "schema",
        "explain",
        "preset",
        "template",
        "migrate",
        "top",
        "breakers",
        "operations",
        "retries",
        "events",
        "alerts",
        "dlq",
        "config",
        "bench",
        "rules",
        "completions",
    ];
    let (_, help, _) = run(&["--help"]);
    for command in commands {
        assert!(help.contains(&format!("\n  {command} ")), "{command}: {help}");
        let (code, help, _) = run(&[command, "--help"]);
        assert_eq!(code, Some(0), "{command}");
        assert!(help.contains("Usage: seawall"), "{help}");
        assert_eq!(run(&[command, "--no-such-option"]).0, Some(2), "{command}");
    }
    assert_eq!(run(&[]).0, Some(2));
    assert_eq!(run(&["brakers"]).0, Some(2));
}

#[test]
fn a_kept_schema_is_the_printed_one() {
    let kept = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/schema.json");
    let printed = run(&["schema"]).1;
    assert!(
        printed == fs::read_to_string(kept).unwrap(),
        "docs/schema.json is stale: `cargo xtask codegen` writes it"
    );
}

#[test]
fn a_demo_keeps_its_promises() {
    let (code, printed, told) = run(&["demo", "--json", "--seconds", "15"]);
    let seen: Value = serde_json::from_str(&printed).unwrap_or_default();
    assert_eq!((code, &seen["passed"]), (Some(0), &true.into()), "{printed}{told}");
    for side in ["direct", "seawall"] {
        for field in ["requests", "success_rate", "p50_ms", "p99_ms"] {
            assert!(seen[side][field].is_number(), "{side}.{field}: {printed}");
        }
    }
    for field in ["opened_after_ms", "calls_while_open", "closed_after_ms"] {
        assert!(seen["breaker"][field].is_number(), "breaker.{field}: {printed}");
    }
}
