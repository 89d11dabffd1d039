//! How it stands: in one word, in parts, and as numbers.

use super::{
    Control,
    answer::{Answer, Asked, Named, Refusal, tagged, unknown},
    config::blocking,
    views::{self, CircuitBreakerView, OperationMetrics},
};
use crate::{Registry, sampler, wall};
use axum::{
    Json,
    extract::State,
    http::HeaderMap,
    response::{IntoResponse, Response},
};
use seawall::State as Circuit;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn open() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(health))
}

pub(super) fn reading() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(detailed))
        .routes(routes!(metrics))
        .routes(routes!(operation_metrics))
        .routes(routes!(dashboard))
}

pub(super) fn writing() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(reset_metrics))
}

/// Which circuits are not closed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// Whether no circuit is open.
    healthy: bool,
    timestamp: String,
    open_circuit_breakers: Vec<String>,
    half_open_circuit_breakers: Vec<String>,
    total_circuit_breakers: usize,
    total_operations: usize,
}

impl Health {
    fn of(registry: &Registry) -> Self {
        let health = sampler::health(registry);
        Self {
            healthy: health.healthy,
            timestamp: wall::now(),
            open_circuit_breakers: health.open_circuit_breakers,
            half_open_circuit_breakers: health.half_open_circuit_breakers,
            total_circuit_breakers: health.total_circuit_breakers,
            total_operations: health.total_operations,
        }
    }
}

/// Which circuits are not closed. 200 also while some are open: the body says so.
#[utoipa::path(get, path = "/internal/resilience/health", tag = "health",
    responses((status = 200, body = Health)))]
async fn health(State(control): State<Control>, headers: HeaderMap) -> Response {
    tagged(&headers, &Health::of(&control.registry))
}

/// How one part stands.
#[derive(Serialize, ToSchema)]
struct Component {
    name: String,
    /// `circuit_breaker`, `store`, `configuration`, `gateway`.
    kind: &'static str,
    status: ComponentStatus,
    /// Why, in a few words.
    reason: String,
    /// Since when it stands so; none where it always did.
    since: Option<String>,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
enum ComponentStatus {
    Healthy,
    Degraded,
    Unhealthy,
}

/// How everything stands.
#[derive(Serialize, ToSchema)]
struct DetailedHealth {
    #[serde(flatten)]
    summary: Health,
    /// The worst of the components.
    status: ComponentStatus,
    components: Vec<Component>,
}

/// How each part stands, why, and since when.
#[utoipa::path(get, path = "/internal/resilience/health/detailed", tag = "health",
    security(("key" = ["read"])), responses((status = 200, body = DetailedHealth)))]
async fn detailed(State(control): State<Control>, headers: HeaderMap) -> Response {
    let mut components = circuits(&control.registry);
    components.push(configuration(&control));
    components.push(store(&control));
    let draining = control.draining.load(std::sync::atomic::Ordering::Relaxed);
    components.push(Component {
        name: "gateway".into(),
        kind: "gateway",
        status: if draining { ComponentStatus::Degraded } else { ComponentStatus::Healthy },
        reason: if draining {
            "it stops after the requests in progress"
        } else {
            "it accepts requests"
        }
        .into(),
        since: None,
    });
    let status =
        components.iter().map(|part| part.status).max().unwrap_or(ComponentStatus::Healthy);
    tagged(&headers, &DetailedHealth { summary: Health::of(&control.registry), status, components })
}

fn circuits(registry: &Registry) -> Vec<Component> {
    let now = registry.now();
    let of = |operation: &crate::Operation| {
        let pipeline = operation.pipeline();
        let view = pipeline.circuit_breaker()?.view(now);
        let status = match view.state {
            Circuit::Open => ComponentStatus::Unhealthy,
            Circuit::Closed => ComponentStatus::Healthy,
            _ => ComponentStatus::Degraded,
        };
        let reason = view.why().unwrap_or_else(|| "it never opened".into());
        let since = view.broken.or(view.last_transition).map(|change| wall::of(change.at, now));
        let name = operation.name().to_string();
        Some(Component { name, kind: "circuit_breaker", status, reason, since })
    };
    registry.operations().iter().filter_map(of).collect()
}

fn configuration(control: &Control) -> Component {
    let revision = control.live.now();
    let warnings = revision.warnings.len();
    let (status, reason) = match control.live.concern() {
        None => {
            let alone = control.live.change().is_some_and(|change| change.alone);
            let above =
                if alone { "; a document through the API takes the place of the file" } else { "" };
            let reason = format!("revision {}, {warnings} to look at{above}", revision.number);
            (ComponentStatus::Healthy, reason)
        }
        Some(told) => (ComponentStatus::Degraded, told),
    };
    Component {
        name: "configuration".into(),
        kind: "configuration",
        status,
        reason,
        since: Some(wall::text(revision.entry.at)),
    }
}

fn store(control: &Control) -> Component {
    let (status, reason) = match (&control.live.store, control.live.store_failure()) {
        (None, _) => (
            ComponentStatus::Healthy,
            "none is set: what is remembered ends with the process".into(),
        ),
        (Some(store), None) => (ComponentStatus::Healthy, store.path().display().to_string()),
        (Some(_), Some(error)) => (ComponentStatus::Degraded, error),
    };
    Component { name: "store".into(), kind: "store", status, reason, since: None }
}

/// All counters.
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
    healthy_circuit_breakers: usize,
    timestamp: String,
}

impl MetricsSummary {
    fn of(registry: &Registry) -> Self {
        let now = registry.now();
        let operations = registry.operations();
        let states: Vec<Circuit> = operations
            .iter()
            .filter_map(|operation| Some(operation.pipeline().circuit_breaker()?.view(now).state))
            .collect();
        Self {
            total_operations: operations.len(),
            total_circuit_breakers: states.len(),
            healthy_circuit_breakers: states
                .iter()
                .filter(|state| **state == Circuit::Closed)
                .count(),
            timestamp: wall::now(),
        }
    }
}

/// All counters of all operations, and all circuit breakers.
#[utoipa::path(get, path = "/internal/resilience/metrics", tag = "health",
    security(("key" = ["read"])), responses((status = 200, body = AllMetrics)))]
async fn metrics(State(control): State<Control>) -> Result<Json<AllMetrics>, Refusal> {
    // With many operations it takes milliseconds: not on the threads that pass requests on. It has no entity tag,
    // since it changes with every call.
    blocking(move || Json(AllMetrics::of(&control.registry))).await
}

impl AllMetrics {
    fn of(registry: &Registry) -> Self {
        let operations = registry.operations();
        let named =
            operations.iter().map(|one| (one.name().to_string(), OperationMetrics::of(one)));
        Self {
            operations: named.collect(),
            circuit_breakers: views::circuit_breakers(registry),
            summary: MetricsSummary::of(registry),
        }
    }
}

/// One operation's counters.
#[derive(Serialize, ToSchema)]
struct NamedMetrics {
    operation: String,
    metrics: OperationMetrics,
}

/// The counters of one operation.
#[utoipa::path(get, path = "/internal/resilience/metrics/{operation}", tag = "health",
    params(("operation" = String, Path, description = "The operation's name")),
    security(("key" = ["read"])), responses((status = 200, body = NamedMetrics), (status = 404, body = super::answer::ProblemDocument)))]
async fn operation_metrics(
    State(control): State<Control>,
    Named(name): Named,
    headers: HeaderMap,
) -> Result<Response, Refusal> {
    let operation = control.operation(&name)?;
    let metrics = OperationMetrics::of(&operation);
    Ok(tagged(&headers, &NamedMetrics { operation: name, metrics }))
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct ResetParameters {
    /// The operation whose counters begin anew; left out: all.
    operation_name: Option<String>,
}

/// What was reset.
#[derive(Serialize, ToSchema)]
struct MetricsReset {
    message: String,
    operations: Vec<String>,
}

/// Lets the counters of one operation, or of all, begin anew. Circuits stay as they are.
#[utoipa::path(post, path = "/internal/resilience/metrics/reset", tag = "health", params(ResetParameters),
    security(("key" = ["write"])), responses((status = 200, body = MetricsReset), (status = 404, body = super::answer::ProblemDocument)))]
async fn reset_metrics(
    State(control): State<Control>,
    Asked(parameters): Asked<ResetParameters>,
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

/// What a dashboard of one's own shows first.
#[derive(Serialize, ToSchema)]
struct Dashboard {
    timestamp: String,
    health: DashboardHealth,
    performance: CallPerformance,
    operations: Vec<String>,
    /// Those that last, the worst first.
    alerts: Vec<crate::alerts::Alert>,
    summary: MetricsSummary,
}

#[derive(Serialize, ToSchema)]
struct DashboardHealth {
    /// Whether no circuit is open.
    overall: bool,
    open: usize,
    half_open: usize,
}

#[derive(Default, Serialize, ToSchema)]
struct CallPerformance {
    total_calls: u64,
    successful: u64,
    failed: u64,
    retry_attempts: u64,
    /// Of the calls that ended, 0 to 1; none before the first.
    success_rate: Option<f64>,
}

/// The whole in a few numbers.
#[utoipa::path(get, path = "/internal/resilience/dashboard", tag = "health",
    security(("key" = ["read"])), responses((status = 200, body = Dashboard)))]
async fn dashboard(State(control): State<Control>, headers: HeaderMap) -> Response {
    let operations = control.registry.operations();
    let mut performance = CallPerformance::default();
    let mut ended = 0;
    for operation in &operations {
        let counts = operation.counts();
        performance.total_calls += counts.total_calls;
        performance.successful += counts.successful_calls;
        performance.failed += counts.failed_calls + counts.timed_out_calls;
        performance.retry_attempts += counts.retries_executed;
        ended += counts.total_calls.saturating_sub(counts.in_flight);
    }
    performance.success_rate = (ended > 0).then(|| performance.successful as f64 / ended as f64);
    let health = control.registry.health();
    let body = Dashboard {
        timestamp: wall::now(),
        health: DashboardHealth {
            overall: health.is_healthy(),
            open: health.open.len(),
            half_open: health.half_open.len(),
        },
        performance,
        operations: operations.iter().map(|operation| operation.name().to_string()).collect(),
        alerts: control.alerts.lasting(),
        summary: MetricsSummary::of(&control.registry),
    };
    tagged(&headers, &body)
}

impl Control {
    /// The operation of this name, or 404 with the names that there are.
    pub(super) fn operation(&self, name: &str) -> Result<crate::Operation, Refusal> {
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

/// Whether the server takes requests: for load balancers.
pub(super) async fn ready(State(control): State<Control>) -> Response {
    if control.draining.load(std::sync::atomic::Ordering::Relaxed) {
        return (http::StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    "ready\n".into_response()
}
