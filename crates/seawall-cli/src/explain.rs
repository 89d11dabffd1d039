//! `seawall explain PATH`: what a field of the configuration means, and what it is set to and by whom.

use crate::{
    failure::{Ended, Failure::Unusable},
    file, output,
    output::{Paint, Tone, plain},
};
use clap::Args;
use effective::{Effective, Set};
use path::Steps;
use schema::{Schema, Spot};
use seawall_server::GatewayConfig;
use serde_json::{Value, json};
use std::{path::PathBuf, process::ExitCode};

mod effective;
mod path;
mod schema;
mod words;

pub(crate) use words::nearest;

/// Arguments of `explain`.
#[derive(Debug, Args)]
#[command(
    after_help = "Paths are as in messages: `upstreams.chat.policies[0].max_attempts`. A policy's \
    type may stand before its field, names and numbers may be left out, and so may the beginning: \
    `policies.retry.max_attempts`, `backoff.jitter`."
)]
pub(crate) struct Explain {
    /// The path of the field
    path: String,
    /// A configuration file: show also which value the field has there, and where it is set
    #[arg(long)]
    config: Option<PathBuf>,
    /// The environment whose section of the file is used
    #[arg(long, env = "SEAWALL_ENV", value_parser = file::environments())]
    env: Option<String>,
    /// Print JSON instead of text
    #[arg(long)]
    json: bool,
}

/// Places of the configuration with the same meaning.
struct Meaning<'s> {
    schema: &'s Value,
    at: Vec<Steps>,
    set: Vec<Set>,
}

impl Explain {
    pub(crate) fn run(self) -> Ended {
        let root = seawall_config::file_schema::<GatewayConfig>();
        let schema = Schema::new(&root);
        let wanted = path::read(&self.path).map_err(|told| {
            Unusable(format!(
                "{}: {told}; {}",
                plain(&self.path),
                "write it as upstreams.chat.endpoints[0]"
            ))
        })?;
        let spots = schema.find(&wanted);
        if spots.is_empty() {
            return Err(Unusable(words::unknown(schema, &wanted)));
        }
        let file = self.config.as_ref();
        let effective = file.map(|file| Effective::load(file, self.env.as_deref())).transpose()?;
        let meanings = meanings(spots, effective.as_ref());
        if self.json {
            let all: Vec<Value> =
                meanings.iter().map(|meaning| meaning.json(schema, effective.is_some())).collect();
            output::json(&all)?;
        } else {
            let texts: Vec<String> =
                meanings.iter().map(|meaning| meaning.text(schema, effective.is_some())).collect();
            output::write(&texts.join("\n"))?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// Groups places with the same meaning: `mode` of every policy, in every place where policies stand.
fn meanings<'s>(spots: Vec<Spot<'s>>, effective: Option<&Effective>) -> Vec<Meaning<'s>> {
    let mut meanings: Vec<Meaning<'s>> = Vec::new();
    for spot in spots {
        let set = effective.map(|all| all.values(&spot.steps)).unwrap_or_default();
        match meanings.iter_mut().find(|meaning| meaning.schema == spot.schema) {
            Some(same) => {
                same.at.push(spot.steps);
                same.set.extend(set);
            }
            None => meanings.push(Meaning { schema: spot.schema, at: vec![spot.steps], set }),
        }
    }
    meanings
}

impl<'s> Meaning<'s> {
    /// The fields of a section, or of each one in a list or a mapping.
    fn fields(&self, schema: Schema<'s>) -> Vec<(&'s str, &'s Value)> {
        let own = schema.fields(self.schema);
        if own.is_empty() {
            return schema.below(self.schema).flat_map(|below| schema.fields(below)).collect();
        }
        own
    }

    fn json(&self, schema: Schema<'s>, with_values: bool) -> Value {
        let mut told = json!({
            "paths": self.at.iter().map(path::shown).collect::<Vec<_>>(),
            "description": words::description(schema, self.schema),
            "type": words::kind(schema, self.schema),
            "default": words::default(schema, self.schema),
            "choices": words::choices(schema, self.schema).into_iter().map(|(value, _)| value)
                .collect::<Vec<_>>(),
            "fields": self.fields(schema).into_iter().map(|(name, _)| name).collect::<Vec<_>>(),
        });
        if with_values {
            told["values"] = json!(self.set);
        }
        told
    }

    fn text(&self, schema: Schema<'s>, with_values: bool) -> String {
        const MOST: usize = 4;
        let paint = Paint::of_stdout();
        let mut text = String::new();
        for steps in self.at.iter().take(MOST) {
            text += &format!("{}\n", paint.tone(Tone::Strong, &path::shown(steps)));
        }
        if self.at.len() > MOST {
            text += &format!("… and {} more places\n", self.at.len() - MOST);
        }
        if let Some(description) = words::description(schema, self.schema) {
            text += &format!("  {}\n", description.replace('\n', "\n  "));
        }
        let mut row = |name: &str, value: &str| text += &format!("  {name:8} {value}\n");
        row("type", &words::kind(schema, self.schema));
        if let Some(default) = words::default(schema, self.schema) {
            row("default", &default.to_string());
        }
        let choices = words::choices(schema, self.schema);
        for (value, meaning) in &choices {
            let separator = if meaning.is_empty() { "" } else { ": " };
            row("choice", &format!("{value}{separator}{}", first_line(meaning)));
        }
        for (name, field) in self.fields(schema) {
            let description = words::description(schema, field).unwrap_or_default();
            row("field", &format!("{name}: {}", first_line(&description)));
        }
        for Set { path, value, origin } in &self.set {
            let value = plain(&value.to_string());
            let origin = paint.tone(Tone::Quiet, &plain(&format!("({origin})")));
            row("value", &format!("{} = {value}  {origin}", plain(path)));
        }
        if with_values && self.set.is_empty() {
            row("value", "nothing: the file has no such place");
        }
        text
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}
