//! `seawall alerts`: what is raised, and who takes care of it.

use crate::{
    failure::Ended,
    output,
    output::{Paint, Tone},
    remote::Remote,
    table::{Cell, Table, shown},
};
use clap::{Args, Subcommand, ValueEnum};
use http::Method;
use serde_json::Value;
use std::process::ExitCode;

/// Arguments of `alerts`.
#[derive(Debug, Args)]
pub(crate) struct Alerts {
    #[command(subcommand)]
    command: Option<Command>,
    /// Only those of this level
    #[arg(long, value_enum)]
    level: Option<Level>,
    /// How many, the latest first
    #[arg(long, default_value_t = 50, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
    /// Print JSON
    #[arg(long, global = true)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Says that you take care of it
    Acknowledge {
        /// The alert's number
        id: u64,
    },
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Info,
    Warning,
    Error,
    Critical,
}

impl Alerts {
    pub(crate) fn run(self) -> Ended {
        let root = "/monitoring/alerts";
        let (answer, text) = match self.command {
            Some(Command::Acknowledge { id }) => {
                let path = format!("{root}/{id}/acknowledge");
                let answer = self.remote.send(&Method::POST, &path, None)?;
                let text = acknowledged(&answer);
                (answer, text)
            }
            None => {
                let level = self.level.and_then(|level| level.to_possible_value());
                let level = level.map(|level| format!("&level={}", level.get_name()));
                let limit = self.limit;
                let path = format!("{root}?max_alerts={limit}{}", level.unwrap_or_default());
                let answer = self.remote.read(&path)?;
                let text = list(&answer, Paint::of_stdout());
                (answer, text)
            }
        };
        if self.json { output::json(&answer) } else { output::write(&text) }?;
        Ok(ExitCode::SUCCESS)
    }
}

fn list(answer: &Value, paint: Paint) -> String {
    let mut table = Table::new(&["id", "level", "since", "until", "operation", "what", "taken by"]);
    for alert in answer["alerts"].as_array().into_iter().flatten() {
        let lasts = alert["ended_at"].is_null();
        let level = alert["level"].as_str().unwrap_or("-");
        let tone = if lasts { Tone::of_level(level) } else { Tone::Quiet };
        table.row(vec![
            Cell::value(&alert["id"]),
            Cell::toned(tone, level),
            Cell::value(&alert["started_at"]),
            if lasts { Cell::toned(tone, "it lasts") } else { Cell::value(&alert["ended_at"]) },
            Cell::value(&alert["operation"]),
            Cell::value(&alert["description"]),
            Cell::value(&alert["acknowledged_by"]),
        ]);
    }
    if table.is_empty() { "no alerts\n".into() } else { table.text(paint) }
}

fn acknowledged(alert: &Value) -> String {
    let text = |field: &str| output::plain(&shown(&alert[field]));
    format!("alert {} ({}) is taken by {}\n", text("id"), text("title"), text("acknowledged_by"))
}
