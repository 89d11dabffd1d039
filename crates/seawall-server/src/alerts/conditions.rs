//! The conditions that raise alerts: in the last minute of the operations, in the configuration, and of the store.

use super::{Category, Condition, Level};
use crate::{
    audit_trail::{AuditTrail, MetricType, UsageStatistics},
    config::AlertConfig,
    dead_letters::DeadLetters,
    fleet::FleetHealth,
    tenants::Tenants,
    wall_clock,
};
use std::time::Duration;

/// The state of the server that conditions are evaluated on.
pub(crate) struct Inspected<'a> {
    pub(crate) operations: &'a [Watched],
    pub(crate) trail: &'a AuditTrail,
    /// The reason why the store cannot be written.
    pub(crate) store_failure: Option<String>,
    pub(crate) letters: &'a DeadLetters,
    pub(crate) tenants: &'a Tenants,
    /// The reason why the present content of the file is not in force.
    pub(crate) refused_file: Option<String>,
    /// The fleet, where the instances share a store.
    pub(crate) fleet: Option<FleetHealth>,
}

/// One operation in the last minute.
#[derive(Clone, Debug, Default)]
pub(crate) struct Watched {
    pub(crate) operation: String,
    /// The number of executions that ended and that the caller neither spoiled nor left.
    pub(crate) ended: u64,
    /// The number of executions without a good answer: failed, timed out, or refused for another reason than a rate
    /// limit.
    pub(crate) failed: u64,
    pub(crate) timed_out: u64,
    pub(crate) p95: Option<Duration>,
    /// How long the circuit of the operation has been open.
    pub(crate) open_for: Option<Duration>,
    /// How long a limit that the operation shares with other instances has been decided without its store.
    pub(crate) degraded_for: Option<Duration>,
    /// The share of its bulkhead's places in use.
    pub(crate) bulkhead: Option<f64>,
}

impl Inspected<'_> {
    /// All conditions that there are now.
    pub(crate) fn conditions(&self, bounds: &AlertConfig) -> Vec<Condition> {
        let mut found: Vec<Condition> =
            self.operations.iter().flat_map(|operation| operation.conditions(bounds)).collect();
        found.extend(of_events(self.trail, bounds));
        found.extend(self.store());
        found.extend(of_letters(self.letters));
        found.extend(of_tenants(self.tenants));
        found.extend(self.file(bounds));
        found.extend(self.fleet.iter().flat_map(|fleet| of_fleet(fleet, bounds)));
        found
    }

    fn store(&self) -> Option<Condition> {
        Some(Condition {
            level: Level::Error,
            category: Category::Store,
            title: "Store not written",
            description: self.store_failure.clone()?,
            operation: None,
            threshold: 0.0,
            actual: 1.0,
        })
    }

    /// A condition that lasts while the present content of the file is refused. With a bound of 1 it is never raised.
    fn file(&self, bounds: &AlertConfig) -> Option<Condition> {
        let refused = self.refused_file.as_ref().filter(|_| bounds.config_error_share < 1.0)?;
        let hour = self.trail.fold(1.0, |records| UsageStatistics::of(records));
        // A file that has been wrong for longer than an hour is wrong still.
        let share = if hour.error_rate > 0.0 { hour.error_rate } else { 1.0 };
        let description = format!(
            "the file is refused, and what was in force stays: {refused} ({:.1} % of the loads in the last hour failed)",
            share * 100.0
        );
        let title = "Configuration errors";
        Some(of_configuration(Level::Error, title, description, bounds.config_error_share, share))
    }
}

/// The conditions of dead letters: they cannot be kept, there are many, or one has waited for long.
fn of_letters(letters: &DeadLetters) -> Vec<Condition> {
    let of = |level, title, queue: Option<&str>, description, threshold, actual| Condition {
        level,
        category: Category::DeadLetters,
        title,
        description,
        operation: queue.map(|queue| format!("queue {queue}")),
        threshold,
        actual,
    };
    let mut found = Vec::new();
    if let Some(failure) = letters.failure() {
        found.push(of(Level::Error, "Dead letters not kept", None, failure, 0.0, 1.0));
    }
    let (config, now) = (letters.config(), wall_clock::now_ms());
    for (name, stats) in &letters.stats().queues {
        let (queue, open) = (config.queue(name), stats.waiting + stats.quarantined);
        if open >= queue.alert_threshold {
            let description = format!("{open} dead letters in the queue {name} wait for a replay");
            let (threshold, actual) = (queue.alert_threshold as f64, open as f64);
            let title = "Many dead letters";
            found.push(of(Level::Warning, title, Some(name), description, threshold, actual));
        }
        let age = stats.oldest.map_or(0, |oldest| now.saturating_sub(oldest)) as f64 / 1000.0;
        let bound = queue.alert_age.as_secs_f64();
        if age > bound {
            let description =
                format!("a dead letter in the queue {name} has waited for {age:.0} s");
            let title = "Old dead letters";
            found.push(of(Level::Warning, title, Some(name), description, bound, age));
        }
    }
    found
}

/// At most so many tenants have alerts at once: those whose budgets are used up first.
const MOST_TENANTS: usize = 50;

/// The conditions of tenants: a budget is nearly used up, or wholly, or a model has no price.
fn of_tenants(tenants: &Tenants) -> Vec<Condition> {
    let mut found: Vec<Condition> = Vec::new();
    for tenant in tenants.lines() {
        for budget in tenant.budgets.iter().filter(|budget| budget.is_warned()) {
            let used_up = budget.used >= budget.limit;
            let (level, title) = match used_up {
                true => (Level::Error, "Budget used up"),
                false => (Level::Warning, "Budget nearly used up"),
            };
            let (unit, per) = (budget.unit.label(), budget.per.label());
            let share = budget.used / budget.limit;
            found.push(Condition {
                level,
                category: Category::Budgets,
                title,
                description: format!("{} of its {unit} of this {per} are used", percent(share)),
                operation: Some(format!("tenant {} ({unit} per {per})", tenant.name)),
                threshold: if used_up { 1.0 } else { budget.warn_at },
                actual: share,
            });
        }
    }
    found.sort_by_key(|condition| std::cmp::Reverse(condition.level));
    found.truncate(MOST_TENANTS);
    let unpriced = tenants.unpriced();
    if !unpriced.is_empty() {
        let models: Vec<&str> = unpriced.keys().take(5).map(String::as_str).collect();
        found.push(Condition {
            level: Level::Warning,
            category: Category::Budgets,
            title: "Models without a price",
            description: format!("what they use costs no budget: {}", models.join(", ")),
            operation: None,
            threshold: 0.0,
            actual: unpriced.len() as f64,
        });
    }
    found
}

/// The conditions of the fleet: its store does not answer, or its revision is not in force here.
fn of_fleet(fleet: &FleetHealth, bounds: &AlertConfig) -> Vec<Condition> {
    let mut found = Vec::new();
    let bound = bounds.store_lost;
    if let Some((why, lasts)) = fleet.lost.as_ref().filter(|(_, lasts)| *lasts > bound) {
        let lasts = lasts.as_secs_f64();
        found.push(Condition {
            level: Level::Warning,
            category: Category::Store,
            title: "Fleet store lost",
            description: format!(
                "the store of the fleet has not answered for {lasts:.0} s, so the configuration cannot be changed: {why}"
            ),
            operation: None,
            threshold: bound.as_secs_f64(),
            actual: lasts,
        });
    }
    let refused = fleet.refused.clone();
    found.extend(
        refused.map(|why| of_configuration(Level::Error, "Fleet revision refused", why, 0.0, 1.0)),
    );
    found
}

fn percent(share: f64) -> String {
    format!("{:.1} %", share * 100.0)
}

impl Watched {
    fn conditions(&self, bounds: &AlertConfig) -> Vec<Condition> {
        let is_enough = self.ended >= u64::from(bounds.minimum_calls);
        let in_last_minute = [self.error_rate(bounds), self.latency(bounds), self.timeouts(bounds)];
        in_last_minute
            .into_iter()
            .filter(|_| is_enough)
            .chain([self.open_circuit(bounds), self.full_bulkhead(bounds), self.lost_store(bounds)])
            .flatten()
            .collect()
    }

    fn lost_store(&self, bounds: &AlertConfig) -> Option<Condition> {
        let (lasts, bound) = (self.degraded_for?, bounds.store_lost);
        (lasts > bound).then(|| Condition {
            level: Level::Warning,
            category: Category::Store,
            title: "Shared limit without its store",
            description: format!(
                "the store that the rate limit of {} shares with other instances has not answered for {:.0} s: this instance \
                 decides alone",
                self.operation,
                lasts.as_secs_f64()
            ),
            operation: Some(self.operation.clone()),
            threshold: bound.as_secs_f64(),
            actual: lasts.as_secs_f64(),
        })
    }

    /// A part of the calls that ended.
    fn share(&self, part: u64) -> f64 {
        part as f64 / self.ended.max(1) as f64
    }

    fn error_rate(&self, bounds: &AlertConfig) -> Option<Condition> {
        let share = self.share(self.failed);
        let (level, bound) = match share {
            _ if share > bounds.error_share_critical => {
                (Level::Critical, bounds.error_share_critical)
            }
            _ if share > bounds.error_share_warning => (Level::Warning, bounds.error_share_warning),
            _ => return None,
        };
        let description = format!(
            "{} of {} calls in the last minute failed or were refused",
            percent(share),
            self.ended
        );
        let condition = self.condition(Category::ErrorRate, "Error rate", description);
        Some(Condition { level, threshold: bound, actual: share, ..condition })
    }

    fn latency(&self, bounds: &AlertConfig) -> Option<Condition> {
        let p95 = self.p95?;
        let (level, bound) = match p95 {
            _ if p95 > bounds.p95_critical => (Level::Critical, bounds.p95_critical),
            _ if p95 > bounds.p95_warning => (Level::Warning, bounds.p95_warning),
            _ => return None,
        };
        let (threshold, actual) = (bound.as_secs_f64(), p95.as_secs_f64());
        let description = format!("the 95th percentile of its latency is {actual:.2} s");
        let condition = self.condition(Category::Latency, "Latency", description);
        Some(Condition { level, threshold, actual, ..condition })
    }

    fn timeouts(&self, bounds: &AlertConfig) -> Option<Condition> {
        let share = self.share(self.timed_out);
        (share > bounds.timeout_share).then(|| {
            let description =
                format!("{} of {} calls in the last minute timed out", percent(share), self.ended);
            let condition = self.condition(Category::Timeouts, "Timeouts", description);
            Condition { threshold: bounds.timeout_share, actual: share, ..condition }
        })
    }

    fn open_circuit(&self, bounds: &AlertConfig) -> Option<Condition> {
        let open = self.open_for.filter(|open| *open > bounds.circuit_open)?;
        let description = format!("the circuit has been open for {} s", open.as_secs());
        Some(Condition {
            level: Level::Critical,
            threshold: bounds.circuit_open.as_secs_f64(),
            actual: open.as_secs_f64(),
            ..self.condition(Category::CircuitBreaker, "Circuit open", description)
        })
    }

    fn full_bulkhead(&self, bounds: &AlertConfig) -> Option<Condition> {
        let used = self.bulkhead.filter(|used| *used > bounds.bulkhead_share)?;
        let description = format!("{} of the places in its bulkhead are taken", percent(used));
        let condition = self.condition(Category::Bulkhead, "Bulkhead nearly full", description);
        Some(Condition { threshold: bounds.bulkhead_share, actual: used, ..condition })
    }

    /// A warning about this operation, whose numbers are still to be set.
    fn condition(&self, category: Category, title: &'static str, description: String) -> Condition {
        Condition {
            level: Level::Warning,
            category,
            title,
            description,
            operation: Some(self.operation.clone()),
            threshold: 0.0,
            actual: 0.0,
        }
    }
}

/// The conditions that configuration events of the last hour raise.
fn of_events(trail: &AuditTrail, bounds: &AlertConfig) -> Vec<Condition> {
    let (mut changes, mut validations, mut invalid) = (0_u32, 0_u32, 0_u32);
    let mut last_load_ms = 0.0;
    trail.fold(1.0, |records| {
        for record in records {
            match record.metric_type {
                MetricType::ConfigLoad => last_load_ms = record.value,
                MetricType::ConfigChange => changes += 1,
                MetricType::ValidationEvent => {
                    validations += 1;
                    invalid += u32::from(record.value == 0.0);
                }
                _ => {}
            }
        }
    });
    let mut found = Vec::new();
    let slow_ms = bounds.config_load_time.as_secs_f64() * 1000.0;
    if last_load_ms > slow_ms {
        let message = format!("the last load took {last_load_ms:.1} ms");
        let title = "Slow configuration";
        found.push(of_configuration(Level::Warning, title, message, slow_ms, last_load_ms));
    }
    if changes > bounds.config_changes_per_hour {
        let message = format!("the configuration changed {changes} times in the last hour");
        let (most, actual) = (f64::from(bounds.config_changes_per_hour), f64::from(changes));
        found.push(of_configuration(Level::Warning, "Many changes", message, most, actual));
    }
    let share = f64::from(invalid) / f64::from(validations.max(1));
    let bound = bounds.validation_failure_share;
    if validations >= bounds.minimum_calls && share > bound {
        let message =
            format!("{} of the validations in the last hour found errors", percent(share));
        found.push(of_configuration(Level::Info, "Invalid configurations", message, bound, share));
    }
    found
}

fn of_configuration(
    level: Level,
    title: &'static str,
    description: String,
    threshold: f64,
    actual: f64,
) -> Condition {
    let category = Category::Configuration;
    Condition { level, category, title, description, operation: None, threshold, actual }
}
