//! Files that no one would write in good faith: each is refused, at once and with a reason.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use schemars::JsonSchema;
use seawall_config::{Document, Format, LoadError, MAX_BYTES, Source, load_file, load_str};
use serde::Deserialize;
use std::{collections::BTreeMap, fs, path::PathBuf, time::Instant};

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[expect(dead_code, reason = "only whether it loads matters")]
struct Root {
    name: String,
    #[serde(default)]
    sizes: Vec<u8>,
    #[serde(default)]
    below: BTreeMap<String, Below>,
    #[serde(default)]
    free: serde_json::Value,
}

#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
#[expect(dead_code, reason = "only whether it loads matters")]
enum Below {
    Flag(bool),
    Words(Vec<String>),
    Root(Box<Root>),
}

impl Document for Root {}

fn refusal(bytes: impl Into<Vec<u8>>) -> String {
    Source::new("f", bytes, Format::Yaml).load::<Root>().expect_err("refused").to_string()
}

#[test]
fn a_file_of_four_mebibytes_is_the_largest() {
    let head = "name: a\n#";
    let fits = format!("{head}{}", "x".repeat(MAX_BYTES - head.len()));
    assert!(load_str::<Root>("f", &fits, Format::Yaml).is_ok());
    assert_eq!(
        refusal(format!("{fits}x")),
        "f:1:1: larger than 4 MiB; a configuration file is smaller"
    );
}

#[test]
fn invalid_utf8_is_reported_with_its_position() {
    assert_eq!(
        refusal(b"name: a\n# caf\xe9\n".as_slice()),
        "f:2:6: not UTF-8: a byte 0xE9 cannot stand here; save the file as UTF-8"
    );
    assert_eq!(
        refusal(b"\xff\xfen\0".as_slice()),
        "f:1:1: not UTF-8: a byte 0xFF cannot stand here; save the file as UTF-8"
    );
    // Cut in the middle of a character.
    assert!(refusal("é: \u{1F600}".as_bytes()[..5].to_vec()).starts_with("f:1:4: not UTF-8"));
}

#[test]
fn blown_up_values_stay_short_in_messages() {
    let found = refusal(format!("name: a\nsizes: [{}]\n", "x".repeat(1_000_000)));
    assert!(found.len() < 200, "{}", found.len());
    let found = refusal(format!("name: a\n{}: 1\n", "k".repeat(1000)));
    assert!(found.len() < 300, "{found}");
    let found = refusal("name: a\nsizes: [\"\\e[2J\\u202e\\0\"]\n");
    assert!(found.chars().all(|c| !c.is_control() && c != '\u{202e}'), "{found}");
}

#[test]
fn large_and_hostile_files_are_quick() {
    let depth = 5000;
    for text in [
        "[".repeat(MAX_BYTES),
        "{a: ".repeat(depth),
        "- ".repeat(depth),
        "? ".repeat(depth),
        "a: &a ".repeat(depth),
        "!".repeat(MAX_BYTES),
        "\"".repeat(MAX_BYTES),
        "\n".repeat(MAX_BYTES),
        "- a\n".repeat(MAX_BYTES / 4),
        "---\n".repeat(MAX_BYTES / 4),
        format!("name: a\nfree: [{}]\n", "x,".repeat(90_000)),
        format!("name: a\nsizes: [{}]\n", "x,".repeat(90_000)),
        (0..90_000).map(|i| format!("k{i}: 1\n")).collect(),
        format!("name: a\nbelow: {}{}", "{ a: { name: b, below: ".repeat(31), "}}".repeat(31)),
        format!("free: &a {}\nname: [{}]\n", "x".repeat(4_000_000), "*a,".repeat(1000)),
    ] {
        let start = Instant::now();
        let _ = load_str::<Root>("f", &text, Format::Yaml);
        let _ = load_str::<Root>("f", &text, Format::Json);
        let _ = load_str::<Root>("f", &text, Format::Toml);
        let head: String = text.chars().take(30).collect();
        assert!(start.elapsed().as_secs() < 20, "{head:?} took {:?}", start.elapsed());
    }
}

const SEED: &str = "name: &n \"a\\tb\" # words\nsizes:\n  - 1\n  - 0x2\nbelow:\n  x: true\n  y: ['a', *n]\n  \
                    ? z\n  : { name: b, sizes: [3, 4], free: { u: ~, v: 1.5e3, w: !!str 5 } }\nfree: |\n  text\n  \
                    more\n";
const SEED_TOML: &str = "name = \"a\"\nsizes = [1, 0x2]\n[below]\nx = true\n[below.z]\nname = '''b'''\n\
                         free = { u = 1.5e3, v = 2020-01-01 }\n";

/// The mutations are equal in every run, so that what fails here fails everywhere.
#[test]
fn mutated_files_never_panic() {
    assert!(load_str::<Root>("f", SEED, Format::Yaml).is_ok());
    assert!(load_str::<Root>("f", SEED_TOML, Format::Toml).is_ok());
    let json = r#"{"name": "a", "sizes": [1, 2], "below": {"x": true, "z": {"name": "\u00e9"}}}"#;
    assert!(load_str::<Root>("f", json, Format::Json).is_ok());
    let mut random = Random(0x5ea);
    let (mut good, mut bad) = (0, 0);
    for round in 0..5000 {
        for (seed, format) in
            [(SEED, Format::Yaml), (SEED_TOML, Format::Toml), (json, Format::Json)]
        {
            let bytes = random.mutated(seed.as_bytes(), round % 4 + 1);
            match Source::new("f", bytes, format).load::<Root>() {
                Ok(_) => good += 1,
                Err(mistakes) => {
                    bad += 1;
                    assert!(mistakes.any_error());
                    for mistake in &mistakes {
                        assert!(mistake.line > 0 && mistake.column > 0 && mistake.file == "f");
                        assert!(!mistake.to_string().contains('\n'), "{mistake}");
                    }
                }
            }
        }
    }
    // Both happen, or the mutations test nothing.
    assert!(good > 500 && bad > 5000, "{good} {bad}");
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % bound as u64) as usize
    }

    fn mutated(&mut self, seed: &[u8], times: usize) -> Vec<u8> {
        const POOL: &[u8] =
            b"{}[]:,-?|>&*!'\"#@`%\\\n\t \r.~<=09azA\xef\xbb\xbf\xc3\xa9\x00\x1b\xff";
        let mut bytes = seed.to_vec();
        for _ in 0..times {
            let at = self.below(bytes.len().max(1)).min(bytes.len().saturating_sub(1));
            let byte = POOL[self.below(POOL.len())];
            match self.below(4) {
                _ if bytes.is_empty() => bytes.push(byte),
                0 => bytes[at] = byte,
                1 => bytes.insert(at, byte),
                2 => drop(bytes.remove(at)),
                _ => {
                    let end = (at + self.below(12)).min(bytes.len());
                    let copied = bytes[at..end].to_vec();
                    let to = self.below(bytes.len());
                    bytes.splice(to..to, copied);
                }
            }
        }
        bytes
    }
}

/// A file that is gone when the test is.
struct TempFile(PathBuf);

impl TempFile {
    fn new(name: &str, bytes: &[u8]) -> Self {
        let path =
            std::env::temp_dir().join(format!("seawall-config-{}-{name}", std::process::id()));
        fs::write(&path, bytes).expect("the directory for such files is writable");
        Self(path)
    }
}

impl Drop for TempFile {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn files_are_read_by_their_extension() {
    for (name, text) in [
        ("a.yaml", "name: a\n"),
        ("a.YML", "name: a\n"),
        ("a.conf", "name: a\n"),
        ("a.json", "{\"name\": \"a\"}"),
        ("a.toml", "name = 'a'\n"),
    ] {
        let file = TempFile::new(name, text.as_bytes());
        assert!(load_file::<Root>(&file.0).is_ok(), "{name}");
    }
    let file = TempFile::new("b.json", b"name: a\n");
    let error = load_file::<Root>(&file.0).unwrap_err();
    assert!(matches!(error, LoadError::Mistakes(_)), "{error}");
    assert!(error.to_string().ends_with("b.json:1:2: not JSON: expected ident"), "{error}");
}

#[test]
fn a_file_that_cannot_be_read_is_named() {
    let path = std::env::temp_dir().join("seawall-config-no-such-file.yaml");
    let error = load_file::<Root>(&path).unwrap_err();
    assert!(matches!(error, LoadError::Io { .. }));
    let expected = format!("cannot read {}: ", path.display());
    assert!(error.to_string().starts_with(&expected), "{error}");
    assert!(matches!(load_file::<Root>(&std::env::temp_dir()), Err(LoadError::Io { .. })));
}

#[cfg(unix)]
#[test]
fn a_device_that_never_ends_is_too_large() {
    let error = load_file::<Root>(std::path::Path::new("/dev/zero")).unwrap_err();
    assert!(error.to_string().contains("larger than 4 MiB"), "{error}");
}
