//! Enums in every representation of serde, each with what its mistakes look like.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod support;

use schemars::JsonSchema;
use seawall_config::Document;
use serde::Deserialize;
use std::collections::HashMap;
use support::{Inner, check, root};

#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only whether it loads matters")]
struct Plain {
    q: u32,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
#[expect(dead_code, reason = "only whether it loads matters")]
enum Tagged {
    Retry,
    Breaker(Inner),
    Free(Plain),
    Limiter { rate: i64 },
}
root!(InternallyTagged, Vec<Tagged>);

#[test]
fn internally_tagged_enums_report_the_branch_that_was_meant() {
    check::<InternallyTagged>(
        "v:\n  - type: retry\n  - { type: breaker, x: 1 }\n  - { type: free, q: 1 }\n  - { type: limiter, rate: 1 }\n",
        &[],
    );
    check::<InternallyTagged>(
        "v:\n  - { type: breaker, x: 300, rate: 1 }\n  - { type: free, q: -1 }\n  - { type: limiter }\n",
        &[
            "2:25: v[0].x: 300 is too large; write a whole number from 0 to 255",
            "2:30: v[0].rate: unknown field `rate`; known: type, x, y",
            "3:22: v[1].q: -1 is too small; write a whole number of 0 or more",
            "4:5: v[2].rate: missing field `rate`; write a whole number",
        ],
    );
    check::<InternallyTagged>(
        "v: [{ type: limitr, rate: x }, { rate: 1 }, { type: 5 }, retry]",
        &[
            "1:13: v[0].type: \"limitr\" is not one of the known values; did you mean `limiter`? known: \
             retry, breaker, free, limiter",
            "1:32: v[1].type: missing field `type`; write one of retry, breaker, free, limiter",
            "1:53: v[2].type: 5 is not one of the known values; known: retry, breaker, free, limiter",
            "1:58: v[3]: \"retry\" is not a mapping; write a mapping with `type:` one of retry, breaker, \
             free, limiter",
        ],
    );
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only whether it loads matters")]
enum External {
    Constant,
    Off,
    Exponential(Inner),
    Linear { step: u8 },
    Pair(u8, String),
}
root!(ExternallyTagged, Option<External>);

#[test]
fn externally_tagged_enums() {
    for good in [
        "constant",
        "{ exponential: { x: 1 } }",
        "{ linear: { step: 2 } }",
        "{ pair: [1, a] }",
        "~",
    ] {
        check::<ExternallyTagged>(&format!("v: {good}"), &[]);
    }
    for (text, expected) in [
        (
            "constnt",
            "1:4: v: \"constnt\" is not one of the known values; did you mean `constant`? known: constant, \
             off, exponential, linear, pair",
        ),
        ("linear", "1:4: v: \"linear\" needs fields; write `linear:` and its fields below"),
        (
            "{ liner: { step: 1 } }",
            "1:6: v.liner: unknown field `liner`; did you mean `linear`? known: exponential, linear, pair",
        ),
        (
            "{ linear: {} }",
            "1:14: v.linear.step: missing field `step`; write a whole number from 0 to 255",
        ),
        (
            "{ linear: { step: 1 }, exponential: { x: 1 } }",
            "1:27: v.exponential: `exponential` cannot stand beside `linear`; keep one of them",
        ),
        (
            "{}",
            "1:4: v: a field that says which is missing; write one of exponential, linear, pair",
        ),
        ("{ linear: { step: 1 }, x: 1 }", "1:27: v.x: unknown field `x`; known: linear"),
        (
            "5",
            "1:4: v: 5 is not a mapping or one of constant, off; write a mapping with one of exponential, \
             linear, pair, or one of constant, off",
        ),
        (
            "{ pair: [a, b] }",
            "1:13: v.pair[0]: \"a\" is not a whole number; write a whole number from 0 to 255",
        ),
    ] {
        check::<ExternallyTagged>(&format!("v: {text}"), &[expected]);
    }
}

#[derive(Debug, Deserialize, JsonSchema)]
enum Documented {
    /// The first.
    One,
    /// The second.
    Two,
    Three,
}
root!(Words, Vec<Documented>);

#[test]
fn listed_words_offer_the_nearest() {
    check::<Words>("v: [One, Two, Three]", &[]);
    check::<Words>(
        "v: [one, Tree, 5]",
        &[
            "1:5: v[0]: \"one\" is not one of the known values; did you mean `One`? known: Three, One, Two",
            "1:10: v[1]: \"Tree\" is not one of the known values; did you mean `Three`? known: Three, One, Two",
            "1:16: v[2]: 5 is not one of Three, One, Two; write one of Three, One, Two",
        ],
    );
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only whether it loads matters")]
enum Untagged {
    Number(u32),
    Text(String),
    Object(Inner),
    List(Vec<Self>),
}
root!(ByKind, Untagged);

#[test]
fn alternatives_of_different_kinds_are_told_by_the_kind() {
    check::<ByKind>("v: [1, a, { x: 1 }, [2]]", &[]);
    check::<ByKind>(
        "v: [-1, true, { x: a }, [[{}]]]",
        &[
            "1:5: v[0]: -1 is too small; write a whole number of 0 or more",
            "1:9: v[1]: true is not a whole number or text or a list or a mapping; put it in quotes",
            "1:20: v[2].x: \"a\" is not a whole number; write a whole number from 0 to 255",
            "1:27: v[3][0][0].x: missing field `x`; write a whole number from 0 to 255",
        ],
    );
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only whether it loads matters")]
enum Shapes {
    Circle(Circle),
    Square(Square),
}
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it loads matters")]
struct Circle {
    radius: f64,
    name: Option<String>,
}
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it loads matters")]
struct Square {
    side: f64,
    tilt: f64,
}
root!(ByTrial, Vec<Shapes>);

#[test]
fn alternatives_of_one_kind_are_tried_and_the_nearest_speaks() {
    check::<ByTrial>("v: [{ radius: 1 }, { side: 1, tilt: 0.5 }]", &[]);
    check::<ByTrial>(
        "v: [{ radius: x, name: a }, { side: 1 }]",
        &[
            "1:15: v[0].radius: \"x\" is not a number; write a number",
            "1:29: v[1].tilt: missing field `tilt`; write a number",
        ],
    );
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(tag = "t", content = "c")]
#[expect(dead_code, reason = "only whether it loads matters")]
enum Adjacent {
    A(u8),
    B { x: u8 },
    C,
}
root!(AdjacentlyTagged, Vec<Adjacent>);

#[test]
fn adjacently_tagged_enums() {
    check::<AdjacentlyTagged>("v: [{ t: A, c: 1 }, { t: B, c: { x: 1 } }, { t: C }]", &[]);
    check::<AdjacentlyTagged>(
        "v: [{ t: A, c: x }, { t: B }]",
        &[
            "1:16: v[0].c: \"x\" is not a whole number; write a whole number from 0 to 255",
            "1:21: v[1].c: missing field `c`; write a mapping with `x: …`",
        ],
    );
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it loads matters")]
struct Flattened {
    name: String,
    #[serde(flatten)]
    plain: Plain,
    #[serde(flatten)]
    which: Which,
}
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[expect(dead_code, reason = "only whether it loads matters")]
enum Which {
    Http { port: u16 },
    Unix(String),
}
root!(Flat, Flattened);

#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only whether it loads matters")]
struct FlatTag {
    name: String,
    #[serde(flatten)]
    tag: Option<Tagged>,
}
impl Document for FlatTag {}

#[derive(Debug, Deserialize, JsonSchema)]
#[expect(dead_code, reason = "only whether it loads matters")]
struct FlatMap {
    name: String,
    #[serde(flatten)]
    rest: HashMap<String, u8>,
}
impl Document for FlatMap {}

#[test]
fn flattened_fields_are_fields_of_the_whole() {
    check::<Flat>("v: { name: a, q: 1, unix: /x }", &[]);
    check::<Flat>(
        "v: { name: a, http: { port: 70000 }, nmae: b }",
        &[
            "1:4: v.q: missing field `q`; write a whole number of 0 or more",
            "1:29: v.http.port: 70000 is too large; write a whole number from 0 to 65535",
            "1:38: v.nmae: unknown field `nmae`; did you mean `name`? known: http, name, q",
        ],
    );
    check::<Flat>(
        "v: { name: a, q: 1 }",
        &["1:4: v: a field that says which is missing; write one of http, unix"],
    );
    check::<FlatTag>("name: a", &[]);
    check::<FlatTag>("{ name: a, type: limiter, rate: 1 }", &[]);
    check::<FlatTag>(
        "{ name: a, type: limiter, rate: x }",
        &["1:33: rate: \"x\" is not a whole number; write a whole number"],
    );
    check::<FlatTag>(
        "{ name: a, type: limitr }",
        &[
            "1:18: type: \"limitr\" is not one of the known values; did you mean `limiter`? known: retry, \
           breaker, free, limiter",
        ],
    );
    check::<FlatMap>("{ name: a, b: 1 }", &[]);
    check::<FlatMap>(
        "{ name: a, b: c }",
        &["1:15: b: \"c\" is not a whole number; write a whole number from 0 to 255"],
    );
}
