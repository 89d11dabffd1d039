//! `seawall config`: shown, compared, applied, and put back.

use crate::support::{Folder, Serving};
use serde_json::json;

const YAML: &str = "\
upstreams: { a: { endpoints: ['http://127.0.0.1:9'] } }
routes: [{ path: /*, upstream: a }]
";

fn refused(serving: &Serving, code: i32, arguments: &[&str], words: &str) {
    let (ended, out, told) = serving.run(arguments);
    assert_eq!((ended, out.as_str()), (Some(code), ""), "{arguments:?}: {told}");
    assert!(told.contains(words), "{words}: {told}");
}

#[test]
fn the_configuration_in_force_is_shown_with_origins() {
    let serving = Serving::start(YAML, &[]);
    let (code, text, _) = serving.run(&["config", "show"]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("revision 1\n") && !text.contains("(default)"), "{text}");
    let (_, text, _) = serving.run(&["config", "show", "--origins"]);
    let line = |path: &str| text.lines().find(|line| line.starts_with(path)).unwrap().to_owned();
    let words = |path: &str| line(path).split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(words("drain_timeout"), ["drain_timeout", "\"30s\"", "(default)"]);
    assert_eq!(words("listen")[2..], ["(variable", "--listen)"]);
    assert!(line("upstreams.a.endpoints[0]").ends_with("seawall.yaml:1)"), "{text}");
    let json = serving.json(&["config", "show"]);
    assert_eq!((&json["revision"], &json["document"]["drain_timeout"]), (&json!(1), &json!("30s")));
}

#[test]
fn a_change_is_compared_applied_and_rolled_back() {
    let serving = Serving::start(YAML, &[]);
    let folder = Folder::new();
    let file = folder.file("c.toml", "drain_timeout = '12s'\nlisten = '127.0.0.1:1'\n");
    let file = file.display().to_string();
    let shown = || serving.json(&["config", "show"])["document"]["drain_timeout"].clone();

    let (code, text, told) = serving.run(&["config", "diff", &file]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        text.starts_with("- drain_timeout: \"30s\"\n+ drain_timeout: \"12s\"  (API)\n"),
        "{text}"
    );
    assert!(text.ends_with("nothing was changed: this is what would be\n"), "{text}");
    assert!(told.contains("left out: listen"), "{told}");
    assert_eq!(shown(), "30s");

    refused(
        &serving,
        1,
        &["config", "apply", &file, "--expect", "7"],
        "Another revision is in force (409)",
    );
    let applied = serving.json(&["config", "apply", &file, "--expect", "1"]);
    assert_eq!((&applied["revision"], &applied["applied"]), (&json!(2), &json!(true)));
    assert_eq!(shown(), "12s");
    let (_, text, _) = serving.run(&["config", "apply", &file]);
    assert!(text.starts_with("nothing changes; revision "), "{text}");

    let (_, text, _) = serving.run(&["config", "history"]);
    assert!(
        text.contains("revision 2  2") && text.contains("  - drain_timeout: \"30s\"\n"),
        "{text}"
    );
    let in_force: Vec<&str> = text.lines().filter(|line| line.ends_with("in force")).collect();
    assert_eq!(in_force.len(), 1, "{text}");
    let (_, text, _) = serving.run(&["config", "rollback", "1", "--dry-run"]);
    assert!(text.contains("+ drain_timeout: \"30s\""), "{text}");
    assert_eq!(shown(), "12s");
    let (code, text, _) = serving.run(&["config", "rollback", "1"]);
    assert_eq!(code, Some(0));
    assert!(text.contains("in force as revision "), "{text}");
    assert_eq!(shown(), "30s");
    refused(&serving, 1, &["config", "rollback", "77"], "there is no revision 77");
    let history = serving.json(&["config", "history", "--limit", "1"]);
    assert_eq!(history["revisions"][0]["cause"], "rollback");
}

#[test]
fn a_file_in_place_of_everything_and_its_environment() {
    let serving = Serving::start(&format!("drain_timeout: 7s\n{YAML}"), &[]);
    let folder = Folder::new();
    let included = folder.file("more.yaml", "limits: { max_connections: 5 }\n");
    let yaml = format!("include: more.yaml\n{YAML}staging: {{ preset: production }}\n");
    let file = folder.file("c.yaml", &yaml).display().to_string();
    assert!(included.exists());
    serving.json(&["config", "apply", &file, "--mode", "replace", "--env", "staging"]);
    let document = serving.json(&["config", "show"])["document"].clone();
    assert_eq!(document["drain_timeout"], "30s", "what the server's file said is gone");
    assert_eq!(document["preset"], "production");
    assert_eq!(document["limits"]["max_connections"], 5);
}

#[test]
fn all_mistakes_of_a_change_are_reported_and_nothing_changes() {
    let serving = Serving::start(YAML, &[]);
    let folder = Folder::new();
    let wrong =
        folder.file("wrong.json", r#"{"drain_timeot":"12s","preset":"foo"}"#).display().to_string();
    for command in ["diff", "apply"] {
        let words = "Invalid configuration (422): 2 things are wrong; nothing has changed\n  API: drain_timeot: \
                     unknown field `drain_timeot`; did you mean `drain_timeout`?";
        refused(&serving, 1, &["config", command, &wrong], words);
    }
    assert_eq!(serving.json(&["config", "history"])["current"], 1);
    let broken = folder.file("broken.yaml", "a: [1,\n").display().to_string();
    refused(&serving, 2, &["config", "apply", &broken], "broken.yaml:");
    let list = folder.file("list.yaml", "[1]\n").display().to_string();
    refused(&serving, 2, &["config", "apply", &list], "list.yaml:1:1");
    refused(&serving, 2, &["config", "diff", "no-such.yaml"], "cannot read no-such.yaml");
    refused(
        &serving,
        2,
        &["config", "apply", &wrong, "--mode", "mix"],
        "possible values: merge, replace",
    );
    refused(&serving, 2, &["config", "rollback", "first"], "invalid value");
}
