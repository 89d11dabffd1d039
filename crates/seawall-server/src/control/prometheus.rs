//! `GET /metrics`: the numbers of all operations, and those of the control plane itself.

use super::{Control, answer::Refusal, config::blocking, refusals::Reason};
use crate::{
    alerts::Level,
    gateway::in_flight::EarlyRefusal,
    prometheus::{self, Page},
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use std::fmt::Write;
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn reading() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(text))
}

/// All numbers, for Prometheus.
#[utoipa::path(get, path = "/metrics", tag = "monitoring", security(("key" = ["read"])),
    responses((status = 200, content((String = "text/plain")))))]
async fn text(State(control): State<Control>) -> Result<Response, Refusal> {
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
    page.family("seawall_requests_in_flight", "gauge", help);
    let _ = writeln!(page.text, "seawall_requests_in_flight {}", in_flight.count());
    let help = "Requests refused before they reached a route, by reason.";
    page.family("seawall_requests_refused_total", "counter", help);
    for why in EarlyRefusal::ALL {
        let labels = format!("reason=\"{}\"", why.label());
        page.line("seawall_requests_refused_total", &labels, in_flight.refusals(why));
    }
}

/// The numbers of the control plane itself.
fn of_control(page: &mut Page, control: &Control) {
    page.family("seawall_config_revision", "gauge", "The revision of the configuration in force.");
    let _ = writeln!(page.text, "seawall_config_revision {}", control.live.now().number);
    page.family("seawall_alerts_active", "gauge", "Alerts that last, by level.");
    let lasting = control.alerts.lasting();
    for level in [Level::Info, Level::Warning, Level::Error, Level::Critical] {
        let count = lasting.iter().filter(|alert| alert.level == level).count();
        let name = format!("{level:?}").to_lowercase();
        page.line("seawall_alerts_active", &format!("level=\"{name}\""), count);
    }
    let name = "seawall_control_refusals_total";
    page.family(name, "counter", "Requests to the control plane that were not let in, by reason.");
    for reason in Reason::ALL {
        let label = format!("reason=\"{}\"", reason.label());
        page.line(name, &label, control.refusals.count(reason));
    }
    page.family("seawall_store_failed", "gauge", "1 while the store cannot be written.");
    let failed = u8::from(control.store.failure().is_some());
    let _ = writeln!(page.text, "seawall_store_failed {failed}");
}
