//! What a revision is, what makes one, and why one may not be made.

use super::Difference;
use crate::{GatewayConfig, inputs::ApiLayer, wall_clock};
use seawall_config::{LoadError, Mistakes, Origins, Severity};
use serde::{Deserialize, Serialize};
use serde_json::{Value, value::RawValue};
use std::sync::Arc;
use utoipa::ToSchema;

/// What made a revision.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Cause {
    Start,
    /// The file changed.
    File,
    /// SIGHUP.
    Signal,
    Api,
    Rollback,
}

/// One state of the configuration.
pub(crate) struct Revision {
    pub(crate) number: u64,
    pub(crate) entry: Entry,
    pub(crate) config: Arc<GatewayConfig>,
    /// The same as people read it, without secrets.
    pub(crate) document: Value,
    pub(crate) origins: Origins,
    pub(crate) warnings: Mistakes,
}

/// What is remembered of a revision.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Entry {
    pub(crate) revision: u64,
    #[serde(with = "wall_clock")]
    pub(crate) at: u64,
    pub(crate) who: String,
    pub(crate) cause: Cause,
    /// What of it came through the API.
    pub(crate) change: Option<ApiLayer>,
    /// All of it, without secrets.
    pub(crate) document: Box<RawValue>,
    pub(crate) diff: Vec<Difference>,
}

/// Why a change was not made.
#[derive(Debug)]
pub(crate) enum ChangeError {
    Mistakes(Mistakes),
    Unreadable(String),
    /// Fields that the API may not change.
    Protected(String),
    UnknownRevision(u64),
    /// It would leave the control plane open to other machines.
    Unprotected,
    /// It was right, and failed for no fault of its own.
    Failed(String),
    /// There is no room in the registry for its operations.
    NoRoom(String),
    /// There is an operation of this name already.
    Exists(String),
    /// Another revision is in force than the one it was made for.
    Outdated(u64),
}

/// A change that was made, or would be.
pub(crate) struct Applied {
    /// The revision in force before it.
    pub(crate) before: u64,
    pub(crate) revision: Arc<Revision>,
    pub(crate) diff: Vec<Difference>,
    /// Fields that count from the next start on.
    pub(crate) needs_restart: Vec<&'static str>,
}

/// What makes a new revision: an edit, which means something only with what is in force when it is made.
pub(crate) enum ConfigEdit {
    /// Everything is read anew; the change through the API stays.
    Reload(Cause),
    /// A document over what files and variables say, or over a rollback that is in force.
    Merge(Value),
    /// A document in place of everything but what the API may not change.
    Replace(Value),
    /// A further operation, beside whatever the change through the API holds.
    Register {
        name: String,
        config: Value,
    },
    Rollback(u64),
}

impl From<LoadError> for ChangeError {
    fn from(error: LoadError) -> Self {
        match error {
            LoadError::Mistakes(mistakes) => Self::Mistakes(mistakes),
            error => Self::Unreadable(error.to_string()),
        }
    }
}

impl ChangeError {
    /// The first thing that is wrong, and how many more there are.
    pub(crate) fn in_a_line(&self) -> String {
        let Self::Mistakes(mistakes) = self else { return self.to_string() };
        let mut errors = mistakes.iter().filter(|mistake| mistake.severity == Severity::Error);
        let first = errors.next().map(ToString::to_string).unwrap_or_default();
        match errors.count() {
            0 => first,
            more => format!("{first} (and {more} more)"),
        }
    }
}

impl std::fmt::Display for ChangeError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Mistakes(mistakes) => mistakes.fmt(f),
            Self::Unreadable(error) | Self::Failed(error) | Self::NoRoom(error) => {
                f.write_str(error)
            }
            Self::Exists(name) => write!(f, "there is an operation {name:?} already"),
            Self::Protected(field) => {
                write!(f, "{field} is set in files and variables only, not through the API")
            }
            Self::UnknownRevision(number) => write!(f, "there is no revision {number}"),
            Self::Unprotected => f.write_str(
                "without keys the control plane would be open to other machines; listen on loopback, or keep a key",
            ),
            Self::Outdated(present) => write!(f, "revision {present} is in force by now"),
        }
    }
}
