//! Checks, tests and code generation of this repository: what a change must pass, in one program.
//!
//! It has no dependency but a JSON reader, because every run of it starts with its own build.

mod cargo;
mod check;
mod generated;
mod instructions;
mod licences;
mod python;
mod steps;
mod suite;
mod tidy;
mod tools;

use std::process::ExitCode;

const USAGE: &str = "\
usage: cargo xtask COMMAND

  check [STEP...]   formatting, lints, documentation, generated files, tidy, licences
  test [STEP...]    the release binary, all tests, the fuzz, the model checker
      --nightly       ten times the fuzz
      --no-install    fail, instead of installing, when a tool is missing
  codegen           write the generated files anew
  instructions      only: what calls cost in instructions, against what they cost before
      --write         keep what they cost now
  licences          only: every dependency has a licence we accept
  tidy              only: sizes, boundaries, links, the direction of dependencies
  help              this text

A STEP is a part of a step's name: `cargo xtask test loom` runs the model checker alone.";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    match run(&words) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            eprintln!("{failure}");
            ExitCode::FAILURE
        }
    }
}

fn run(words: &[&str]) -> Result<(), String> {
    match words {
        [] | ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        ["check", steps @ ..] => check::run(steps),
        ["test", rest @ ..] => suite::run(&suite::Wanted::read(rest)?),
        ["codegen"] => generated::write(),
        ["instructions"] => instructions::check(),
        ["instructions", "--write"] => instructions::write(),
        ["licences"] => licences::check(),
        ["tidy"] => tidy::check(),
        _ => Err(format!("not a command: `{}`\n\n{USAGE}", words.join(" "))),
    }
}
