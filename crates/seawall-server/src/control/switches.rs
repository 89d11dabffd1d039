//! Switches that work at once, without a change of the configuration: modes of policies, and the pause of retries and
//! hedges.

use super::{
    Control,
    extract::{JsonBody, PathName},
    problem::{Answer, wrong},
};
use crate::{actor::Actor, schema::described};
use axum::{Json, extract::State};
use seawall::Mode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(modes)).routes(routes!(pause))
}

/// A mode for all policies of one type.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct ModeRequest {
    /// The type of the policies: `retry`, `circuit_breaker` …
    pub policy: String,
    /// The mode: `enforce` acts, `shadow` only reports what it would do, `off` leaves the policies out.
    #[schema(schema_with = described::<Mode>)]
    pub mode: Mode,
}

/// The result of a change of modes.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct ModeChange {
    /// The name of the operation.
    pub name: String,
    /// The type of the policies.
    pub policy: String,
    /// The mode of the policies now.
    #[schema(schema_with = described::<Mode>)]
    pub mode: Mode,
    /// The number of policies of this type in the operation.
    pub changed: usize,
}

/// Sets the mode (enforce, shadow, off) of all policies of one type, until the configuration of the operation changes.
#[utoipa::path(put, path = "/operations/{name}/mode", request_body = ModeRequest,
    responses((status = 200, body = ModeChange)))]
async fn modes(
    State(control): State<Control>,
    PathName(name): PathName,
    actor: Actor,
    JsonBody(asked): JsonBody<ModeRequest>,
) -> Answer<ModeChange> {
    let operation = control.operation(&name)?;
    let changed = operation.set_mode(&asked.policy, asked.mode);
    if changed == 0 {
        let pipeline = operation.pipeline();
        let known: Vec<&str> = pipeline.policies().iter().map(seawall::Policy::label).collect();
        let detail =
            format!("{name} has no policy {:?}; it has {}", asked.policy, known.join(", "));
        return Err(wrong("policy", &detail));
    }
    let ModeRequest { policy, mode } = asked;
    tracing::warn!(name, policy, mode = mode.label(), by = actor.name, "mode changed");
    let text = format!("{} put {policy} to {}", actor.name, mode.label());
    control.feed.note("mode", &name, text);
    Ok(Json(ModeChange { name, policy, mode, changed }))
}

/// A request to pause retries and hedges, or to let them begin again.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PauseRequest {
    /// True pauses retries and hedges; false lets them begin again.
    pub paused: bool,
    /// The name of the operation; left out: all operations.
    #[serde(default)]
    pub operation: Option<String>,
}

/// The result of a pause, or of its end.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct PauseChange {
    /// Whether retries and hedges are paused now.
    pub paused: bool,
    /// The operations whose retries and hedges were paused or released.
    pub operations: Vec<String>,
}

/// Pauses retries and hedges of one operation or of all, or lets them begin again.
#[utoipa::path(post, path = "/retries/pause", request_body = PauseRequest,
    responses((status = 200, body = PauseChange)))]
async fn pause(
    State(control): State<Control>,
    actor: Actor,
    JsonBody(asked): JsonBody<PauseRequest>,
) -> Answer<PauseChange> {
    let operations = match &asked.operation {
        Some(name) => {
            let operation = control.operation(name)?;
            operation.pause_repeats(asked.paused);
            vec![name.clone()]
        }
        None => {
            control.registry.pause_repeats(asked.paused);
            control.registry.operations().iter().map(|one| one.name().to_string()).collect()
        }
    };
    let verb = if asked.paused { "paused" } else { "released" };
    let name = asked.operation.as_deref().unwrap_or("");
    tracing::warn!(name, by = actor.name, "retries and hedges {verb}");
    control.feed.note("brake", name, format!("{} {verb} retries and hedges", actor.name));
    Ok(Json(PauseChange { paused: asked.paused, operations }))
}
