//! Tests of sources laid over one another: which one wins, where values come from, and how mistakes are reported.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use schemars::JsonSchema;
use seawall_config::{Document, Format, Layers, Source, file_schema};
use serde::{Deserialize, Serialize};
use serde_json::json;
use std::{collections::BTreeMap, fs, path::PathBuf};

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Root {
    preset: String,
    limits: Limits,
    upstreams: BTreeMap<String, Upstream>,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Limits {
    body: u32,
    depth: u32,
}

#[derive(Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Upstream {
    endpoints: Vec<String>,
    #[schemars(extend("writeOnly" = true))]
    key: String,
}

impl Document for Root {}

fn text(name: &str, text: &str) -> Source {
    Source::new(name, text, Format::Yaml)
}

const FILE: &str = "\
preset: simple
limits: { body: 1, depth: 2 }
upstreams:
  gpt-4: { endpoints: [a, b], key: 'Bearer ${TOKEN}' }
production:
  limits: { body: 10 }
  upstreams: { gpt-4: { endpoints: [c] } }
staging:
  limits: { body: 20 }
";

fn layered() -> Layers {
    let mut layers = Layers::default();
    layers.source(&text("f.yaml", FILE), None);
    layers.secrets(BTreeMap::from([("TOKEN".into(), "s3cret".into())]));
    layers
}

#[test]
fn later_layers_win_value_by_value() {
    let mut layers = layered();
    assert_eq!(layers.environments(), ["staging", "production"]);
    layers.environment("production");
    layers.variables("SEAWALL", [("SEAWALL__LIMITS__DEPTH", "7"), ("OTHER__X", "1")]);
    layers.variables("SEAWALL", [("SEAWALL__UPSTREAMS__GPT_4__ENDPOINTS__0", "d")]);
    layers.variable("PRESET", &["preset"], "mine");
    layers.api("API", &json!({ "limits": { "depth": 8 } }), None);
    let loaded = layers.load::<Root>().unwrap();
    let upstream = &loaded.document.upstreams["gpt-4"];
    assert_eq!(
        (upstream.endpoints.join(","), upstream.key.as_str()),
        ("d".into(), "Bearer s3cret")
    );
    assert_eq!(loaded.document.limits, Limits { body: 10, depth: 8 });
    assert_eq!(loaded.document.preset, "mine");
    for (path, expected) in [
        ("limits.body", "f.yaml:6 (production)"),
        ("limits.depth", "API"),
        ("preset", "variable PRESET"),
        ("upstreams.gpt-4.endpoints[0]", "variable SEAWALL__UPSTREAMS__GPT_4__ENDPOINTS__0"),
        ("upstreams.gpt-4.key", "f.yaml:4"),
    ] {
        assert_eq!(loaded.origins.of(path).unwrap().to_string(), expected, "{path}");
    }
    assert_eq!(loaded.origins.of("limits.height"), None);
}

#[test]
fn null_takes_away_and_a_whole_document_keeps_only_what_it_must() {
    let mut layers = layered();
    layers.api("API", &json!({ "limits": null }), None);
    assert_eq!(layers.load::<Root>().unwrap().document.limits, Limits::default());
    layers.api("API", &json!({ "limits": { "body": 3 } }), Some(&["preset"]));
    let document = layers.load::<Root>().unwrap().document;
    assert_eq!((document.preset.as_str(), document.upstreams.len()), ("simple", 0));
    assert_eq!(document.limits, Limits { body: 3, depth: 0 });
}

#[test]
fn mistakes_name_their_source() {
    let mut layers = layered();
    layers.source(&text("g.yaml", "limits: { boddy: 1 }\ndevelopment: 3\ninclude: x\n"), None);
    layers.variables("SEAWALL", [("SEAWALL__LIMITS__BODY", "many")]);
    layers.variables("SEAWALL", [("SEAWALL__UPSTREAMS__GPT-4__ENDPOINTS__9", "x")]);
    layers.variables("SEAWALL", [("SEAWALL__LIMITS____BODY", "1")]);
    layers.secrets(BTreeMap::new());
    let told = layers.load::<Root>().unwrap_err().to_string();
    assert_eq!(
        told.lines().collect::<Vec<_>>(),
        [
            "f.yaml:4:36: upstreams.gpt-4.key: the environment variable TOKEN is not set; set TOKEN, or \
             write the value another way",
            "g.yaml:1:11: limits.boddy: unknown field `boddy`; did you mean `body`? known: body, depth",
            "g.yaml:2:14: development: the section of an environment holds fields, as the file does; write \
             fields below it, or leave it out",
            "g.yaml:3:10: include: a text that is no file includes nothing; leave it out",
            "SEAWALL__LIMITS__BODY: limits.body: \"many\" is not a whole number; write a whole number of 0 or more",
            "SEAWALL__UPSTREAMS__GPT-4__ENDPOINTS__9: 9 is not an element of the list there; it has 2, counted \
             from 0",
            "SEAWALL__LIMITS____BODY: a part of the variable's name is empty; write two underscores between \
             the names of fields",
        ]
    );
}

#[test]
fn placeholders_elsewhere_stay_and_are_reported() {
    let mut layers = Layers::default();
    layers.source(&text("f.yaml", "preset: '${X}'\n"), None);
    let loaded = layers.load::<Root>().unwrap();
    assert_eq!(loaded.document.preset, "${X}");
    assert!(loaded.warnings.to_string().contains("not a secret field"), "{}", loaded.warnings);
}

/// A temporary folder, removed when dropped.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("seawall-{name}-{}", std::process::id()));
        fs::create_dir_all(path.join("parts")).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, text).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[test]
fn included_files_come_first_and_circles_are_named() {
    let folder = Folder::new("include");
    folder.write("parts/deep.yaml", "limits: { body: 1, depth: 1 }\n");
    folder.write("parts/base.toml", "include = 'deep.yaml'\n[limits]\ndepth = 2\n");
    let main = folder.write("main.yaml", "include: [parts/base.toml]\npreset: mine\n");
    let mut layers = Layers::default();
    layers.file(&main).unwrap();
    let loaded = layers.load::<Root>().unwrap();
    assert_eq!(loaded.document.limits, Limits { body: 1, depth: 2 });
    assert_eq!(layers.files().len(), 3);
    let origin = loaded.origins.of("limits.depth").unwrap().to_string();
    assert!(origin.ends_with("base.toml:3"), "{origin}");

    folder.write("parts/deep.yaml", "include: base.toml\n");
    let mut layers = Layers::default();
    layers.file(&main).unwrap();
    let told = layers.load::<Root>().unwrap_err().to_string();
    assert!(told.contains("base.toml includes itself; take one of the two includes out"), "{told}");

    folder.write("main.yaml", "include: [gone.yaml, 3]\n");
    let mut layers = Layers::default();
    layers.file(&main).unwrap();
    let told = layers.load::<Root>().unwrap_err().to_string();
    assert!(told.contains("include[0]: cannot read"), "{told}");
    assert!(told.contains("include[1]: not the name of a file"), "{told}");
}

#[test]
fn the_schema_of_files_has_the_sections() {
    let schema = file_schema::<Root>();
    assert_eq!(schema["properties"]["production"]["$ref"], "#");
    assert_eq!(schema["properties"]["include"]["items"]["type"], "string");
}
