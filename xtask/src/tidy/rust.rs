//! Rules for Rust files: size, what they open with, what is unfinished, and what the core names.

use super::{
    Finding, paths,
    tokens::{self, Token},
};

const MOST_LINES: usize = 400;

/// Something that one folder names in one place only.
struct Boundary {
    within: &'static str,
    path: &'static [&'static str],
    only_in: &'static [&'static str],
    why: &'static str,
}

const CORE: &str = "crates/seawall/src/";
const CLOCKS: &[&str] = &[
    "crates/seawall/src/time.rs",
    "crates/seawall/src/timer.rs",
    "crates/seawall/src/timer/default.rs",
];
const VIRTUAL: &str = "the simulator's time is the caller's: ask the pipeline's clock or timer";

const BOUNDARIES: &[Boundary] = &[
    Boundary {
        within: CORE,
        path: &["std", "sync", "atomic"],
        only_in: &["crates/seawall/src/sync.rs"],
        why: "the model checker sees only what `crate::sync` hands out",
    },
    Boundary { within: CORE, path: &["std", "time", "Instant"], only_in: CLOCKS, why: VIRTUAL },
    Boundary { within: CORE, path: &["std", "time", "SystemTime"], only_in: CLOCKS, why: VIRTUAL },
    Boundary { within: CORE, path: &["std", "thread", "sleep"], only_in: CLOCKS, why: VIRTUAL },
    Boundary {
        within: CORE,
        path: &["tokio"],
        only_in: CLOCKS,
        why: "the core works on every runtime: `seawall-tower` has what needs this one",
    },
];

/// What is wrong with one file, tests included; they may be long and name what they like.
pub(super) fn findings(file: &str, text: &str) -> Vec<Finding> {
    let tokens = tokens::read(text);
    let mut found = shape(text);
    found.extend(unfinished(&tokens));
    if !is_test(file) {
        let lines = text.lines().count();
        if lines > MOST_LINES {
            found.push((0, format!("{lines} lines, at most {MOST_LINES}: find what stands alone")));
        }
        found.extend(crossings(file, &without_test_modules(&tokens)));
    }
    let finding = |(line, what)| Finding { file: file.to_owned(), line, what };
    found.into_iter().map(finding).collect()
}

fn is_test(file: &str) -> bool {
    file.split('/').any(|part| ["tests", "benches", "tests.rs"].contains(&part))
}

fn shape(text: &str) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    if !text.starts_with("//!") {
        found.push((1, "does not open with `//!`: say what the file is for".to_owned()));
    }
    for (line, text) in (1..).zip(text.split('\n')) {
        if text.ends_with(char::is_whitespace) {
            found.push((line, "white space at the end".to_owned()));
        }
        if text.contains('\t') {
            found.push((line, "a tab".to_owned()));
        }
    }
    found
}

fn unfinished(tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let mut found = Vec::new();
    for window in tokens.windows(3) {
        match [window[0].text, window[1].text, window[2].text] {
            [name @ ("todo" | "unimplemented"), "!", "(" | "[" | "{"] => {
                found.push((window[0].line, format!("`{name}!`")));
            }
            ["#", "[", "ignore"] => {
                found.push((window[0].line, "`#[ignore]`: a test that never runs".to_owned()));
            }
            _ => {}
        }
    }
    found
}

fn crossings(file: &str, tokens: &[Token<'_>]) -> Vec<(usize, String)> {
    let boundaries = BOUNDARIES
        .iter()
        .filter(|boundary| file.starts_with(boundary.within) && !boundary.only_in.contains(&file));
    let named = paths::read(tokens);
    let mut found = Vec::new();
    for Boundary { path, why, .. } in boundaries {
        for named in &named {
            // What was imported is told of where it was imported.
            let told = named.import.as_ref().is_some_and(|import| import != &named.words)
                && named.import.as_deref().is_some_and(|import| reaches(import, path));
            if reaches(&named.words, path) && !told {
                found.push((named.line, format!("names `{}`: {why}", path.join("::"))));
            }
        }
    }
    found
}

/// Whether the words name the path, something below it, or everything of what it is in.
fn reaches(words: &[&str], path: &[&str]) -> bool {
    words.starts_with(path)
        || matches!(words, [parent @ .., "*"] if parent.len() < path.len() && path.starts_with(parent))
}

/// Leaves out `#[cfg(test)] mod name { … }`.
fn without_test_modules<'a>(tokens: &[Token<'a>]) -> Vec<Token<'a>> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match test_module(&tokens[at..]) {
            Some(length) => at += length,
            None => {
                kept.push(tokens[at]);
                at += 1;
            }
        }
    }
    kept
}

/// The length of the test module that the tokens start with.
fn test_module(tokens: &[Token<'_>]) -> Option<usize> {
    let attribute = ["#", "[", "cfg", "(", "test", ")", "]", "mod"];
    let text = |at: usize| tokens.get(at).map(|token| token.text);
    if !attribute.iter().enumerate().all(|(at, sign)| text(at) == Some(*sign)) {
        return None;
    }
    // The name, then the body.
    let open = attribute.len() + 1;
    if text(open) != Some("{") {
        return None;
    }
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    Some(tokens.len())
}

#[cfg(test)]
mod tests;
