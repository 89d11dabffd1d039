//! `seawall breakers`: circuits as they are, reset, forced.

use crate::{
    failure::{Ended, Failure},
    length, output,
    output::{Paint, Tone},
    remote::{Remote, Reply, part},
    table::{Cell, Table},
};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use seawall_server::wire::{CircuitBreakerView, CircuitBreakers, StateChange};
use serde_json::{Value, json};
use std::{process::ExitCode, time::Duration};

/// Arguments of `breakers`.
#[derive(Debug, Args)]
pub(crate) struct Breakers {
    #[command(subcommand)]
    command: Command,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// All circuit breakers, those that are not closed or do not act first
    List,
    /// One circuit breaker in full
    Show {
        /// The operation's name
        name: String,
    },
    /// Closes a circuit and forgets what it counted; ends a forced state
    Reset {
        /// The operation's name
        name: String,
    },
    /// Forces a state: open refuses every call; closed lets every call pass; disabled also counts nothing
    Force {
        /// The operation's name
        name: String,
        /// What it shall be; `auto` lets the circuit decide again
        #[arg(value_enum)]
        state: Forced,
        /// Why: who comes later reads it
        #[arg(long, required_if_eq_any = [
            ("state", "open"), ("state", "closed"), ("state", "disabled"),
        ])]
        reason: Option<String>,
        /// How long, such as 10m; without it, until somebody ends it
        #[arg(long = "for", value_name = "LENGTH", value_parser = length::parse)]
        length: Option<Duration>,
    },
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Forced {
    Open,
    Closed,
    Disabled,
    Auto,
}

impl Breakers {
    pub(crate) fn run(self) -> Ended {
        let (remote, root) = (&self.remote, "/circuit-breakers");
        match &self.command {
            Command::List => {
                self.shown(&remote.read(root)?, |reply, paint| list(&reply.read, paint))
            }
            Command::Show { name } => {
                self.shown(&remote.read(&format!("{root}/{}", part(name)))?, one)
            }
            Command::Reset { name } => {
                let path = format!("{root}/{}/reset", part(name));
                let reply = remote.send(&Method::POST, &path, None)?;
                self.shown(&reply, |reply, paint| change(&reply.read, paint))
            }
            Command::Force { name, state, reason, length } => {
                let path = format!("{root}/{}/force", part(name));
                let asked = force(*state, reason.as_deref(), *length);
                let reply = remote.send(&Method::POST, &path, Some(&asked))?;
                self.shown(&reply, |reply, paint| change(&reply.read, paint))
            }
        }?;
        Ok(ExitCode::SUCCESS)
    }

    fn shown<T>(
        &self,
        reply: &Reply<T>,
        text: fn(&Reply<T>, Paint) -> String,
    ) -> Result<(), Failure> {
        if self.json {
            return output::json(&reply.json);
        }
        output::write(&text(reply, Paint::of_stdout()))
    }
}

fn force(state: Forced, reason: Option<&str>, length: Option<Duration>) -> Value {
    let state = state.to_possible_value().map(|value| value.get_name().to_owned());
    let mut asked = json!({ "state": state, "reason": reason.unwrap_or("") });
    if let Some(length) = length {
        // Whole seconds, and not fewer than asked for.
        asked["seconds"] = json!(length.as_secs() + u64::from(length.subsec_nanos() > 0));
    }
    asked
}

fn state(breaker: &CircuitBreakerView) -> Cell {
    let (tone, words) = Tone::of_circuit(&breaker.state, &breaker.mode);
    Cell::toned(tone, words)
}

/// Whether nothing is to be said of it: closed, and acting.
fn is_quiet(breaker: &CircuitBreakerView) -> bool {
    breaker.state == "closed" && matches!(breaker.mode.as_str(), "" | "enforce")
}

/// How many there are of each: `1 closed, 1 forced closed, 1 open (shadow)`; closed and open ones also where there
/// are none.
fn tally<'b>(breakers: impl Iterator<Item = &'b CircuitBreakerView>) -> String {
    let mut counts = std::collections::BTreeMap::from([("closed".into(), 0), ("open".into(), 0)]);
    for breaker in breakers {
        *counts.entry(Tone::of_circuit(&breaker.state, &breaker.mode).1).or_insert(0) += 1;
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

fn one(reply: &Reply<CircuitBreakerView>, paint: Paint) -> String {
    let mut table = Table::new(&["", ""]);
    table.row(vec![Cell::text("name"), Cell::text(&reply.read.name)]);
    table.row(vec![Cell::text("state"), state(&reply.read)]);
    for (path, value) in seawall_config::leaves(&reply.json) {
        if !matches!(&*path, "name" | "state" | "mode") && !value.is_null() {
            table.row(vec![Cell::text(path), Cell::text(crate::table::shown(&value))]);
        }
    }
    table.text(paint)
}

fn change(change: &StateChange, paint: Paint) -> String {
    let word = |state: &str| paint.tone(Tone::of_state(state), &output::plain(state));
    format!(
        "{}: {} → {}: {}\n",
        output::plain(&change.name),
        word(&change.old_state),
        word(&change.new_state),
        output::plain(&change.message)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn states_stand_with_their_modes_and_all_are_counted() {
        let of = |(name, state, mode): (&str, &str, &str)| {
            let view = json!({ "name": name, "state": state, "mode": mode, "failure_count": 0,
                "recovery_timeout": 1.0, "openings_in_a_row": 0, "refuses": false,
                "metrics": { "total_calls": 0, "successful_calls": 0, "failed_calls": 0, "timed_out_calls": 0,
                    "caller_faults": 0, "rejected_calls": 0, "opens": 0, "half_opens": 0, "closes": 0 } });
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
        let asked = force(Forced::Open, Some("a test"), Some(Duration::from_millis(1500)));
        assert_eq!(asked, json!({ "state": "open", "reason": "a test", "seconds": 2 }));
        assert_eq!(force(Forced::Auto, None, None), json!({ "state": "auto", "reason": "" }));
    }
}
