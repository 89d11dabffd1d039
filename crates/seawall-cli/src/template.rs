//! `seawall template`: custom configurations to start from.

use crate::{
    failure::{Ended, Failure, Failure::Unusable},
    output,
    output::Paint,
    preset::unknown,
    table::{Cell, Table},
};
use clap::{Args, Subcommand};
use seawall_presets::templates::{self, Template};
use serde_json::json;
use std::process::ExitCode;

/// Arguments of `template`.
#[derive(Debug, Args)]
pub(crate) struct Templates {
    #[command(subcommand)]
    command: Command,
    /// Print JSON instead of text
    #[arg(long, global = true)]
    json: bool,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Lists all templates
    List,
    /// Shows one template, as the section `custom` of the file
    Show {
        /// The name of the template
        name: String,
    },
}

impl Templates {
    pub(crate) fn run(self) -> Ended {
        match &self.command {
            Command::List => self.list(),
            Command::Show { name } => self.show(name),
        }?;
        Ok(ExitCode::SUCCESS)
    }

    fn list(&self) -> Result<(), Failure> {
        if self.json {
            return output::json(&templates::all());
        }
        let head = ["name", "attempts", "threshold", "recovery", "strategy", "what for"];
        let mut table = Table::new(&head);
        for Template { name, description, config } in templates::all() {
            let number = |number: Option<u32>| number.map(|n| n.to_string()).unwrap_or_default();
            table.row(vec![
                Cell::text(name),
                Cell::number(number(config.retry_attempts)),
                Cell::number(number(config.circuit_breaker_threshold)),
                Cell::number(number(config.recovery_timeout) + " s"),
                Cell::text(config.default_strategy.as_deref().unwrap_or("-")),
                Cell::text(description),
            ]);
        }
        output::write(&table.text(Paint::of_stdout()))
    }

    fn show(&self, name: &str) -> Result<(), Failure> {
        let Some(template) = templates::named(name) else {
            let known: Vec<&str> = templates::all().iter().map(|one| one.name).collect();
            return Err(Unusable(unknown("template", name, &known)));
        };
        if self.json {
            return output::json(template);
        }
        // Names and numbers only: nothing in it needs quotes in YAML.
        let mut text = format!("# {}: {}\ncustom:\n", template.name, template.description);
        for (field, value) in json!(template.config).as_object().into_iter().flatten() {
            match value.as_object() {
                Some(below) => {
                    text += &format!("  {field}:\n");
                    for (name, value) in below {
                        text += &format!("    {name}: {}\n", crate::table::shown(value));
                    }
                }
                None => text += &format!("  {field}: {}\n", crate::table::shown(value)),
            }
        }
        output::write(&text)
    }
}
