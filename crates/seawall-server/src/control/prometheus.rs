//! `GET /metrics`: the numbers of all operations, and those of the control plane itself.

use super::{Control, config::blocking, problem::ApiError, refusals::Reason};
use crate::{
    alerts::Level,
    gateway::in_flight::EarlyRefusal,
    prometheus::{self, Page},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(text))
}

/// Exports all numbers in the text format of Prometheus.
#[utoipa::path(get, path = "/metrics", responses((status = 200, content((String = "text/plain")))))]
async fn text(State(control): State<Control>) -> Result<Response, ApiError> {
    // With many operations it takes milliseconds: not on the threads that pass requests on.
    blocking(move || answer(&control)).await
}

fn answer(control: &Control) -> Response {
    let up = control.registry.now().since(control.started);
    let kind = [("content-type", "text/plain; version=0.0.4; charset=utf-8")];
    let mut page = prometheus::page(&control.registry, up);
    of_gateway(&mut page, control);
    of_control(&mut page, control);
    (kind, page.text).into_response()
}

/// The gateway's requests as a whole, before any route.
fn of_gateway(page: &mut Page, control: &Control) {
    let in_flight = &control.live.gateway().in_flight;
    let help = "Requests in progress, against limits.max_in_flight.";
    page.gauge("seawall_requests_in_flight", help, in_flight.count());
    let help = "Requests refused before they reached a route, by reason.";
    let refused = EarlyRefusal::ALL
        .map(|why| (format!("reason=\"{}\"", why.label()), in_flight.refusals(why)));
    page.family("seawall_requests_refused_total", "counter", help, refused);
}

/// The numbers of the control plane itself.
fn of_control(page: &mut Page, control: &Control) {
    let help = "The revision of the configuration in force.";
    page.gauge("seawall_config_revision", help, control.live.now().number);
    let lasting = control.alerts.lasting();
    let levels = Level::ALL.map(|level| {
        let count = lasting.iter().filter(|alert| alert.level == level).count();
        (format!("level=\"{}\"", level.label()), count)
    });
    page.family("seawall_alerts_active", "gauge", "Alerts that last, by level.", levels);
    let help = "Requests to the control plane that were not let in, by reason.";
    let refusals = Reason::ALL
        .map(|reason| (format!("reason=\"{}\"", reason.label()), control.refusals.count(reason)));
    page.family("seawall_control_refusals_total", "counter", help, refusals);
    let failed = u8::from(control.store.failure().is_some());
    page.gauge("seawall_store_failed", "1 while the store cannot be written.", failed);
}
