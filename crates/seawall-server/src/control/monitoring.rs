//! Configuration events, and the alerts about them.

use super::{
    Control,
    config::blocking,
    extract::{PathName, Query, number, within},
    problem::{Answer, ApiError, failed, problem},
    tag::tagged,
};
use crate::{
    audit_trail::{MetricType, PerformanceMetrics, Record, Trend, UsageStatistics},
    wall_clock,
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

mod export;

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    export::read_routes()
        .routes(routes!(usage))
        .routes(routes!(trends))
        .routes(routes!(performance))
        .routes(routes!(session))
}

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(cleanup))
}

/// The longest window, one year.
const MOST_HOURS: u64 = 8760;

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct WindowParameters {
    /// How far back to look, in hours.
    #[serde(default = "number::<24, _>")]
    #[param(minimum = 1, maximum = 8760, default = 24)]
    time_window_hours: u64,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HoursParameters {
    /// How far back to look, in hours.
    #[serde(default = "number::<24, _>")]
    #[param(minimum = 1, maximum = 8760, default = 24)]
    hours: u64,
}

/// The use of configurations within a window.
#[derive(Serialize, ToSchema)]
struct Usage {
    time_window_hours: u64,
    usage_statistics: UsageStatistics,
    summary: UsageSummary,
}

#[derive(Serialize, ToSchema)]
struct UsageSummary {
    /// Whether the share of failed loads is below the threshold of alerts.
    healthy: bool,
    /// Whether the average load is faster than the threshold of alerts.
    performance_good: bool,
    /// The share of the uses that did not come from variables of older systems, from 0 to 1.
    preset_adoption: f64,
}

/// Shows how the configuration was used.
#[utoipa::path(get, path = "/monitoring/usage-statistics", params(WindowParameters),
    responses((status = 200, body = Usage)))]
async fn usage(
    State(control): State<Control>,
    Query(parameters): Query<WindowParameters>,
) -> Result<Response, ApiError> {
    let hours = within("time_window_hours", parameters.time_window_hours, 1, MOST_HOURS)?;
    let statistics =
        control.live.trail().fold(hours as f64, |records| UsageStatistics::of(records));
    let bounds = &control.live.now().config.monitoring.alerts;
    let summary = UsageSummary {
        healthy: statistics.error_rate < bounds.config_error_share,
        performance_good: statistics.avg_load_time_ms
            < bounds.config_load_time.as_secs_f64() * 1000.0,
        preset_adoption: 1.0 - statistics.legacy_config_usage_rate,
    };
    let body = Usage { time_window_hours: hours, usage_statistics: statistics, summary };
    Ok(tagged(&body))
}

/// The use of a preset, hour by hour.
#[derive(Serialize, ToSchema)]
struct Trends {
    preset_name: String,
    time_window_hours: u64,
    /// The hours, oldest first; the present hour is the last.
    trend_data: Vec<Trend>,
    summary: TrendSummary,
}

#[derive(Serialize, ToSchema)]
struct TrendSummary {
    total_usage: usize,
    peak_usage: usize,
    avg_hourly_usage: f64,
}

/// Shows how often a preset was used, hour by hour.
#[utoipa::path(get, path = "/monitoring/preset-trends/{preset}", params(HoursParameters),
    responses((status = 200, body = Trends)))]
async fn trends(
    State(control): State<Control>,
    PathName(preset): PathName,
    Query(parameters): Query<HoursParameters>,
) -> Result<Response, ApiError> {
    let hours = within("hours", parameters.hours, 1, MOST_HOURS)?;
    super::validation::sane("preset", &preset)?;
    let now = wall_clock::now_ms();
    let trend_data = control
        .live
        .trail()
        .fold(hours as f64, |records| Trend::hourly(records, &preset, hours, now));
    let total_usage = trend_data.iter().map(|hour| hour.usage_count).sum();
    let summary = TrendSummary {
        total_usage,
        peak_usage: trend_data.iter().map(|hour| hour.usage_count).max().unwrap_or(0),
        avg_hourly_usage: total_usage as f64 / hours as f64,
    };
    let body = Trends { preset_name: preset, time_window_hours: hours, trend_data, summary };
    Ok(tagged(&body))
}

/// How long loads took within a window.
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

/// Shows how long loads took: all of them, by preset and by action.
#[utoipa::path(get, path = "/monitoring/performance-metrics", params(HoursParameters),
    responses((status = 200, body = LoadPerformance)))]
async fn performance(
    State(control): State<Control>,
    Query(parameters): Query<HoursParameters>,
) -> Result<Response, ApiError> {
    let hours = within("hours", parameters.hours, 1, MOST_HOURS)?;
    let metrics =
        control.live.trail().fold(hours as f64, |records| PerformanceMetrics::of(records));
    let bounds = &control.live.now().config.monitoring.alerts;
    let most = bounds.config_load_time.as_secs_f64() * 1000.0;
    let all = metrics.error_count + metrics.total_samples;
    let health_check = HealthCheck {
        performance_good: metrics.all.avg_load_time_ms.is_none_or(|time| time < most),
        error_rate_acceptable: (metrics.error_count as f64)
            <= bounds.config_error_share * all as f64,
        p95_within_threshold: metrics.all.p95_load_time_ms.is_none_or(|time| time < 2.0 * most),
    };
    let body =
        LoadPerformance { time_window_hours: hours, performance_metrics: metrics, health_check };
    Ok(tagged(&body))
}

/// The events of one session.
#[derive(Serialize, ToSchema)]
struct SessionDetail {
    session_id: String,
    /// The events, oldest first.
    metrics: Vec<Record>,
    summary: SessionSummary,
}

#[derive(Serialize, ToSchema)]
struct SessionSummary {
    total_operations: usize,
    preset_usage: BTreeMap<String, usize>,
    error_count: usize,
}

/// Shows the events of one session, in order.
#[utoipa::path(get, path = "/monitoring/session/{id}",
    responses((status = 200, body = SessionDetail)))]
async fn session(
    State(control): State<Control>,
    PathName(id): PathName,
) -> Result<Response, ApiError> {
    let Some(metrics) = control.live.trail().of_session(&id) else {
        let detail =
            "there is no such session; changes and validations name theirs as X-Session-ID";
        return Err(problem(StatusCode::NOT_FOUND, "Unknown session", detail));
    };
    let mut preset_usage = BTreeMap::new();
    for record in &metrics {
        *preset_usage.entry(record.preset_name.clone()).or_default() += 1;
    }
    let summary = SessionSummary {
        total_operations: metrics.len(),
        preset_usage,
        error_count: metrics
            .iter()
            .filter(|one| one.metric_type == MetricType::ConfigError)
            .count(),
    };
    Ok(tagged(&SessionDetail { session_id: id, metrics, summary }))
}

/// The numbers of records that were removed, and of those that are left.
#[derive(Serialize, ToSchema)]
struct Cleanup {
    cleanup_threshold_hours: u64,
    metrics_removed: usize,
    metrics_remaining: usize,
    alerts_removed: usize,
    alerts_remaining: usize,
    cleanup_timestamp: String,
}

/// Removes events and alerts that are older than this many hours.
#[utoipa::path(post, path = "/monitoring/cleanup", params(HoursParameters),
    responses((status = 200, body = Cleanup)))]
async fn cleanup(
    State(control): State<Control>,
    Query(parameters): Query<HoursParameters>,
) -> Answer<Cleanup> {
    let hours = within("hours", parameters.hours, 1, MOST_HOURS)?;
    let live = control.live.clone();
    let forgotten = blocking(move || live.trail().forget(hours as f64)).await?;
    let (metrics_removed, metrics_remaining) =
        forgotten.map_err(|error| failed(&error.to_string()))?;
    let (alerts_removed, alerts_remaining) = control.alerts.forget(hours as f64);
    Ok(Json(Cleanup {
        cleanup_threshold_hours: hours,
        metrics_removed,
        metrics_remaining,
        alerts_removed,
        alerts_remaining,
        cleanup_timestamp: wall_clock::now(),
    }))
}
