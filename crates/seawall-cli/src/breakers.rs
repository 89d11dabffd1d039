//! `seawall breakers`: circuits as they are, reset, forced.

use crate::{
    failure::Ended,
    length, output,
    output::{Paint, Tone},
    remote::{Server, part, word},
    table::{Cell, Table},
};
use clap::{Args, Subcommand};
use http::Method;
use seawall::{Mode, State};
use seawall_server::wire::{
    CircuitBreakerView, CircuitBreakers, ForceRequest, ForcedState, StateChange,
};
use serde_json::json;
use std::{process::ExitCode, time::Duration};

/// Arguments of `breakers`.
#[derive(Debug, Args)]
pub(crate) struct Breakers {
    #[command(subcommand)]
    command: Command,
    #[command(flatten)]
    server: Server,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists all circuit breakers; those that are not closed or do not enforce come first
    List,
    /// Shows one circuit breaker in full
    Show {
        /// The name of the operation
        name: String,
    },
    /// Closes a circuit and forgets what it counted; ends a forced state
    Reset {
        /// The name of the operation
        name: String,
    },
    /// Forces a state: open refuses every call; closed lets every call pass; disabled also counts nothing
    Force {
        /// The name of the operation
        name: String,
        /// The state to force; `auto` lets the circuit decide again
        #[arg(value_parser = word::<ForcedState>(["open", "closed", "disabled", "auto"]))]
        state: ForcedState,
        /// The reason, for those who look at the circuit later; needed unless the state is `auto`
        #[arg(long, required_if_eq_any = [
            ("state", "open"), ("state", "closed"), ("state", "disabled"),
        ])]
        reason: Option<String>,
        /// How long the state lasts, such as 10m; without it, until it is ended by hand
        #[arg(long = "for", value_name = "LENGTH", value_parser = length::parse)]
        length: Option<Duration>,
    },
}

impl Breakers {
    pub(crate) fn run(self) -> Ended {
        let (server, remote) = (&self.server, &self.server.remote);
        let at = |name: &str| format!("/circuit-breakers/{}", part(name));
        match self.command {
            Command::List => server.show(&remote.read("/circuit-breakers")?, list),
            Command::Show { name } => server.show(&remote.read(&at(&name))?, one),
            Command::Reset { name } => {
                server.show(&remote.post(&format!("{}/reset", at(&name)))?, change)
            }
            Command::Force { name, state, reason, length } => {
                let request = force(state, reason, length);
                let path = format!("{}/force", at(&name));
                server.show(&remote.send(&Method::POST, &path, &request)?, change)
            }
        }?;
        Ok(ExitCode::SUCCESS)
    }
}

fn force(state: ForcedState, reason: Option<String>, length: Option<Duration>) -> ForceRequest {
    // Whole seconds, and not fewer than asked for.
    let seconds = length.map(|length| length.as_secs() + u64::from(length.subsec_nanos() > 0));
    ForceRequest { state, reason: reason.unwrap_or_default(), seconds }
}

fn state(breaker: &CircuitBreakerView) -> Cell {
    let (tone, words) = Tone::of_circuit(breaker.state, breaker.mode);
    Cell::toned(tone, words)
}

/// Whether the circuit breaker needs no attention: it is closed, and enforces.
fn is_quiet(breaker: &CircuitBreakerView) -> bool {
    breaker.state == State::Closed && breaker.mode == Mode::Enforce
}

/// Counts the circuits of each state: `1 closed, 1 forced closed, 1 open (shadow)`; closed and open ones are listed
/// also if there are none.
fn tally<'b>(breakers: impl Iterator<Item = &'b CircuitBreakerView>) -> String {
    let mut counts = std::collections::BTreeMap::from([("closed".into(), 0), ("open".into(), 0)]);
    for breaker in breakers {
        *counts.entry(Tone::of_circuit(breaker.state, breaker.mode).1).or_insert(0) += 1;
    }
    let each = counts.iter().map(|(words, count)| format!("{count} {}", output::plain(words)));
    each.collect::<Vec<_>>().join(", ")
}

fn list(all: &CircuitBreakers, paint: Paint) -> String {
    if all.circuit_breakers.is_empty() {
        return "no operation has a circuit breaker\n".into();
    }
    let mut table =
        Table::new(&["name", "state", "failures", "broken since", "next probe at", "why"]);
    let mut breakers: Vec<(&String, &CircuitBreakerView)> = all.circuit_breakers.iter().collect();
    breakers.sort_by_key(|(name, breaker)| (is_quiet(breaker), *name));
    for (name, breaker) in &breakers {
        let failures = match breaker.threshold {
            Some(threshold) => format!("{}/{threshold}", breaker.failure_count),
            None => breaker.failure_count.to_string(),
        };
        table.row(vec![
            Cell::text(name),
            state(breaker),
            Cell::number(failures),
            Cell::maybe(breaker.broken_since.as_deref()),
            Cell::maybe(breaker.next_probe_at.as_deref()),
            Cell::maybe(breaker.why.as_deref()),
        ]);
    }
    let tally = tally(breakers.iter().map(|(_, breaker)| *breaker));
    format!("{}{} circuit breakers: {tally}\n", table.text(paint), breakers.len())
}

fn one(breaker: &CircuitBreakerView, paint: Paint) -> String {
    let mut table = Table::new(&["", ""]);
    table.row(vec![Cell::text("name"), Cell::text(&breaker.name)]);
    table.row(vec![Cell::text("state"), state(breaker)]);
    for (path, value) in seawall_config::leaves(&json!(breaker)) {
        if !matches!(&*path, "name" | "state" | "mode") && !value.is_null() {
            table.row(vec![Cell::text(path), Cell::text(crate::table::shown(&value))]);
        }
    }
    table.text(paint)
}

fn change(change: &StateChange, paint: Paint) -> String {
    let word = |state: State| paint.tone(Tone::of_state(state), state.label());
    format!(
        "{}: {} → {}: {}\n",
        output::plain(&change.name),
        word(change.old_state),
        word(change.new_state),
        output::plain(&change.message)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_stand_with_their_modes_and_all_are_counted() {
        let of = |(name, state, mode): (&str, &str, &str)| {
            let mut view = json!({ "name": name, "state": state, "mode": mode, "failure_count": 0,
                "recovery_timeout": 1.0, "openings_in_a_row": 0, "refuses": false,
                "metrics": { "total_calls": 0, "successful_calls": 0, "failed_calls": 0, "timed_out_calls": 0,
                    "caller_faults": 0, "rejected_calls": 0, "opens": 0, "half_opens": 0, "closes": 0 } });
            if mode.is_empty() {
                view.as_object_mut().unwrap().remove("mode");
            }
            (name.to_owned(), serde_json::from_value(view).unwrap())
        };
        let all = CircuitBreakers {
            circuit_breakers: [
                ("a", "closed", "enforce"),
                ("b", "forced_closed", "enforce"),
                ("c", "open", "shadow"),
                ("d", "closed", "off"),
                ("e", "half_open", "enforce"),
                ("f", "open", ""),
            ]
            .map(of)
            .into(),
            total_count: 6,
            healthy_count: 3,
            open_count: 1,
            half_open_count: 1,
            forced_count: 1,
            shadow_count: 1,
            off_count: 1,
        };
        let text = list(&all, Paint::NONE);
        let told = "6 circuit breakers: 1 closed, 1 forced closed, 1 half open, 1 off, 1 open, 1 open (shadow)";
        assert!(text.ends_with(&format!("{told}\n")), "{text}");
        let names: Vec<&str> =
            text.lines().skip(1).take(6).map(|line| line.split(' ').next().unwrap()).collect();
        assert_eq!(names, ["b", "c", "d", "e", "f", "a"]);
    }

    #[test]
    fn a_length_is_rounded_up_to_seconds() {
        let length = Some(Duration::from_millis(1500));
        let asked = json!(force(ForcedState::Open, Some("a test".into()), length));
        assert_eq!(asked, json!({ "state": "open", "reason": "a test", "seconds": 2 }));
        let asked = json!(force(ForcedState::Auto, None, None));
        assert_eq!(asked, json!({ "state": "auto", "reason": "" }));
    }
}
