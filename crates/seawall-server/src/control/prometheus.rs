//! `GET /metrics`: the numbers of all operations, and those of the control plane itself.

use super::{Control, config::blocking, problem::ApiError, refusals::Reason};
use crate::{
    alerts::Level,
    gateway::in_flight::EarlyRefusal,
    prometheus::{self, Page, escaped},
    tenants::{Count, NANOS},
    wall_clock,
};
use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use std::collections::BTreeMap;
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
    of_letters(&mut page, control);
    of_tenants(&mut page, control);
    of_fleet(&mut page, control);
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

/// The numbers of the fleet; an instance on its own is one alone.
fn of_fleet(page: &mut Page, control: &Control) {
    let health = control.fleet.health().unwrap_or_default();
    let help = "Instances of the fleet that are alive, as of the last heartbeat of this one.";
    page.gauge("seawall_fleet_instances", help, health.alive);
    let help = "The fleet's revision that is in force here; 0 for none.";
    page.gauge("seawall_fleet_revision_in_force", help, health.revision);
    let lost = u8::from(health.lost.is_some());
    let help = "1 while the store of the fleet does not answer.";
    page.gauge("seawall_fleet_degraded", help, lost);
    let refused = u8::from(health.refused.is_some());
    let help = "1 while the fleet's revision cannot be put in force here.";
    page.gauge("seawall_fleet_revision_refused", help, refused);
}

/// The numbers of dead letters.
fn of_letters(page: &mut Page, control: &Control) {
    let (stats, counted) = (control.letters.stats(), control.letters.counters.counted());
    let queues = || stats.queues.iter().map(|(name, one)| (queue(name), one));
    let sizes = queues().flat_map(|(queue, one)| {
        let states = [
            ("waiting", one.waiting),
            ("replaying", one.replaying),
            ("replayed", one.replayed),
            ("quarantined", one.quarantined),
        ];
        states.map(|(state, letters)| (format!("{queue},state=\"{state}\""), letters))
    });
    page.family("seawall_dlq_size", "gauge", "Dead letters, by queue and state.", sizes);
    let bytes = queues().map(|(queue, one)| (queue, one.bytes));
    let help = "Bytes that bodies and headers of dead letters take, as they are stored.";
    page.family("seawall_dlq_bytes", "gauge", help, bytes);
    let now = wall_clock::now_ms();
    let age = |oldest: Option<u64>| oldest.map_or(0, |oldest| now.saturating_sub(oldest));
    let ages = queues().map(|(queue, one)| (queue, age(one.oldest) as f64 / 1000.0));
    let help = "Age of the oldest dead letter that waits.";
    page.family("seawall_dlq_oldest_message_age_seconds", "gauge", help, ages);
    let dropped = queues().map(|(queue, one)| (queue, one.dropped));
    let help = "Dead letters that gave way to newer ones since the queue exists.";
    page.family("seawall_dlq_dropped_total", "counter", help, dropped);
    let by = |label: &str, counted: BTreeMap<String, u64>| {
        let series = |(value, count)| (format!("{label}=\"{}\"", escaped(value)), count);
        counted.iter().map(|(value, count)| series((value, *count))).collect::<Vec<_>>()
    };
    let help = "Requests that became dead letters, by the reason of the failure.";
    page.family("seawall_dlq_enqueued_total", "counter", help, by("reason", counted.enqueued));
    let help = "Replays of dead letters that ended, by how.";
    page.family("seawall_dlq_replayed_total", "counter", help, by("outcome", counted.replayed));
    let help = "Requests that failed for good and could not be kept, by the reason.";
    page.family("seawall_dlq_lost_total", "counter", help, by("reason", counted.lost));
    let failed = u8::from(control.letters.failure().is_some());
    page.gauge("seawall_dlq_store_failed", "1 while dead letters cannot be kept.", failed);
}

/// The numbers of tenants: those with the most requests by name, the others as one.
fn of_tenants(page: &mut Page, control: &Control) {
    let ranked = control.tenants.ranked();
    let named = ranked.named.iter().map(|(name, counts)| (&**name, counts));
    let all: Vec<_> = named
        .chain(control.tenants.are_configured().then_some(("other", &ranked.other)))
        .map(|(name, counts)| (format!("tenant=\"{}\"", escaped(name)), counts))
        .collect();
    let help = "Requests of tenants, those that were refused included.";
    let requests = all.iter().map(|(tenant, one)| (tenant.clone(), one.of(Count::Requests)));
    page.family("seawall_tenant_requests_total", "counter", help, requests);
    let by = |label: &str, kinds: &[(&str, Count)]| {
        let series = all.iter().flat_map(|(tenant, one)| {
            kinds
                .iter()
                .map(move |(kind, count)| (format!("{tenant},{label}=\"{kind}\""), one.of(*count)))
        });
        series.collect::<Vec<_>>()
    };
    let reasons = [
        ("rate_limited", Count::RateLimited),
        ("tenant_concurrency", Count::Concurrent),
        ("tenant_budget", Count::Budget),
        ("tenant_unknown", Count::Unknown),
    ];
    let help = "Requests of tenants that were refused on their account, by reason.";
    page.family("seawall_tenant_refused_total", "counter", help, by("reason", &reasons));
    let kinds = [
        ("input", Count::Input),
        ("cached_input", Count::CachedInput),
        ("cache_write", Count::CacheWrite),
        ("output", Count::Output),
    ];
    let help = "Tokens of language models that tenants have used, by kind.";
    page.family("seawall_tenant_tokens_total", "counter", help, by("kind", &kinds));
    let cost =
        all.iter().map(|(tenant, one)| (tenant.clone(), one.of(Count::Money) as f64 / NANOS));
    let help = "What tenants have spent, by tenants.prices.";
    page.family("seawall_tenant_cost_total", "counter", help, cost);
    let lines = control.tenants.lines();
    let shown = lines.iter().filter(|line| ranked.named.contains_key(&*line.name));
    let tenant = |name: &str| format!("tenant=\"{}\"", escaped(name));
    let in_flight: Vec<_> =
        shown.clone().map(|line| (tenant(&line.name), line.in_flight)).collect();
    let help = "Requests of tenants in progress.";
    page.family("seawall_tenant_in_flight", "gauge", help, in_flight);
    let budgets = shown.flat_map(|line| {
        line.budgets.iter().map(|budget| {
            let (unit, per) = (budget.unit.label(), budget.per.label());
            let labels = format!("{},unit=\"{unit}\",per=\"{per}\"", tenant(&line.name));
            (labels, budget.used / budget.limit)
        })
    });
    let help = "The share of tenants' budgets that is used.";
    page.family("seawall_tenant_budget_used", "gauge", help, budgets.collect::<Vec<_>>());
    page.gauge("seawall_tenants", "Tenants that are remembered or named.", lines.len());
    let unpriced = control.tenants.unpriced();
    let unpriced =
        unpriced.iter().map(|(model, count)| (format!("model=\"{}\"", escaped(model)), *count));
    let help = "Tokens of models that have no price in tenants.prices, so that no budget of money has them.";
    page.family("seawall_tenant_unpriced_tokens_total", "counter", help, unpriced);
}

fn queue(name: &str) -> String {
    format!("queue=\"{}\"", escaped(name))
}
