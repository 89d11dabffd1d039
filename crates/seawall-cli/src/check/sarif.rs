//! Mistakes as SARIF 2.1.0, which code hosts and editors read.

use seawall_config::{Mistake, Severity};
use serde_json::{Value, json};
use std::path::{Component, Path};

/// The kinds of findings: the name, and one sentence.
const RULES: [(&str, &str); 5] = [
    ("unknown-field", "A field that does not exist."),
    ("missing-field", "A field that must be there."),
    ("wrong-value", "A value that cannot stand where it stands."),
    ("unreadable", "A text that cannot be read as what it should be."),
    ("advice", "A value that works and is probably not meant."),
];

/// The SARIF report of one run.
pub(super) fn report(found: &[Mistake]) -> Value {
    let rules: Vec<Value> = RULES
        .iter()
        .map(|(id, text)| json!({ "id": id, "shortDescription": { "text": text } }))
        .collect();
    json!({
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [{
            "tool": { "driver": {
                "name": "seawall", "version": env!("CARGO_PKG_VERSION"), "rules": rules,
            }},
            // Columns are counted in characters.
            "columnKind": "unicodeCodePoints",
            "results": found.iter().map(result).collect::<Vec<_>>(),
        }],
    })
}

fn result(mistake: &Mistake) -> Value {
    let rule = rule(mistake);
    let index = RULES.iter().position(|(id, _)| *id == rule);
    let level = match mistake.severity {
        Severity::Error => "error",
        Severity::Warning => "warning",
    };
    let at = if mistake.path.is_empty() { String::new() } else { format!("{}: ", mistake.path) };
    let right = mistake.right.as_ref().map(|right| format!("; {right}")).unwrap_or_default();
    json!({
        "ruleId": rule,
        "ruleIndex": index,
        "level": level,
        "message": { "text": format!("{at}{}{right}", mistake.message) },
        "locations": [location(mistake)],
    })
}

/// A place in a file; or, of a variable, only its name.
fn location(mistake: &Mistake) -> Value {
    let name = if mistake.line == 0 { &mistake.file } else { &mistake.path };
    let mut location = json!({});
    if !name.is_empty() {
        location["logicalLocations"] = json!([{ "fullyQualifiedName": name }]);
    }
    if mistake.line > 0 {
        location["physicalLocation"] = json!({
            "artifactLocation": { "uri": uri(&mistake.file) },
            "region": { "startLine": mistake.line, "startColumn": mistake.column.max(1) },
        });
    }
    location
}

fn rule(mistake: &Mistake) -> &'static str {
    let begins = |word: &str| mistake.message.starts_with(word);
    match mistake.severity {
        Severity::Warning => "advice",
        Severity::Error if begins("unknown field") => "unknown-field",
        Severity::Error if begins("missing field") => "missing-field",
        Severity::Error if mistake.path.is_empty() => "unreadable",
        Severity::Error => "wrong-value",
    }
}

/// A file's name as a URI: relative as it was given, or `file:`.
fn uri(file: &str) -> String {
    let mut uri = String::new();
    for component in Path::new(file).components() {
        match component {
            Component::RootDir => uri.push_str("file:///"),
            Component::CurDir => {}
            other => {
                if !uri.is_empty() && !uri.ends_with('/') {
                    uri.push('/');
                }
                let name = other.as_os_str().to_string_lossy();
                uri.push_str(&if name == ".." { name.into_owned() } else { encoded(&name) });
            }
        }
    }
    uri
}

/// Dots belong to the names of files.
fn encoded(name: &str) -> String {
    crate::remote::part(name).replace("%2E", ".")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_files_become_uris() {
        for (file, expected) in [
            ("seawall.yaml", "seawall.yaml"),
            ("./conf/a b.yaml", "conf/a%20b.yaml"),
            ("../x#y.toml", "../x%23y.toml"),
            ("/etc/sea wall.yaml", "file:///etc/sea%20wall.yaml"),
        ] {
            assert_eq!(uri(file), expected);
        }
    }
}
