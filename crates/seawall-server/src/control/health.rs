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
use seawall::{CircuitView, Mode, State as Circuit};
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

/// How it stands, and which circuits are not closed.
#[derive(Serialize, ToSchema)]
pub(crate) struct Health {
    /// Whether no circuit refuses all calls: none that enforces is open or forced open.
    healthy: bool,
    /// The worst of all parts: `unhealthy` while a circuit refuses calls; `degraded` while one is half-open or held
    /// by an operator, the file is refused, the store cannot be written, or the server stops; else `healthy`.
    status: ComponentStatus,
    #[serde(serialize_with = "super::answer::clock")]
    timestamp: String,
    /// Those that enforce and are open, or forced open.
    open_circuit_breakers: Vec<String>,
    /// Those that enforce and are half-open.
    half_open_circuit_breakers: Vec<String>,
    /// Those in shadow that would refuse calls if they enforced.
    would_refuse_circuit_breakers: Vec<String>,
    total_circuit_breakers: usize,
    total_operations: usize,
}

impl Health {
    fn of(registry: &Registry, components: &[Component]) -> Self {
        let health = sampler::health(registry);
        let worst = components.iter().map(|part| part.status).max();
        Self {
            healthy: health.healthy,
            status: worst.unwrap_or(ComponentStatus::Healthy),
            timestamp: wall::now(),
            open_circuit_breakers: health.open_circuit_breakers,
            half_open_circuit_breakers: health.half_open_circuit_breakers,
            would_refuse_circuit_breakers: health.would_refuse_circuit_breakers,
            total_circuit_breakers: health.total_circuit_breakers,
            total_operations: health.total_operations,
        }
    }
}

/// How it stands, and which circuits are not closed. 200 also while some are open: the body says so.
#[utoipa::path(get, path = "/internal/resilience/health", tag = "health",
    responses((status = 200, body = Health)))]
async fn health(State(control): State<Control>, headers: HeaderMap) -> Response {
    tagged(&headers, &Health::of(&control.registry, &components(&control)))
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
    /// Of a circuit, since when it is not closed any more, failed probes included.
    broken_since: Option<String>,
}

impl Component {
    fn new(kind: &'static str, status: ComponentStatus, reason: String) -> Self {
        Self { name: kind.into(), kind, status, reason, since: None, broken_since: None }
    }
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
    components: Vec<Component>,
}

/// How each part stands, why, and since when.
#[utoipa::path(get, path = "/internal/resilience/health/detailed", tag = "health",
    security(("key" = ["read"])), responses((status = 200, body = DetailedHealth)))]
async fn detailed(State(control): State<Control>, headers: HeaderMap) -> Response {
    let components = components(&control);
    let summary = Health::of(&control.registry, &components);
    tagged(&headers, &DetailedHealth { summary, components })
}

fn components(control: &Control) -> Vec<Component> {
    let mut components = circuits(&control.registry);
    components.extend([configuration(control), store(control), gateway(control)]);
    components
}

fn gateway(control: &Control) -> Component {
    let (status, reason) = match control.draining.load(std::sync::atomic::Ordering::Relaxed) {
        true => (ComponentStatus::Degraded, "it stops after the requests in progress"),
        false => (ComponentStatus::Healthy, "it accepts requests"),
    };
    Component::new("gateway", status, reason.into())
}

fn circuits(registry: &Registry) -> Vec<Component> {
    let now = registry.now();
    let of = |operation: &crate::Operation| {
        let view = operation.pipeline().circuit(now)?;
        let status = match (view.mode, view.state) {
            (Mode::Off | Mode::Shadow, _) | (_, Circuit::Closed) => ComponentStatus::Healthy,
            (_, Circuit::Open | Circuit::ForcedOpen) => ComponentStatus::Unhealthy,
            (_, Circuit::HalfOpen | Circuit::ForcedClosed | Circuit::Disabled) => {
                ComponentStatus::Degraded
            }
        };
        let reason = view.why().unwrap_or_else(|| "it never opened".into());
        let reason = match view.mode {
            Mode::Enforce => reason,
            Mode::Shadow if view.would_refuse() => {
                format!("in shadow it would refuse calls, and refuses none: {reason}")
            }
            Mode::Shadow => format!("in shadow it refuses no calls: {reason}"),
            Mode::Off => "its mode is off: nothing protects the operation".into(),
        };
        Some(Component {
            name: operation.name().to_string(),
            since: view.since.map(|at| wall::of(at, now)),
            broken_since: view.broken.map(|change| wall::of(change.at, now)),
            ..Component::new("circuit_breaker", status, reason)
        })
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
    let since = Some(wall::text(revision.entry.at));
    Component { since, ..Component::new("configuration", status, reason) }
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
    Component::new("store", status, reason)
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
    /// Closed, or refusing nobody since they do not enforce.
    healthy_circuit_breakers: usize,
    #[serde(serialize_with = "super::answer::clock")]
    timestamp: String,
}

impl MetricsSummary {
    fn of(registry: &Registry) -> Self {
        let now = registry.now();
        let operations = registry.operations();
        let circuits: Vec<CircuitView> =
            operations.iter().filter_map(|one| one.pipeline().circuit(now)).collect();
        let is_healthy =
            |one: &&CircuitView| one.mode != Mode::Enforce || one.state == Circuit::Closed;
        Self {
            total_operations: operations.len(),
            total_circuit_breakers: circuits.len(),
            healthy_circuit_breakers: circuits.iter().filter(is_healthy).count(),
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
    #[serde(serialize_with = "super::answer::clock")]
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
    /// Spoiled by the caller: client errors, requests that broke off, deadlines of the caller. No failures.
    caller_faults: u64,
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
    performance.success_rate = (judged > 0).then(|| performance.successful as f64 / judged as f64);
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
