//! The audit trail of the configuration: loads, changes and validations, by whom and in which session of the control
//! plane. Bounded in number and age, and kept in the store. (Which requests changed something is the audit log's.)

use crate::{
    actor::Actor, config::MonitoringConfig, journal::Journal, persistence::Log, wall_clock,
};
use seawall_store::StoreError;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Mutex, MutexGuard, PoisonError},
};
use utoipa::ToSchema;

mod statistics;

pub(crate) use statistics::{PerformanceMetrics, Trend, UsageStatistics, percentile};

/// The kinds of events of the configuration.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub(crate) enum MetricType {
    /// A preset was put in force; the value is 1.
    PresetUsage,
    /// A configuration was loaded; the value is the time in milliseconds.
    ConfigLoad,
    /// A configuration could not be loaded; the value is 1.
    ConfigError,
    /// The configuration in force changed; the value is the number of values that did.
    ConfigChange,
    /// A configuration was validated; the value is 1 if it was valid.
    ValidationEvent,
    /// Something was measured; the value is the time in milliseconds.
    PerformanceEvent,
}

/// One event of the configuration.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Record {
    /// The wall-clock time of the event.
    #[serde(with = "wall_clock")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) timestamp: u64,
    pub(crate) metric_type: MetricType,
    /// The preset that was in force.
    pub(crate) preset_name: String,
    /// The action, such as `load_config` or `validate`.
    pub(crate) operation: String,
    pub(crate) value: f64,
    /// The details of the event, by name.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub(crate) metadata: BTreeMap<String, String>,
    /// The session of the control plane in which it happened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session_id: Option<String>,
    /// The name of the actor.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_context: Option<String>,
}

impl Record {
    /// An event of this moment; `value` means what `metric_type` says.
    pub(crate) fn new(metric_type: MetricType, preset: &str, operation: &str, value: f64) -> Self {
        Self {
            timestamp: wall_clock::now_ms(),
            metric_type,
            preset_name: preset.to_owned(),
            operation: operation.to_owned(),
            value,
            metadata: BTreeMap::new(),
            session_id: None,
            user_context: None,
        }
    }

    /// Adds a detail to the event.
    pub(crate) fn with(mut self, name: &str, value: impl Into<String>) -> Self {
        self.metadata.insert(name.to_owned(), value.into());
        self
    }
}

/// A client's time at the control plane.
#[derive(Clone, Debug)]
struct Session {
    owner: String,
    last_seen: u64,
}

/// The events that are kept, and the sessions that they belong to.
pub(crate) struct AuditTrail {
    events: Journal<Record>,
    rules: Mutex<Rules>,
}

struct Rules {
    bounds: MonitoringConfig,
    sessions: BTreeMap<String, Session>,
}

impl AuditTrail {
    /// A trail with these bounds, and the events that its log has of former runs.
    pub(crate) fn new(bounds: &MonitoringConfig, log: Log<Record>) -> Self {
        let events = Journal::open(log, bounds.max_events);
        let rules = Rules { bounds: bounds.clone(), sessions: BTreeMap::new() };
        let trail = Self { events, rules: Mutex::new(rules) };
        trail.forget_old(bounds);
        trail
    }

    fn rules(&self) -> MutexGuard<'_, Rules> {
        self.rules.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps other bounds from now on.
    pub(crate) fn set_bounds(&self, bounds: &MonitoringConfig) {
        let mut rules = self.rules();
        rules.bounds = bounds.clone();
        self.events.set_most(bounds.max_events);
        self.forget_old(bounds);
    }

    /// Forgets events that are older than `retention`.
    fn forget_old(&self, bounds: &MonitoringConfig) {
        let retention = u64::try_from(bounds.retention.as_millis()).unwrap_or(u64::MAX);
        let from = wall_clock::now_ms().saturating_sub(retention);
        self.events.drop_oldest_while(|oldest| oldest.timestamp < from);
    }

    /// Keeps an event, in the name of an actor, unless monitoring is off. [`save`](Self::save) writes it.
    pub(crate) fn record(&self, mut record: Record, actor: &Actor) {
        let rules = self.rules();
        if !rules.bounds.enabled {
            return;
        }
        record.session_id.clone_from(&actor.session);
        record.user_context = (!actor.name.is_empty()).then(|| actor.name.clone());
        self.events.push(record);
        self.forget_old(&rules.bounds);
    }

    /// The session of a client: the one that it names, if that is its own; else a new one.
    pub(crate) fn session(&self, owner: &str, named: Option<&str>) -> String {
        let mut rules = self.rules();
        let now = wall_clock::now_ms();
        if let Some(id) = named
            && let Some(session) =
                rules.sessions.get_mut(id).filter(|session| session.owner == owner)
        {
            session.last_seen = now;
            return id.to_owned();
        }
        while rules.sessions.len() >= rules.bounds.max_sessions {
            let Some(oldest) = rules.sessions.iter().min_by_key(|(_, session)| session.last_seen)
            else {
                break;
            };
            let oldest = oldest.0.clone();
            rules.sessions.remove(&oldest);
        }
        let draw = || seawall::Random::new(seawall::fresh_seed()).bits();
        let id = format!("{:016x}{:016x}", draw(), draw());
        rules.sessions.insert(id.clone(), Session { owner: owner.to_owned(), last_seen: now });
        id
    }

    /// A session's events, oldest first; `None` where there is no such session.
    pub(crate) fn of_session(&self, id: &str) -> Option<Vec<Record>> {
        let is_its = |record: &&Record| record.session_id.as_deref() == Some(id);
        let records: Vec<Record> = self.events.read(|all| all.filter(is_its).cloned().collect());
        (!records.is_empty() || self.rules().sessions.contains_key(id)).then_some(records)
    }

    /// The events of the last `hours`, oldest first.
    pub(crate) fn since_hours(&self, hours: f64) -> Vec<Record> {
        self.fold(hours, |records| records.cloned().collect())
    }

    /// Looks at the events of the last `hours` in place, oldest first.
    pub(crate) fn fold<T>(
        &self,
        hours: f64,
        look: impl FnOnce(&mut dyn Iterator<Item = &Record>) -> T,
    ) -> T {
        let from = hours_ago(hours);
        self.events.read(|all| look(&mut all.filter(|record| record.timestamp >= from)))
    }

    /// Forgets events that are older than `hours`; says how many went and how many stay.
    ///
    /// # Errors
    /// When the store cannot be written; it is tried again.
    pub(crate) fn forget(&self, hours: f64) -> Result<(usize, usize), StoreError> {
        let from = hours_ago(hours);
        self.events.retain(|record| record.timestamp > from)
    }

    /// Writes new events to the store.
    ///
    /// # Errors
    /// When it cannot be written; the next call tries again.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        self.events.save()
    }
}

/// The wall-clock time `hours` before now, in milliseconds.
fn hours_ago(hours: f64) -> u64 {
    wall_clock::now_ms().saturating_sub((hours * 3.6e6) as u64)
}

#[cfg(test)]
mod tests;
