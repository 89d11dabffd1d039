//! Structs, collections, bounds and recursive types, each with what its mistakes look like.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use schemars::JsonSchema;
use seawall_config::Document;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use support::{Inner, check, root};

root!(Struct, Inner);

#[test]
fn structs() {
    check::<Struct>("v: { x: 1 }", &[]);
    check::<Struct>("v: { x: 1, y: ~ }", &[]);
    check::<Struct>(
        "v: { X: 1, zzz: 2 }",
        &[
            "1:4: v.x: missing field `x`; write a whole number from 0 to 255",
            "1:6: v.X: unknown field `X`; did you mean `x`? known: x, y",
            "1:12: v.zzz: unknown field `zzz`; known: x, y",
        ],
    );
    check::<Struct>("v: 5", &["1:4: v: 5 is not a mapping; write a mapping with the fields x, y"]);
    check::<Struct>(
        "v: [x]",
        &["1:4: v: a list stands where a mapping belongs; write a mapping with the fields x, y"],
    );
    check::<Struct>("v:\n", &["1:1: v: no value is given; write a mapping with the fields x, y"]);
    check::<Struct>("v:\n  x: 1\n  y: 5\n", &["3:6: v.y: 5 is not text; put it in quotes"]);
    check::<Struct>(
        "v: { x: {} }",
        &[
            "1:9: v.x: a mapping stands where a whole number belongs; write a whole number from 0 to 255",
        ],
    );
    check::<Struct>(
        "[]",
        &["1:1: a list stands where a mapping belongs; write a mapping with `v: …`"],
    );
    check::<Struct>("---\n", &["1:4: no value is given; write a mapping with `v: …`"]);
}

#[derive(Debug, Deserialize, JsonSchema, PartialEq, Eq, PartialOrd, Ord)]
#[serde(rename_all = "snake_case")]
enum Key {
    Low,
    High,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it loads matters")]
struct Collections {
    #[serde(default)]
    any: HashMap<String, Inner>,
    #[serde(default)]
    by_status: HashMap<u16, bool>,
    #[serde(default)]
    by_key: BTreeMap<Key, u8>,
    #[serde(default)]
    set: BTreeSet<String>,
    #[serde(default)]
    #[schemars(length(min = 1, max = 2))]
    some: Vec<u8>,
    #[serde(default)]
    tuple: Option<(u8, String)>,
    #[serde(default)]
    #[schemars(range(min = 1, max = 5))]
    small: Option<u32>,
    #[serde(default)]
    #[schemars(url)]
    url: Option<String>,
    #[serde(default)]
    #[schemars(extend("exclusiveMinimum" = 0.0), range(max = 1.0))]
    ratio: Option<f64>,
    #[serde(default)]
    #[schemars(extend("const" = "v1"))]
    version: Option<String>,
    #[serde(default)]
    free: serde_json::Value,
    #[serde(default)]
    flag: bool,
}
impl Document for Collections {}

#[test]
fn collections_and_bounds() {
    check::<Collections>(
        "any: { a: { x: 1 } }\nby_status: { 429: true }\nby_key: { low: 1 }\nset: [a]\nsome: [1]\n\
         tuple: [1, a]\nsmall: 5\nurl: http://x\nratio: 1\nversion: v1\nfree: { a: [1] }\nflag: true\n",
        &[],
    );
    for (text, expected) in [
        ("any: { a: {} }", "1:11: any.a.x: missing field `x`; write a whole number from 0 to 255"),
        (
            "any: []",
            "1:6: any: a list stands where a mapping belongs; write a mapping of `name: value` lines",
        ),
        (
            "by_status: { ok: true }",
            "1:14: by_status.ok: unknown field `ok`; keys here match `^\\d+$`",
        ),
        (
            "by_key: { hihg: 1 }",
            "1:11: by_key.hihg: unknown field `hihg`; did you mean `high`? known: high, low",
        ),
        ("set: [a, a]", "1:10: set[1]: \"a\" is in the list twice; it is there as `[0]`; keep one"),
        ("some: []", "1:7: some: the list is empty; write at least 1 item"),
        ("some: [1, 2, 3]", "1:7: some: the list is too long with 3; write at most 2 items"),
        ("tuple: [1]", "1:8: tuple: the list is too short with 1; write at least 2 items"),
        ("small: 0", "1:8: small: 0 is too small; write a whole number from 1 to 5"),
        ("small: 2.5", "1:8: small: 2.5 is not a whole number; write a whole number from 1 to 5"),
        (
            "url: localhost:80",
            "1:6: url: \"localhost:80\" is not a URL; write a URL with its scheme, such as https://example.com",
        ),
        ("ratio: 0", "1:8: ratio: 0 is too small; write a number above 0, up to 1"),
        (
            "version: v2",
            "1:10: version: \"v2\" is not one of the known values; did you mean `v1`? known: v1",
        ),
        ("flag: no", "1:7: flag: \"no\" is not true or false; write false"),
        ("flag: 'true'", "1:7: flag: \"true\" is not true or false; write true"),
        ("flag: maybe", "1:7: flag: \"maybe\" is not true or false; write true or false"),
    ] {
        check::<Collections>(text, &[expected]);
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it loads matters")]
struct Recursive {
    #[serde(default)]
    children: Vec<Self>,
    #[serde(default)]
    size: u8,
}
impl Document for Recursive {}

#[test]
fn recursive_types() {
    check::<Recursive>("children: [{ children: [{ size: 1 }] }, {}]", &[]);
    check::<Recursive>(
        "children: [{ children: [{ size: 1000 }] }, { sise: 1 }]",
        &[
            "1:33: children[0].children[0].size: 1000 is too large; write a whole number from 0 to 255",
            "1:46: children[1].sise: unknown field `sise`; did you mean `size`? known: children, size",
        ],
    );
}
