//! Configuration files as commands take them: whole and checked, or only what they say.

use crate::failure::{Failure, Failure::Unusable};
use schemars::JsonSchema;
use seawall_config::{Document, ENVIRONMENTS, Layers, LoadError, Loaded};
use seawall_server::{GatewayConfig, Inputs};
use serde::Deserialize;
use serde_json::{Map, Value};
use std::path::Path;

/// A file with its includes, its environment section and the variables of this process.
pub(crate) fn inputs(file: &Path, environment: Option<&str>) -> Inputs {
    let chosen = environment.map(|name| ("SEAWALL_ENV".to_owned(), name.to_owned()));
    Inputs::file(file).with_process_variables().with_variables(chosen)
}

/// The configuration that a server would start with.
pub(crate) fn load(
    file: &Path,
    environment: Option<&str>,
) -> Result<Loaded<GatewayConfig>, Failure> {
    inputs(file, environment).load().map_err(|error| Unusable(error.to_string()))
}

/// The configuration of a file, or the one without a file.
pub(crate) fn load_or_default(file: Option<&Path>) -> Result<GatewayConfig, Failure> {
    Ok(file
        .map(|file| load(file, None))
        .transpose()?
        .map(|loaded| loaded.document)
        .unwrap_or_default())
}

/// The fields that a file sets, whatever their values are.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(transparent)]
struct Fields(Map<String, Value>);

impl Document for Fields {}

/// The fields that a file, its includes and its environment section give; whether they are right, others check.
pub(crate) fn given(file: &Path, environment: Option<&str>) -> Result<Map<String, Value>, Failure> {
    let mut layers = Layers::default();
    let told = |error: LoadError| Unusable(error.to_string());
    layers.file(file).map_err(told)?;
    if let Some(name) = environment {
        layers.environment(name);
    }
    let loaded: Loaded<Fields> = layers.load().map_err(|mistakes| told(mistakes.into()))?;
    Ok(loaded.document.0)
}

/// The names of the environments, as possible values of an argument.
pub(crate) fn environments() -> clap::builder::PossibleValuesParser {
    ENVIRONMENTS.into()
}
