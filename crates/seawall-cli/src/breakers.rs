//! `seawall breakers`: circuits as they are, reset, forced.

use crate::{
    failure::{Ended, Failure},
    length, output,
    output::{Paint, Tone},
    remote::{Remote, part},
    table::{Cell, Table},
};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
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
    /// All circuit breakers, those that are not closed first
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
            Command::List => self.shown(&remote.read(root)?, list),
            Command::Show { name } => {
                self.shown(&remote.read(&format!("{root}/{}", part(name)))?, one)
            }
            Command::Reset { name } => {
                let path = format!("{root}/{}/reset", part(name));
                self.shown(&remote.send(&Method::POST, &path, None)?, change)
            }
            Command::Force { name, state, reason, length } => {
                let path = format!("{root}/{}/force", part(name));
                let asked = force(*state, reason.as_deref(), *length);
                self.shown(&remote.send(&Method::POST, &path, Some(&asked))?, change)
            }
        }?;
        Ok(ExitCode::SUCCESS)
    }

    fn shown(&self, answer: &Value, text: fn(&Value, Paint) -> String) -> Result<(), Failure> {
        if self.json {
            return output::json(answer);
        }
        output::write(&text(answer, Paint::of_stdout()))
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

fn state(breaker: &Value) -> Cell {
    let state = breaker["state"].as_str().unwrap_or("-");
    Cell::toned(Tone::of_state(state), state)
}

fn list(answer: &Value, paint: Paint) -> String {
    let mut table = Table::new(&["name", "state", "failures", "opened at", "next probe at", "why"]);
    let mut breakers: Vec<(&String, &Value)> =
        answer["circuit_breakers"].as_object().into_iter().flatten().collect();
    breakers.sort_by_key(|(name, breaker)| (breaker["state"] == "closed", *name));
    for (name, breaker) in breakers {
        let failures = match breaker["threshold"].as_u64() {
            Some(threshold) => format!("{}/{threshold}", breaker["failure_count"]),
            None => breaker["failure_count"].to_string(),
        };
        table.row(vec![
            Cell::text(name),
            state(breaker),
            Cell::number(failures),
            Cell::value(&breaker["broken_since"]),
            Cell::value(&breaker["next_probe_at"]),
            Cell::value(&breaker["why"]),
        ]);
    }
    if table.is_empty() {
        return "no operation has a circuit breaker\n".into();
    }
    let count = |field: &str| answer[field].as_u64().unwrap_or(0);
    format!(
        "{}{} circuit breakers: {} closed, {} open\n",
        table.text(paint),
        count("total_count"),
        count("healthy_count"),
        count("open_count")
    )
}

fn one(breaker: &Value, paint: Paint) -> String {
    let mut table = Table::new(&["", ""]);
    table.row(vec![Cell::text("name"), Cell::value(&breaker["name"])]);
    table.row(vec![Cell::text("state"), state(breaker)]);
    for (path, value) in seawall_config::leaves(breaker) {
        if !matches!(&*path, "name" | "state") && !value.is_null() {
            table.row(vec![Cell::text(path), Cell::text(crate::table::shown(&value))]);
        }
    }
    table.text(paint)
}

fn change(answer: &Value, paint: Paint) -> String {
    let word = |field: &str| {
        let state = answer[field].as_str().unwrap_or("-");
        paint.tone(Tone::of_state(state), &output::plain(state))
    };
    let text = |field: &str| output::plain(answer[field].as_str().unwrap_or(""));
    format!(
        "{}: {} → {}: {}\n",
        text("name"),
        word("old_state"),
        word("new_state"),
        text("message")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_is_rounded_up_to_seconds() {
        let asked = force(Forced::Open, Some("a test"), Some(Duration::from_millis(1500)));
        assert_eq!(asked, json!({ "state": "open", "reason": "a test", "seconds": 2 }));
        assert_eq!(force(Forced::Auto, None, None), json!({ "state": "auto", "reason": "" }));
    }
}
