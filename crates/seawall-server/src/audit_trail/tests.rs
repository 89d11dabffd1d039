//! Tests of bounds, sessions and statistics.

use super::{statistics::share, *};
use crate::persistence::Persistence;
use std::time::Duration;

fn bounds(max_events: usize, max_sessions: usize) -> MonitoringConfig {
    MonitoringConfig { max_events, max_sessions, ..MonitoringConfig::default() }
}

fn load(preset: &str, ms: f64) -> Record {
    Record::new(MetricType::ConfigLoad, preset, "load_config", ms)
}

#[test]
fn events_are_bounded_in_number_and_age() {
    let trail = AuditTrail::new(&bounds(100, 10), Persistence::in_memory().log("trail"));
    for n in 0..150 {
        trail.record(load("simple", f64::from(n)), &Actor::default());
    }
    let kept = trail.since_hours(1.0);
    assert_eq!((kept.len(), kept[0].value), (100, 50.0));
    let old = Record { timestamp: wall_clock::now_ms() - 7_200_000, ..load("simple", 1.0) };
    let trail = AuditTrail::new(&bounds(100, 10), Persistence::in_memory().log("trail"));
    trail.record(old, &Actor::default());
    assert_eq!((trail.since_hours(1.0).len(), trail.since_hours(3.0).len()), (0, 1));
    trail.set_bounds(&MonitoringConfig { retention: Duration::from_secs(3600), ..bounds(100, 10) });
    assert_eq!(trail.since_hours(3.0).len(), 0);
    trail.set_bounds(&MonitoringConfig { enabled: false, ..bounds(100, 10) });
    trail.record(load("simple", 1.0), &Actor::default());
    assert_eq!(trail.since_hours(1.0).len(), 0, "off is off");
}

#[test]
fn sessions_belong_to_who_began_them_and_are_bounded() {
    let trail = AuditTrail::new(&bounds(100, 3), Persistence::in_memory().log("trail"));
    let mine = trail.session("me", None);
    assert_eq!(trail.session("me", Some(&mine)), mine);
    assert_ne!(trail.session("you", Some(&mine)), mine, "not yours");
    assert_ne!(trail.session("me", Some("invented")), "invented");
    trail.record(load("simple", 2.0), &Actor { name: "me".into(), session: Some(mine.clone()) });
    assert_eq!(trail.of_session(&mine).map(|records| records.len()), Some(1));
    assert_eq!(trail.of_session("invented"), None);
    for _ in 0..10 {
        trail.session("other", None);
    }
    assert_eq!(trail.rules().sessions.len(), 3);
}

#[test]
fn stored_records_come_back_once() {
    let store = Persistence::in_memory();
    let open = || AuditTrail::new(&bounds(100, 3), store.log("trail"));
    let trail = open();
    trail.record(load("simple", 1.0), &Actor::named("me"));
    trail.save().unwrap();
    trail.record(load("simple", 2.0), &Actor::named("me"));
    trail.save().unwrap();
    trail.save().unwrap();
    let again = open();
    let values: Vec<f64> = again.since_hours(1.0).iter().map(|record| record.value).collect();
    assert_eq!(values, [1.0, 2.0]);
    assert_eq!(again.forget(0.0).unwrap(), (2, 0));
    assert_eq!(open().since_hours(1.0).len(), 0);
}

#[test]
fn statistics_add_up() {
    let used = |preset: &str, kind: &str| {
        Record::new(MetricType::PresetUsage, preset, "load_preset", 1.0).with("config_type", kind)
    };
    let error = Record::new(MetricType::ConfigError, "simple", "load_config", 1.0);
    let records = [
        load("simple", 1.0),
        load("simple", 3.0),
        load("production", 8.0),
        error,
        used("simple", "preset"),
        used("simple", "custom"),
        used("simple", "legacy"),
        used("production", "preset"),
    ];
    let usage = UsageStatistics::of(records.iter());
    assert_eq!((usage.total_loads, usage.error_rate, usage.avg_load_time_ms), (3, 0.25, 4.0));
    assert_eq!(usage.most_used_preset.as_deref(), Some("simple"));
    assert_eq!(usage.least_used_preset.as_deref(), Some("production"));
    assert_eq!((usage.custom_config_usage_rate, usage.legacy_config_usage_rate), (0.25, 0.25));
    let times = PerformanceMetrics::of(records.iter());
    assert_eq!((times.total_samples, times.error_count), (3, 1));
    assert_eq!((times.all.p50_load_time_ms, times.all.p99_load_time_ms), (Some(3.0), Some(8.0)));
    assert_eq!(times.preset_performance["simple"].avg_load_time_ms, Some(2.0));
    assert_eq!(PerformanceMetrics::of([].iter()).all.avg_load_time_ms, None, "nothing is not 0 ms");
    let now = wall_clock::now_ms();
    let trend = Trend::hourly(records.iter(), "simple", 24, now);
    assert_eq!(trend.len(), 24);
    let last = &trend[23];
    let counted = (last.usage_count, last.loads, last.errors, last.avg_load_time_ms);
    assert_eq!(counted, (3, 2, 1, Some(2.0)));
    assert_eq!(trend[0].usage_count, 0);
    assert_eq!(share(1, 0), 0.0);
}
