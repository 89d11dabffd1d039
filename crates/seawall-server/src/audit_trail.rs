//! Configuration events: loads, changes, validations, and in which session; bounded in number and
//! age, and written to the store where there is one.

use crate::{actor::Actor, config::MonitoringConfig, wall_clock};
use seawall_store::Store;
use serde::{Deserialize, Serialize};
use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Mutex, MutexGuard, PoisonError},
};
use utoipa::ToSchema;

mod statistics;

pub(crate) use statistics::{PerformanceMetrics, Trend, UsageStatistics, percentile};

const JOURNAL: &str = "monitoring";

/// What an event is about.
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

/// One event.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct Record {
    /// The wall-clock time of the event.
    #[serde(with = "wall_clock")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) timestamp: u64,
    pub(crate) metric_type: MetricType,
    /// The preset in force.
    pub(crate) preset_name: String,
    /// What was done.
    pub(crate) operation: String,
    pub(crate) value: f64,
    /// More about it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    #[schema(value_type = std::collections::BTreeMap<String, String>)]
    pub(crate) metadata: BTreeMap<String, String>,
    /// The session it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session_id: Option<String>,
    /// Who did it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) user_context: Option<String>,
}

impl Record {
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

/// All events that are kept.
pub(crate) struct AuditTrail {
    kept: Mutex<Kept>,
}

struct Kept {
    bounds: MonitoringConfig,
    records: VecDeque<Record>,
    sessions: BTreeMap<String, Session>,
    /// Records at the end that are not in the store yet.
    unsaved: usize,
}

impl AuditTrail {
    /// With what the store has of a former run.
    pub(crate) fn new(bounds: &MonitoringConfig, store: Option<&Store>) -> Self {
        let earlier: Vec<Record> = store
            .and_then(|store| store.last(JOURNAL, bounds.max_events).ok())
            .unwrap_or_default()
            .0;
        let kept = Kept {
            bounds: bounds.clone(),
            records: earlier.into(),
            sessions: BTreeMap::new(),
            unsaved: 0,
        };
        let monitor = Self { kept: Mutex::new(kept) };
        monitor.lock().trim(wall_clock::now_ms());
        monitor
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// With other bounds from now on.
    pub(crate) fn rebound(&self, bounds: &MonitoringConfig) {
        let mut kept = self.lock();
        kept.bounds = bounds.clone();
        kept.trim(wall_clock::now_ms());
    }

    /// Keeps an event of somebody's, unless monitoring is off.
    pub(crate) fn record(&self, mut record: Record, actor: &Actor) {
        let mut kept = self.lock();
        if !kept.bounds.enabled {
            return;
        }
        record.session_id.clone_from(&actor.session);
        record.user_context = (!actor.name.is_empty()).then(|| actor.name.clone());
        kept.records.push_back(record);
        kept.unsaved += 1;
        kept.trim(wall_clock::now_ms());
    }

    /// The session of a client: the one that it names, if that is its own; else a new one.
    pub(crate) fn session(&self, owner: &str, named: Option<&str>) -> String {
        let mut kept = self.lock();
        let now = wall_clock::now_ms();
        if let Some(id) = named
            && let Some(session) =
                kept.sessions.get_mut(id).filter(|session| session.owner == owner)
        {
            session.last_seen = now;
            return id.to_owned();
        }
        while kept.sessions.len() >= kept.bounds.max_sessions {
            let Some(oldest) = kept.sessions.iter().min_by_key(|(_, session)| session.last_seen)
            else {
                break;
            };
            let oldest = oldest.0.clone();
            kept.sessions.remove(&oldest);
        }
        let draw = || seawall::Random::new(seawall::fresh_seed()).bits();
        let id = format!("{:016x}{:016x}", draw(), draw());
        kept.sessions.insert(id.clone(), Session { owner: owner.to_owned(), last_seen: now });
        id
    }

    /// A session's events in order; none where there is no such session.
    pub(crate) fn of_session(&self, id: &str) -> Option<Vec<Record>> {
        let kept = self.lock();
        let records: Vec<Record> = kept
            .records
            .iter()
            .filter(|record| record.session_id.as_deref() == Some(id))
            .cloned()
            .collect();
        (kept.sessions.contains_key(id) || !records.is_empty()).then_some(records)
    }

    /// Events of the last `hours`, oldest first.
    pub(crate) fn since_hours(&self, hours: f64) -> Vec<Record> {
        let from = wall_clock::now_ms().saturating_sub((hours * 3.6e6) as u64);
        let kept = self.lock();
        kept.records.iter().filter(|record| record.timestamp >= from).cloned().collect()
    }

    /// Looks at events of the last `hours` in place.
    pub(crate) fn fold<T>(
        &self,
        hours: f64,
        look: impl FnOnce(&mut dyn Iterator<Item = &Record>) -> T,
    ) -> T {
        let from = wall_clock::now_ms().saturating_sub((hours * 3.6e6) as u64);
        let kept = self.lock();
        look(&mut kept.records.iter().filter(|record| record.timestamp >= from))
    }

    /// Forgets what is older than `hours`; says how many events were removed and how many stay.
    pub(crate) fn forget(
        &self,
        hours: f64,
        store: Option<&Store>,
    ) -> Result<(usize, usize), String> {
        let from = wall_clock::now_ms().saturating_sub((hours * 3.6e6) as u64);
        let mut kept = self.lock();
        let before = kept.records.len();
        kept.records.retain(|record| record.timestamp > from);
        kept.unsaved = 0;
        if let Some(store) = store {
            let rest: Vec<&Record> = kept.records.iter().collect();
            store.replace(JOURNAL, &rest).map_err(|error| error.to_string())?;
        }
        Ok((before - kept.records.len(), kept.records.len()))
    }

    /// Writes what is new to the store.
    pub(crate) fn save(&self, store: &Store) -> Result<(), String> {
        let (fresh, keep) = {
            let mut kept = self.lock();
            let skip = kept.records.len().saturating_sub(std::mem::take(&mut kept.unsaved));
            let fresh: Vec<Record> = kept.records.iter().skip(skip).cloned().collect();
            (fresh, kept.bounds.max_events)
        };
        store.append(JOURNAL, &fresh, keep).map_err(|error| {
            // They are tried again the next time.
            let mut kept = self.lock();
            kept.unsaved = (kept.unsaved + fresh.len()).min(kept.records.len());
            error.to_string()
        })
    }
}

impl Kept {
    /// Takes away what is too old or too much.
    fn trim(&mut self, now: u64) {
        let retention = u64::try_from(self.bounds.retention.as_millis()).unwrap_or(u64::MAX);
        let from = now.saturating_sub(retention);
        while self.records.len() > self.bounds.max_events
            || self.records.front().is_some_and(|oldest| oldest.timestamp < from)
        {
            self.records.pop_front();
        }
        self.unsaved = self.unsaved.min(self.records.len());
    }
}

#[cfg(test)]
mod tests;
