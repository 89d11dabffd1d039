//! Alerts: which there are, and who takes care of them.

use super::{
    Control,
    extract::{PathName, Query, number, within},
    problem::{Answer, ApiError, problem, wrong},
    table::{Column, TableFormat, csv},
    tag::tagged,
};
use crate::{
    actor::Actor,
    alerts::{Alert, Category, Level},
};
use axum::{Json, extract::State, http::StatusCode, response::Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(alerts))
}

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(acknowledge))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AlertParameters {
    /// The most alerts in one answer.
    #[serde(default = "number::<50, _>")]
    #[param(minimum = 1, maximum = 1000, default = 50)]
    max_alerts: usize,
    /// Only alerts of this level.
    #[serde(default, deserialize_with = "crate::control::extract::any_case_or_none")]
    #[param(inline)]
    level: Option<Level>,
    /// The format of the answer: `json` or `csv`.
    #[serde(default, deserialize_with = "crate::control::extract::any_case")]
    #[param(inline)]
    format: TableFormat,
}

/// A list of alerts, the latest first.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AlertList {
    /// The alerts of this answer.
    pub alerts: Vec<Alert>,
    /// The numbers of alerts in the list.
    pub summary: AlertSummary,
}

/// The numbers of alerts in a list.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct AlertSummary {
    /// The number of all alerts in the list.
    pub total_alerts: usize,
    /// The number of alerts that have not ended.
    pub active_alerts: usize,
    /// The number of alerts of each level.
    pub alert_counts: BTreeMap<Level, usize>,
    /// The number of alerts of each category.
    pub category_counts: BTreeMap<Category, usize>,
    /// Whether there is an alert of level `critical`.
    pub has_critical: bool,
    /// Whether there is an alert of level `error`.
    pub has_errors: bool,
}

/// Lists alerts, the latest first, with those that are over.
#[utoipa::path(get, path = "/monitoring/alerts", params(AlertParameters),
    responses((status = 200, content((AlertList = "application/json"), (String = "text/csv")))))]
async fn alerts(
    State(control): State<Control>,
    Query(parameters): Query<AlertParameters>,
) -> Result<Response, ApiError> {
    let most = within("max_alerts", parameters.max_alerts, 1, 1000)?;
    let alerts = control.alerts.latest(most, parameters.level);
    if parameters.format == TableFormat::Csv {
        return Ok(csv(COLUMNS, &alerts));
    }
    let mut alert_counts: BTreeMap<Level, usize> = Level::ALL.map(|level| (level, 0)).into();
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
    Ok(tagged(&AlertList { alerts, summary }))
}

/// The columns of the CSV table.
const COLUMNS: &[Column<Alert>] = &[
    ("id", |alert| alert.id.to_string()),
    ("level", |alert| alert.level.label().into()),
    ("title", |alert| alert.title.clone()),
    ("operation", |alert| alert.operation.clone().unwrap_or_default()),
    ("description", |alert| alert.description.clone()),
    ("started_at", Alert::began),
    ("ended_at", |alert| alert.ended_at.clone().unwrap_or_default()),
    ("acknowledged_by", |alert| alert.acknowledged_by.clone().unwrap_or_default()),
];

/// Acknowledges an alert, so that others see that it is taken care of.
#[utoipa::path(post, path = "/monitoring/alerts/{id}/acknowledge",
    params(("id" = u64, Path, description = "The alert's number")),
    responses((status = 200, body = Alert)))]
async fn acknowledge(
    State(control): State<Control>,
    PathName(id): PathName,
    actor: Actor,
) -> Answer<Alert> {
    let id: u64 =
        id.parse().map_err(|_| wrong("id", "the number of an alert is a whole number"))?;
    match control.alerts.acknowledge(id, &actor.name) {
        Some(alert) => Ok(Json(alert)),
        None => {
            let detail = format!("there is no alert {id}");
            Err(problem(StatusCode::NOT_FOUND, "Unknown alert", &detail))
        }
    }
}
