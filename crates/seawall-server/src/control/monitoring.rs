//! What happened to the configuration, and alerts.

use super::{
    Control,
    answer::{Answer, Asked, Named, ProblemDocument, Refusal, csv, failed, problem, tagged, within, wrong},
    config::blocking,
};
use crate::{
    alerts::{Alert, Category, Level},
    monitor::{Actor, MetricType, PerformanceMetrics, Record, Trend, UsageStatistics},
    wall,
};
use axum::{
    Json,
    extract::State,
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, fmt::Write};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn reading() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(usage))
        .routes(routes!(trends))
        .routes(routes!(performance))
        .routes(routes!(alerts))
        .routes(routes!(session))
        .routes(routes!(export))
}

pub(super) fn writing() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(cleanup)).routes(routes!(acknowledge))
}

/// A year.
const MOST_HOURS: u64 = 8760;

fn day() -> u64 {
    24
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WindowParameters {
    /// How far back to look, in hours.
    #[serde(default = "day")]
    #[param(minimum = 1, maximum = 8760, default = 24)]
    time_window_hours: u64,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HoursParameters {
    /// How far back to look, in hours.
    #[serde(default = "day")]
    #[param(minimum = 1, maximum = 8760, default = 24)]
    hours: u64,
}

/// How the configuration was used.
#[derive(Serialize, ToSchema)]
struct Usage {
    time_window_hours: u64,
    statistics: UsageStatistics,
    summary: UsageSummary,
}

#[derive(Serialize, ToSchema)]
struct UsageSummary {
    /// Fewer than 5 % of the loads failed.
    healthy: bool,
    /// A load takes less than 100 ms.
    performance_good: bool,
    /// Share of the uses that are not of the older kind.
    preset_adoption: f64,
}

/// How the configuration was used.
#[utoipa::path(get, path = "/internal/resilience/monitoring/usage-statistics", tag = "monitoring",
    params(WindowParameters), security(("key" = ["read"])), responses((status = 200, body = Usage)))]
async fn usage(
    State(control): State<Control>,
    Asked(parameters): Asked<WindowParameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let hours = within("time_window_hours", parameters.time_window_hours, 1, MOST_HOURS)?;
    let statistics = control.live.monitor().fold(hours as f64, |records| UsageStatistics::of(records));
    let bounds = &control.live.now().config.monitoring.alerts;
    let summary = UsageSummary {
        healthy: statistics.error_rate < bounds.config_error_share,
        performance_good: statistics.avg_load_time_ms < bounds.config_load_time.as_secs_f64() * 1000.0,
        preset_adoption: 1.0 - statistics.legacy_config_usage_rate,
    };
    Ok(tagged(&headers, &Usage { time_window_hours: hours, statistics, summary }))
}

/// A preset, hour by hour.
#[derive(Serialize, ToSchema)]
struct Trends {
    preset_name: String,
    time_window_hours: u64,
    /// Oldest first; the present hour last.
    trend_data: Vec<Trend>,
    summary: TrendSummary,
}

#[derive(Serialize, ToSchema)]
struct TrendSummary {
    total_usage: usize,
    peak_usage: usize,
    avg_hourly_usage: f64,
}

/// How often a preset was used, hour by hour.
#[utoipa::path(get, path = "/internal/resilience/monitoring/preset-trends/{preset}", tag = "monitoring",
    params(("preset" = String, Path, description = "The preset's name"), HoursParameters),
    security(("key" = ["read"])), responses((status = 200, body = Trends)))]
async fn trends(
    State(control): State<Control>,
    Named(preset): Named,
    Asked(parameters): Asked<HoursParameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let hours = within("hours", parameters.hours, 1, MOST_HOURS)?;
    super::validation::sane("preset", &preset)?;
    let now = wall::now_ms();
    let trend_data = control
        .live
        .monitor()
        .fold(hours as f64, |records| Trend::hourly(records, &preset, hours, now));
    let total_usage = trend_data.iter().map(|hour| hour.usage_count).sum();
    let summary = TrendSummary {
        total_usage,
        peak_usage: trend_data.iter().map(|hour| hour.usage_count).max().unwrap_or(0),
        avg_hourly_usage: total_usage as f64 / hours as f64,
    };
    let body = Trends { preset_name: preset, time_window_hours: hours, trend_data, summary };
    Ok(tagged(&headers, &body))
}

/// How long loads took.
#[derive(Serialize, ToSchema)]
struct LoadPerformance {
    time_window_hours: u64,
    performance_metrics: PerformanceMetrics,
    health_check: HealthCheck,
}

#[derive(Serialize, ToSchema)]
struct HealthCheck {
    performance_good: bool,
    error_rate_acceptable: bool,
    p95_within_threshold: bool,
}

/// How long loads took, in all, by preset and by what was done.
#[utoipa::path(get, path = "/internal/resilience/monitoring/performance-metrics", tag = "monitoring",
    params(HoursParameters), security(("key" = ["read"])), responses((status = 200, body = LoadPerformance)))]
async fn performance(
    State(control): State<Control>,
    Asked(parameters): Asked<HoursParameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let hours = within("hours", parameters.hours, 1, MOST_HOURS)?;
    let metrics = control.live.monitor().fold(hours as f64, |records| PerformanceMetrics::of(records));
    let bounds = &control.live.now().config.monitoring.alerts;
    let most = bounds.config_load_time.as_secs_f64() * 1000.0;
    let all = metrics.error_count + metrics.total_samples;
    let health_check = HealthCheck {
        performance_good: metrics.all.avg_load_time_ms.is_none_or(|time| time < most),
        error_rate_acceptable: (metrics.error_count as f64) <= bounds.config_error_share * all as f64,
        p95_within_threshold: metrics.all.p95_load_time_ms.is_none_or(|time| time < 2.0 * most),
    };
    let body =
        LoadPerformance { time_window_hours: hours, performance_metrics: metrics, health_check };
    Ok(tagged(&headers, &body))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AlertParameters {
    /// Alerts in one answer.
    #[serde(default = "fifty")]
    #[param(minimum = 1, maximum = 1000, default = 50)]
    max_alerts: usize,
    /// Only those of one level.
    #[param(inline)]
    level: Option<Level>,
    /// `json` or `csv`.
    #[serde(default)]
    #[param(inline)]
    format: super::breakers::TableFormat,
}

fn fifty() -> usize {
    50
}

/// Alerts, the latest first.
#[derive(Serialize, ToSchema)]
struct AlertList {
    alerts: Vec<Alert>,
    summary: AlertSummary,
}

#[derive(Serialize, ToSchema)]
struct AlertSummary {
    total_alerts: usize,
    /// Those that last.
    active_alerts: usize,
    alert_counts: BTreeMap<Level, usize>,
    category_counts: BTreeMap<Category, usize>,
    has_critical: bool,
    has_errors: bool,
}

/// Alerts, the latest first, with those that are over.
#[utoipa::path(get, path = "/internal/resilience/monitoring/alerts", tag = "monitoring",
    params(AlertParameters), security(("key" = ["read"])),
    responses((status = 200, content((AlertList = "application/json"), (String = "text/csv")))))]
async fn alerts(
    State(control): State<Control>,
    Asked(parameters): Asked<AlertParameters>,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let most = within("max_alerts", parameters.max_alerts, 1, 1000)?;
    let alerts = control.alerts.latest(most, parameters.level);
    if parameters.format == super::breakers::TableFormat::Csv {
        let header = ["id", "level", "title", "operation", "description", "started_at", "ended_at", "acknowledged_by"];
        return Ok(csv(&header, alerts.into_iter().map(cells)));
    }
    let mut alert_counts: BTreeMap<Level, usize> =
        [Level::Info, Level::Warning, Level::Error, Level::Critical].map(|level| (level, 0)).into();
    let mut category_counts = BTreeMap::new();
    for alert in &alerts {
        *alert_counts.entry(alert.level).or_default() += 1;
        *category_counts.entry(alert.category).or_default() += 1;
    }
    let summary = AlertSummary {
        total_alerts: alerts.len(),
        active_alerts: alerts.iter().filter(|alert| alert.ended_at.is_none()).count(),
        has_critical: alert_counts[&Level::Critical] > 0,
        has_errors: alert_counts[&Level::Error] > 0,
        alert_counts,
        category_counts,
    };
    Ok(tagged(&headers, &AlertList { alerts, summary }))
}

fn cells(alert: Alert) -> Vec<String> {
    vec![
        alert.id.to_string(),
        format!("{:?}", alert.level).to_lowercase(),
        alert.title,
        alert.operation.unwrap_or_default(),
        alert.description,
        wall::text(alert.started_at),
        alert.ended_at.unwrap_or_default(),
        alert.acknowledged_by.unwrap_or_default(),
    ]
}

/// Says that somebody takes care of an alert.
#[utoipa::path(post, path = "/internal/resilience/monitoring/alerts/{id}/acknowledge", tag = "monitoring",
    params(("id" = u64, Path, description = "The alert's number")), security(("key" = ["write"])),
    responses((status = 200, body = Alert), (status = 404, body = ProblemDocument), (status = 422, body = ProblemDocument)))]
async fn acknowledge(
    State(control): State<Control>,
    Named(id): Named,
    actor: Actor,
) -> Answer<Alert> {
    let id: u64 = id.parse().map_err(|_| wrong("id", "the number of an alert is a whole number"))?;
    match control.alerts.acknowledge(id, &actor.name) {
        Some(alert) => Ok(Json(alert)),
        None => {
            let detail = format!("there is no alert {id}");
            Err(Refusal::from(problem(StatusCode::NOT_FOUND, "Unknown alert", &detail)))
        }
    }
}

/// What happened in one session.
#[derive(Serialize, ToSchema)]
struct SessionDetail {
    session_id: String,
    /// Oldest first.
    metrics: Vec<Record>,
    summary: SessionSummary,
}

#[derive(Serialize, ToSchema)]
struct SessionSummary {
    total_operations: usize,
    preset_usage: BTreeMap<String, usize>,
    error_count: usize,
}

/// What happened in one session, in order.
#[utoipa::path(get, path = "/internal/resilience/monitoring/session/{id}", tag = "monitoring",
    params(("id" = String, Path, description = "As `X-Session-ID` named it")), security(("key" = ["read"])),
    responses((status = 200, body = SessionDetail), (status = 404, body = ProblemDocument)))]
async fn session(
    State(control): State<Control>,
    Named(id): Named,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let Some(metrics) = control.live.monitor().of_session(&id) else {
        let detail = "there is no such session; changes and validations name theirs as X-Session-ID";
        return Err(Refusal::from(problem(StatusCode::NOT_FOUND, "Unknown session", detail)));
    };
    let mut preset_usage = BTreeMap::new();
    for record in &metrics {
        *preset_usage.entry(record.preset_name.clone()).or_default() += 1;
    }
    let summary = SessionSummary {
        total_operations: metrics.len(),
        preset_usage,
        error_count: metrics.iter().filter(|one| one.metric_type == MetricType::ConfigError).count(),
    };
    Ok(tagged(&headers, &SessionDetail { session_id: id, metrics, summary }))
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ExportFormat {
    #[default]
    Json,
    Csv,
    Prometheus,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ExportParameters {
    /// `json`, `csv` or `prometheus`.
    #[serde(default)]
    #[param(inline)]
    format: ExportFormat,
    /// How far back to look, in hours.
    #[serde(default = "day")]
    #[param(minimum = 1, maximum = 8760, default = 24)]
    time_window_hours: u64,
}

/// All events of a time, as a file: JSON, CSV, or numbers for Prometheus.
#[utoipa::path(get, path = "/internal/resilience/monitoring/export", tag = "monitoring",
    params(ExportParameters), security(("key" = ["read"])),
    responses((status = 200, content((Vec<Record> = "application/json"), (String = "text/csv"), (String = "text/plain")))))]
async fn export(
    State(control): State<Control>,
    Asked(parameters): Asked<ExportParameters>,
) -> Result<Response, Refusal> {
    let hours = within("time_window_hours", parameters.time_window_hours, 1, MOST_HOURS)?;
    let records = control.live.monitor().since_hours(hours as f64);
    let named = |end: &str| format!("attachment; filename=\"seawall-monitoring.{end}\"");
    Ok(match parameters.format {
        ExportFormat::Json => ([(header::CONTENT_DISPOSITION, named("json"))], Json(records)).into_response(),
        ExportFormat::Csv => {
            let names =
                ["timestamp", "metric_type", "preset_name", "operation", "value", "session_id", "user_context", "metadata"];
            let table = csv(&names, records.into_iter().map(record_cells));
            ([(header::CONTENT_DISPOSITION, named("csv"))], table).into_response()
        }
        ExportFormat::Prometheus => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, numbers(&records)).into_response()
        }
    })
}

fn record_cells(record: Record) -> Vec<String> {
    vec![
        wall::text(record.timestamp),
        word(record.metric_type),
        record.preset_name,
        record.operation,
        record.value.to_string(),
        record.session_id.unwrap_or_default(),
        record.user_context.unwrap_or_default(),
        serde_json::to_string(&record.metadata).unwrap_or_default(),
    ]
}

fn word(kind: MetricType) -> String {
    serde_json::to_value(kind).ok().and_then(|word| word.as_str().map(str::to_owned)).unwrap_or_default()
}

/// Counts by type and preset, and the times of loads.
fn numbers(records: &[Record]) -> String {
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for record in records {
        *counts.entry((word(record.metric_type), &record.preset_name)).or_default() += 1;
    }
    let mut text = String::from(
        "# HELP seawall_config_events Events of the configuration in the window.\n# TYPE seawall_config_events gauge\n",
    );
    for ((kind, preset), count) in counts {
        let preset = super::prometheus::escaped(preset);
        let _ = writeln!(text, "seawall_config_events{{type=\"{kind}\",preset=\"{preset}\"}} {count}");
    }
    let times = PerformanceMetrics::of(records.iter()).all;
    text.push_str("# HELP seawall_config_load_ms Time of loads in the window.\n# TYPE seawall_config_load_ms summary\n");
    for (q, time) in
        [("0.5", times.p50_load_time_ms), ("0.95", times.p95_load_time_ms), ("0.99", times.p99_load_time_ms)]
    {
        if let Some(time) = time {
            let _ = writeln!(text, "seawall_config_load_ms{{quantile=\"{q}\"}} {time}");
        }
    }
    let sum = times.avg_load_time_ms.unwrap_or(0.0) * times.sample_count as f64;
    let _ = writeln!(text, "seawall_config_load_ms_sum {sum}\nseawall_config_load_ms_count {}", times.sample_count);
    text
}

/// What was removed.
#[derive(Serialize, ToSchema)]
struct Cleanup {
    cleanup_threshold_hours: u64,
    metrics_removed: usize,
    metrics_remaining: usize,
    alerts_removed: usize,
    alerts_remaining: usize,
    cleanup_timestamp: String,
}

/// Forgets what is older than so many hours.
#[utoipa::path(post, path = "/internal/resilience/monitoring/cleanup", tag = "monitoring",
    params(HoursParameters), security(("key" = ["write"])), responses((status = 200, body = Cleanup)))]
async fn cleanup(
    State(control): State<Control>,
    Asked(parameters): Asked<HoursParameters>,
) -> Answer<Cleanup> {
    let hours = within("hours", parameters.hours, 1, MOST_HOURS)?;
    let live = control.live.clone();
    let forgotten = blocking(move || live.monitor().forget(hours as f64, live.store.as_deref())).await?;
    let (metrics_removed, metrics_remaining) = forgotten.map_err(|error| failed(&error))?;
    let (alerts_removed, alerts_remaining) = control.alerts.forget(hours as f64);
    Ok(Json(Cleanup {
        cleanup_threshold_hours: hours,
        metrics_removed,
        metrics_remaining,
        alerts_removed,
        alerts_remaining,
        cleanup_timestamp: wall::now(),
    }))
}
