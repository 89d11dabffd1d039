//! What an edit makes of the change through the API that is in force. It is asked under the lock that applies the edit.

use super::{ActiveConfig, Cause, ChangeError, ConfigEdit, parsed};
use crate::inputs::{ApiLayer, PROTECTED};
use serde_json::{Map, Value};

impl ActiveConfig {
    /// The change through the API that there is to be, from the one that there is.
    pub(super) fn resolve(
        &self,
        edit: &ConfigEdit,
        standing: Option<ApiLayer>,
    ) -> Result<(Option<ApiLayer>, Cause), ChangeError> {
        Ok(match edit {
            ConfigEdit::Reload(cause) => (standing, *cause),
            ConfigEdit::Merge(document) => {
                protected(document)?;
                (merged(document, standing), Cause::Api)
            }
            ConfigEdit::Replace(document) => {
                protected(document)?;
                (Some(ApiLayer { document: document.clone(), alone: true }), Cause::Api)
            }
            ConfigEdit::Register { name, config } => {
                if self.registry.find(name).is_some() {
                    return Err(ChangeError::Exists(name.clone()));
                }
                (Some(with_operation(standing, name, config)), Cause::Api)
            }
            ConfigEdit::Rollback(number) => (Some(self.back_to(*number)?), Cause::Rollback),
        })
    }

    /// A former revision as a change: all of it, but for what the API may not change.
    fn back_to(&self, number: u64) -> Result<ApiLayer, ChangeError> {
        let history = self.history();
        let entry = history.iter().find(|entry| entry.revision == number);
        let entry = entry.ok_or(ChangeError::UnknownRevision(number))?;
        let mut document = parsed(&entry.document).unwrap_or_default();
        if let Some(fields) = document.as_object_mut() {
            fields.retain(|name, _| !PROTECTED.contains(&name.as_str()));
        }
        Ok(ApiLayer { document, alone: true })
    }
}

/// The first field of a change that the API may not change.
fn protected(document: &Value) -> Result<(), ChangeError> {
    let Some(fields) = document.as_object() else { return Ok(()) };
    match fields.keys().find(|name| PROTECTED.contains(&name.as_str())) {
        Some(name) => Err(ChangeError::Protected(name.clone())),
        None => Ok(()),
    }
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
    let mut change = standing.unwrap_or_else(none);
    if !change.document["operations"].is_object() {
        change.document["operations"] = Value::Object(Map::new());
    }
    change.document["operations"][name] = config.clone();
    change
}
