//! The history of the configuration: its revisions, the events of its audit trail, and what of the file or of the API
//! is not in force.

use super::{Entry, Revision};
use crate::{
    actor::Actor,
    audit_trail::{AuditTrail, MetricType, Record},
    feed::Feed,
    journal::Journal,
};
use seawall_store::StoreError;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The memory of the configuration in force.
pub(crate) struct History {
    entries: Journal<Entry>,
    trail: Arc<AuditTrail>,
    feed: Arc<Feed>,
    left_out: Mutex<LeftOut>,
}

/// Changes that were asked for and are not in force.
#[derive(Default)]
struct LeftOut {
    /// The reason why the present content of the file is refused.
    file: Option<String>,
    /// The reason why the former change through the API is not used any more.
    api: Option<String>,
}

impl History {
    /// A history of these revisions, which writes events to the trail and lines to the feed.
    pub(crate) fn new(entries: Journal<Entry>, trail: Arc<AuditTrail>, feed: Arc<Feed>) -> Self {
        Self { entries, trail, feed, left_out: Mutex::default() }
    }

    fn left_out(&self) -> MutexGuard<'_, LeftOut> {
        self.left_out.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The audit trail that events of the configuration go to.
    pub(crate) fn trail(&self) -> &Arc<AuditTrail> {
        &self.trail
    }

    /// The revisions that are kept, the latest first.
    pub(crate) fn latest(&self) -> Vec<Arc<Entry>> {
        self.entries.latest()
    }

    /// A revision by its number, if it is kept.
    pub(crate) fn find(&self, number: u64) -> Option<Arc<Entry>> {
        self.latest().into_iter().find(|entry| entry.revision == number)
    }

    /// Notes the revision that a server starts with. One that changes nothing of the last run's is not kept again.
    /// `api_left_out` is why the former change through the API is not part of it.
    pub(crate) fn note_start(
        &self,
        revision: &Revision,
        is_new: bool,
        api_left_out: Option<String>,
    ) {
        self.left_out().api = api_left_out;
        if let Some(concern) = self.concern() {
            tracing::error!("{concern}");
            self.feed.note("configuration", "", concern);
        }
        if is_new {
            self.remember(revision);
        }
    }

    /// Notes a revision that was put in force by an actor.
    pub(crate) fn note_change(&self, revision: &Revision, actor: &Actor) {
        self.left_out().api = None;
        self.remember(revision);
        let (number, changed) = (revision.number, revision.entry.diff.len());
        let preset = &revision.config.preset;
        let event = Record::new(MetricType::ConfigChange, preset, "change_config", changed as f64);
        self.trail.record(event.with("revision", number.to_string()), actor);
        tracing::info!(revision = number, by = actor.name, changed, "configuration");
        let text = format!("revision {number} by {}: {changed} values changed", actor.name);
        self.feed.note("configuration", "", text);
    }

    fn remember(&self, revision: &Revision) {
        self.entries.set_most(revision.config.monitoring.max_revisions);
        self.entries.add(revision.entry.clone());
    }

    /// Notes that a configuration was read and put in force; `kind` is what it was made from: a preset, a preset with
    /// changes, or older variables.
    pub(crate) fn note_load(&self, preset: &str, kind: &str, took_ms: f64, actor: &Actor) {
        let used = Record::new(MetricType::PresetUsage, preset, "load_preset", 1.0);
        self.trail.record(used.with("config_type", kind), actor);
        let load = Record::new(MetricType::ConfigLoad, preset, "load_config", took_ms);
        self.trail.record(load, actor);
    }

    /// Notes that the file could be read together with everything else. Where it was refused before, the log says so:
    /// who repaired it wants to know. `by_file` is false where a change through the API covers what is wrong in the file.
    pub(crate) fn note_good_file(&self, by_file: bool) {
        if self.left_out().file.take().is_none() {
            return;
        }
        let text = match by_file {
            true => "the file is good again, and in force",
            false => "with this change the file is not refused any more",
        };
        tracing::info!("{text}");
        self.feed.note("configuration", "", text.into());
    }

    /// Notes that the file as it is now is refused, and what was in force stays.
    pub(crate) fn note_refused_file(&self, why: String, preset: &str, actor: &Actor) {
        self.feed.note("configuration", "", format!("the file is refused: {why}"));
        let event = Record::new(MetricType::ConfigError, preset, "load_config", 1.0);
        self.trail.record(event.with("error", why.clone()), actor);
        self.left_out().file = Some(why);
    }

    /// Notes that a change through the API was refused; its client got the reason in the answer.
    pub(crate) fn note_refused_change(&self, why: String, preset: &str, actor: &Actor) {
        let event = Record::new(MetricType::ValidationEvent, preset, "change_config", 0.0);
        self.trail.record(event.with("error", why), actor);
    }

    /// The reason why the present content of the file is not in force; none if it is.
    pub(crate) fn refused_file(&self) -> Option<String> {
        self.left_out().file.clone()
    }

    /// What an operator should know and the configuration in force does not show: which part of the file or of the API
    /// is not in it.
    pub(crate) fn concern(&self) -> Option<String> {
        let left_out = self.left_out();
        if let Some(why) = &left_out.file {
            return Some(format!("the file is refused, and what was in force stays: {why}"));
        }
        left_out.api.as_ref().map(|why| {
            format!(
                "the change through the API is left out, it does not fit the file any more: {why}"
            )
        })
    }

    /// Writes revisions and events that are not in the store yet.
    ///
    /// # Errors
    /// When it cannot be written; the next call tries again.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        let saved = self.entries.save();
        self.trail.save().and(saved)
    }
}
