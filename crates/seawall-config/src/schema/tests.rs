//! Tests of reading schemas: references, kinds, choices.

use super::{Kinds, Schemas, percent_decoded, schema};
use schemars::JsonSchema;
use serde_json::json;

#[derive(JsonSchema)]
#[schemars(rename = "odd name/~{T}")]
struct Odd<T> {
    #[expect(dead_code, reason = "only its schema matters")]
    inner: T,
}

#[derive(JsonSchema)]
struct Root {
    #[expect(dead_code, reason = "only its schema matters")]
    odd: Odd<u8>,
}

#[test]
fn references_with_odd_names_are_followed() {
    let root = schema::<Root>();
    let odd = &root["properties"]["odd"];
    assert!(odd["$ref"].as_str().unwrap().contains('%'), "{odd}");
    assert_eq!(Schemas::new(&root).required(odd), ["inner"]);
}

#[test]
fn percent_decoding() {
    for (text, expected) in [("a%20b", "a b"), ("%C3%A9", "é"), ("50%", "50%"), ("%zz%4", "%zz%4")]
    {
        assert_eq!(percent_decoded(text), expected);
    }
}

#[test]
fn kinds_are_what_all_layers_and_some_branch_accept() {
    let root = json!({ "$defs": { "N": { "type": ["integer", "null"] } } });
    let schemas = Schemas::new(&root);
    for (schema, holds, lacks) in [
        (json!({ "$ref": "#/$defs/N" }), Kinds::INTEGER, Kinds::FLOAT),
        (json!({ "type": "number" }), Kinds::NUMBER, Kinds::STRING),
        (json!({ "const": "x" }), Kinds::STRING, Kinds::NULL),
        (json!({ "enum": [1, 2.5] }), Kinds::NUMBER, Kinds::STRING),
        (json!({ "anyOf": [{ "type": "array" }, { "type": "object" }] }), Kinds::LIST, Kinds::BOOL),
        (
            json!({ "type": "object", "anyOf": [{}, { "type": "null" }] }),
            Kinds::MAPPING,
            Kinds::NULL,
        ),
    ] {
        let schema = &*Box::leak(Box::new(schema));
        let found = Schemas::new(schemas.root).kinds(schema);
        assert!(found.contains(holds) && !found.touches(lacks), "{schema}");
    }
    let nothing = json!(false);
    assert!(!schemas_kinds_touch(&nothing));
}

fn schemas_kinds_touch(schema: &serde_json::Value) -> bool {
    Schemas::new(schema).kinds(schema).touches(Kinds::ALL)
}

#[test]
fn secrets_are_found_behind_references_and_in_cycles() {
    let root = json!({
        "$defs": {
            "A": { "properties": { "next": { "$ref": "#/$defs/A" }, "b": { "$ref": "#/$defs/B" } } },
            "B": { "items": { "additionalProperties": { "writeOnly": true } } },
            "C": { "properties": { "next": { "$ref": "#/$defs/C" } } },
        },
    });
    let schemas = Schemas::new(&root);
    assert!(schemas.holds_secret(&root["$defs"]["A"]));
    assert!(!schemas.holds_secret(&root["$defs"]["C"]));
}
