//! The conditions that raise alerts: from the last minute of the operations, and from configuration events.

use super::{Category, Condition, Level};
use crate::{
    AlertConfig,
    audit_trail::{AuditTrail, MetricType},
};
use std::time::Duration;

/// What alerts look at, of one operation in the last minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    pub(crate) operation: String,
    /// Executions that ended and that the caller neither spoiled nor left.
    pub(crate) ended: u64,
    /// Failed, timed out, or refused for another reason than a rate limit: without a good answer.
    pub(crate) failed: u64,
    pub(crate) timed_out: u64,
    pub(crate) p95: Option<Duration>,
    /// How long its circuit has been open.
    pub(crate) open_for: Option<Duration>,
    /// The share of its places in use.
    pub(crate) bulkhead: Option<f64>,
}

/// All causes that there are now.
pub(crate) fn conditions(
    operations: &[Watched],
    monitor: &AuditTrail,
    bounds: &AlertConfig,
) -> Vec<Condition> {
    let mut found: Vec<Condition> =
        operations.iter().flat_map(|operation| operation.conditions(bounds)).collect();
    found.extend(of_configuration(monitor, bounds));
    found
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

impl Watched {
    fn conditions(&self, bounds: &AlertConfig) -> Vec<Condition> {
        let enough = self.ended >= u64::from(bounds.minimum_calls);
        let share = |part: u64| part as f64 / self.ended.max(1) as f64;
        let mut found = Vec::new();
        if enough {
            found.extend(self.error_rate(share(self.failed), bounds));
            found.extend(self.latency(bounds));
            let timeouts = share(self.timed_out);
            if timeouts > bounds.timeout_share {
                let told = format!(
                    "{} of {} calls in the last minute timed out",
                    percent(timeouts),
                    self.ended
                );
                let found_here = (Level::Warning, Category::Timeouts, "Timeouts");
                found.push(self.condition(found_here, told, bounds.timeout_share, timeouts));
            }
        }
        if let Some(open) = self.open_for.filter(|open| *open > bounds.circuit_open) {
            let told = format!("the circuit has been open for {} s", open.as_secs());
            let found_here = (Level::Critical, Category::CircuitBreaker, "Circuit open");
            let threshold = bounds.circuit_open.as_secs_f64();
            found.push(self.condition(found_here, told, threshold, open.as_secs_f64()));
        }
        if let Some(used) = self.bulkhead.filter(|used| *used > bounds.bulkhead_share) {
            let told = format!("{} of the places in its bulkhead are taken", percent(used));
            let found_here = (Level::Warning, Category::Bulkhead, "Bulkhead nearly full");
            found.push(self.condition(found_here, told, bounds.bulkhead_share, used));
        }
        found
    }

    fn error_rate(&self, failed: f64, bounds: &AlertConfig) -> Option<Condition> {
        let told = format!(
            "{} of {} calls in the last minute failed or were refused",
            percent(failed),
            self.ended
        );
        let (level, bound) = match failed {
            _ if failed > bounds.error_share_critical => {
                (Level::Critical, bounds.error_share_critical)
            }
            _ if failed > bounds.error_share_warning => {
                (Level::Warning, bounds.error_share_warning)
            }
            _ => return None,
        };
        Some(self.condition((level, Category::ErrorRate, "Error rate"), told, bound, failed))
    }

    fn latency(&self, bounds: &AlertConfig) -> Option<Condition> {
        let p95 = self.p95?;
        let (level, bound) = match p95 {
            _ if p95 > bounds.p95_critical => (Level::Critical, bounds.p95_critical),
            _ if p95 > bounds.p95_warning => (Level::Warning, bounds.p95_warning),
            _ => return None,
        };
        let told = format!("the 95th percentile of its latency is {:.2} s", p95.as_secs_f64());
        let what = (level, Category::Latency, "Latency");
        Some(self.condition(what, told, bound.as_secs_f64(), p95.as_secs_f64()))
    }

    fn condition(
        &self,
        (level, category, title): (Level, Category, &'static str),
        description: String,
        threshold: f64,
        actual: f64,
    ) -> Condition {
        let operation = Some(self.operation.clone());
        Condition { level, category, title, description, operation, threshold, actual }
    }
}

/// The conditions that configuration events of the last hour raise.
fn of_configuration(monitor: &AuditTrail, bounds: &AlertConfig) -> Vec<Condition> {
    let (mut changes, mut checked, mut invalid) = (0, 0, 0);
    let mut last_load = None;
    monitor.fold(1.0, |records| {
        for record in records {
            match record.metric_type {
                MetricType::ConfigLoad => last_load = Some(record.value),
                MetricType::ConfigChange => changes += 1,
                MetricType::ValidationEvent => {
                    checked += 1;
                    invalid += u32::from(record.value == 0.0);
                }
                _ => {}
            }
        }
    });
    let share = |part: u32, whole: u32| f64::from(part) / f64::from(whole.max(1));
    let wrong = share(invalid, checked);
    let load_ms = bounds.config_load_time.as_secs_f64() * 1000.0;
    let slowest = last_load.unwrap_or(0.0);
    let most = f64::from(bounds.config_changes_per_hour);
    let all = [
        (
            slowest > load_ms,
            (Level::Warning, "Slow configuration", load_ms, slowest),
            format!("the last load took {slowest:.1} ms"),
        ),
        (
            changes > bounds.config_changes_per_hour,
            (Level::Warning, "Many changes", most, f64::from(changes)),
            format!("the configuration changed {changes} times in the last hour"),
        ),
        (
            checked >= bounds.minimum_calls && wrong > bounds.validation_failure_share,
            (Level::Info, "Invalid configurations", bounds.validation_failure_share, wrong),
            format!("{} of the validations in the last hour found errors", percent(wrong)),
        ),
    ];
    let category = Category::Configuration;
    all.into_iter()
        .filter(|(is_cause, ..)| *is_cause)
        .map(|(_, (level, title, threshold, actual), description)| Condition {
            level,
            category,
            title,
            description,
            operation: None,
            threshold,
            actual,
        })
        .collect()
}
