//! Reading YAML: what words mean, where things stand, and what is refused.

use super::parse;
use crate::{
    findings::Findings,
    tree::{Node, Position, Value},
};
use serde_json::{Value as Json, json};

fn tree(text: &str) -> Node {
    let mut findings = Findings::default();
    let tree = parse(text, &mut findings);
    assert_eq!(findings.into_mistakes(&[String::new()]).to_string(), "", "{text}");
    tree.unwrap()
}

#[track_caller]
fn refused(text: &str, expected: &str) {
    let mut findings = Findings::default();
    parse(text, &mut findings);
    assert_eq!(
        findings.into_mistakes(&["x".into()]).to_string(),
        expected,
        "{}",
        text.get(..80).unwrap_or(text)
    );
}

#[test]
fn plain_words_mean_what_the_core_schema_says() {
    for (text, expected) in [
        ("null", json!(null)),
        ("~", json!(null)),
        ("'~'", json!("~")),
        ("True", json!(true)),
        ("no", json!("no")),
        ("on", json!("on")),
        ("NULL", json!(null)),
        ("nULL", json!("nULL")),
        ("-12", json!(-12)),
        ("+12", json!(12)),
        ("012", json!(12)),
        ("0o17", json!(15)),
        ("0x1F", json!(31)),
        ("0b1", json!("0b1")),
        ("0x", json!("0x")),
        ("1_000", json!("1_000")),
        ("18446744073709551615", json!(18446744073709551615_u64)),
        ("1.5", json!(1.5)),
        (".5", json!(0.5)),
        ("1.", json!(1.0)),
        ("-1e3", json!(-1000.0)),
        ("1e", json!("1e")),
        ("e1", json!("e1")),
        (".", json!(".")),
        ("1.2.3", json!("1.2.3")),
        ("12:30", json!("12:30")),
        ("20s", json!("20s")),
        ("infinity", json!("infinity")),
        ("\"12\"", json!("12")),
        ("!!str 12", json!("12")),
        ("! 12", json!("12")),
        ("!!float 12", json!(12.0)),
        ("|\n  12\n", json!("12\n")),
        (">-\n  a\n  b\n", json!("a b")),
    ] {
        assert_eq!(tree(text).to_json(), expected, "{text}");
    }
}

#[test]
fn positions_are_those_of_keys_and_values() {
    let text = "\u{feff}routes:\n  - { path: /v1/*, upstream: chat, rate_limit: { rate: 100, per: 1s } }\n\
                upstreams:\n  \"ünï\":\n    endpoints:\n      - a\n      -\n    empty:\n    flow: [ x,\n      y ]\n\
                alias: &a 1\nuse: [*a]\n";
    let tree = tree(text);
    for (path, line, column) in [
        ("routes", 1, 1),
        ("routes[0]", 2, 5),
        ("routes[0].path", 2, 13),
        ("routes[0].rate_limit", 2, 48),
        ("routes[0].rate_limit.rate", 2, 56),
        ("routes[0].rate_limit.per", 2, 66),
        ("upstreams.ünï", 4, 3),
        ("upstreams[\"ünï\"].endpoints", 5, 5),
        ("upstreams.ünï.endpoints[0]", 6, 9),
        ("upstreams.ünï.empty", 8, 5),
        ("upstreams.ünï.flow", 9, 11),
        ("upstreams.ünï.flow[1]", 10, 7),
        ("use[0]", 12, 7),
        // What is not there is placed at what is above it.
        ("upstreams.ünï.flow[7].z", 9, 11),
        ("nothing", 1, 1),
    ] {
        assert_eq!(tree.nearest_to(path).position, Position::at(line, column), "{path}");
    }
    let key = &tree.nearest_to("routes[0]").entry("upstream").unwrap();
    assert_eq!(key.position, Position::at(2, 20));
}

#[test]
fn of_keys_that_fit_a_path_the_longest_is_meant() {
    let tree = tree("gpt-4: { 1: a }\ngpt-4.1: { t: b }\n\"x y\": { t: c }\n");
    for (path, expected) in
        [("gpt-4.1.t", "b"), ("[\"gpt-4.1\"].t", "b"), ("[\"x y\"].t", "c"), ("x y.t", "c")]
    {
        assert_eq!(tree.nearest_to(path).value, Value::String(expected.to_owned()), "{path}");
    }
}

#[test]
fn aliases_repeat_their_anchor() {
    let tree = tree("a: &x { n: [1, &y two] }\nb: *x\nc: *y\n*y : key\n");
    let expected =
        json!({ "a": { "n": [1, "two"] }, "b": { "n": [1, "two"] }, "c": "two", "two": "key" });
    assert_eq!(tree.to_json(), expected);
}

#[test]
fn mistakes_of_notation() {
    for (text, expected) in [
        ("", "x:1:1: the file is empty; write `{}` if every default is meant"),
        ("# nothing\n", "x:1:1: the file is empty; write `{}` if every default is meant"),
        ("a:\n\tb: 1\n", "x:2:2: a tab cannot indent YAML; indent with spaces"),
        (
            "a: b: c",
            "x:1:5: a `:` cannot stand here; check the indentation, or put a text that holds `: ` in quotes",
        ),
        ("a: 'x\n", "x:2:1: a quoted text is not closed; close the quote"),
        ("a: @x", "x:1:4: a text cannot start with `@`; put it in quotes"),
        (
            "a: *x",
            "x:1:4: this alias names an anchor that is not above it; define it first with `&name`, or \
             put the text in quotes",
        ),
        ("a: 1\n---\nb: 1\n", "x:2:1: a second document starts here; one file holds one document"),
        ("a: 1\n...\nb: 1\n", "x:3:1: a second document starts here; one file holds one document"),
        (
            "a:\n  b: 1\n  c: 2\n  b: 3\n",
            "x:4:3: a.b: duplicate key `b`; it is first given on line 2; keep one",
        ),
        ("{a: 1, 'a': 2}", "x:1:8: a: duplicate key `a`; it is first given on line 1; keep one"),
        ("? [a]\n: 1\n", "x:1:3: a key must be text; write `key: value`"),
        ("a: &x [*x]", "x:1:8: a[0]: this alias is inside the value it names"),
        ("a: !point [1]", "x:1:11: a: tags other than YAML's own are not supported"),
        ("a: !!int x", "x:1:10: a: the value does not fit its tag `!!int`"),
        ("a: .inf", "x:1:4: a: numbers here are finite"),
        ("a: 1e999", "x:1:4: a: the number is too large"),
        (
            "a: &a { x: 1 }\nb: { <<: *a }\n",
            "x:2:6: b: merge keys (`<<`) are not part of YAML 1.2; repeat the fields, or use an alias for \
             the whole value",
        ),
    ] {
        refused(text, expected);
    }
}

#[test]
fn nesting_is_bounded() {
    let nested = |depth: usize| format!("{}1{}", "[".repeat(depth), "]".repeat(depth));
    tree(&nested(64));
    refused(&nested(65), "x:1:65: nested deeper than 64 levels");
    refused(&"[".repeat(1_000_000), "x:1:65: nested deeper than 64 levels");
    let block: String = (0..65).map(|i| format!("{}k:\n", " ".repeat(i))).collect();
    refused(&block, "x:65:65: nested deeper than 64 levels");
    // Aliases deepen what they are put into.
    let deep = format!("a: &a {}\nb: {}*a{}\n", nested(60), "[".repeat(10), "]".repeat(10));
    let mut findings = Findings::default();
    assert!(parse(&deep, &mut findings).is_none());
    assert!(
        findings
            .into_mistakes(&[String::new()])
            .to_string()
            .contains("nested deeper than 64 levels")
    );
}

#[test]
fn values_are_counted_with_what_aliases_repeat() {
    let list = |count: usize| format!("[{}]", "1,".repeat(count));
    tree(&list(99_999));
    refused(&list(100_000), "x:1:200000: more than 100000 values, counting what aliases repeat");
    let bomb: String = (0..9)
        .map(|i| match i {
            0 => "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned(),
            _ => format!("a{i}: &a{i} [{}]\n", format!("*a{},", i - 1).repeat(10)),
        })
        .collect();
    let mut findings = Findings::default();
    assert!(parse(&bomb, &mut findings).is_none());
    let found = findings.into_mistakes(&[String::new()]).to_string();
    assert!(found.contains("more than 100000 values"), "{found}");
}

#[test]
fn text_is_counted_with_what_aliases_repeat() {
    let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), "*a,".repeat(10));
    let mut findings = Findings::default();
    assert!(parse(&text, &mut findings).is_none());
    let found = findings.into_mistakes(&[String::new()]).to_string();
    assert!(found.contains("aliases repeat more than 8 MiB of text"), "{found}");
}

/// JSON is read by the YAML parser, so the two must agree on every JSON text.
#[test]
fn json_reads_as_json() {
    let mut random = Random(7);
    for _ in 0..2000 {
        let value = random.json(4);
        for text in [value.to_string(), serde_json::to_string_pretty(&value).unwrap()] {
            assert_eq!(tree(&text).to_json(), value, "{text}");
        }
    }
    let escaped = r#"{"a\/b\u00e9\ud83d\ude00": "\b\f\n\r\t\\\""}"#;
    assert_eq!(tree(escaped).to_json(), serde_json::from_str::<Json>(escaped).unwrap());
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn text(&mut self) -> String {
        let letters: Vec<char> = "ab é😀:#-?{}[],&*!|>'\"%@`\\/\n\t~".chars().collect();
        let length = self.below(8);
        (0..length).map(|_| letters[self.below(letters.len() as u64) as usize]).collect()
    }

    fn json(&mut self, depth: u32) -> Json {
        match self.below(if depth == 0 { 6 } else { 9 }) {
            0 => Json::Null,
            1 => json!(self.below(2) == 0),
            2 => json!(self.below(u64::MAX)),
            3 => json!(-(self.below(1 << 40) as i64)),
            4 => json!(self.below(1 << 50) as f64 / 1024.0),
            5 => json!(self.text()),
            6 => (0..self.below(4)).map(|_| self.json(depth - 1)).collect(),
            _ => {
                let mut map = serde_json::Map::new();
                for _ in 0..self.below(4) {
                    map.insert(self.text(), self.json(depth - 1));
                }
                Json::Object(map)
            }
        }
    }
}
