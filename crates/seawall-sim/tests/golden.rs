//! Every scenario of `scenarios/`: its expectations are met, and its report is, to the letter, the one that
//! was reviewed. `SEAWALL_BLESS=1` writes the reports anew.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall_config::{Document, load_file};
use seawall_sim::{Scenario, run};
use std::{fs, path::PathBuf};

#[derive(serde::Deserialize, schemars::JsonSchema)]
#[serde(transparent)]
struct File(Scenario);

impl Document for File {}

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../scenarios")
}

fn scenarios() -> Vec<PathBuf> {
    let entries = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path());
    let is_yaml = |path: &PathBuf| path.extension().is_some_and(|end| end == "yaml");
    let mut found: Vec<_> = entries.filter(is_yaml).collect();
    found.sort();
    assert!(found.len() >= 10, "{found:?}");
    found
}

#[test]
fn every_scenario_gives_the_report_that_was_reviewed() {
    let bless = std::env::var_os("SEAWALL_BLESS").is_some();
    let mut wrong = Vec::new();
    for path in scenarios() {
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let File(scenario) = load_file(&path).unwrap_or_else(|error| panic!("{error}"));
        assert!(!scenario.expect.is_empty(), "{name} expects nothing");
        let report = run(&scenario).unwrap();
        let text = format!("{}\n\n{report}", scenario.description);
        if !report.passed() {
            wrong.push(format!("{name}: an expectation is not met\n{text}"));
        }
        let golden = folder().join("golden").join(format!("{name}.txt"));
        if bless {
            fs::write(&golden, &text).unwrap();
        } else if fs::read_to_string(&golden).unwrap_or_default() != text {
            wrong.push(format!("{name}: not what was reviewed, but\n{text}"));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let File(scenario) = load_file(&folder().join("outage.yaml")).unwrap();
    let report = run(&scenario).unwrap();
    assert_eq!(report, run(&scenario).unwrap());
    assert_ne!(report, run(&Scenario { seed: 2, ..scenario }).unwrap());
}
