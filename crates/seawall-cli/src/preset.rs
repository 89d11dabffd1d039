//! `seawall preset`: which there are, what they say, and which fits.

use crate::{
    failure::{Ended, Failure, Failure::Unusable},
    file, output,
    output::{Paint, Tone},
    table::{Cell, Table},
};
use clap::{Args, Subcommand};
use seawall::{Catalog, Preset};
use seawall_presets::{
    detect::{Detection, Surroundings, detect},
    recommend::{Recommendation, recommend},
};
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

/// Arguments of `preset`.
#[derive(Debug, Args)]
pub(crate) struct Presets {
    #[command(subcommand)]
    command: Command,
    /// A configuration file with presets of its own
    #[arg(long, global = true)]
    config: Option<PathBuf>,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists all presets
    List,
    /// Shows one preset in full, with the policies it stands for
    Show {
        /// The name of the preset
        name: String,
    },
    /// Recommends a preset for an environment, with the reason
    Recommend {
        /// The name of the environment, such as `staging` or `web-prod-1`; left out: it is detected
        environment: Option<String>,
    },
}

impl Presets {
    pub(crate) fn run(self) -> Ended {
        let catalog = file::load_or_default(self.config.as_deref())?.catalog();
        match &self.command {
            Command::List => self.list(&catalog),
            Command::Show { name } => self.show(name, &catalog),
            Command::Recommend { environment: Some(name) } => {
                let found = recommend(name, &catalog);
                if self.json {
                    output::json(&found)
                } else {
                    output::write(&recommendation_text(&found))
                }
            }
            Command::Recommend { environment: None } => self.detect(),
        }?;
        Ok(ExitCode::SUCCESS)
    }

    fn list(&self, catalog: &Catalog) -> Result<(), Failure> {
        let all = catalog.presets();
        if self.json {
            return output::json(&all);
        }
        let mut table =
            Table::new(&["name", "attempts", "threshold", "recovery", "strategy", "for"]);
        for preset in all {
            table.row(vec![
                Cell::text(&preset.name),
                Cell::number(preset.retry_attempts.to_string()),
                Cell::number(preset.circuit_breaker_threshold.to_string()),
                Cell::number(format!("{} s", preset.recovery_timeout)),
                Cell::text(&preset.default_strategy),
                Cell::text(preset.environment_contexts.join(", ")),
            ]);
        }
        output::write(&table.text(Paint::of_stdout()))
    }

    fn show(&self, name: &str, catalog: &Catalog) -> Result<(), Failure> {
        let Some(preset) = catalog.preset(name) else {
            let known: Vec<&str> =
                catalog.presets().into_iter().map(|preset| preset.name.as_str()).collect();
            return Err(Unusable(unknown("preset", name, &known)));
        };
        let policies = preset.settings(&seawall::Override::default()).own_policies();
        if self.json {
            let mut value = json!(preset);
            value["policies"] = json!(policies);
            return output::json(&value);
        }
        output::write(&shown(preset, &json!(policies)))
    }

    fn detect(&self) -> Result<(), Failure> {
        let found = detect(&Surroundings::of_process());
        if self.json {
            return output::json(&found);
        }
        let Detection { recommendation, signs, .. } = &found;
        let mut text = recommendation_text(recommendation);
        if !signs.is_empty() {
            let mut table = Table::new(&["sign", "tells of", "confidence"]);
            for sign in signs {
                table.row(vec![
                    Cell::text(&sign.source),
                    Cell::text(&sign.environment),
                    Cell::number(format!("{:.2}", sign.confidence)),
                ]);
            }
            text += &format!("\n{}", table.text(Paint::of_stdout()));
        }
        output::write(&text)
    }
}

fn recommendation_text(found: &Recommendation) -> String {
    let preset = Paint::of_stdout().tone(Tone::Strong, &found.recommended_preset);
    let (confidence, environment) = (found.confidence, output::plain(&found.environment_detected));
    format!(
        "{preset}, confidence {confidence:.2}\nenvironment: {environment}\nwhy: {}\n",
        output::plain(&found.reasoning)
    )
}

fn shown(preset: &Preset, policies: &Value) -> String {
    let paint = Paint::of_stdout();
    let mut table = Table::new(&["", ""]);
    let mut row = |name: &str, value: String| table.row(vec![Cell::text(name), Cell::text(value)]);
    row("retry_attempts", preset.retry_attempts.to_string());
    row("circuit_breaker_threshold", preset.circuit_breaker_threshold.to_string());
    row("recovery_timeout", format!("{} s", preset.recovery_timeout));
    row("default_strategy", preset.default_strategy.clone());
    let overrides = preset.operation_overrides.iter();
    let overrides: Vec<String> = overrides.map(|(name, own)| format!("{name}: {own}")).collect();
    row(
        "operation_overrides",
        if overrides.is_empty() { "-".into() } else { overrides.join(", ") },
    );
    row("environment_contexts", preset.environment_contexts.join(", "));
    let mut text = format!("{}: {}\n\n", preset.name, output::plain(&preset.description));
    text += &table.text(paint);
    text += &format!("\n{}\n", paint.tone(Tone::Strong, "policies, outermost first"));
    for policy in policies.as_array().into_iter().flatten() {
        let kind = policy["type"].as_str().unwrap_or("");
        text += &format!("  {}\n", paint.tone(Tone::Strong, kind));
        for (path, value) in seawall_config::leaves(policy) {
            if path != "type" {
                text += &format!("    {path}: {}\n", crate::table::shown(&value));
            }
        }
    }
    text
}

/// There is none of this name; these there are, and this one is near.
pub(crate) fn unknown(what: &str, name: &str, known: &[&str]) -> String {
    let name = output::plain(&name.chars().take(60).collect::<String>());
    let all = known.join(", ");
    match crate::explain::nearest(&name, known.iter().copied()) {
        Some(near) => {
            format!("no {what} is called `{name}`; did you mean `{near}`? There are: {all}")
        }
        None => format!("no {what} is called `{name}`; there are: {all}"),
    }
}
