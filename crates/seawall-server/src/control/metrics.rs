//! The counters of operations and circuit breakers as JSON, and the dashboard's summary of them.

use super::{
    Control,
    config::blocking,
    extract::{PathName, Query},
    problem::{Answer, ApiError, unknown},
    tag::tagged,
    views::{self, CircuitBreakerView, OperationMetrics},
};
use crate::{runtime::Registry, wall_clock};
use axum::{Json, extract::State, response::Response};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(metrics))
        .routes(routes!(operation_metrics))
        .routes(routes!(dashboard))
}

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(reset_metrics))
}

/// All counters of all operations.
#[derive(Serialize, ToSchema)]
struct AllMetrics {
    operations: BTreeMap<String, OperationMetrics>,
    circuit_breakers: BTreeMap<String, CircuitBreakerView>,
    summary: MetricsSummary,
}

#[derive(Serialize, ToSchema)]
struct MetricsSummary {
    total_operations: usize,
    total_circuit_breakers: usize,
    /// The number of breakers that are closed, or that do not enforce and so refuse no call.
    healthy_circuit_breakers: usize,
    #[serde(serialize_with = "super::tag::clock")]
    timestamp: String,
}

impl MetricsSummary {
    fn of(total_operations: usize, breakers: &BTreeMap<String, CircuitBreakerView>) -> Self {
        Self {
            total_operations,
            total_circuit_breakers: breakers.len(),
            healthy_circuit_breakers: breakers.values().filter(|one| one.is_healthy()).count(),
            timestamp: wall_clock::now(),
        }
    }
}

/// Shows all counters of all operations, and all circuit breakers.
#[utoipa::path(get, path = "/metrics", responses((status = 200, body = AllMetrics)))]
async fn metrics(State(control): State<Control>) -> Result<Json<AllMetrics>, ApiError> {
    // With many operations it takes milliseconds: not on the threads that pass requests on. It has no entity tag,
    // since it changes with every call.
    blocking(move || Json(AllMetrics::of(&control.registry))).await
}

impl AllMetrics {
    fn of(registry: &Registry) -> Self {
        let operations = registry.operations();
        let circuit_breakers = views::circuit_breakers(registry);
        let named =
            operations.iter().map(|one| (one.name().to_string(), OperationMetrics::of(one)));
        Self {
            operations: named.collect(),
            summary: MetricsSummary::of(operations.len(), &circuit_breakers),
            circuit_breakers,
        }
    }
}

/// The counters of one operation.
#[derive(Serialize, ToSchema)]
struct NamedMetrics {
    operation: String,
    metrics: OperationMetrics,
}

/// Shows the counters of one operation.
#[utoipa::path(get, path = "/metrics/{operation}", responses((status = 200, body = NamedMetrics)))]
async fn operation_metrics(
    State(control): State<Control>,
    PathName(name): PathName,
) -> Result<Response, ApiError> {
    let operation = control.operation(&name)?;
    let metrics = OperationMetrics::of(&operation);
    Ok(tagged(&NamedMetrics { operation: name, metrics }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ResetParameters {
    /// The operation whose counters are reset; left out: all operations.
    operation_name: Option<String>,
}

/// The operations whose counters were reset.
#[derive(Serialize, ToSchema)]
struct MetricsReset {
    message: String,
    operations: Vec<String>,
}

/// Resets the counters of one operation, or of all. Circuits stay as they are.
#[utoipa::path(post, path = "/metrics/reset", params(ResetParameters),
    responses((status = 200, body = MetricsReset)))]
async fn reset_metrics(
    State(control): State<Control>,
    Query(parameters): Query<ResetParameters>,
) -> Answer<MetricsReset> {
    let operations = match &parameters.operation_name {
        Some(name) => vec![control.operation(name)?],
        None => control.registry.operations(),
    };
    operations.iter().for_each(|operation| operation.metrics().reset());
    let names: Vec<String> =
        operations.iter().map(|operation| operation.name().to_string()).collect();
    let message = match &parameters.operation_name {
        Some(name) => format!("the counters of {name} begin anew"),
        None => format!("the counters of {} operations begin anew", names.len()),
    };
    Ok(Json(MetricsReset { message, operations: names }))
}

/// A summary of the server for dashboards made elsewhere.
#[derive(Serialize, ToSchema)]
struct Dashboard {
    #[serde(serialize_with = "super::tag::clock")]
    timestamp: String,
    health: DashboardHealth,
    performance: CallPerformance,
    operations: Vec<String>,
    /// The alerts that last, the worst first.
    alerts: Vec<crate::alerts::Alert>,
    summary: MetricsSummary,
}

#[derive(Serialize, ToSchema)]
struct DashboardHealth {
    /// Whether no circuit refuses all calls.
    overall: bool,
    open: usize,
    half_open: usize,
}

#[derive(Default, Serialize, ToSchema)]
struct CallPerformance {
    total_calls: u64,
    successful: u64,
    failed: u64,
    /// The number of executions that the caller spoiled: client errors, requests that broke off, deadlines of the
    /// caller. They are no failures.
    caller_faults: u64,
    retry_attempts: u64,
    /// The share that succeeded, from 0 to 1, of the calls that ended and that the caller neither spoiled nor left;
    /// `null` before the first.
    success_rate: Option<f64>,
    /// The share of the same calls that failed or timed out, from 0 to 1.
    failure_rate: Option<f64>,
}

/// Shows the state of the server in a few numbers.
#[utoipa::path(get, path = "/dashboard", responses((status = 200, body = Dashboard)))]
async fn dashboard(State(control): State<Control>) -> Response {
    let operations = control.registry.operations();
    let mut performance = CallPerformance::default();
    let mut judged = 0;
    for operation in &operations {
        let counts = operation.counts();
        performance.total_calls += counts.total_calls;
        performance.successful += counts.successful_calls;
        performance.failed += counts.failed_calls + counts.timed_out_calls;
        performance.retry_attempts += counts.retries_executed;
        performance.caller_faults += counts.caller_faults;
        judged += counts.judged_calls();
    }
    let share = |part: u64| (judged > 0).then(|| part as f64 / judged as f64);
    performance.success_rate = share(performance.successful);
    performance.failure_rate = share(performance.failed);
    let health = control.registry.health();
    let breakers = views::circuit_breakers(&control.registry);
    let body = Dashboard {
        timestamp: wall_clock::now(),
        health: DashboardHealth {
            overall: health.is_healthy(),
            open: health.open.len(),
            half_open: health.half_open.len(),
        },
        performance,
        operations: operations.iter().map(|operation| operation.name().to_string()).collect(),
        alerts: control.alerts.lasting(),
        summary: MetricsSummary::of(operations.len(), &breakers),
    };
    tagged(&body)
}

impl Control {
    /// The operation of this name, or 404 with the names that there are.
    pub(super) fn operation(&self, name: &str) -> Result<crate::runtime::Operation, ApiError> {
        self.registry.find(name).ok_or_else(|| {
            let known: Vec<String> = self
                .registry
                .operations()
                .iter()
                .map(|operation| operation.name().to_string())
                .collect();
            unknown("operation", name, &known)
        })
    }
}
