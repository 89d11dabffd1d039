//! What an edit makes of the change through the API that is in force. It is asked under the lock that applies the edit.

use super::{Ask, Cause, Live, Refused, parsed};
use crate::inputs::{Change, PROTECTED};
use serde_json::{Map, Value};

impl Live {
    /// The change through the API that there is to be, from the one that there is.
    pub(super) fn resolve(
        &self,
        ask: &Ask,
        standing: Option<Change>,
    ) -> Result<(Option<Change>, Cause), Refused> {
        Ok(match ask {
            Ask::Reload(cause) => (standing, *cause),
            Ask::Merge(document) => {
                protected(document)?;
                (merged(document, standing), Cause::Api)
            }
            Ask::Replace(document) => {
                protected(document)?;
                (Some(Change { document: document.clone(), alone: true }), Cause::Api)
            }
            Ask::Register { name, config } => {
                if self.registry.find(name).is_some() {
                    return Err(Refused::Exists(name.clone()));
                }
                (Some(with_operation(standing, name, config)), Cause::Api)
            }
            Ask::Rollback(number) => (Some(self.back_to(*number)?), Cause::Rollback),
        })
    }

    /// A former revision as a change: all of it, but for what the API may not change.
    fn back_to(&self, number: u64) -> Result<Change, Refused> {
        let history = self.history();
        let entry = history.iter().find(|entry| entry.revision == number);
        let entry = entry.ok_or(Refused::UnknownRevision(number))?;
        let mut document = parsed(&entry.document).unwrap_or_default();
        if let Some(fields) = document.as_object_mut() {
            fields.retain(|name, _| !PROTECTED.contains(&name.as_str()));
        }
        Ok(Change { document, alone: true })
    }
}

/// The first field of a change that the API may not change.
fn protected(document: &Value) -> Result<(), Refused> {
    let Some(fields) = document.as_object() else { return Ok(()) };
    match fields.keys().find(|name| PROTECTED.contains(&name.as_str())) {
        Some(name) => Err(Refused::Protected(name.clone())),
        None => Ok(()),
    }
}

/// A document over the change that stands: in its place where that lies over the files too; over it where it takes the
/// place of everything, as after a rollback, so that it is not undone. An empty one takes the change away.
fn merged(document: &Value, standing: Option<Change>) -> Option<Change> {
    if document.as_object().is_some_and(Map::is_empty) {
        return None;
    }
    let document = match standing.filter(|standing| standing.alone) {
        None => return Some(Change { document: document.clone(), alone: false }),
        Some(standing) => seawall_config::laid_over(&standing.document, document),
    };
    Some(Change { document, alone: true })
}

/// The change that stands, with one operation more.
fn with_operation(standing: Option<Change>, name: &str, config: &Value) -> Change {
    let none = || Change { document: Value::Object(Map::new()), alone: false };
    let mut change = standing.unwrap_or_else(none);
    if !change.document["operations"].is_object() {
        change.document["operations"] = Value::Object(Map::new());
    }
    change.document["operations"][name] = config.clone();
    change
}
