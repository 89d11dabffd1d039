//! Events of the configuration as a file.

use super::MOST_HOURS;
use crate::{
    audit_trail::{MetricType, PerformanceMetrics, Record},
    control::{
        Control,
        extract::{Query, number, within},
        problem::ApiError,
        table::{Column, csv},
    },
    prometheus::{Page, escaped},
    wall_clock,
};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(export))
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
    /// The format of the answer: `json`, `csv` or `prometheus`.
    #[serde(default, deserialize_with = "crate::control::extract::any_case")]
    #[param(inline)]
    format: ExportFormat,
    /// How far back to look, in hours.
    #[serde(default = "number::<24, _>")]
    #[param(minimum = 1, maximum = 8760, default = 24)]
    time_window_hours: u64,
}

/// Exports all events of a period as a file: JSON, CSV, or numbers for Prometheus.
#[utoipa::path(get, path = "/monitoring/export", params(ExportParameters),
    responses((status = 200, content((Vec<Record> = "application/json"), (String = "text/csv"), (String = "text/plain")))))]
async fn export(
    State(control): State<Control>,
    Query(parameters): Query<ExportParameters>,
) -> Result<Response, ApiError> {
    let hours = within("time_window_hours", parameters.time_window_hours, 1, MOST_HOURS)?;
    let records = control.live.trail().since_hours(hours as f64);
    let named = |end: &str| format!("attachment; filename=\"seawall-monitoring.{end}\"");
    Ok(match parameters.format {
        ExportFormat::Json => {
            ([(header::CONTENT_DISPOSITION, named("json"))], Json(records)).into_response()
        }
        ExportFormat::Csv => {
            let table = csv(COLUMNS, &records);
            ([(header::CONTENT_DISPOSITION, named("csv"))], table).into_response()
        }
        ExportFormat::Prometheus => {
            let kind = [(header::CONTENT_TYPE, "text/plain; version=0.0.4; charset=utf-8")];
            (kind, numbers(&records)).into_response()
        }
    })
}

/// The columns of the CSV table.
const COLUMNS: &[Column<Record>] = &[
    ("timestamp", |record| wall_clock::text(record.timestamp)),
    ("metric_type", |record| word(record.metric_type)),
    ("preset_name", |record| record.preset_name.clone()),
    ("operation", |record| record.operation.clone()),
    ("value", |record| record.value.to_string()),
    ("session_id", |record| record.session_id.clone().unwrap_or_default()),
    ("user_context", |record| record.user_context.clone().unwrap_or_default()),
    ("metadata", |record| serde_json::to_string(&record.metadata).unwrap_or_default()),
];

fn word(kind: MetricType) -> String {
    let word = serde_json::to_value(kind).unwrap_or_default();
    word.as_str().unwrap_or_default().to_owned()
}

/// Counts by type and preset, and the times of loads.
fn numbers(records: &[Record]) -> String {
    let mut counts: BTreeMap<(String, &str), usize> = BTreeMap::new();
    for record in records {
        *counts.entry((word(record.metric_type), &record.preset_name)).or_default() += 1;
    }
    let mut page = Page::default();
    let counts = counts.into_iter().map(|((kind, preset), count)| {
        (format!("type=\"{kind}\",preset=\"{}\"", escaped(preset)), count)
    });
    let help = "Events of the configuration in the window.";
    page.family("seawall_config_events", "gauge", help, counts);
    let times = PerformanceMetrics::of(records.iter()).all;
    let percentiles = [
        ("0.5", times.p50_load_time_ms),
        ("0.95", times.p95_load_time_ms),
        ("0.99", times.p99_load_time_ms),
    ];
    let percentiles =
        percentiles.into_iter().filter_map(|(q, time)| Some((format!("quantile=\"{q}\""), time?)));
    let name = "seawall_config_load_ms";
    page.family(name, "summary", "Time of loads in the window.", percentiles);
    let sum = times.avg_load_time_ms.unwrap_or(0.0) * times.sample_count as f64;
    page.line("seawall_config_load_ms_sum", "", sum);
    page.line("seawall_config_load_ms_count", "", times.sample_count);
    page.text
}
