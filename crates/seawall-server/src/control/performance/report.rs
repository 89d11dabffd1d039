//! Reports: the latest measurements compared with their thresholds and with earlier runs.

use super::{KEPT, Suite};
use crate::{
    benchmark::{Measured, Subject, Threshold},
    control::{
        Control,
        extract::{Query, number, within},
        problem::ApiError,
        tag::tagged,
    },
    wall_clock,
};
use axum::{
    extract::State,
    http::header::CONTENT_TYPE,
    response::{IntoResponse, Response},
};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(thresholds))
        .routes(routes!(report))
        .routes(routes!(history))
}

/// The thresholds of the averages.
#[derive(Serialize, ToSchema)]
struct Thresholds {
    thresholds: ThresholdNames,
    /// The threshold of each subject, with the time that we aim at.
    benchmarks: Vec<Threshold>,
    /// The unit of all thresholds: `ms` for milliseconds.
    unit: &'static str,
}

/// The thresholds of some subjects by name, in milliseconds.
#[derive(Serialize, ToSchema)]
struct ThresholdNames {
    config_loading_ms: f64,
    preset_access_ms: f64,
    validation_ms: f64,
    service_initialization_ms: f64,
}

/// Shows the thresholds of the averages.
#[utoipa::path(get, path = "/performance/thresholds", responses((status = 200, body = Thresholds)))]
async fn thresholds() -> Response {
    let of = |subject: Subject| subject.threshold().threshold_ms;
    let body = Thresholds {
        thresholds: ThresholdNames {
            config_loading_ms: of(Subject::ConfigLoading),
            preset_access_ms: of(Subject::PresetAccess),
            validation_ms: of(Subject::Validation),
            service_initialization_ms: of(Subject::ServiceInit),
        },
        benchmarks: Subject::ALL.into_iter().map(Subject::threshold).collect(),
        unit: "ms",
    };
    tagged(&body)
}

/// One subject: its latest average, compared with its threshold and with the runs before.
#[derive(Serialize, ToSchema)]
struct Compared {
    operation: String,
    threshold_ms: f64,
    /// The latest average; none before the first run.
    latest_ms: Option<f64>,
    passed: Option<bool>,
    /// The average of the runs before the latest.
    before_ms: Option<f64>,
    /// The change against the runs before, in per cent.
    change_percent: Option<f64>,
    runs: usize,
}

/// The latest measurements, compared with thresholds and with earlier runs.
#[derive(Serialize, ToSchema)]
struct Report {
    #[serde(serialize_with = "crate::control::tag::clock")]
    timestamp: String,
    runs: usize,
    benchmarks: Vec<Compared>,
    /// What an operator should look at, in sentences.
    recommendations: Vec<String>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
enum ReportFormat {
    #[default]
    Json,
    Text,
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ReportParameters {
    /// The format of the answer: `json` or `text`.
    #[serde(default, deserialize_with = "crate::control::extract::any_case")]
    #[param(inline)]
    format: ReportFormat,
}

/// Compares the latest measurements with their thresholds and with earlier runs. Nothing is measured.
#[utoipa::path(get, path = "/performance/report", params(ReportParameters),
    responses((status = 200, content((Report = "application/json"), (String = "text/plain")))))]
async fn report(
    State(control): State<Control>,
    Query(parameters): Query<ReportParameters>,
) -> Response {
    let suites = control.benchmarks.journal.latest();
    let benchmarks: Vec<Compared> =
        Subject::ALL.into_iter().map(|subject| compared(subject, &suites)).collect();
    let mut recommendations = Vec::new();
    if suites.is_empty() {
        recommendations
            .push("nothing has been measured yet: POST performance/benchmark".to_owned());
    }
    for one in &benchmarks {
        if one.passed == Some(false) {
            recommendations.push(format!(
                "{} is over its threshold of {} ms",
                one.operation, one.threshold_ms
            ));
        }
        if let Some(more) = one.change_percent.filter(|more| *more > 50.0) {
            recommendations.push(format!("{} takes {more:.0} % more than before", one.operation));
        }
    }
    let body =
        Report { timestamp: wall_clock::now(), runs: suites.len(), benchmarks, recommendations };
    match parameters.format {
        ReportFormat::Json => tagged(&body),
        ReportFormat::Text => {
            ([(CONTENT_TYPE, "text/plain; charset=utf-8")], body.text()).into_response()
        }
    }
}

impl Report {
    /// The report as text for people: a line for each subject, then the recommendations.
    fn text(&self) -> String {
        let mut text =
            format!("Seawall performance report\n{}\nruns: {}\n\n", self.timestamp, self.runs);
        for one in &self.benchmarks {
            let Compared { operation, threshold_ms, .. } = one;
            let verdict = match one.passed {
                Some(true) => "PASS",
                Some(false) => "FAIL",
                None => "not measured",
            };
            let latest = one.latest_ms.map(|ms| format!("{ms:.6} ms")).unwrap_or_default();
            let change = one.change_percent.map(|more| format!("{more:+.1} % to before"));
            let line = format!(
                "{operation:16} {verdict:12} {latest:>16}  threshold {threshold_ms} ms  {}",
                change.unwrap_or_default()
            );
            text += line.trim_end();
            text.push('\n');
        }
        for told in &self.recommendations {
            text += &format!("\n- {told}");
        }
        text.trim_end().to_owned() + "\n"
    }
}

/// Compares the latest run of a subject with those before; `suites` are the latest first.
fn compared(subject: Subject, suites: &[Arc<Suite>]) -> Compared {
    let of = |suite: &Arc<Suite>| {
        suite.results.iter().find(|one| one.operation == subject.label()).cloned()
    };
    let measured: Vec<Measured> = suites.iter().filter_map(of).collect();
    let (latest, before) = match measured.split_first() {
        Some((latest, before)) => (Some(latest), before),
        None => (None, &[][..]),
    };
    let before_ms = (!before.is_empty())
        .then(|| before.iter().map(|one| one.avg_ms).sum::<f64>() / before.len() as f64);
    let latest_ms = latest.map(|one| one.avg_ms);
    let change =
        |(latest, before): (f64, f64)| (before > 0.0).then(|| (latest / before - 1.0) * 100.0);
    Compared {
        operation: subject.label().into(),
        threshold_ms: subject.threshold().threshold_ms,
        latest_ms,
        passed: latest.map(|one| one.passed),
        before_ms,
        change_percent: latest_ms.zip(before_ms).and_then(change),
        runs: measured.len(),
    }
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct HistoryParameters {
    /// The most runs in one answer.
    #[serde(default = "number::<10, _>")]
    #[param(minimum = 1, maximum = 200, default = 10)]
    limit: usize,
    /// Only measurements of this subject.
    #[param(inline)]
    operation: Option<Subject>,
}

/// Former runs, the latest first.
#[derive(Serialize, ToSchema)]
struct BenchmarkHistory {
    runs: Vec<Suite>,
    total_runs: usize,
}

/// Lists former runs, the latest first.
#[utoipa::path(get, path = "/performance/history", params(HistoryParameters),
    responses((status = 200, body = BenchmarkHistory)))]
async fn history(
    State(control): State<Control>,
    Query(parameters): Query<HistoryParameters>,
) -> Result<Response, ApiError> {
    let limit = within("limit", parameters.limit, 1, KEPT)?;
    let all = control.benchmarks.journal.latest();
    let total_runs = all.len();
    let mut runs: Vec<Suite> = all.iter().map(|suite| Suite::clone(suite)).collect();
    if let Some(subject) = parameters.operation {
        runs.iter_mut().for_each(|run| run.results.retain(|one| one.operation == subject.label()));
        runs.retain(|run| !run.results.is_empty());
    }
    runs.truncate(limit);
    Ok(tagged(&BenchmarkHistory { runs, total_runs }))
}
