//! Circuit breakers: as they are, reset, forced.

use super::{
    Control,
    extract::{JsonBody, PathName, Query, within},
    problem::{Answer, ApiError, unknown, wrong},
    table::{Column, TableFormat, TableParameters, csv},
    tag::tagged,
    views::{self, CircuitBreakerView},
};
use crate::{actor::Actor, schema::described};
use axum::{Json, extract::State, response::Response};
use seawall::{Force, Mode, State as Circuit};
use serde::{Deserialize, Serialize};
use std::{collections::BTreeMap, time::Duration};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one))
}

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(reset)).routes(routes!(force))
}

/// The columns of the CSV table.
const COLUMNS: &[Column<CircuitBreakerView>] = &[
    ("name", |one| one.name.clone()),
    ("state", |one| one.state.label().into()),
    ("failure_count", |one| one.failure_count.to_string()),
    ("threshold", |one| one.threshold.map(|threshold| threshold.to_string()).unwrap_or_default()),
    ("recovery_timeout", |one| one.recovery_timeout.to_string()),
    ("broken_since", |one| one.broken_since.clone().unwrap_or_default()),
    ("next_probe_at", |one| one.next_probe_at.clone().unwrap_or_default()),
    ("opens", |one| one.metrics.opens.to_string()),
    ("reason", |one| one.why.clone().unwrap_or_default()),
    ("mode", |one| one.mode.label().into()),
];

/// A list of all breakers, with the numbers of each kind.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct CircuitBreakers {
    /// The breakers by the names of their operations.
    pub circuit_breakers: BTreeMap<String, CircuitBreakerView>,
    /// The number of all circuit breakers.
    pub total_count: usize,
    /// The number of breakers that are closed, or that do not enforce and so refuse no call.
    pub healthy_count: usize,
    /// The number of breakers that are open or forced open and enforce, and so refuse calls.
    pub open_count: usize,
    /// The number of breakers that are half-open and enforce, and so refuse all calls but a few probes.
    pub half_open_count: usize,
    /// The number of breakers that an operator forced open, forced closed or disabled.
    pub forced_count: usize,
    /// The number of breakers in shadow, which refuse nothing, whatever their state.
    pub shadow_count: usize,
    /// The number of breakers in mode `off`, which protect nothing.
    pub off_count: usize,
}

/// Lists all circuit breakers.
#[utoipa::path(get, path = "/circuit-breakers", params(TableParameters),
    responses((status = 200, content((CircuitBreakers = "application/json"), (String = "text/csv")))))]
async fn list(
    State(control): State<Control>,
    Query(parameters): Query<TableParameters>,
) -> Response {
    let breakers = views::circuit_breakers(&control.registry);
    if parameters.format == TableFormat::Csv {
        return csv(COLUMNS, breakers.values());
    }
    let count = |is_it: &dyn Fn(&CircuitBreakerView) -> bool| {
        breakers.values().filter(|one| is_it(one)).count()
    };
    let body = CircuitBreakers {
        total_count: breakers.len(),
        healthy_count: count(&CircuitBreakerView::is_healthy),
        open_count: count(&|one| one.enforces_in(&[Circuit::Open, Circuit::ForcedOpen])),
        half_open_count: count(&|one| one.enforces_in(&[Circuit::HalfOpen])),
        forced_count: count(&|one| one.state.is_forced()),
        shadow_count: count(&|one| one.mode == Mode::Shadow),
        off_count: count(&|one| one.mode == Mode::Off),
        circuit_breakers: breakers,
    };
    tagged(&body)
}

/// Shows one circuit breaker.
#[utoipa::path(get, path = "/circuit-breakers/{name}",
    responses((status = 200, body = CircuitBreakerView)))]
async fn one(
    State(control): State<Control>,
    PathName(name): PathName,
) -> Result<Response, ApiError> {
    let found = control.registry.find(&name);
    let view = found.and_then(|found| CircuitBreakerView::of(&found, control.registry.now()));
    view.map(|view| tagged(&view)).ok_or_else(|| control.no_breaker(&name))
}

/// The result of an operator's request to change a circuit.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct StateChange {
    /// The name of the operation.
    pub name: String,
    /// The state of the circuit before.
    #[schema(schema_with = described::<Circuit>)]
    pub old_state: Circuit,
    /// The state of the circuit after.
    #[schema(schema_with = described::<Circuit>)]
    pub new_state: Circuit,
    /// The change, in words.
    pub message: String,
}

impl StateChange {
    fn new(name: String, (old_state, new_state): (Circuit, Circuit), message: String) -> Self {
        Self { name, old_state, new_state, message }
    }
}

/// Closes a circuit and forgets what it counted; ends a forced state.
#[utoipa::path(post, path = "/circuit-breakers/{name}/reset",
    responses((status = 200, body = StateChange)))]
async fn reset(
    State(control): State<Control>,
    PathName(name): PathName,
    actor: Actor,
) -> Answer<StateChange> {
    let operation = control.registry.find(&name);
    let states = operation.and_then(|operation| operation.reset_circuit());
    let states = states.ok_or_else(|| control.no_breaker(&name))?;
    control.circuits.save_aside().await;
    tracing::info!(name, old = states.0.label(), by = actor.name, "circuit breaker reset");
    let told = format!("reset by {}; it was {}", actor.name, states.0.label());
    control.feed.note("reset", &name, told);
    let message = format!("circuit breaker {name} is reset");
    Ok(Json(StateChange::new(name, states, message)))
}

/// A request to force the state of a circuit.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ForceRequest {
    /// The state to force, or `auto` to let the circuit decide again.
    pub state: ForcedState,
    /// The reason, for those who look at the circuit later. Needed unless the state is `auto`.
    #[serde(default)]
    #[schema(max_length = 200)]
    pub reason: String,
    /// The number of seconds after which the state ends by itself; left out: it lasts until it is ended.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schema(minimum = 1, maximum = 2_592_000)]
    pub seconds: Option<u64>,
}

/// A state that an operator may force.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(rename_all = "lowercase")]
pub enum ForcedState {
    /// Every call is refused.
    Open,
    /// Every call passes; failures are counted, and open nothing.
    Closed,
    /// Every call passes, and nothing is counted.
    Disabled,
    /// The circuit decides again; it begins closed.
    Auto,
}

/// Thirty days, the longest that a breaker can count.
const LONGEST: u64 = 30 * 24 * 3600;

/// Forces a circuit's state, for a reason, until a time or until it is ended.
#[utoipa::path(post, path = "/circuit-breakers/{name}/force", request_body = ForceRequest,
    responses((status = 200, body = StateChange)))]
async fn force(
    State(control): State<Control>,
    PathName(name): PathName,
    actor: Actor,
    JsonBody(asked): JsonBody<ForceRequest>,
) -> Answer<StateChange> {
    let operation = control.registry.find(&name);
    let operation = operation.filter(|operation| operation.pipeline().circuit_breaker().is_some());
    let operation = operation.ok_or_else(|| control.no_breaker(&name))?;
    let reason = asked.reason.trim();
    if reason.chars().count() > 200 || reason.chars().any(char::is_control) {
        return Err(wrong("reason", "reason is one line of up to 200 characters"));
    }
    let force = match asked.state {
        ForcedState::Auto => None,
        ForcedState::Open => Some(Force::Open),
        ForcedState::Closed => Some(Force::Closed),
        ForcedState::Disabled => Some(Force::Disabled),
    };
    if let Some(seconds) = asked.seconds {
        within("seconds", seconds, 1, LONGEST)?;
    }
    if force.is_some() && reason.is_empty() {
        return Err(wrong("reason", "say why: who comes later reads it"));
    }
    let states = match force {
        None => operation.reset_circuit(),
        Some(force) => {
            let until = asked.seconds.map(|seconds| operation.now() + Duration::from_secs(seconds));
            let said = format!("{reason} ({})", actor.name);
            let change = operation.force_circuit(force, &said, until);
            change.map(|change| (change.from, change.to))
        }
    };
    let states = states.ok_or_else(|| control.no_breaker(&name))?;
    // What an operator was told outlives the process.
    control.circuits.save_aside().await;
    let (old, new) = (states.0.label(), states.1.label());
    tracing::warn!(name, old, new, by = actor.name, reason, "circuit breaker forced");
    let told = match force {
        None => format!("{} let the circuit decide again; it was {old}", actor.name),
        Some(_) => format!("{} forced it {new}: {reason}", actor.name),
    };
    control.feed.note("forced", &name, told.clone());
    Ok(Json(StateChange::new(name, states, told)))
}

impl Control {
    fn no_breaker(&self, name: &str) -> ApiError {
        let known: Vec<String> = views::circuit_breakers(&self.registry).into_keys().collect();
        unknown("circuit breaker", name, &known)
    }
}
