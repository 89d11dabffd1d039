//! Mistakes of single fields and mistakes across fields come at once, and none twice.

#![allow(clippy::unwrap_used, reason = "a test may panic")]

use schemars::JsonSchema;
use seawall_config::{Document, Format, Report, load_str};
use serde::Deserialize;

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
struct Fleet {
    flagship: String,
    ships: Vec<Ship>,
    #[schemars(range(max = 10))]
    speed: u32,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
#[schemars(extend("required" = ["name"]))]
struct Ship {
    name: String,
    #[schemars(range(min = 1))]
    crew: u32,
}

impl Document for Fleet {
    fn check(&self, report: &mut Report<'_>) {
        if !self.ships.iter().any(|ship| ship.name == self.flagship) {
            report.error("flagship", "no ship has this name", "name one of the ships");
        }
        if self.ships.is_empty() {
            report.error("ships", "there are no ships", "add one");
        }
        for (at, ship) in self.ships.iter().enumerate() {
            report.within(format!("ships[{at}]"), |report| {
                if ship.name.is_empty() {
                    report.error("name", "the name is empty", "");
                }
                if ship.crew == 0 {
                    report.error("crew", "nobody is on board", "");
                }
            });
        }
    }
}

fn check(text: &str, expected: &[&str]) {
    let mistakes = load_str::<Fleet>("f", text, Format::Yaml).unwrap_err();
    let told: Vec<String> = mistakes.to_string().lines().map(str::to_owned).collect();
    assert_eq!(told, expected, "{text}");
}

#[test]
fn both_kinds_are_reported_together() {
    check(
        "flagship: Ada\nspeed: 11\nships: [{ name: Bea, crew: 3 }]\n",
        &[
            "f:1:11: flagship: no ship has this name; name one of the ships",
            "f:2:8: speed: 11 is too large; write a whole number from 0 to 10",
        ],
    );
}

#[test]
fn a_refused_value_is_reported_once() {
    // The missing name and the empty crew are told once, by the schema.
    check(
        "flagship: Ada\nships: [{ name: Ada, crew: 0 }, { crew: 2 }]\n",
        &[
            "f:2:28: ships[0].crew: 0 is too small; write a whole number of 1 or more",
            "f:2:33: ships[1].name: missing field `name`; write text",
        ],
    );
}

#[test]
fn a_refused_element_takes_its_list_along_and_nothing_is_said_of_the_list() {
    check(
        "flagship: ''\nships: [3, { name: Ada, crew: 1 }]\nsped: 2\n",
        &[
            "f:1:11: flagship: no ship has this name; name one of the ships",
            "f:2:9: ships[0]: 3 is not a mapping; write a mapping with the fields crew, name",
            "f:3:1: sped: unknown field `sped`; did you mean `speed`? known: flagship, ships, speed",
        ],
    );
}
