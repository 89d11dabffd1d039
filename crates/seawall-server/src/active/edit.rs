//! Edits of the configuration: what one may ask for, what it makes of the change through the API that is in force, and
//! why it may be refused.

use crate::{
    inputs::{ApiLayer, PROTECTED},
    revisions::{Cause, Difference, History, Revision},
};
use seawall_config::{LoadError, Mistakes, Severity};
use serde_json::{Map, Value};
use std::{fmt, sync::Arc};

/// An edit of the configuration. Its result depends on what is in force when it is made, so it is resolved under the
/// lock that applies it.
pub(crate) enum ConfigEdit {
    /// Files and variables are read again; the change through the API stays.
    Reload(Cause),
    /// A document over what files and variables say, or over a rollback that is in force.
    Merge(Value),
    /// A document in place of everything but what the API may not change.
    Replace(Value),
    /// A further operation, beside whatever the change through the API holds.
    Register {
        /// The name of the operation.
        name: String,
        /// The configuration of the operation, as in the file.
        config: Value,
    },
    /// A former revision, in force again as a new one.
    Rollback(u64),
    /// The change through the API that is in force in the whole fleet, in place of the one here.
    Fleet(Option<ApiLayer>, Cause),
}

/// The result of an edit, or of a dry run of one.
pub(crate) struct Applied {
    /// The number of the revision in force before it.
    pub(crate) before: u64,
    pub(crate) revision: Arc<Revision>,
    pub(crate) diff: Vec<Difference>,
    /// Fields that count from the next start on.
    pub(crate) needs_restart: Vec<&'static str>,
}

/// The reason why an edit was not applied. Nothing has changed then.
#[derive(Debug)]
pub(crate) enum ChangeError {
    /// The configuration would have mistakes.
    Mistakes(Mistakes),
    /// A file cannot be read.
    Unreadable(String),
    /// The edit has this field, which the API may not change.
    Protected(String),
    /// There is no revision of this number.
    UnknownRevision(u64),
    /// The control plane would be open to other machines.
    Unprotected,
    /// The edit was valid, and failed for another reason.
    Failed(String),
    /// There is no room in the registry for its operations.
    NoRoom(String),
    /// There is an operation of this name already.
    Exists(String),
    /// The edit was made for another revision than this one, which is in force.
    Outdated(u64),
    /// Not every instance of the fleet could make the edit, or another change came first; the text says which, and why.
    NotEverywhere(String),
    /// The store that the fleet shares does not answer.
    FleetLost(String),
}

impl ConfigEdit {
    /// Whether the edit only reads the files again.
    pub(crate) fn is_reload(&self) -> bool {
        matches!(self, Self::Reload(_))
    }

    /// The change through the API that there is to be, from the one that stands, and what to call the cause of it.
    pub(super) fn resolve(
        &self,
        standing: Option<ApiLayer>,
        history: &History,
        is_registered: impl Fn(&str) -> bool,
    ) -> Result<(Option<ApiLayer>, Cause), ChangeError> {
        Ok(match self {
            Self::Reload(cause) => (standing, *cause),
            Self::Merge(document) => {
                refuse_protected(document)?;
                (merged(document, standing), Cause::Api)
            }
            Self::Replace(document) => {
                refuse_protected(document)?;
                (Some(ApiLayer { document: document.clone(), alone: true }), Cause::Api)
            }
            Self::Register { name, config } => {
                if is_registered(name) {
                    return Err(ChangeError::Exists(name.clone()));
                }
                (Some(with_operation(standing, name, config)), Cause::Api)
            }
            Self::Rollback(number) => {
                let entry = history.find(*number).ok_or(ChangeError::UnknownRevision(*number))?;
                (Some(rollback(entry.values().unwrap_or_default())), Cause::Rollback)
            }
            // Whoever can write into the store must not open more than the API may.
            Self::Fleet(layer, cause) => {
                layer.as_ref().map_or(Ok(()), |layer| refuse_protected(&layer.document))?;
                (layer.clone(), *cause)
            }
        })
    }
}

/// Refuses a document with a field at the top that the API may not change.
fn refuse_protected(document: &Value) -> Result<(), ChangeError> {
    let mut fields = document.as_object().into_iter().flat_map(Map::keys);
    match fields.find(|name| PROTECTED.contains(&name.as_str())) {
        Some(name) => Err(ChangeError::Protected(name.clone())),
        None => Ok(()),
    }
}

/// A former document as a change: all of it, but for what the API may not change.
fn rollback(mut document: Value) -> ApiLayer {
    if let Some(fields) = document.as_object_mut() {
        fields.retain(|name, _| !PROTECTED.contains(&name.as_str()));
    }
    ApiLayer { document, alone: true }
}

/// A document over the change that stands: in its place where that lies over the files too; over it where it takes the
/// place of everything, as after a rollback, so that it is not undone. An empty one takes the change away.
fn merged(document: &Value, standing: Option<ApiLayer>) -> Option<ApiLayer> {
    if document.as_object().is_some_and(Map::is_empty) {
        return None;
    }
    let document = match standing.filter(|standing| standing.alone) {
        None => return Some(ApiLayer { document: document.clone(), alone: false }),
        Some(standing) => seawall_config::laid_over(&standing.document, document),
    };
    Some(ApiLayer { document, alone: true })
}

/// The change that stands, with one operation more.
fn with_operation(standing: Option<ApiLayer>, name: &str, config: &Value) -> ApiLayer {
    let none = || ApiLayer { document: Value::Object(Map::new()), alone: false };
    let mut layer = standing.unwrap_or_else(none);
    if !layer.document["operations"].is_object() {
        layer.document["operations"] = Value::Object(Map::new());
    }
    layer.document["operations"][name] = config.clone();
    layer
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

impl fmt::Display for ChangeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Mistakes(mistakes) => mistakes.fmt(f),
            Self::Unreadable(error)
            | Self::Failed(error)
            | Self::NoRoom(error)
            | Self::NotEverywhere(error)
            | Self::FleetLost(error) => f.write_str(error),
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
