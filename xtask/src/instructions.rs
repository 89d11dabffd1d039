//! `cargo xtask instructions`: what a call costs, in instructions, held against what it cost before.
//!
//! Unlike times, instructions do not depend on who else uses the machine, so growth can be a failure.

use crate::cargo::{cargo, output, root, show, target_directory};
use std::{collections::BTreeMap, fs, path::Path, process::Command};

/// The file with the instruction counts, a line each.
const KEPT: &str = "benches/instructions.txt";
const CASES: [&str; 5] = ["none", "five", "refused", "registered", "keyed"];
/// The growth of a count from which on it is a failure.
const MOST: f64 = 1.03;
const FEW: u64 = 1_000;
const MANY: u64 = 5_000;

type Counts = BTreeMap<String, f64>;

/// Counts instructions, and compares them with the kept counts.
pub(crate) fn check() -> Result<(), String> {
    let path = root().join(KEPT);
    let text = fs::read_to_string(&path).map_err(|error| format!("{KEPT}: {error}"))?;
    let told = compare(&read(&text)?, &count()?);
    for line in &told {
        println!("{line}");
    }
    let grown: Vec<&String> = told.iter().filter(|line| line.contains("grown")).collect();
    if grown.is_empty() {
        return Ok(());
    }
    Err(format!(
        "{} cases cost more than 3 % more instructions than {KEPT} says; where that is right, write it anew: cargo xtask instructions --write",
        grown.len()
    ))
}

/// Counts instructions, and keeps the counts.
pub(crate) fn write() -> Result<(), String> {
    let counts = count()?;
    let lines: String = CASES.iter().map(|case| format!("{case} {}\n", counts[*case])).collect();
    let text = format!(
        "# Instructions a call, by `cargo xtask instructions --write`; see docs/performance.md.\n{lines}"
    );
    fs::write(root().join(KEPT), text).map_err(|error| format!("{KEPT}: {error}"))
}

fn read(text: &str) -> Result<Counts, String> {
    let lines = text.lines().filter(|line| !line.starts_with('#') && !line.is_empty());
    lines
        .map(|line| {
            let (case, count) = line.split_once(' ').ok_or_else(|| format!("{KEPT}: {line}"))?;
            let count = count.parse().map_err(|_| format!("{KEPT}: {count} is not a number"))?;
            Ok((case.to_owned(), count))
        })
        .collect()
}

fn compare(kept: &Counts, counts: &Counts) -> Vec<String> {
    let line = |(case, count): (&String, &f64)| match kept.get(case) {
        None => format!("{case}: {count}, grown from nothing: it is not in {KEPT}"),
        Some(before) => {
            let grown = if *count > before * MOST { ", grown" } else { "" };
            format!("{case}: {count} instructions, {before} before{grown}")
        }
    };
    counts.iter().map(line).collect()
}

fn count() -> Result<Counts, String> {
    show(cargo("build --release --package seawall --example counted"))?;
    let program = target_directory()?.join("release/examples/counted");
    let slope = |case: &str| {
        let (few, many) = (collected(&program, case, FEW)?, collected(&program, case, MANY)?);
        Ok((case.to_owned(), (many - few) as f64 / (MANY - FEW) as f64))
    };
    CASES.iter().map(|case| slope(case)).collect()
}

/// Instructions in the counted loop of a run.
fn collected(program: &Path, case: &str, n: u64) -> Result<u64, String> {
    let mut valgrind = Command::new("valgrind");
    valgrind.args([
        "--tool=callgrind",
        "--callgrind-out-file=/dev/null",
        "--toggle-collect=*counted_loop*",
        "--log-fd=1",
    ]);
    valgrind.arg(program).arg(case).arg(n.to_string());
    let log = output(valgrind)?;
    let count = log.lines().find_map(|line| line.split("Collected :").nth(1));
    count
        .and_then(|count| count.trim().parse().ok())
        .ok_or_else(|| format!("no count of instructions in: {log}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn growth_is_reported_and_shrinking_is_not() {
        let kept = read("# kept\na 100\nb 100\nc 100\n").unwrap();
        let counts = [("a", 103.0), ("b", 104.0), ("d", 1.0)];
        let counts: Counts = counts.map(|(case, count)| (case.to_owned(), count)).into();
        let grown: Vec<bool> =
            compare(&kept, &counts).iter().map(|line| line.contains("grown")).collect();
        assert_eq!(grown, [false, true, true]);
        assert!(read("a b").unwrap_err().contains("not a number"));
    }
}
