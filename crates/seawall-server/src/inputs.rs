//! The inputs of a server's configuration: a file with its environment sections, variables, and a change through the
//! API. Files are read again at each reload.

use crate::config::{GatewayConfig, KeyConfig, RedisStoreConfig, Secret};
use seawall_config::{ENVIRONMENTS, Format, Layers, LoadError, Loaded, Mistakes, Source};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeMap,
    net::SocketAddr,
    path::{Path, PathBuf},
};

/// The sections that the API may not change: a key must not open more than it was made for, and an address or a file in
/// use cannot move.
pub const PROTECTED: [&str; 5] = ["auth", "dead_letters", "fleet", "listen", "store"];

/// The inputs of a configuration: a file or code, and the variables over it.
#[derive(Clone, Debug)]
pub struct Inputs {
    base: Base,
    variables: BTreeMap<String, String>,
    listen: Option<SocketAddr>,
}

#[derive(Clone, Debug)]
enum Base {
    File(PathBuf),
    Code { document: String, secrets: Box<Secrets> },
}

/// What a configuration made in code has of secrets: they do not go through a text.
#[derive(Clone, Debug, Default)]
struct Secrets {
    keys: Vec<KeyConfig>,
    redis: Option<RedisStoreConfig>,
    fleet_key: Option<Secret>,
}

/// A change through the API: a document over what the files and variables say, or in their place.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(crate) struct ApiLayer {
    pub(crate) document: Value,
    /// Whether the change replaces everything except what the API may not change.
    pub(crate) alone: bool,
}

impl Inputs {
    /// A configuration in a file. Its environment section is chosen by `SEAWALL_ENV` among the variables.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self { base: Base::File(path.into()), variables: BTreeMap::new(), listen: None }
    }

    /// The inputs of a configuration made in code.
    pub fn of(config: &GatewayConfig) -> Self {
        let mut document = serde_json::to_value(config).unwrap_or_default();
        for (section, field) in [("auth", "keys"), ("store", "redis"), ("fleet", "key")] {
            if let Some(section) = document.get_mut(section).and_then(Value::as_object_mut) {
                section.remove(field);
            }
        }
        let secrets = Secrets {
            keys: config.auth.keys.clone(),
            redis: config.store.redis.clone(),
            fleet_key: config.fleet.as_ref().and_then(|fleet| fleet.key.clone()),
        };
        let base = Base::Code { document: document.to_string(), secrets: secrets.into() };
        Self { base, variables: BTreeMap::new(), listen: None }
    }

    /// Adds environment variables; one of a name that is there takes its place.
    #[must_use]
    pub fn with_variables(mut self, variables: impl IntoIterator<Item = (String, String)>) -> Self {
        self.variables.extend(variables);
        self
    }

    /// Adds the environment variables of this process.
    #[must_use]
    pub fn with_process_variables(self) -> Self {
        // A name or a value that is not UTF-8 is none of ours.
        let variables = std::env::vars_os().filter_map(|(name, value)| {
            Some((name.into_string().ok()?, value.into_string().ok()?))
        });
        self.with_variables(variables)
    }

    /// Listens on another address than the file's, if one is given.
    #[must_use]
    pub fn with_listen(mut self, listen: Option<SocketAddr>) -> Self {
        self.listen = listen;
        self
    }

    /// The environment variables that are used.
    pub fn variables(&self) -> &BTreeMap<String, String> {
        &self.variables
    }

    /// An environment variable by its name.
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

    /// Whether there are variables of older systems, which choose a preset and change it.
    pub(crate) fn is_legacy(&self) -> bool {
        seawall_presets::legacy::is_legacy(&self.variables)
    }

    /// The configuration, with what to look at and where its values come from.
    ///
    /// # Errors
    /// When the file cannot be read, or there are mistakes in any of the sources.
    pub fn load(&self) -> Result<Loaded<GatewayConfig>, LoadError> {
        Ok(self.read()?.load(None)?)
    }

    /// Reads the files, and lays the variables over them.
    pub(crate) fn read(&self) -> Result<Sources, LoadError> {
        let secrets = match &self.base {
            Base::File(_) => Secrets::default(),
            Base::Code { secrets, .. } => (**secrets).clone(),
        };
        Ok(Sources { layers: self.layers(self.variable("SEAWALL_ENV"))?, secrets })
    }

    /// Finds the mistakes and the warnings in every environment that the file has a section for.
    ///
    /// # Errors
    /// When the file cannot be read, or there are mistakes.
    pub fn check(&self) -> Result<Loaded<GatewayConfig>, LoadError> {
        let chosen = self.variable("SEAWALL_ENV");
        let layers = self.layers(chosen)?;
        let (mut wrong, mut looked_at) = (Mistakes::default(), None);
        let others: Vec<String> = layers.environments().into_iter().map(str::to_owned).collect();
        for environment in [chosen].into_iter().chain(others.iter().map(|name| Some(name.as_str())))
        {
            match self.layers(environment)?.load::<GatewayConfig>() {
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

    fn layers(&self, environment: Option<&str>) -> Result<Layers, LoadError> {
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
        seawall_presets::environment::lay(&self.variables, &mut layers);
        let variables = self.variables.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        layers.variables("SEAWALL", variables);
        if let Some(listen) = self.listen {
            layers.variable("--listen", &["listen"], &Value::from(listen.to_string()).to_string());
        }
        layers.secrets(self.variables.clone());
        Ok(layers)
    }
}

/// All that files and variables say, read and not yet checked.
pub(crate) struct Sources {
    layers: Layers,
    secrets: Secrets,
}

impl Sources {
    /// Loads the configuration of these inputs, with a change through the API over it.
    ///
    /// # Errors
    /// All mistakes, each with its source.
    pub(crate) fn load(&self, api: Option<&ApiLayer>) -> Result<Loaded<GatewayConfig>, Mistakes> {
        let mut loaded: Loaded<GatewayConfig> = match api {
            None => self.layers.load()?,
            Some(api) => {
                let mut layers = self.layers.clone();
                layers.api("API", &api.document, api.alone.then_some(&PROTECTED[..]));
                layers.load()?
            }
        };
        let Secrets { keys, redis, fleet_key } = &self.secrets;
        loaded.document.auth.keys.extend(keys.iter().cloned());
        if loaded.document.store.redis.is_none() {
            loaded.document.store.redis.clone_from(redis);
        }
        if let Some(fleet) = loaded.document.fleet.as_mut().filter(|fleet| fleet.key.is_none()) {
            fleet.key.clone_from(fleet_key);
        }
        Ok(loaded)
    }

    /// The files that were read.
    pub(crate) fn files(&self) -> &[PathBuf] {
        self.layers.files()
    }
}
