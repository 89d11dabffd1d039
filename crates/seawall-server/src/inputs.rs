//! What a server's configuration is made from: a file with its environment sections, variables, and a change
//! through the API; read anew at each reload.

use crate::{GatewayConfig, KeyConfig};
use seawall_config::{ENVIRONMENTS, Format, Layers, LoadError, Loaded, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The sections that the API may not change: a key must not open more than it was made for, and an address in use cannot move.
pub const PROTECTED: [&str; 3] = ["auth", "listen", "store"];

/// Where a configuration comes from.
#[derive(Clone, Debug)]
pub struct Inputs {
    base: Base,
    variables: BTreeMap<String, String>,
    listen: Option<SocketAddr>,
}

#[derive(Clone, Debug)]
enum Base {
    File(PathBuf),
    Code { document: String, keys: Vec<KeyConfig> },
}

/// A change through the API: a document over what the files and variables say, or in their place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ApiLayer {
    pub(crate) document: Value,
    /// Whether nothing below it counts, but for what the API may not change.
    pub(crate) alone: bool,
}

impl Inputs {
    /// A file. Its environment section is chosen by `SEAWALL_ENV` among the variables.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { base: Base::File(path.into()), variables: BTreeMap::new(), listen: None }
    }

    /// A configuration made in code.
    pub fn of(config: &GatewayConfig) -> Self {
        let mut document = serde_json::to_value(config).unwrap_or_default();
        // Secrets do not go through a text.
        if let Some(auth) = document.get_mut("auth").and_then(|auth| auth.as_object_mut()) {
            auth.remove("keys");
        }
        let base = Base::Code { document: document.to_string(), keys: config.auth.keys.clone() };
        Self { base, variables: BTreeMap::new(), listen: None }
    }

    /// With these environment variables.
    #[must_use]
    pub fn with_variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// With the variables of this process.
    #[must_use]
    pub fn with_process_variables(self) -> Self {
        // A name or a value that is not UTF-8 is none of ours.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        self.with_variables(variables)
    }

    /// With another address to listen on than the file's.
    #[must_use]
    pub fn with_listen(mut self, listen: Option<SocketAddr>) -> Self {
        self.listen = listen;
        self
    }

    /// The variables.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// One variable.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        self.variables.get(name).map(String::as_str)
    }

    /// The file, if there is one.
    pub fn path(&self) -> Option<&Path> {
        match &self.base {
            Base::File(path) => Some(path),
            Base::Code { .. } => None,
        }
    }

    /// Whether variables of the older kind have a say.
    pub(crate) fn is_legacy(&self) -> bool {
        seawall_presets::legacy::is_legacy(&self.variables)
    }

    /// The configuration, with what to look at and where its values come from.
    ///
    /// # Errors
    /// When the file cannot be read, or there are mistakes in any of the sources.
    pub fn load(&self) -> Result<Loaded<GatewayConfig>, LoadError> {
        Ok(self.load_with(None)?.0)
    }

    /// The same with a change through the API, and the files that were read.
    pub(crate) fn load_with(
        &self,
        change: Option<&ApiLayer>,
    ) -> Result<(Loaded<GatewayConfig>, Vec<PathBuf>), LoadError> {
        let layers = self.layers(change, self.variable("SEAWALL_ENV"))?;
        let mut loaded: Loaded<GatewayConfig> = layers.load()?;
        if let Base::Code { keys, .. } = &self.base {
            loaded.document.auth.keys.extend(keys.iter().cloned());
        }
        Ok((loaded, layers.files().to_vec()))
    }

    /// What is wrong, and what to look at, in every environment that the file has a section for.
    ///
    /// # Errors
    /// When the file cannot be read, or there are mistakes.
    pub fn check(&self) -> Result<Loaded<GatewayConfig>, LoadError> {
        let chosen = self.variable("SEAWALL_ENV");
        let layers = self.layers(None, chosen)?;
        let (mut wrong, mut looked_at) = (seawall_config::Mistakes::default(), None);
        let others: Vec<String> = layers.environments().into_iter().map(str::to_owned).collect();
        for environment in [chosen].into_iter().chain(others.iter().map(|name| Some(name.as_str())))
        {
            match self.layers(None, environment)?.load::<GatewayConfig>() {
                Ok(loaded) => match &mut looked_at {
                    None => looked_at = Some(loaded),
                    Some(first) => first.warnings.join(loaded.warnings),
                },
                Err(mistakes) => wrong.join(mistakes),
            }
        }
        match looked_at {
            Some(loaded) if wrong.is_empty() => Ok(loaded),
            _ => Err(wrong.into()),
        }
    }

    fn layers(
        &self,
        change: Option<&ApiLayer>,
        environment: Option<&str>,
    ) -> Result<Layers, LoadError> {
        let mut layers = Layers::default();
        match &self.base {
            Base::File(path) => layers.file(path)?,
            Base::Code { document, .. } => {
                layers.source(&Source::new("code", document.as_str(), Format::Json), None);
            }
        }
        match environment {
            Some(name) if ENVIRONMENTS.contains(&name) => layers.environment(name),
            None | Some("") => {}
            Some(name) => {
                let known = ENVIRONMENTS.join(", ");
                layers.refuse(
                    "SEAWALL_ENV",
                    &format!("{name:?} is no environment"),
                    &format!("use {known}"),
                );
            }
        }
        self.lay_variables(&mut layers);
        if let Some(change) = change {
            layers.api("API", &change.document, change.alone.then_some(&PROTECTED[..]));
        }
        layers.secrets(self.variables.clone());
        Ok(layers)
    }

    fn lay_variables(&self, layers: &mut Layers) {
        let preset = self.variable("RESILIENCE_PRESET");
        if self.is_legacy() {
            let legacy = seawall_presets::legacy::analyze(&self.variables);
            let names = legacy.found.iter().filter(|found| found.target.is_some());
            let names: Vec<&str> = names.map(|found| found.variable.as_str()).collect();
            let older = names.join(", ");
            // Without a preset of one's own, the nearest one is meant, with what differs from it.
            let chosen = preset.is_some() || layers.gives("preset");
            let custom = match chosen {
                true => seawall_presets::legacy::overrides(&self.variables),
                false => {
                    layers.variable(&older, &["preset"], &legacy.recommended_preset);
                    let told = format!(
                        "these older variables choose the preset {}",
                        legacy.recommended_preset
                    );
                    layers.advise(
                        &older,
                        &told,
                        "name one in RESILIENCE_PRESET, or see `seawall migrate`",
                    );
                    legacy.custom_overrides
                }
            };
            if let Ok(custom) = serde_json::to_string(&custom) {
                layers.variable(&older, &["custom"], &custom);
            }
            for problem in &legacy.problems {
                layers.advise(&older, problem, "");
            }
        }
        if let Some(preset) = preset {
            layers.variable("RESILIENCE_PRESET", &["preset"], &quoted(preset));
        }
        if let Some(custom) =
            self.variable("RESILIENCE_CUSTOM_CONFIG").filter(|text| !text.trim().is_empty())
        {
            match seawall_config::strict_json(custom) {
                Ok(_) => layers.variable("RESILIENCE_CUSTOM_CONFIG", &["custom"], custom),
                Err(told) => {
                    layers.refuse("RESILIENCE_CUSTOM_CONFIG", &told, "write an object in JSON")
                }
            }
        }
        for (name, field) in [
            ("ENABLE_RESILIENCE_MONITORING", "enabled"),
            ("ENABLE_RESILIENCE_VALIDATION", "validation"),
        ] {
            match self.variable(name).map(|value| value.trim().to_ascii_lowercase()).as_deref() {
                None | Some("") => {}
                Some("true" | "1" | "yes" | "on") => {
                    layers.variable(name, &["monitoring", field], "true")
                }
                Some("false" | "0" | "no" | "off") => {
                    layers.variable(name, &["monitoring", field], "false")
                }
                Some(other) => {
                    layers.refuse(name, &format!("{other:?} is neither"), "use true or false")
                }
            }
        }
        let variables = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        layers.variables("SEAWALL", variables);
        if let Some(listen) = self.listen {
            layers.variable("--listen", &["listen"], &quoted(&listen.to_string()));
        }
    }
}

/// A text that YAML reads as a text.
fn quoted(text: &str) -> String {
    Value::from(text).to_string()
}
