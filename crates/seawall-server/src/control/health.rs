//! The server's health: in one word, and part by part.

use super::{Control, tag::tagged};
use crate::{
    runtime::{Operation, Registry},
    sampler::HealthView,
    wall_clock,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use seawall::{Mode, State as Circuit};
use serde::Serialize;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn open_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(health))
}

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(detailed))
}

/// The state of the server, and the circuits that are not closed.
#[derive(Serialize, ToSchema)]
struct ServerHealth {
    #[serde(flatten)]
    circuits: HealthView,
    /// The worst of all parts: `unhealthy` while a circuit refuses calls; `degraded` while one is half-open or held
    /// by an operator, the file is refused, the store or dead letters cannot be written, or the server stops; else `healthy`.
    status: ComponentStatus,
    #[serde(serialize_with = "super::tag::clock")]
    timestamp: String,
}

impl ServerHealth {
    fn of(registry: &Registry, components: &[Component]) -> Self {
        let worst = components.iter().map(|part| part.status).max();
        Self {
            circuits: HealthView::of(registry),
            status: worst.unwrap_or(ComponentStatus::Healthy),
            timestamp: wall_clock::now(),
        }
    }
}

/// Shows the state of the server, and which circuits are not closed. The status is 200 also while some are open: the
/// body says so.
#[utoipa::path(get, path = "/health", responses((status = 200, body = ServerHealth)))]
async fn health(State(control): State<Control>) -> Response {
    tagged(&ServerHealth::of(&control.registry, &components(&control)))
}

/// The state of one part of the server.
#[derive(Serialize, ToSchema)]
struct Component {
    name: String,
    /// The kind of part: `circuit_breaker`, `store`, `dead_letters`, `configuration`, `gateway`, `shared_limits`,
    /// `shared_circuits` or `fleet`.
    kind: &'static str,
    status: ComponentStatus,
    /// The reason for the status, in a few words.
    reason: String,
    /// Since when the part has this status; none if it always had it.
    since: Option<String>,
    /// Of a circuit, since when it has not been closed, failed probes included.
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

/// The state of the server, and of each of its parts.
#[derive(Serialize, ToSchema)]
struct DetailedHealth {
    #[serde(flatten)]
    summary: ServerHealth,
    components: Vec<Component>,
}

/// Shows the state of each part, with its reason and its beginning.
#[utoipa::path(get, path = "/health/detailed", responses((status = 200, body = DetailedHealth)))]
async fn detailed(State(control): State<Control>) -> Response {
    let components = components(&control);
    let summary = ServerHealth::of(&control.registry, &components);
    tagged(&DetailedHealth { summary, components })
}

fn components(control: &Control) -> Vec<Component> {
    let mut components = circuits(&control.registry);
    components.extend([configuration(control), store(control), letters(control), gateway(control)]);
    components.extend(shared_limits(&control.registry));
    components.extend(shared_circuits(&control.registry));
    components.extend(fleet(control));
    components
}

/// The rate limits that are shared with other instances; none where there is no such limit.
fn shared_limits(registry: &Registry) -> Option<Component> {
    let operations = registry.operations();
    let shared = |one: &&Operation| !one.pipeline().shared_limits().is_empty();
    let shared: Vec<_> = operations.iter().filter(shared).collect();
    let degraded = shared.iter().filter(|one| one.pipeline().is_degraded());
    let degraded: Vec<String> = degraded.map(|one| one.name().to_string()).collect();
    let (status, reason) = if degraded.is_empty() {
        (ComponentStatus::Healthy, "the store counts for all instances".to_owned())
    } else {
        let names = degraded.join(", ");
        (
            ComponentStatus::Degraded,
            format!("the store does not answer; decided without it: {names}"),
        )
    };
    (!shared.is_empty()).then(|| Component::new("shared_limits", status, reason))
}

/// The circuits that are shared with other instances; none where there is no such circuit.
fn shared_circuits(registry: &Registry) -> Option<Component> {
    let now = registry.now();
    let all = registry.operations();
    let views = all.iter().filter_map(|one| Some((one, one.pipeline().circuit(now)?.shared?)));
    let shared: Vec<_> = views.collect();
    let alone = shared.iter().filter(|(_, shared)| shared.degraded);
    let alone: Vec<String> = alone.map(|(one, _)| one.name().to_string()).collect();
    let (status, reason) = if alone.is_empty() {
        (ComponentStatus::Healthy, "what one instance learns, all know".to_owned())
    } else {
        let reason = format!("the store does not answer; on its own: {}", alone.join(", "));
        (ComponentStatus::Degraded, reason)
    };
    (!shared.is_empty()).then(|| Component::new("shared_circuits", status, reason))
}

/// The place of this instance in its fleet; none where the instances share no store.
fn fleet(control: &Control) -> Option<Component> {
    let health = control.fleet.health()?;
    let (status, reason) = match (health.refused, health.lost) {
        (Some(why), _) => (ComponentStatus::Degraded, why),
        (None, Some((why, _))) => {
            (ComponentStatus::Degraded, format!("the store of the fleet does not answer: {why}"))
        }
        (None, None) => {
            let reason = format!("{} alive, revision {}", health.alive, health.revision);
            (ComponentStatus::Healthy, reason)
        }
    };
    Some(Component::new("fleet", status, reason))
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
    let of = |operation: &crate::runtime::Operation| {
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
            since: view.since.map(|at| wall_clock::of(at, now)),
            broken_since: view.broken.map(|change| wall_clock::of(change.at, now)),
            ..Component::new("circuit_breaker", status, reason)
        })
    };
    registry.operations().iter().filter_map(of).collect()
}

fn configuration(control: &Control) -> Component {
    let revision = control.live.now();
    let warnings = revision.warnings.len();
    let (status, reason) = match control.live.history().concern() {
        None => {
            let alone = control.live.api_layer().is_some_and(|change| change.alone);
            let above =
                if alone { "; a document through the API takes the place of the file" } else { "" };
            let reason = format!("revision {}, {warnings} to look at{above}", revision.number);
            (ComponentStatus::Healthy, reason)
        }
        Some(told) => (ComponentStatus::Degraded, told),
    };
    let since = Some(wall_clock::text(revision.entry.at));
    Component { since, ..Component::new("configuration", status, reason) }
}

fn store(control: &Control) -> Component {
    let (status, reason) = match control.store.failure() {
        None => (ComponentStatus::Healthy, control.store.place()),
        Some(error) => (ComponentStatus::Degraded, error),
    };
    Component::new("store", status, reason)
}

fn letters(control: &Control) -> Component {
    let (status, reason) = match control.letters.failure() {
        None => (ComponentStatus::Healthy, control.letters.place()),
        Some(error) => (ComponentStatus::Degraded, error),
    };
    Component::new("dead_letters", status, reason)
}

/// Answers 200 if the server takes requests; for load balancers.
pub(super) async fn ready(State(control): State<Control>) -> Response {
    if control.draining.load(std::sync::atomic::Ordering::Relaxed) {
        return (http::StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    "ready\n".into_response()
}
