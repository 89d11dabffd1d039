//! Every scenario of `scenarios/`: its expectations are met, and its report is, to the letter, the one that was
//! reviewed. `SEAWALL_BLESS=1` writes the reports again.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall::{PolicyConfig, RateLimiterConfig};
use seawall_config::{Document, Format, load_file, load_str};
use seawall_sim::{Expectation, Load, Phase, Range, Scenario, run};
use std::{fs, path::PathBuf, time::Duration};

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
fn the_scenario_in_the_guide_is_right() {
    let guide = include_str!("../../../docs/simulate.md");
    let block = guide.split("```yaml\n").nth(1).and_then(|rest| rest.split("```").next());
    let File(scenario) = load_str("docs/simulate.md", block.unwrap(), Format::Yaml).unwrap();
    let report = run(&scenario).unwrap();
    assert!(report.passed(), "{report}");
}

#[test]
fn wrong_scenarios_are_reported_by_field() {
    let phase = |at: u64| Phase { at: Duration::from_secs(at), ..Phase::default() };
    let range = Range { at_least: Some(1.0), ..Range::default() };
    let late = Range { from: Duration::from_secs(99), ..range.clone() };
    for (scenario, field) in [
        (Scenario { duration: Duration::ZERO, ..Scenario::default() }, "duration"),
        (Scenario { dependency: Vec::new(), ..Scenario::default() }, "dependency"),
        (Scenario { dependency: vec![phase(1)], ..Scenario::default() }, "dependency[0].at"),
        (
            Scenario { dependency: vec![phase(0), phase(0)], ..Scenario::default() },
            "dependency[1].at",
        ),
        (
            Scenario {
                alternative: vec![Phase { failures: 0.6, hangs: 0.6, ..Phase::default() }],
                ..Scenario::default()
            },
            "alternative[0].failures",
        ),
        (
            Scenario { load: Load { rate: 0.0, ..Load::default() }, ..Scenario::default() },
            "load.rate",
        ),
        (
            Scenario {
                load: Load { rate: 1e6, ..Load::default() },
                duration: Duration::from_secs(6),
                ..Scenario::default()
            },
            "load.rate",
        ),
        (
            Scenario { load: Load { keys: 0, ..Load::default() }, ..Scenario::default() },
            "load.keys",
        ),
        (
            Scenario { expect: vec![Expectation::Calls(Range::default())], ..Scenario::default() },
            "expect[0].calls.at_least",
        ),
        (
            Scenario { expect: vec![Expectation::Calls(late)], ..Scenario::default() },
            "expect[0].calls.from",
        ),
        (
            Scenario {
                expect: vec![Expectation::Circuit { at: Duration::ZERO, state: "shut".into() }],
                ..Scenario::default()
            },
            "expect[0].circuit.state",
        ),
    ] {
        let told = run(&scenario).unwrap_err().to_string();
        assert!(told.starts_with(&format!("{field}: ")), "{field} is not named first: {told}");
    }
}

#[test]
fn every_expectation_can_be_missed() {
    let never = |low: f64| Range { at_least: Some(low), ..Range::default() };
    let none = Range { at_most: Some(-1.0), ..Range::default() };
    let expect = vec![
        Expectation::SuccessRate(never(1.1)),
        Expectation::Calls(never(1e9)),
        Expectation::Rejections(never(1.0)),
        Expectation::P99Ms(never(1e9)),
        Expectation::Openings(never(1.0)),
        Expectation::Overtakings(none),
        Expectation::Circuit { at: Duration::from_secs(1), state: "open".into() },
    ];
    let report = run(&Scenario { expect, ..Scenario::default() }).unwrap();
    assert!(report.expectations.iter().all(|expectation| !expectation.met), "{report}");
    assert!(!report.passed());
    assert_eq!(report.executions, report.successes);
}

#[test]
fn the_same_seed_gives_the_same_run_and_another_one_another() {
    let File(scenario) = load_file(&folder().join("outage.yaml")).unwrap();
    let report = run(&scenario).unwrap();
    assert_eq!(report, run(&scenario).unwrap());
    assert_ne!(report, run(&Scenario { seed: 2, ..scenario }).unwrap());
}

#[test]
fn many_clients_have_limits_of_their_own() {
    let limit = RateLimiterConfig {
        rate: 1,
        per: Duration::from_secs(3_600),
        keyed: true,
        ..RateLimiterConfig::default()
    };
    let report = run(&Scenario {
        duration: Duration::from_secs(10),
        policies: vec![PolicyConfig::RateLimiter(limit)],
        load: Load { rate: 2_000.0, keys: 50_000, ..Load::default() },
        ..Scenario::default()
    })
    .unwrap();
    // Of 20 000 draws from 50 000 clients, 50 000 × (1 − 1/e^0.4) = 16 484 are the first of their client.
    let first = report.executions - report.rejected;
    assert!((16_200..16_800).contains(&first), "{first} of {} passed", report.executions);
}
