//! The fleet: the instances that serve together, and this one among them.

use super::{Control, tag::tagged};
use crate::fleet::{FleetView, InstanceReport};
use axum::{extract::State, response::Response};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(all)).routes(routes!(instance))
}

/// Shows all instances of the fleet, those that are gone among them, and the fleet's revision.
#[utoipa::path(get, path = "/fleet", responses((status = 200, body = FleetView)))]
async fn all(State(control): State<Control>) -> Response {
    tagged(&control.fleet.view().await)
}

/// Shows this instance as the others see it. It answers without a fleet, too.
#[utoipa::path(get, path = "/fleet/instance", responses((status = 200, body = InstanceReport)))]
async fn instance(State(control): State<Control>) -> Response {
    tagged(&control.fleet.report())
}
