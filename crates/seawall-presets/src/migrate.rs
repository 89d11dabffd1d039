//! Writes what replaces older variables: a script, variables, or Seawall's file.
//!
//! Values come from people's environments, so every format gets them quoted for itself. The custom configuration
//! is JSON in plain ASCII without `'`, `$` and backticks, which no format gives a meaning to.

use super::legacy::{self, Legacy, Meaning};
use schemars::JsonSchema;
use seawall_config::excerpt;
use serde::Serialize;
use std::{collections::BTreeMap, fmt, str::FromStr};

mod quote;
#[cfg(test)]
mod tests;
mod yaml;

/// The format that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Target {
    /// A script to be sourced.
    Bash,
    /// A `.env` file.
    Env,
    /// A part of a compose file.
    Docker,
    /// A Kubernetes ConfigMap.
    Kubernetes,
    /// Seawall's own file.
    Yaml,
}

impl Target {
    const ALL: [Self; 5] = [Self::Bash, Self::Env, Self::Docker, Self::Kubernetes, Self::Yaml];

    const fn name(self) -> &'static str {
        match self {
            Self::Bash => "bash",
            Self::Env => "env",
            Self::Docker => "docker",
            Self::Kubernetes => "kubernetes",
            Self::Yaml => "yaml",
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Target {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|target| target.name() == name).ok_or_else(|| {
            let names = Self::ALL.map(Self::name).join(", ");
            format!("`{}` is not a format; there are {names}", excerpt::word(name))
        })
    }
}

const PRESET: &str = "RESILIENCE_PRESET";
const CUSTOM: &str = "RESILIENCE_CUSTOM_CONFIG";

/// Writes what puts the preset, and what differs from it, in the place of the older variables. Their old values come first,
/// as a backup.
pub fn write(legacy: &Legacy, originals: &BTreeMap<String, String>, target: Target) -> String {
    let old = Old::of(originals);
    let mut text = String::new();
    if target == Target::Bash {
        text += "#!/usr/bin/env bash\n";
    }
    for line in introduction(legacy, target) {
        text += &quote::comment(&line);
    }
    text += &match target {
        Target::Bash => bash(legacy, &old),
        Target::Env => {
            old.comments()
                + &variables(legacy, |name, value| format!("{name}={}\n", quote::env(value)))
        }
        Target::Docker => {
            old.comments()
                + "services:\n  app:\n    environment:\n"
                + &variables(legacy, |name, value| {
                    // Compose expands variables unless they are escaped.
                    format!("      {name}: {}\n", quote::yaml(&value.replace('$', "$$")))
                })
        }
        Target::Kubernetes => {
            old.comments()
                + "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: seawall-resilience\ndata:\n"
                + &variables(legacy, |name, value| format!("  {name}: {}\n", quote::yaml(value)))
        }
        Target::Yaml => old.comments() + &yaml::file(legacy, originals),
    };
    text
}

fn introduction(legacy: &Legacy, target: Target) -> Vec<String> {
    let how = match target {
        Target::Bash => "Source it: `source FILE`.",
        Target::Env => "Put it in the place of the old variables.",
        Target::Docker => "Compose: merge it into the service, and remove the old variables there.",
        Target::Kubernetes => "Read it with envFrom, and remove the old variables.",
        Target::Yaml => "Seawall's file: name it in SEAWALL_CONFIG, and remove the old variables.",
    };
    let preset = &legacy.recommended_preset;
    let mut lines = vec![format!("The preset {preset} in the place of older variables. {how}")];
    lines.extend(legacy.warnings.iter().map(|warning| format!("Warning: {warning}")));
    lines.extend(legacy.problems.iter().map(|problem| format!("Skipped: {problem}")));
    lines
}

/// The variable of the preset, and that of the custom configuration if anything differs from the preset.
fn variables(legacy: &Legacy, written: impl Fn(&str, &str) -> String) -> String {
    let mut text = written(PRESET, &legacy.recommended_preset);
    if !legacy.custom_overrides.is_empty() {
        text += &written(CUSTOM, &quote::json(&legacy.custom_overrides));
    }
    text
}

fn bash(legacy: &Legacy, old: &Old<'_>) -> String {
    let mut text = old.backup();
    let unset = old.obsolete();
    if !unset.is_empty() {
        text += &format!("unset {}\n", unset.join(" "));
    }
    if legacy.custom_overrides.is_empty() {
        text += &format!("unset {CUSTOM}\n");
    }
    text + &variables(legacy, |name, value| format!("export {name}={}\n", quote::bash(value)))
}

/// The variables that are known, with their old values.
struct Old<'o>(Vec<(&'o str, &'o str)>);

impl<'o> Old<'o> {
    fn of(originals: &'o BTreeMap<String, String>) -> Self {
        let ours = |name: &str| name == PRESET || name == CUSTOM;
        let known = |(name, _): &(&str, &str)| {
            // No shell could set one of another name, and the name would stand unquoted.
            legacy::is_name(name) && (ours(name) || legacy::meaning(name).is_some())
        };
        let pairs = originals.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        Self(pairs.filter(known).collect())
    }

    /// The variables that nothing reads afterwards. Others may be read by other programs.
    fn obsolete(&self) -> Vec<&'o str> {
        let names = self.0.iter().map(|(name, _)| *name);
        names.filter(|name| legacy::is_obsolete(name)).collect()
    }

    fn comments(&self) -> String {
        let mut text = String::new();
        if !self.0.is_empty() {
            text += "# Backup of the old values:\n";
        }
        for (name, value) in &self.0 {
            text += &quote::comment(&format!("{name}={}", quote::env_line(value)));
        }
        let obsolete = self.obsolete();
        if !obsolete.is_empty() {
            text += &format!("# To be removed: {}\n", obsolete.join(", "));
        }
        text
    }

    /// A part of a script that writes the old values to a file, which can be sourced to go back.
    fn backup(&self) -> String {
        if self.0.is_empty() {
            return String::new();
        }
        let mut text = String::from(
            "# Backup of the old values, to be sourced to go back. The first one is kept: later runs would\n\
             # save what this script set.\n\
             if [ ! -e \"${SEAWALL_BACKUP:-./seawall-backup.sh}\" ]; then\n  (\n    umask 077\n    {\n",
        );
        // Those of the new kind win over the old ones: they go first.
        text += "      printf '%s\\n' 'unset RESILIENCE_PRESET RESILIENCE_CUSTOM_CONFIG'\n";
        for (name, value) in &self.0 {
            let line = format!("export {name}={}", quote::bash(value));
            text += &format!("      printf '%s\\n' {}\n", quote::bash(&line));
        }
        text += "    } > \"${SEAWALL_BACKUP:-./seawall-backup.sh}\"\n  ) || {\n    \
                 echo 'The old values could not be saved; nothing was changed.' >&2\n    \
                 return 1 2>/dev/null || exit 1\n  }\nfi\n";
        text
    }
}

/// The address and the time of the second system's upstream, if they are of use.
fn upstream(originals: &BTreeMap<String, String>) -> Option<(&str, Option<f64>)> {
    let value = |name: &str| originals.get(name).map(|value| value.trim());
    let url = value(legacy::BASE_URL).filter(|url| !url.is_empty())?;
    let seconds = value(legacy::TIMEOUT).and_then(|text| text.parse::<f64>().ok());
    Some((url, seconds.filter(|seconds| (0.001..=86_400.0).contains(seconds))))
}

/// Whether the variable is one of the second system's that the file has a field for.
fn is_upstream(name: &str) -> bool {
    matches!(legacy::meaning(name), Some(Meaning::Second(Some(_), _)))
}
