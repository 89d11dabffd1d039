//! `cargo xtask test`: the release binary, all tests, the long fuzz and the model checker, after
//! what they need is installed.

use crate::{
    cargo::{cargo, show, target_directory},
    instructions, python,
    steps::{self, Shown, Step},
    tools,
};
use std::{env, path::PathBuf};

/// The tests that the command line asks for.
#[derive(Debug, PartialEq)]
pub(crate) struct Wanted<'a> {
    install: bool,
    seeds: u32,
    steps: Vec<&'a str>,
}

impl<'a> Wanted<'a> {
    /// Reads the words after `test`.
    pub(crate) fn read(words: &[&'a str]) -> Result<Self, String> {
        let mut wanted = Self { install: true, seeds: 100_000, steps: Vec::new() };
        for word in words {
            match *word {
                "--nightly" => wanted.seeds = 1_000_000,
                "--no-install" => wanted.install = false,
                flag if flag.starts_with('-') => {
                    return Err(format!("not an option of `test`: `{flag}`"));
                }
                step => wanted.steps.push(step),
            }
        }
        Ok(wanted)
    }
}

/// Runs the steps that are wanted.
pub(crate) fn run(wanted: &Wanted<'_>) -> Result<(), String> {
    let target = target_directory()?;
    let steps = all(wanted.install, wanted.seeds, target);
    steps::run(&steps::choose(steps, &wanted.steps)?, Shown::WithOutput)
}

fn all(install: bool, seeds: u32, target: PathBuf) -> Vec<Step> {
    let binary = target.join("release").join(format!("seawall{}", env::consts::EXE_SUFFIX));
    vec![
        Step::new("tools", {
            let target = target.clone();
            move || tools::provide(install).and_then(|()| python::provide(&target, install))
        }),
        Step::new("build", || show(cargo("build --release --package seawall-cli"))),
        Step::new("tests", {
            let path = python::search_path(&target);
            move || {
                let mut tests = cargo("test --workspace --all-features --no-fail-fast");
                tests.env("SEAWALL_BIN", &binary).env("PATH", &path);
                show(tests)
            }
        })
        .needs(&["tools", "build"]),
        Step::new("fuzz", move || {
            let mut fuzz = cargo("test --release --package seawall --test fuzz");
            fuzz.env("SEAWALL_FUZZ_SEEDS", seeds.to_string());
            show(fuzz)
        }),
        Step::new("instructions", instructions::check).needs(&["tools"]),
        Step::new("loom", move || {
            let mut loom = cargo("test --release --package seawall --test loom");
            // The flag reaches every dependency: without a folder of its own it would throw away
            // what the other steps built.
            loom.env("CARGO_TARGET_DIR", target.join("loom"));
            loom.env("RUSTFLAGS", with_flag(env::var("RUSTFLAGS").ok().as_deref(), "--cfg loom"));
            loom.env("LOOM_MAX_PREEMPTIONS", "3");
            show(loom)
        }),
    ]
}

fn with_flag(flags: Option<&str>, flag: &str) -> String {
    flags.map_or_else(|| flag.to_owned(), |flags| format!("{flags} {flag}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn options_and_steps_are_told_apart() {
        let wanted = Wanted::read(&["loom", "--nightly", "--no-install", "fuzz"]).unwrap();
        let expected = Wanted { install: false, seeds: 1_000_000, steps: vec!["loom", "fuzz"] };
        assert_eq!(wanted, expected);
        let plain = Wanted { install: true, seeds: 100_000, steps: Vec::new() };
        assert_eq!(Wanted::read(&[]), Ok(plain));
        assert_eq!(
            Wanted::read(&["--nightli"]),
            Err("not an option of `test`: `--nightli`".to_owned())
        );
    }

    #[test]
    fn flags_of_the_environment_stay() {
        assert_eq!(with_flag(None, "--cfg loom"), "--cfg loom");
        assert_eq!(with_flag(Some("-D warnings"), "--cfg loom"), "-D warnings --cfg loom");
    }
}
