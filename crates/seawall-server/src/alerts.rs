//! Alerts: raised once while their condition lasts, ended when it is gone, acknowledged by the operator who takes care.

use crate::{persistence::Log, wall_clock};
use seawall_store::StoreError;
use serde::{Deserialize, Serialize};
use std::{
    collections::VecDeque,
    sync::{Mutex, MutexGuard, PoisonError},
};
use utoipa::ToSchema;

mod conditions;

pub(crate) use conditions::{Inspected, Watched};

/// Alerts kept at most, of which those that ended give way.
const KEPT: usize = 1000;

/// The severity of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// Information that needs no action.
    Info,
    /// Something that an operator should look at.
    Warning,
    /// Something that does not work.
    Error,
    /// Something that callers suffer from now.
    Critical,
}

impl Level {
    /// All levels, the mildest first.
    pub const ALL: [Self; 4] = [Self::Info, Self::Warning, Self::Error, Self::Critical];

    /// The level's name in the API.
    pub fn label(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
            Self::Critical => "critical",
        }
    }
}

/// The subject of an alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum Category {
    /// The configuration and its file.
    Configuration,
    /// Calls that failed or were refused.
    ErrorRate,
    /// The duration of calls.
    Latency,
    /// A circuit that stays open.
    CircuitBreaker,
    /// A bulkhead that is nearly full.
    Bulkhead,
    /// Calls that timed out.
    Timeouts,
    /// A store that cannot be written.
    Store,
    /// Dead letters: too many, too old, or not kept.
    DeadLetters,
    /// Budgets of tenants that are nearly or wholly used up, and models without a price.
    Budgets,
}

/// One alert, from its start on.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct Alert {
    /// The number of the alert, by which it is acknowledged.
    pub id: u64,
    /// The severity of the alert.
    pub level: Level,
    /// The subject of the alert.
    pub category: Category,
    /// The problem, in two or three words.
    pub title: String,
    /// The problem in a sentence, with the numbers.
    pub description: String,
    /// The operation it is about, if it is about one.
    pub operation: Option<String>,
    /// The value that must be crossed, in the unit of `actual_value`.
    pub threshold_value: f64,
    /// The latest value that crossed the threshold: a share, or seconds.
    pub actual_value: f64,
    /// The time at which the alert began.
    #[serde(with = "wall_clock")]
    #[schema(value_type = String, format = DateTime)]
    pub started_at: u64,
    /// When the condition of the alert ended, in RFC 3339; none while it lasts.
    pub ended_at: Option<String>,
    /// When the alert was acknowledged, in RFC 3339; none before.
    pub acknowledged_at: Option<String>,
    /// The name of the key that acknowledged the alert.
    pub acknowledged_by: Option<String>,
}

impl Alert {
    /// The time at which the alert began, in RFC 3339.
    pub fn began(&self) -> String {
        wall_clock::text(self.started_at)
    }
}

/// A condition that raises an alert, as it is at one moment.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Condition {
    pub(crate) level: Level,
    pub(crate) category: Category,
    pub(crate) title: &'static str,
    pub(crate) description: String,
    pub(crate) operation: Option<String>,
    pub(crate) threshold: f64,
    pub(crate) actual: f64,
}

impl Condition {
    /// The alert that it raises now.
    fn alert(&self, id: u64) -> Alert {
        Alert {
            id,
            level: self.level,
            category: self.category,
            title: self.title.to_owned(),
            description: self.description.clone(),
            operation: self.operation.clone(),
            threshold_value: self.threshold,
            actual_value: self.actual,
            started_at: wall_clock::now_ms(),
            ended_at: None,
            acknowledged_at: None,
            acknowledged_by: None,
        }
    }

    fn is_cause_of(&self, alert: &Alert) -> bool {
        alert.category == self.category
            && alert.operation == self.operation
            && alert.title == self.title
            && alert.level == self.level
    }
}

/// All alerts that are kept.
pub(crate) struct Alerts {
    kept: Mutex<Kept>,
    /// Held by its lock while it is written, so that an older state never comes last.
    log: Mutex<Log<Alert>>,
}

struct Kept {
    /// The alerts, oldest first.
    alerts: VecDeque<Alert>,
    next_id: u64,
    changed: bool,
}

impl Alerts {
    /// The alerts that the log has of a former run. What lasted then is ended: it begins again if it still lasts.
    pub(crate) fn new(log: Log<Alert>) -> Self {
        let earlier = log.last(KEPT);
        let next_id = earlier.iter().map(|alert| alert.id).max().unwrap_or(0);
        let now = wall_clock::now();
        let ended = earlier
            .into_iter()
            .map(|alert| Alert { ended_at: alert.ended_at.or_else(|| Some(now.clone())), ..alert });
        let kept = Kept { alerts: ended.collect(), next_id, changed: false };
        Self { kept: Mutex::new(kept), log: Mutex::new(log) }
    }

    fn lock(&self) -> MutexGuard<'_, Kept> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Begins, continues and ends alerts by the conditions there are now; answers those that began or ended.
    pub(crate) fn evaluate(&self, conditions: &[Condition]) -> Vec<Alert> {
        let mut kept = self.lock();
        let mut changed = Vec::new();
        for alert in kept.alerts.iter_mut().filter(|alert| alert.ended_at.is_none()) {
            match conditions.iter().find(|condition| condition.is_cause_of(alert)) {
                Some(condition) => {
                    alert.actual_value = condition.actual;
                    alert.description.clone_from(&condition.description);
                }
                None => {
                    alert.ended_at = Some(wall_clock::now());
                    changed.push(alert.clone());
                }
            }
        }
        for condition in conditions {
            let lasts = |alert: &Alert| alert.ended_at.is_none() && condition.is_cause_of(alert);
            if !kept.alerts.iter().any(lasts) {
                kept.next_id += 1;
                let alert = condition.alert(kept.next_id);
                changed.push(alert.clone());
                kept.alerts.push_back(alert);
            }
        }
        kept.changed |= !changed.is_empty();
        kept.trim();
        changed
    }

    /// Notes who takes care of an alert; `None` where there is no such alert.
    pub(crate) fn acknowledge(&self, id: u64, who: &str) -> Option<Alert> {
        let mut kept = self.lock();
        let alert = kept.alerts.iter_mut().find(|alert| alert.id == id)?;
        if alert.acknowledged_at.is_none() {
            alert.acknowledged_at = Some(wall_clock::now());
            alert.acknowledged_by = Some(who.to_owned());
        }
        let alert = alert.clone();
        kept.changed = true;
        Some(alert)
    }

    /// Alerts of these levels, the latest first.
    pub(crate) fn latest(&self, most: usize, level: Option<Level>) -> Vec<Alert> {
        let kept = self.lock();
        let wanted =
            kept.alerts.iter().rev().filter(|alert| level.is_none_or(|level| alert.level == level));
        wanted.take(most).cloned().collect()
    }

    /// The alerts that last, the worst first.
    pub(crate) fn lasting(&self) -> Vec<Alert> {
        let kept = self.lock();
        let mut lasting: Vec<Alert> =
            kept.alerts.iter().filter(|alert| alert.ended_at.is_none()).cloned().collect();
        lasting.sort_by_key(|alert| (std::cmp::Reverse(alert.level), alert.started_at));
        lasting
    }

    /// Forgets alerts that ended and began more than `hours` ago; says how many went and how many stay.
    pub(crate) fn forget(&self, hours: f64) -> (usize, usize) {
        let from = wall_clock::now_ms().saturating_sub((hours * 3.6e6) as u64);
        let mut kept = self.lock();
        let before = kept.alerts.len();
        kept.alerts.retain(|alert| alert.ended_at.is_none() || alert.started_at > from);
        kept.changed = true;
        (before - kept.alerts.len(), kept.alerts.len())
    }

    /// Writes all alerts to the store, if anything changed.
    ///
    /// # Errors
    /// When it cannot be written; the next call tries again.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        let log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        let alerts: Vec<Alert> = {
            let mut kept = self.lock();
            if !std::mem::take(&mut kept.changed) {
                return Ok(());
            }
            kept.alerts.iter().cloned().collect()
        };
        log.replace(&alerts).inspect_err(|_| self.lock().changed = true)
    }
}

impl Kept {
    /// Takes away the oldest alerts that ended; one that lasts never goes.
    fn trim(&mut self) {
        while self.alerts.len() > KEPT {
            let Some(at) = self.alerts.iter().position(|alert| alert.ended_at.is_some()) else {
                return;
            };
            self.alerts.remove(at);
        }
    }
}

#[cfg(test)]
mod tests;
