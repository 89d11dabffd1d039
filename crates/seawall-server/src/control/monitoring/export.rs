//! Events of the configuration as a file.

use super::{MOST_HOURS, day};
use crate::{
    audit_trail::{MetricType, PerformanceMetrics, Record},
    control::{
        Control,
        answer::{Asked, Refusal, csv, within},
    },
    prometheus::escaped,
    wall_clock,
};
use axum::{
    Json,
    extract::State,
    http::header,
    response::{IntoResponse, Response},
};
use serde::Deserialize;
use std::{collections::BTreeMap, fmt::Write};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn reading() -> OpenApiRouter<Control> {
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
    /// `json`, `csv` or `prometheus`.
    #[serde(default, deserialize_with = "crate::control::answer::any_case")]
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
    let records = control.live.trail().since_hours(hours as f64);
    let named = |end: &str| format!("attachment; filename=\"seawall-monitoring.{end}\"");
    Ok(match parameters.format {
        ExportFormat::Json => {
            ([(header::CONTENT_DISPOSITION, named("json"))], Json(records)).into_response()
        }
        ExportFormat::Csv => {
            let names = [
                "timestamp",
                "metric_type",
                "preset_name",
                "operation",
                "value",
                "session_id",
                "user_context",
                "metadata",
            ];
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
        wall_clock::text(record.timestamp),
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
    serde_json::to_value(kind)
        .ok()
        .and_then(|word| word.as_str().map(str::to_owned))
        .unwrap_or_default()
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
        let preset = escaped(preset);
        let _ =
            writeln!(text, "seawall_config_events{{type=\"{kind}\",preset=\"{preset}\"}} {count}");
    }
    let times = PerformanceMetrics::of(records.iter()).all;
    text.push_str("# HELP seawall_config_load_ms Time of loads in the window.\n# TYPE seawall_config_load_ms summary\n");
    for (q, time) in [
        ("0.5", times.p50_load_time_ms),
        ("0.95", times.p95_load_time_ms),
        ("0.99", times.p99_load_time_ms),
    ] {
        if let Some(time) = time {
            let _ = writeln!(text, "seawall_config_load_ms{{quantile=\"{q}\"}} {time}");
        }
    }
    let sum = times.avg_load_time_ms.unwrap_or(0.0) * times.sample_count as f64;
    let _ = writeln!(
        text,
        "seawall_config_load_ms_sum {sum}\nseawall_config_load_ms_count {}",
        times.sample_count
    );
    text
}
