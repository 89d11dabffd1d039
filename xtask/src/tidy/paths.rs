//! The paths that source names, with groups of `use` spelt out and names of imports put back.

use super::tokens::Token;
use std::collections::BTreeMap;

/// A path as the source spells it, or as its first word was imported.
#[derive(Debug, PartialEq)]
pub(super) struct Named<'a> {
    pub(super) words: Vec<&'a str>,
    pub(super) line: usize,
    /// The import that its first word comes from, when there is one.
    pub(super) import: Option<Vec<&'a str>>,
}

/// Every path of two words or more, and every import.
pub(super) fn read(tokens: &[Token]) -> Vec<Named<'_>> {
    let mut reader = Reader { tokens, at: 0, found: Vec::new() };
    reader.all();
    let imports: BTreeMap<&str, Vec<&str>> =
        reader.found.iter().filter_map(|found| Some((found.alias?, found.words.clone()))).collect();
    let long = |found: &Found<'_>| found.alias.is_some() || found.words.len() > 1;
    reader.found.into_iter().filter(long).map(|found| resolve(found, &imports)).collect()
}

fn resolve<'a>(found: Found<'a>, imports: &BTreeMap<&str, Vec<&'a str>>) -> Named<'a> {
    let Found { mut words, line, .. } = found;
    let import = words.first().and_then(|first| imports.get(first)).cloned();
    // An import of one word, `use tokio;`, would only put itself in its place.
    if let Some(import) = &import {
        words.splice(..1, import.iter().copied());
    }
    if matches!(words.first(), Some(&("core" | "alloc"))) {
        words[0] = "std";
    }
    Named { words, line, import }
}

struct Found<'a> {
    words: Vec<&'a str>,
    line: usize,
    /// The name an import gives to its path.
    alias: Option<&'a str>,
}

struct Reader<'a> {
    tokens: &'a [Token],
    at: usize,
    found: Vec<Found<'a>>,
}

impl<'a> Reader<'a> {
    fn peek(&self) -> Option<&'a Token> {
        self.tokens.get(self.at)
    }

    fn next_is(&mut self, sign: &str) -> bool {
        let is = self.peek().is_some_and(|token| token.text == sign);
        self.at += usize::from(is);
        is
    }

    fn all(&mut self) {
        while let Some(token) = self.peek() {
            if token.text == "use" {
                self.at += 1;
                self.next_is("::");
                self.import(&[]);
            } else if token.text == "." {
                // What follows is a field or a method.
                self.at += 2;
            } else if token.is_word() {
                let words = self.path(&[]);
                self.found.push(Found { words, line: token.line, alias: None });
            } else {
                self.at += 1;
            }
        }
    }

    /// The words from here, joined by `::`, after those before.
    fn path(&mut self, before: &[&'a str]) -> Vec<&'a str> {
        let mut words = before.to_vec();
        while let Some(token) = self.peek().filter(|token| token.is_word() || token.text == "*") {
            words.push(&token.text);
            self.at += 1;
            let goes_on = |next: &Token| next.is_word() || ["*", "{"].contains(&next.text.as_str());
            let joined = self.peek().is_some_and(|token| token.text == "::")
                && self.tokens.get(self.at + 1).is_some_and(goes_on);
            if !joined {
                break;
            }
            self.at += 1;
        }
        words
    }

    /// One item of an import, or a group of them.
    fn import(&mut self, before: &[&'a str]) {
        let line = self.peek().map_or(0, |token| token.line);
        let mut words = self.path(before);
        if self.next_is("{") {
            while self.peek().is_some_and(|token| token.text != "}") {
                let start = self.at;
                self.import(&words);
                self.next_is(",");
                // Source that no compiler accepts must not keep us here.
                self.at = self.at.max(start + 1);
            }
            self.at += 1;
            return;
        }
        if words.last() == Some(&"self") && words.len() > 1 {
            words.pop();
        }
        let mut alias = words.last().copied();
        if self.next_is("as") {
            alias = self.peek().map(|token| token.text.as_str());
            self.at += 1;
        }
        self.found.push(Found { words, line, alias });
    }
}

#[cfg(test)]
mod tests {
    use super::{super::tokens, *};

    fn named(source: &str) -> Vec<String> {
        read(&tokens::read(source).unwrap()).iter().map(|named| named.words.join("::")).collect()
    }

    #[test]
    fn groups_are_spelt_out() {
        assert_eq!(
            named("use std::{fmt, sync::{Arc, atomic::{self, AtomicBool}}, time::*};"),
            ["std::fmt", "std::sync::Arc", "std::sync::atomic"]
                .into_iter()
                .chain(["std::sync::atomic::AtomicBool", "std::time::*"])
                .collect::<Vec<_>>()
        );
    }

    #[test]
    fn imported_names_are_put_back() {
        assert_eq!(
            named("use std::thread; fn f() { thread::sleep(d) }"),
            ["std::thread", "std::thread::sleep"]
        );
        assert_eq!(
            named("use std::time as clock; clock::Instant::now()"),
            ["std::time", "std::time::Instant::now"]
        );
    }

    #[test]
    fn plain_words_fields_and_methods_are_no_paths() {
        assert_eq!(named("let tokio = self.time::<A>(x);"), [""; 0]);
    }

    #[test]
    fn generic_paths_end_before_their_arguments() {
        assert_eq!(named("Vec::<std::time::Instant>::new()"), ["std::time::Instant"]);
        assert_eq!(named("core::time::Duration"), ["std::time::Duration"]);
    }

    #[test]
    fn broken_source_comes_to_an_end() {
        assert_eq!(named("use std::{;;}"), ["std", "std"]);
    }
}
