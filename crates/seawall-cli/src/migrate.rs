//! `seawall migrate`: from the variables of former systems to a preset and what differs from it.

use crate::{
    failure::{Ended, Failure, Failure::Unusable},
    output,
    output::{Paint, Tone, plain},
    table::{Cell, Table},
};
use clap::Args;
use seawall_presets::{
    legacy::{self, Legacy},
    migrate::{self, Target},
};
use serde_json::json;
use std::{
    collections::BTreeMap,
    fs,
    io::{ErrorKind, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

/// Arguments of `migrate`.
#[derive(Debug, Args)]
#[command(
    after_help = "Without --to, the result is shown: the variables that were found, and the preset that they mean."
)]
pub(crate) struct Migrate {
    /// Read the variables from this `.env` file, not from the environment of this process
    #[arg(long)]
    from: Option<PathBuf>,
    /// Write the result in this format: bash, env, docker, kubernetes or yaml
    #[arg(long, value_name = "FORMAT")]
    to: Option<Target>,
    /// Write the result to this file, which must not exist
    #[arg(long, requires = "to")]
    output: Option<PathBuf>,
    /// Overwrite the file if it exists
    #[arg(long, requires = "output")]
    force: bool,
    /// Print JSON instead of text
    #[arg(long, conflicts_with = "to")]
    json: bool,
}

impl Migrate {
    pub(crate) fn run(self) -> Ended {
        let variables = match &self.from {
            Some(file) => read(file)?,
            None => of_process(),
        };
        let legacy = legacy::analyze(&variables);
        match (self.to, &self.output) {
            (Some(target), Some(file)) => {
                self.save(file, &migrate::write(&legacy, &variables, target))?;
                eprintln!("written to {}", file.display());
                legacy.problems.iter().for_each(|told| eprintln!("skipped: {}", plain(told)));
            }
            (Some(target), None) => output::write(&migrate::write(&legacy, &variables, target))?,
            (None, _) if self.json => output::json(&json!(legacy))?,
            (None, _) => output::write(&analysis(&legacy))?,
        }
        Ok(ExitCode::SUCCESS)
    }

    fn save(&self, file: &Path, text: &str) -> Result<(), Failure> {
        let mut options = fs::OpenOptions::new();
        options.write(true).create(true).truncate(true);
        if !self.force {
            options.create_new(true);
        }
        let written = options.open(file).and_then(|mut file| file.write_all(text.as_bytes()));
        written.map_err(|error| match error.kind() {
            ErrorKind::AlreadyExists => {
                Unusable(format!("{} is there already; --force writes over it", file.display()))
            }
            _ => Unusable(format!("cannot write {}: {error}", file.display())),
        })
    }
}

fn read(file: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let text = fs::read_to_string(file)
        .map_err(|error| Unusable(format!("cannot read {}: {error}", file.display())))?;
    legacy::read_env_file(&text).map_err(|wrong| {
        let lines: Vec<String> =
            wrong.iter().map(|told| format!("{}: {}", file.display(), plain(told))).collect();
        Unusable(lines.join("\n"))
    })
}

fn of_process() -> BTreeMap<String, String> {
    // A name or a value that is not UTF-8 is none of ours.
    std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect()
}

fn analysis(legacy: &Legacy) -> String {
    let paint = Paint::of_stdout();
    let title = |text: &str| format!("\n{}\n", paint.tone(Tone::Strong, text));
    let mut text = format!(
        "{} fits best: score {:.3}, confidence {}\n{}\n",
        paint.tone(Tone::Strong, &format!("preset {}", legacy.recommended_preset)),
        legacy.score,
        json!(legacy.confidence).as_str().unwrap_or(""),
        plain(&legacy.reasoning),
    );
    if !legacy.found.is_empty() {
        let mut table = Table::new(&["variable", "value", "what becomes of it"]);
        for found in &legacy.found {
            table.row(vec![
                Cell::text(&found.variable),
                Cell::text(&found.value),
                Cell::text(&found.explanation),
            ]);
        }
        text += &format!("{}{}", title("found"), table.text(paint));
    }
    if !legacy.custom_overrides.is_empty() {
        text += &title("what differs from the preset");
        for (path, value) in seawall_config::leaves(&json!(legacy.custom_overrides)) {
            text += &format!("  {path}: {}\n", plain(&crate::table::shown(&value)));
        }
    }
    for (name, tone, lines) in [
        ("skipped", Tone::Bad, &legacy.problems),
        ("look at", Tone::Warning, &legacy.warnings),
        ("to do", Tone::Usual, &legacy.migration_steps),
    ] {
        if !lines.is_empty() {
            text += &title(name);
        }
        for line in lines {
            text += &format!("  {}\n", paint.tone(tone, &plain(line)));
        }
    }
    text + "\n`--to bash|env|docker|kubernetes|yaml` writes it out.\n"
}
