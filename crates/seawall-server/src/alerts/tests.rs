//! Alerts begin once, end by themselves, and each bound acts.

use super::*;
use crate::{
    actor::Actor,
    audit_trail::{AuditTrail, MetricType, Record},
    config::{AlertConfig, MonitoringConfig, TenantsConfig},
    dead_letters::DeadLetters,
    persistence::Persistence,
    tenants::Tenants,
};
use std::{sync::LazyLock, time::Duration};

fn inspected<'a>(operations: &'a [Watched], trail: &'a AuditTrail) -> Inspected<'a> {
    static NO_LETTERS: LazyLock<DeadLetters> = LazyLock::new(DeadLetters::in_memory);
    static NO_TENANTS: LazyLock<Tenants> =
        LazyLock::new(|| Tenants::new(&TenantsConfig::default(), &Persistence::in_memory()));
    Inspected {
        operations,
        trail,
        store_failure: None,
        letters: &NO_LETTERS,
        tenants: &NO_TENANTS,
        refused_file: None,
        fleet: None,
    }
}

fn condition(level: Level, actual: f64) -> Condition {
    Condition {
        level,
        category: Category::ErrorRate,
        title: "Error rate",
        description: format!("{actual}"),
        operation: Some("a".into()),
        threshold: 0.1,
        actual,
    }
}

#[test]
fn an_alert_lasts_as_long_as_its_cause_and_does_not_repeat() {
    let alerts = Alerts::new(Persistence::in_memory().log("alerts"));
    assert_eq!(alerts.evaluate(&[condition(Level::Critical, 0.5)]).len(), 1);
    assert_eq!(alerts.evaluate(&[condition(Level::Critical, 0.6)]).len(), 0);
    assert_eq!(alerts.lasting()[0].actual_value, 0.6);
    let message = alerts.evaluate(&[condition(Level::Warning, 0.06)]);
    let message: Vec<_> =
        message.iter().map(|alert| (alert.level, alert.ended_at.is_some())).collect();
    assert_eq!(message, [(Level::Critical, true), (Level::Warning, false)]);
    assert_eq!(alerts.acknowledge(2, "me").unwrap().acknowledged_by.as_deref(), Some("me"));
    assert_eq!(alerts.acknowledge(2, "you").unwrap().acknowledged_by.as_deref(), Some("me"));
    assert_eq!(alerts.acknowledge(9, "me"), None);
    assert_eq!(alerts.latest(10, Some(Level::Critical)).len(), 1);
    assert_eq!(alerts.forget(0.0), (1, 1), "what lasts stays");
    assert_eq!(alerts.evaluate(&[]).len(), 1);
}

#[test]
fn alerts_that_lasted_when_the_process_ended_are_over_after_the_start() {
    let store = Persistence::in_memory();
    let alerts = Alerts::new(store.log("alerts"));
    alerts.evaluate(&[condition(Level::Critical, 0.5)]);
    alerts.save().unwrap();
    let again = Alerts::new(store.log("alerts"));
    assert!(again.latest(1, None)[0].ended_at.is_some());
    assert_eq!(again.evaluate(&[condition(Level::Critical, 0.5)])[0].id, 2);
}

#[test]
fn every_bound_acts() {
    let quiet =
        AuditTrail::new(&MonitoringConfig::default(), Persistence::in_memory().log("trail"));
    let bounds = AlertConfig::default();
    let base = Watched { operation: "a".into(), ended: 100, ..Watched::default() };
    let check = |watched: Watched, expected: &[(Level, Category)]| {
        let found = inspected(&[watched], &quiet).conditions(&bounds);
        let found: Vec<_> = found.iter().map(|found| (found.level, found.category)).collect();
        assert_eq!(found, expected);
    };
    let s = Duration::from_secs;
    check(base.clone(), &[]);
    check(Watched { failed: 5, ..base.clone() }, &[]);
    check(Watched { failed: 6, ..base.clone() }, &[(Level::Warning, Category::ErrorRate)]);
    check(Watched { failed: 11, ..base.clone() }, &[(Level::Critical, Category::ErrorRate)]);
    check(Watched { failed: 9, ended: 10, ..base.clone() }, &[]);
    check(Watched { p95: Some(s(3)), ..base.clone() }, &[(Level::Warning, Category::Latency)]);
    check(Watched { p95: Some(s(6)), ..base.clone() }, &[(Level::Critical, Category::Latency)]);
    check(Watched { timed_out: 6, ..base.clone() }, &[(Level::Warning, Category::Timeouts)]);
    check(Watched { open_for: Some(s(300)), ..base.clone() }, &[]);
    let open = Watched { open_for: Some(s(301)), ended: 0, ..base.clone() };
    check(open, &[(Level::Critical, Category::CircuitBreaker)]);
    check(Watched { bulkhead: Some(0.8), ..base.clone() }, &[]);
    check(Watched { bulkhead: Some(0.9), ..base }, &[(Level::Warning, Category::Bulkhead)]);
}

#[test]
fn the_configuration_has_alerts_of_its_own() {
    let titles = |records: &[(MetricType, f64)]| -> Vec<&'static str> {
        let trail =
            AuditTrail::new(&MonitoringConfig::default(), Persistence::in_memory().log("trail"));
        for (kind, value) in records {
            trail.record(Record::new(*kind, "simple", "x", *value), &Actor::default());
        }
        let found = inspected(&[], &trail).conditions(&AlertConfig::default());
        found.iter().map(|found| found.title).collect()
    };
    assert_eq!(titles(&[(MetricType::ConfigLoad, 3.0)]), [""; 0]);
    assert_eq!(titles(&[(MetricType::ConfigLoad, 101.0)]), ["Slow configuration"]);
    // A file that was refused raises an alert while it is refused, not for an hour after it.
    assert_eq!(titles(&[(MetricType::ConfigError, 1.0)]), [""; 0]);
    assert_eq!(titles(&[(MetricType::ConfigChange, 1.0); 11]), ["Many changes"]);
    assert_eq!(titles(&[(MetricType::ValidationEvent, 0.0); 20]), ["Invalid configurations"]);
    assert_eq!(titles(&[(MetricType::ValidationEvent, 0.0); 19]), [""; 0]);
}

#[test]
fn a_store_and_a_file_that_fail_have_alerts_while_they_fail() {
    let trail =
        AuditTrail::new(&MonitoringConfig::default(), Persistence::in_memory().log("trail"));
    let bounds = AlertConfig::default();
    let failing = Inspected {
        store_failure: Some("no room".into()),
        refused_file: Some("line 3".into()),
        ..inspected(&[], &trail)
    };
    let found = failing.conditions(&bounds);
    let found: Vec<_> = found.iter().map(|found| (found.title, found.level)).collect();
    let both = [("Store not written", Level::Error), ("Configuration errors", Level::Error)];
    assert_eq!(found, both);
    let deaf = AlertConfig { config_error_share: 1.0, ..bounds };
    assert_eq!(failing.conditions(&deaf).len(), 1, "at 1 nobody wants to know of the file");
}
