//! `cargo xtask check`: everything about a change that needs no test run.

use crate::{
    cargo::{capture, cargo},
    generated, licences,
    steps::{self, Shown, Step},
    tidy,
};

/// Runs the steps with one of the words in their name, or all.
pub(crate) fn run(words: &[&str]) -> Result<(), String> {
    let steps = vec![
        cargo_step("fmt", "fmt --all --check"),
        cargo_step("clippy", "clippy --workspace --all-targets --all-features -- -D warnings"),
        // The core alone, as a crate that wants no serde sees it.
        cargo_step("clippy-bare", "clippy --package seawall --no-default-features -- -D warnings"),
        Step::new("doc", || {
            let mut doc = cargo("doc --workspace --no-deps --all-features");
            doc.env("RUSTDOCFLAGS", "-D warnings");
            capture(doc)
        }),
        Step::new("generated", generated::check),
        Step::new("tidy", tidy::check),
        Step::new("licences", licences::check),
    ];
    steps::run(&steps::choose(steps, words)?, Shown::AsLines)
}

fn cargo_step(name: &'static str, arguments: &'static str) -> Step {
    Step::new(name, move || capture(cargo(arguments)))
}
