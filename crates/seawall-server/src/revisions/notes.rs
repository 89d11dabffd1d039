//! What is written down of revisions, and of the store that they are written to.

use super::{ActiveConfig, Applied, Cause, ChangeError, ConfigEdit, Revision};
use crate::{
    AlertConfig,
    actor::Actor,
    alerts::{Category, Condition, Level},
    audit_trail::{MetricType, Record, UsageStatistics},
};
use seawall_store::Store;
use std::sync::PoisonError;

impl ActiveConfig {
    /// Keeps a revision in the history, and in the store.
    pub(super) fn remember(&self, revision: &Revision) {
        let keep = revision.config.monitoring.max_revisions;
        self.stored(self.history.add(revision.entry.clone(), keep, self.store.as_deref()));
    }

    /// Writes revisions that could not be written when they were made.
    pub(crate) fn save(&self, store: &Store) -> Result<(), String> {
        self.history.save(store)
    }

    /// Notes whether the store could be written: a failure shows in the health, and raises an alert.
    pub(crate) fn stored(&self, written: Result<(), String>) {
        let mut failure = self.store_failure.lock().unwrap_or_else(PoisonError::into_inner);
        match written {
            Ok(()) => {
                if failure.take().is_some() {
                    tracing::info!("the store can be written again");
                    self.feed.note("store", "", "the store can be written again".into());
                }
            }
            Err(error) => {
                if failure.as_ref() != Some(&error) {
                    tracing::error!("the store cannot be written: {error}");
                }
                *failure = Some(error);
            }
        }
    }

    /// Notes that the file as it is now is not in force.
    fn note_file(&self, refused: String) {
        self.feed.note("configuration", "", format!("the file is refused: {refused}"));
        *self.refused_file.lock().unwrap_or_else(PoisonError::into_inner) = Some(refused);
    }

    /// Notes that everything could be read. Where a file was refused before, its alert ends, and the log says so:
    /// who repaired it wants to know.
    pub(super) fn note_good(&self, edit: &ConfigEdit) {
        let before = self.refused_file.lock().unwrap_or_else(PoisonError::into_inner).take();
        if before.is_none() {
            return;
        }
        let told = match edit {
            ConfigEdit::Reload(_) => "the file is good again, and in force",
            // What came through the API may stand over what is wrong in the file.
            _ => "with this change the file is not refused any more",
        };
        tracing::info!("{told}");
        self.feed.note("configuration", "", told.into());
    }

    /// The alert that lasts while the file as it is now is refused. `share` is that of the failed loads of the last
    /// hour; with a bound of 1 nobody wants to know.
    pub(crate) fn file_condition(&self, bounds: &AlertConfig) -> Option<Condition> {
        let told = self.refused_file.lock().unwrap_or_else(PoisonError::into_inner).clone()?;
        let hour = self.monitor.fold(1.0, |records| UsageStatistics::of(records));
        // A file that has been wrong for longer than an hour is wrong still.
        let share = if hour.error_rate > 0.0 { hour.error_rate } else { 1.0 };
        (bounds.config_error_share < 1.0).then(|| Condition {
            level: Level::Error,
            category: Category::Configuration,
            title: "Configuration errors",
            description: format!(
                "the file is refused, and what was in force stays: {told} ({:.1} % of the loads in the last hour failed)",
                share * 100.0
            ),
            operation: None,
            threshold: bounds.config_error_share,
            actual: share,
        })
    }

    /// Notes a change that was refused.
    pub(super) fn note_refused(&self, edit: &ConfigEdit, refused: &ChangeError, actor: &Actor) {
        let preset = &self.now().config.preset.clone();
        // Who asked through the API was told; of a file nobody might be.
        let record = if let ConfigEdit::Reload(_) = edit {
            self.note_file(refused.in_a_line());
            Record::new(MetricType::ConfigError, preset, "load_config", 1.0)
        } else {
            Record::new(MetricType::ValidationEvent, preset, "change_config", 0.0)
        };
        self.monitor.record(record.with("error", refused.in_a_line()), actor);
    }

    /// What an operator should know of the configuration in force, that it does not say itself.
    pub(crate) fn concern(&self) -> Option<String> {
        let refused = self.refused_file.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(told) = refused {
            return Some(format!("the file is refused, and what was in force stays: {told}"));
        }
        let left_out = self.left_out.lock().unwrap_or_else(PoisonError::into_inner).clone();
        left_out.map(|told| {
            format!(
                "the change through the API is left out, it does not fit the file any more: {told}"
            )
        })
    }

    /// Why the store cannot be written, if it cannot.
    pub(crate) fn store_failure(&self) -> Option<String> {
        self.store_failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(crate) fn store_condition(&self) -> Option<Condition> {
        self.store_failure().map(|error| Condition {
            level: Level::Error,
            category: Category::Store,
            title: "Store not written",
            description: error,
            operation: None,
            threshold: 0.0,
            actual: 1.0,
        })
    }

    pub(super) fn measured(&self, revision: &Revision, took_ms: f64, actor: &Actor, cause: Cause) {
        let config = &revision.config;
        let kind = match () {
            () if self.inputs.is_legacy() => "legacy",
            () if !config.custom.is_empty() => "custom",
            () => "preset",
        };
        let used = Record::new(MetricType::PresetUsage, &config.preset, "load_preset", 1.0);
        self.monitor.record(used.with("config_type", kind), actor);
        let load = Record::new(MetricType::ConfigLoad, &config.preset, "load_config", took_ms);
        self.monitor.record(load, actor);
        if cause != Cause::Start {
            let changed = revision.entry.diff.len() as f64;
            let change =
                Record::new(MetricType::ConfigChange, &config.preset, "change_config", changed);
            self.monitor.record(change.with("revision", revision.number.to_string()), actor);
        }
    }

    pub(super) fn tell(&self, applied: &Applied, actor: &Actor) {
        let (number, count) = (applied.revision.number, applied.diff.len());
        let text = format!("revision {number} by {}: {count} values changed", actor.name);
        tracing::info!(revision = number, by = actor.name, changed = count, "configuration");
        for field in &applied.needs_restart {
            tracing::warn!("{field} counts from the next start on");
        }
        self.feed.note("configuration", "", text);
    }
}
