//! `seawall check FILE`: everything that is wrong at once, each with its line, its path and what would be right.

use crate::{
    failure::{Ended, Failure::Unusable},
    file, output,
    output::{Paint, Tone, plain},
};
use clap::{Args, ValueEnum};
use seawall_config::{LoadError, Mistake, Severity};
use serde_json::json;
use std::{path::PathBuf, process::ExitCode};

mod sarif;

/// Arguments of `check`.
#[derive(Debug, Args)]
#[command(
    after_help = "Exit codes: 0 it can be used; 1 it has errors, or warnings with --strict; \
    2 it cannot be read."
)]
pub(crate) struct Check {
    /// The configuration file (YAML, JSON or TOML, by its ending)
    file: PathBuf,
    /// The format of the report; code hosts and editors read `sarif`
    #[arg(long, value_enum, default_value_t)]
    format: Form,
    /// Print JSON, as `--format json` does
    #[arg(long, conflicts_with = "format")]
    json: bool,
    /// The environment whose section is used; all others are checked, too
    #[arg(long, env = "SEAWALL_ENV", value_parser = file::environments())]
    env: Option<String>,
    /// Treat warnings as errors
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Form {
    #[default]
    Text,
    Json,
    Sarif,
}

impl Check {
    pub(crate) fn run(self) -> Ended {
        let found: Vec<Mistake> = match file::inputs(&self.file, self.env.as_deref()).check() {
            Ok(loaded) => loaded.warnings.into_iter().collect(),
            Err(LoadError::Mistakes(mistakes)) => mistakes.into_iter().collect(),
            Err(error) => {
                let advice =
                    "docs/gateway.md shows a file to start from; `seawall demo` needs none";
                return Err(Unusable(format!("{error}\n{advice}")));
            }
        };
        let (errors, warnings): (Vec<&Mistake>, Vec<&Mistake>) =
            found.iter().partition(|mistake| mistake.severity == Severity::Error);
        let valid = errors.is_empty() && (warnings.is_empty() || !self.strict);
        let file = self.file.display().to_string();
        match if self.json { Form::Json } else { self.format } {
            Form::Text => output::write(&text(&file, &errors, &warnings))?,
            Form::Json => output::json(&json!({
                "file": file, "valid": valid, "errors": errors, "warnings": warnings,
            }))?,
            Form::Sarif => output::json(&sarif::report(&found))?,
        }
        Ok(if valid { ExitCode::SUCCESS } else { ExitCode::FAILURE })
    }
}

fn text(file: &str, errors: &[&Mistake], warnings: &[&Mistake]) -> String {
    let paint = Paint::of_stdout();
    let mut text = String::new();
    for mistake in errors.iter().chain(warnings) {
        let tone = match mistake.severity {
            Severity::Error => Tone::Bad,
            Severity::Warning => Tone::Warning,
        };
        let line = plain(&mistake.to_string());
        // The place in the tone, the rest as it is: it is the longer part, and is to be read.
        let (place, rest) = line.split_once(": ").unwrap_or((&line, ""));
        text += &format!("{}: {rest}\n", paint.tone(tone, place));
    }
    let count = |number: usize, one: &str, many: &str| match number {
        1 => format!("1 {one}"),
        number => format!("{number} {many}"),
    };
    let sum = match (errors.len(), warnings.len()) {
        (0, 0) => "no mistakes".to_owned(),
        (0, warnings) => count(warnings, "warning", "warnings"),
        (errors, 0) => count(errors, "error", "errors"),
        (errors, warnings) => format!(
            "{}, {}",
            count(errors, "error", "errors"),
            count(warnings, "warning", "warnings")
        ),
    };
    text + &format!("{}: {sum}\n", plain(file))
}
