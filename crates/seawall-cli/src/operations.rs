//! `seawall operations`: what each did, its policies in order with the origin of every value, and their modes.

use crate::{
    failure::{Ended, Failure},
    output,
    output::{Paint, Tone},
    remote::{Reply, Server, part, word},
    table::{Cell, Table, shown},
};
use clap::{Args, Subcommand};
use http::Method;
use seawall::{Mode, State};
use seawall_server::wire::{
    ModeChange, ModeRequest, OperationDetail, OperationLine, Operations as Page, PolicyView,
};
use serde_json::Value;
use std::process::ExitCode;

/// Arguments of `operations`.
#[derive(Debug, Args)]
#[command(args_conflicts_with_subcommands = true)]
pub(crate) struct Operations {
    #[command(subcommand)]
    command: Option<Command>,
    /// The operation to show in full; left out: all. Write `--` before it if its name is that of a subcommand
    name: Option<String>,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Sets the mode of all policies of one type, until the configuration changes
    Mode {
        /// The name of the operation
        name: String,
        /// The type of the policies: `retry`, `circuit_breaker` …
        policy: String,
        /// The mode: `enforce` acts, `shadow` only reports what it would do, `off` leaves the policies out
        #[arg(value_parser = word::<Mode>(["enforce", "shadow", "off"]))]
        mode: Mode,
    },
}

impl Operations {
    pub(crate) fn run(self) -> Ended {
        let (server, remote) = (&self.server, &self.server.remote);
        match (&self.command, &self.name) {
            (Some(Command::Mode { name, policy, mode }), _) => {
                let request = ModeRequest { policy: policy.clone(), mode: *mode };
                let path = format!("/operations/{}/mode", part(name));
                server.show(&remote.send(&Method::PUT, &path, &request)?, changed)
            }
            (None, Some(name)) => {
                server.show(&remote.read(&format!("/operations/{}", part(name)))?, one)
            }
            (None, None) => server.show(&self.all()?, |lines, paint| list(lines, paint)),
        }?;
        Ok(ExitCode::SUCCESS)
    }

    /// Reads all pages of the list.
    fn all(&self) -> Result<Reply<Vec<OperationLine>>, Failure> {
        let (mut json, mut lines) = (Vec::new(), Vec::new());
        let mut after = String::new();
        loop {
            let path = format!("/operations?limit=1000{after}");
            let mut page: Reply<Page> = self.server.remote.read(&path)?;
            if let Some(Value::Array(all)) = page.json.get_mut("operations").map(Value::take) {
                json.extend(all);
            }
            let last = page.read.operations.last().map(|line| line.name.clone());
            lines.extend(page.read.operations);
            match page.read.next {
                None => return Ok(Reply { json: json.into(), read: lines }),
                // Anything else would be asked for again and again.
                Some(next) if Some(&next) == last.as_ref() => {
                    after = format!("&after={}", part(&next));
                }
                Some(next) => {
                    return Err(self
                        .server
                        .remote
                        .strange(&format!("next: {next:?}, not the last name")));
                }
            }
        }
    }
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "-".into(), |share| format!("{:.2} %", share * 100.0))
}

fn circuit(state: Option<State>, mode: Option<Mode>) -> Cell {
    let Some(state) = state else { return Cell::toned(Tone::Quiet, "-") };
    let (tone, words) = Tone::of_circuit(state, mode.unwrap_or_default());
    Cell::toned(tone, words)
}

fn list(all: &[OperationLine], paint: Paint) -> String {
    if all.is_empty() {
        return "there are no operations\n".into();
    }
    let mut table = Table::new(&["name", "circuit", "calls", "successes", "strategy", "policies"]);
    for operation in all {
        let mut policies = operation.policies.join(" → ");
        if operation.repeats_paused {
            policies += "  (retries paused)";
        }
        table.row(vec![
            Cell::text(&operation.name),
            circuit(operation.circuit, operation.circuit_mode),
            Cell::number(operation.total_calls.to_string()),
            Cell::number(percent(operation.success_rate)),
            Cell::maybe(operation.strategy.as_deref()),
            Cell::text(policies),
        ]);
    }
    table.text(paint)
}

fn one(operation: &OperationDetail, paint: Paint) -> String {
    let metrics = &operation.metrics;
    let state = operation.circuit_breaker.as_ref().map(|breaker| breaker.state);
    let mode = operation.circuit_breaker.as_ref().map(|breaker| breaker.mode);
    let mut text = format!("{}\n", paint.tone(Tone::Strong, &output::plain(&operation.name)));
    let mut head = Table::new(&["", ""]);
    head.row(vec![Cell::text("strategy"), Cell::maybe(operation.strategy.as_deref())]);
    head.row(vec![Cell::text("circuit"), circuit(state, mode)]);
    head.row(vec![Cell::text("calls"), Cell::text(metrics.counts.total_calls.to_string())]);
    head.row(vec![Cell::text("successes"), Cell::text(percent(metrics.success_rate))]);
    head.row(vec![Cell::text("attempts"), Cell::text(metrics.counts.attempts.to_string())]);
    head.row(vec![Cell::text("p95"), Cell::text(milliseconds(metrics.latency_ms.p95))]);
    let paused = if operation.repeats_paused { "paused" } else { "allowed" };
    head.row(vec![Cell::text("retries"), Cell::text(paused)]);
    text += &head.text(paint);
    text += "\npolicies, outermost first\n";
    operation.policies.iter().for_each(|policy| text += &policy_text(policy, paint));
    text
}

fn policy_text(policy: &PolicyView, paint: Paint) -> String {
    let tone = if policy.mode == Mode::Enforce { Tone::Usual } else { Tone::Warning };
    let kind = paint.tone(Tone::Strong, &output::plain(&policy.kind));
    let mode = paint.tone(tone, policy.mode.label());
    let mut values = Table::new(&["", "", ""]);
    for value in &policy.values {
        values.row(vec![
            Cell::text(format!("    {}", value.field)),
            Cell::text(shown(&value.value)),
            Cell::toned(Tone::Quiet, format!("({})", value.origin)),
        ]);
    }
    format!("{} {kind} ({mode})\n{}", policy.position, values.text(paint))
}

fn milliseconds(value: Option<f64>) -> String {
    value.map_or_else(|| "-".into(), |ms| format!("{ms:.1} ms"))
}

fn changed(change: &ModeChange, _: Paint) -> String {
    let [name, policy] = [&change.name, &change.policy].map(|text| output::plain(text));
    format!("{name}: {policy} is on {} now ({} changed)\n", change.mode.label(), change.changed)
}
