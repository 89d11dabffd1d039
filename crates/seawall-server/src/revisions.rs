//! Revisions of the configuration: every change makes one, with who made it, when, and what it changed.

use crate::{actor::Actor, config::GatewayConfig, inputs::ApiLayer, wall_clock};
use seawall_config::{Loaded, Mistakes, Origins};
use serde::{Deserialize, Serialize};
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use std::sync::Arc;
use utoipa::ToSchema;

mod difference;
mod history;

pub use difference::Difference;
use difference::differences;
pub(crate) use history::History;

/// The cause of a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    /// The server started.
    Start,
    /// The file changed.
    File,
    /// The process received SIGHUP.
    Signal,
    /// The configuration was changed through the API.
    Api,
    /// A former revision was put in force again.
    Rollback,
    /// Another instance of the fleet changed the configuration of all.
    Fleet,
}

/// One state of the configuration, with all that can be asked of it.
pub(crate) struct Revision {
    pub(crate) number: u64,
    pub(crate) entry: Entry,
    pub(crate) config: Arc<GatewayConfig>,
    /// The configuration as people read it, without secrets.
    pub(crate) document: Value,
    pub(crate) origins: Origins,
    pub(crate) warnings: Mistakes,
}

/// The part of a revision that is kept, also over restarts.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) revision: u64,
    #[serde(with = "wall_clock")]
    pub(crate) at: u64,
    pub(crate) who: String,
    pub(crate) cause: Cause,
    /// The part of the revision that came through the API.
    pub(crate) change: Option<ApiLayer>,
    /// The whole document, without secrets.
    pub(crate) document: Box<RawValue>,
    pub(crate) diff: Vec<Difference>,
}

impl Entry {
    /// The configuration of that time, without secrets.
    pub(crate) fn values(&self) -> Option<Value> {
        serde_json::from_str(self.document.get()).ok()
    }
}

impl Revision {
    /// The revision that a configuration makes; `before` is the number of the one that it follows, with its document
    /// where that is known.
    pub(crate) fn after(
        (before, document_before): (u64, Option<Value>),
        loaded: Loaded<GatewayConfig>,
        layer: Option<ApiLayer>,
        actor: &Actor,
        cause: Cause,
    ) -> Self {
        let Loaded { document: config, warnings, origins } = loaded;
        let document = serde_json::to_value(&config).unwrap_or_default();
        let diff = document_before.map(|before| differences(&before, &document, &origins));
        let entry = Entry {
            revision: before + 1,
            at: wall_clock::now_ms(),
            who: actor.name.clone(),
            cause,
            change: layer,
            document: to_raw_value(&document).unwrap_or_default(),
            diff: diff.unwrap_or_default(),
        };
        let number = entry.revision;
        Self { number, entry, config: Arc::new(config), document, origins, warnings }
    }
}
