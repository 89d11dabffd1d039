//! Rules for Rust files: size, what they open with, what is unfinished, and what the core names.

use super::{
    Finding, modules,
    paths::{self, Named},
    prose,
    tokens::{self, Token},
};

const MOST_ITEMS: usize = 8;

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

/// The findings in one file. Tests may be long and name what they like, and are checked for the rest.
pub(super) fn findings(file: &str, text: &str) -> Vec<Finding> {
    let mut found = shape(text);
    found.extend(prose::findings(text));
    match tokens::read(text) {
        Ok(tokens) if is_test(file) => found.extend(ignored(&tokens)),
        Ok(tokens) => {
            found.extend(ignored(&tokens));
            let tokens = without_test_modules(&tokens);
            let named = paths::read(&tokens);
            found.extend(crossings(file, &named));
            found.extend(modules::findings(file, &named));
            found.extend(crowd(&tokens));
        }
        Err(error) => found.push((0, error)),
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

/// Clippy finds `todo!` and its like, but not tests that never run.
fn ignored(tokens: &[Token]) -> Vec<(usize, String)> {
    let texts = |window: &[Token]| window.iter().map(|token| &*token.text).eq(["#", "[", "ignore"]);
    let ignored = tokens.windows(3).filter(|window| texts(window));
    ignored.map(|at| (at[0].line, "`#[ignore]`: a test that never runs".to_owned())).collect()
}

/// A file that offers many things is several rooms in one, however short it is.
fn crowd(tokens: &[Token]) -> Option<(usize, String)> {
    const ITEMS: &[&str] = &["const", "enum", "fn", "static", "struct", "trait", "type", "union"];
    const QUALIFIERS: &[&str] = &["async", "unsafe", "extern"];
    let (mut depth, mut items) = (0_usize, 0);
    for (at, token) in tokens.iter().enumerate() {
        match &*token.text {
            "{" => depth += 1,
            "}" => depth -= 1,
            "pub" if depth == 0 => {
                let next = tokens[at + 1..].iter().find(|next| !QUALIFIERS.contains(&&*next.text));
                items += usize::from(next.is_some_and(|next| ITEMS.contains(&&*next.text)));
            }
            _ => {}
        }
    }
    let what = || format!("{items} public items, at most {MOST_ITEMS}: find what stands alone");
    (items > MOST_ITEMS).then(|| (0, what()))
}

fn crossings(file: &str, named: &[Named<'_>]) -> Vec<(usize, String)> {
    let boundaries = BOUNDARIES
        .iter()
        .filter(|boundary| file.starts_with(boundary.within) && !boundary.only_in.contains(&file));
    let mut found = Vec::new();
    for Boundary { path, why, .. } in boundaries {
        for named in named {
            // A name that was imported is reported where it was imported.
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
fn without_test_modules(tokens: &[Token]) -> Vec<Token> {
    let mut kept = Vec::new();
    let mut at = 0;
    while at < tokens.len() {
        match test_module(&tokens[at..]) {
            Some(length) => at += length,
            None => {
                kept.push(tokens[at].clone());
                at += 1;
            }
        }
    }
    kept
}

/// The length of the test module that the tokens start with.
fn test_module(tokens: &[Token]) -> Option<usize> {
    let text = |at: usize| tokens.get(at).map(|token| token.text.as_str());
    if !["#", "[", "cfg", "("].iter().enumerate().all(|(at, sign)| text(at) == Some(*sign)) {
        return None;
    }
    let end = tokens.iter().position(|token| token.text == "]")?;
    if !tokens[..end].iter().any(|token| token.text == "test") {
        return None;
    }
    // The module may be shared within the crate.
    let shared =
        ["pub", "(", "crate", ")"].iter().zip(end + 1..).all(|(sign, at)| text(at) == Some(*sign));
    let module = if shared { end + 5 } else { end + 1 };
    if text(module) != Some("mod") {
        return None;
    }
    // The name, then the body.
    let open = module + 2;
    if text(open) != Some("{") {
        return None;
    }
    let mut depth = 0_usize;
    for (at, token) in tokens.iter().enumerate().skip(open) {
        match token.text.as_str() {
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
