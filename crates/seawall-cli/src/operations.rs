//! `seawall operations`: what each did, its policies in order with the origin of every value, and their modes.

use crate::{
    failure::{Ended, Failure},
    output,
    output::{Paint, Tone},
    remote::{Remote, part},
    table::{Cell, Table, shown},
};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::{Value, json};
use std::process::ExitCode;

/// Arguments of `operations`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Operations {
    #[command(subcommand)]
    command: Option<Command>,
    /// One operation in full; left out: all. `--` before it if it is called as a subcommand
    name: Option<String>,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lets the policies of one type act, only speak, or rest, until the configuration changes
    Mode {
        /// The operation's name
        name: String,
        /// The policy's type: `retry`, `circuit_breaker` …
        policy: String,
        /// `enforce` acts, `shadow` says what it would do, `off` is as if it were not there
        #[arg(value_enum)]
        mode: Mode,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Mode {
    Enforce,
    Shadow,
    Off,
}

impl Operations {
    pub(crate) fn run(self) -> Ended {
        let paint = Paint::of_stdout();
        let (answer, text) = match (&self.command, &self.name) {
            (Some(Command::Mode { name, policy, mode }), _) => {
                let mode = mode.to_possible_value().map(|value| value.get_name().to_owned());
                let asked = json!({ "policy": policy, "mode": mode });
                let path = format!("/operations/{}/mode", part(name));
                let answer = self.remote.send(&Method::PUT, &path, Some(&asked))?;
                let text = changed(&answer);
                (answer, text)
            }
            (None, Some(name)) => {
                let answer = self.remote.read(&format!("/operations/{}", part(name)))?;
                let text = one(&answer, paint);
                (answer, text)
            }
            (None, None) => {
                let all = self.all()?;
                let text = list(&all, paint);
                (json!(all), text)
            }
        };
        if self.json { output::json(&answer) } else { output::write(&text) }?;
        Ok(ExitCode::SUCCESS)
    }

    /// All pages.
    fn all(&self) -> Result<Vec<Value>, Failure> {
        let mut all = Vec::new();
        let mut after = String::new();
        loop {
            let page = self.remote.read(&format!("/operations?limit=1000{after}"))?;
            all.extend(page["operations"].as_array().cloned().unwrap_or_default());
            match page["next"].as_str() {
                Some(next) => after = format!("&after={}", part(next)),
                None => return Ok(all),
            }
        }
    }
}

fn percent(share: &Value) -> String {
    share.as_f64().map_or_else(|| "-".into(), |share| format!("{:.2} %", share * 100.0))
}

fn circuit(state: &Value) -> Cell {
    let state = state.as_str().unwrap_or("-");
    Cell::toned(Tone::of_state(state), state)
}

fn list(all: &[Value], paint: Paint) -> String {
    if all.is_empty() {
        return "there are no operations\n".into();
    }
    let mut table = Table::new(&["name", "circuit", "calls", "successes", "strategy", "policies"]);
    for operation in all {
        let policies = operation["policies"].as_array().into_iter().flatten();
        let policies: Vec<String> = policies.map(shown).collect();
        let mut policies = policies.join(" → ");
        if operation["repeats_paused"] == true {
            policies += "  (retries paused)";
        }
        table.row(vec![
            Cell::value(&operation["name"]),
            circuit(&operation["circuit"]),
            Cell::value(&operation["total_calls"]),
            Cell::number(percent(&operation["success_rate"])),
            Cell::value(&operation["strategy"]),
            Cell::text(policies),
        ]);
    }
    table.text(paint)
}

fn one(operation: &Value, paint: Paint) -> String {
    let metrics = &operation["metrics"];
    let mut text = String::new();
    let name = operation["name"].as_str().unwrap_or("");
    text += &format!("{}\n", paint.tone(Tone::Strong, &output::plain(name)));
    let mut head = Table::new(&["", ""]);
    head.row(vec![Cell::text("strategy"), Cell::text(shown(&operation["strategy"]))]);
    head.row(vec![Cell::text("circuit"), circuit(&operation["circuit_breaker"]["state"])]);
    head.row(vec![Cell::text("calls"), Cell::text(shown(&metrics["total_calls"]))]);
    head.row(vec![Cell::text("successes"), Cell::text(percent(&metrics["success_rate"]))]);
    head.row(vec![Cell::text("attempts"), Cell::text(shown(&metrics["attempts"]))]);
    head.row(vec![Cell::text("p95"), Cell::text(milliseconds(&metrics["latency_ms"]["p95"]))]);
    let paused = if operation["repeats_paused"] == true { "paused" } else { "allowed" };
    head.row(vec![Cell::text("retries"), Cell::text(paused)]);
    text += &head.text(paint);
    text += "\npolicies, outermost first\n";
    for policy in operation["policies"].as_array().into_iter().flatten() {
        let mode = policy["mode"].as_str().unwrap_or("-");
        let tone = if mode == "enforce" { Tone::Usual } else { Tone::Warning };
        let kind = output::plain(&shown(&policy["type"]));
        let mode = paint.tone(tone, &output::plain(mode));
        text += &format!(
            "{} {} ({mode})\n",
            shown(&policy["position"]),
            paint.tone(Tone::Strong, &kind)
        );
        let mut values = Table::new(&["", "", ""]);
        for value in policy["values"].as_array().into_iter().flatten() {
            values.row(vec![
                Cell::text(format!("    {}", shown(&value["field"]))),
                Cell::text(shown(&value["value"])),
                Cell::toned(Tone::Quiet, format!("({})", shown(&value["origin"]))),
            ]);
        }
        text += &values.text(paint);
    }
    text
}

fn milliseconds(value: &Value) -> String {
    value.as_f64().map_or_else(|| "-".into(), |ms| format!("{ms:.1} ms"))
}

fn changed(answer: &Value) -> String {
    let text = |field: &str| output::plain(&shown(&answer[field]));
    format!(
        "{}: {} is on {} now ({} changed)\n",
        text("name"),
        text("policy"),
        text("mode"),
        text("changed")
    )
}
