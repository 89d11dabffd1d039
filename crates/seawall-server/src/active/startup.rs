//! The configuration that a server starts with; its files are read once.

use super::ChangeError;
use crate::{
    config::GatewayConfig,
    inputs::{ApiLayer, Inputs, Sources},
};
use seawall_config::{LoadError, Loaded};
use std::{
    path::PathBuf,
    time::{Duration, Instant},
};

/// A configuration that was read and checked, for [`Server::start`](crate::Server::start).
pub struct Startup {
    pub(super) inputs: Inputs,
    sources: Sources,
    pub(super) loaded: Loaded<GatewayConfig>,
    pub(super) layer: Option<ApiLayer>,
    /// The reason why the change through the API of a former run is not part of it.
    pub(super) api_left_out: Option<String>,
    /// How long it took to read the configuration.
    pub(super) took: Duration,
}

impl Startup {
    /// Reads the files and variables, and checks what they say together.
    ///
    /// # Errors
    /// When a file cannot be read, or there are mistakes in any of the sources.
    pub fn read(inputs: Inputs) -> Result<Self, LoadError> {
        let began = Instant::now();
        let sources = inputs.read()?;
        let loaded = sources.load(None)?;
        let took = began.elapsed();
        Ok(Self { inputs, sources, loaded, layer: None, api_left_out: None, took })
    }

    /// The configuration, with what to look at and where its values come from.
    pub fn loaded(&self) -> &Loaded<GatewayConfig> {
        &self.loaded
    }

    /// The inputs that it was made from.
    pub(crate) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The files that were read.
    pub(super) fn files(&self) -> &[PathBuf] {
        self.sources.files()
    }

    /// Lays the change through the API over it that was in force in the former run. One that does not fit any more is
    /// left out: the file may have changed while the server was down, and a start must not fail of a change that was right once.
    pub(crate) fn with_api_layer(self, layer: Option<ApiLayer>) -> Self {
        let Some(layer) = layer else { return self };
        let began = Instant::now();
        match self.sources.load(Some(&layer)) {
            Ok(loaded) => {
                let took = self.took + began.elapsed();
                Self { loaded, layer: Some(layer), took, ..self }
            }
            Err(mistakes) => {
                let why = ChangeError::Mistakes(mistakes).in_a_line();
                Self { api_left_out: Some(why), ..self }
            }
        }
    }
}
