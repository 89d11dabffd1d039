//! Documents that break a rule, and documents that look as if they did.

use super::*;

const THERE: &[&str] = &["README.md", "docs", "docs/schema.json", "docs/a (b).md", "."];

fn whats(file: &str, text: &str) -> Vec<String> {
    let found = findings(file, text, &|path| THERE.contains(&path));
    found.iter().map(Finding::to_string).collect()
}

#[test]
fn links_that_lead_nowhere_are_found() {
    for text in [
        "See [this](docs/gone.json).",
        "![picture](docs/gone.json \"A title\")",
        "[this](<docs/gone.json>)",
        "[this](docs/gone.json#part)",
        "[one](README.md) and [two](docs/gone.json)",
        "[this]: docs/gone.json",
        "<img src=\"docs/gone.json\" width=\"10\">",
        "[`code`](docs/gone.json)",
        "```\ncode\n```\n[this](docs/gone.json)",
        "an odd ` tick [this](docs/gone.json)",
    ] {
        let found = whats("README.md", text);
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].ends_with("leads to `docs/gone.json`, which is not there"), "{found:?}");
    }
}

#[test]
fn links_start_at_their_document() {
    let told =
        "docs/a.md:2: `docs/schema.json` leads to `docs/docs/schema.json`, which is not there";
    assert_eq!(whats("docs/a.md", "# A\n[a](docs/schema.json)"), [told]);
    assert_eq!(whats("docs/a.md", "[a](schema.json) [b](../README.md) [c](./) [d](..)"), [""; 0]);
    assert_eq!(whats("docs/a.md", "[a](/docs/schema.json)"), [""; 0]);
    assert_eq!(
        whats("docs/a.md", "[a](../../README.md)"),
        ["docs/a.md:1: `../../README.md` leads out of the repository"]
    );
}

#[test]
fn links_that_lead_somewhere_are_none_of_it() {
    for text in [
        "[this](docs/schema.json#part) [that](#part) [docs](docs/)",
        "[web](https://example.com/gone) [mail](mailto:a@example.com)",
        "`[code](gone.md)` and [this](README.md)",
        "```md\n[code](gone.md)\n```",
        "~~~\n```\n[code](gone.md)\n~~~",
        "[^note]: some words of a note",
        "a slice[0] (of words)",
    ] {
        assert_eq!(whats("README.md", text), [""; 0], "{text}");
    }
}

#[test]
fn places_on_one_machine_are_found_also_in_code() {
    for (text, path) in [
        ("Build in /work/checkout.", "/work/checkout."),
        ("```\ncd /home/somebody/seawall\n```", "/home/somebody/seawall"),
        ("`CARGO_TARGET_DIR=/tmp/target-mine`", "/tmp/target-mine"),
        ("(/Users/somebody)", "/Users/somebody"),
    ] {
        let found = whats("README.md", text);
        assert_eq!(found.len(), 1, "{text}");
        assert!(found[0].ends_with(&format!("`{path}` is a place on one machine")), "{found:?}");
    }
}

#[test]
fn other_paths_are_not() {
    for text in [
        "https://example.com/home/page and docs/work/list and ~/work/list",
        "/etc/nginx, /tmp/seawall.yaml, /workshop/, `{base}/work/item`",
    ] {
        assert_eq!(whats("README.md", text), [""; 0], "{text}");
    }
}
