//! The control plane: health, metrics, circuits, configuration, events and the dashboard, beside the data path on
//! the same listener, under paths of its own.
//!
//! | below `/internal/resilience` | answers |
//! |---|---|
//! | GET `/health` | whether it is healthy, and which circuits are not closed; needs no key |
//! | GET `/health/detailed` | how each part stands, why, and since when |
//! | GET `/metrics` | all counters of all operations, and all circuit breakers |
//! | GET `/metrics/{operation}` | the counters of one operation |
//! | POST `/metrics/reset` | resets the counters of one operation, or of all |
//! | GET `/dashboard` | the whole in a few numbers |
//! | GET `/circuit-breakers` | all circuit breakers |
//! | GET `/circuit-breakers/{name}` | one circuit breaker |
//! | POST `/circuit-breakers/{name}/reset` | closes a circuit and forgets what it counted |
//! | POST `/circuit-breakers/{name}/force` | forces a circuit's state, for a reason and a time |
//! | GET `/rate-limits` | the rate limits of all operations |
//! | GET `/rate-limits/{name}` | the rate limits of one operation |
//! | POST `/rate-limits/{name}/quota` | what is left of the limit of one key |
//! | POST `/rate-limits/{name}/reset` | forgets what was counted for one key |
//! | GET `/tenants` | the tenants, those with the most requests first |
//! | GET `/tenants/{name}` | one tenant: its use, its limits and what is left of its budgets |
//! | POST `/tenants/{name}/reset` | makes the budgets and limits of a tenant whole again |
//! | GET `/operations` | all operations, in pages |
//! | POST `/operations` | registers an operation |
//! | GET `/operations/{name}` | one operation: its policies with the origin of every value |
//! | PUT `/operations/{name}/mode` | sets the mode of policies of one type |
//! | POST `/retries/pause` | pauses retries and hedges, or lets them begin again |
//! | GET `/fleet` | the instances of the fleet, and its revision |
//! | GET `/fleet/instance` | this instance, as the others see it |
//! | GET `/config` | the configuration in force, with the source of every value |
//! | PUT `/config` | checks a change, then puts all of it in force, or nothing |
//! | POST `/config/reload` | reads the files again |
//! | GET `/config/history` | the revisions, the latest first |
//! | GET `/config/history/{revision}` | one revision in full |
//! | POST `/config/rollback` | puts a former revision in force again |
//! | GET `/config/presets` | all presets, in a line each |
//! | GET `/config/presets/{name}` | one preset in full |
//! | GET `/config/presets-summary` | all presets in full |
//! | GET `/config/recommend-preset/{environment}` | which preset fits an environment |
//! | GET `/config/recommend-preset-auto` | which preset fits the environment of this process |
//! | GET `/config/templates` | all templates |
//! | GET `/config/templates/{name}` | one template |
//! | POST `/config/validate-template` | whether a template with changes is valid |
//! | POST `/config/recommend-template` | which template comes nearest to a configuration |
//! | POST `/config/validate` | whether a custom configuration is valid |
//! | POST `/config/validate-secure` | the same with checks of content and size, bounded in number |
//! | POST `/config/validate-json` | whether a text is a valid custom configuration |
//! | POST `/config/validate/field-whitelist` | each field with its type, its bounds and its problem |
//! | GET `/config/validate/security-config` | what `validate-secure` checks |
//! | GET `/config/validate/rate-limit-status` | how many secure validations are left to this client |
//! | GET `/monitoring/usage-statistics` | how the configuration was used |
//! | GET `/monitoring/preset-trends/{preset}` | how often a preset was used, hour by hour |
//! | GET `/monitoring/performance-metrics` | how long loads of the configuration took |
//! | GET `/monitoring/alerts` | alerts, the latest first |
//! | POST `/monitoring/alerts/{id}/acknowledge` | says that somebody takes care of an alert |
//! | GET `/monitoring/session/{id}` | what one session did |
//! | GET `/monitoring/export` | the configuration's events as a file |
//! | POST `/monitoring/cleanup` | forgets what is older than so many hours |
//! | GET `/audit` | who changed what |
//! | GET `/events` | a snapshot a second and every event, as server-sent events |
//! | GET `/performance/benchmark` | measures all subjects |
//! | POST `/performance/benchmark` | measures the subjects that are asked for |
//! | GET `/performance/thresholds` | what the averages may be |
//! | GET `/performance/report` | the latest measurements against thresholds and history |
//! | GET `/performance/history` | former measurements |
//! | GET `/dlq/letters` | dead letters, the newest first |
//! | GET `/dlq/letters/{id}` | one dead letter whole |
//! | GET `/dlq/groups` | dead letters by their kind of failure |
//! | GET `/dlq/stats` | the numbers of all queues |
//! | POST `/dlq/release` | lets quarantined letters be replayed again |
//! | POST `/dlq/delete` | deletes letters |
//! | POST `/dlq/purge` | deletes all letters that a query means |
//! | POST `/dlq/reseal` | encrypts letters with the newest key |
//! | GET `/dlq/export` | letters as lines of JSON |
//! | POST `/dlq/export` | single letters as lines of JSON |
//! | POST `/dlq/import` | stores letters that were exported |
//! | GET `/dlq/replays` | replays, the latest first |
//! | POST `/dlq/replays` | begins a replay |
//! | GET `/dlq/replays/{id}` | one replay with its progress |
//! | POST `/dlq/replays/{id}/pause` | pauses a replay |
//! | POST `/dlq/replays/{id}/resume` | resumes a replay |
//! | POST `/dlq/replays/{id}/cancel` | cancels a replay |
//!
//! At the root: GET `/metrics` for Prometheus, `/livez`, `/readyz`, `/dashboard`, `/internal/docs` and
//! `/internal/openapi.json`.

use crate::{
    access::Access, active::ActiveConfig, alerts::Alerts, circuits::SavedCircuits,
    dead_letters::DeadLetters, feed::Feed, fleet::Fleet, persistence::Persistence,
    replays::Replays, runtime::Registry, sampler::Snapshot, tenants::Tenants,
};
use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    middleware::{from_fn, from_fn_with_state},
    response::Response,
    routing::get,
};
use seawall::Instant;
use std::sync::{Arc, atomic::AtomicBool};
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;

mod alerts;
mod audit;
mod auth;
mod breakers;
mod config;
mod dashboard;
mod dlq;
mod events;
mod extract;
mod fleet;
mod health;
mod metrics;
mod monitoring;
mod openapi;
mod operations;
mod parameters;
mod performance;
mod presets;
mod problem;
mod prometheus;
mod rate_limits;
mod refusals;
mod switches;
mod table;
mod tag;
mod tenants;
mod validation;
mod views;

pub use alerts::{AlertList, AlertSummary};
pub(crate) use audit::Audit;
pub use breakers::{CircuitBreakers, ForceRequest, ForcedState, StateChange};
pub use config::{
    ChangeMode, ConfigAnswer, ConfigChanged, ConfigRequest, RevisionHistory, RevisionLine,
    RollbackRequest,
};
pub use dlq::{
    ImportAnswer, LetterChange, LetterSelection, LetterStats, LetterView, PurgeRequest,
    RefusedLine, ResealRequest,
};
pub use operations::{OperationDetail, OperationLine, Operations, PolicyValue, PolicyView};
use parameters::Known;
pub(crate) use performance::Benchmarks;
pub use performance::{BenchmarkAnswer, Suite};
use problem::problem;
pub use problem::{MistakeView, ProblemDocument};
pub use rate_limits::{LimitKey, LimiterView, NearKey, OperationLimits, QuotaView, RateLimitList};
pub(crate) use refusals::Refusals;
pub use switches::{ModeChange, ModeRequest, PauseChange, PauseRequest};
pub use tenants::{BudgetView, ModelUseView, TenantList, TenantView};
pub(crate) use validation::Turns;
pub use views::{CircuitBreakerView, CircuitMetrics, ForcedView, OperationMetrics, TransitionView};

/// The parts of a server that the control plane shows and changes.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) registry: Registry,
    pub(crate) circuits: Arc<SavedCircuits>,
    pub(crate) live: Arc<ActiveConfig>,
    pub(crate) fleet: Arc<Fleet>,
    pub(crate) store: Arc<Persistence>,
    pub(crate) letters: Arc<DeadLetters>,
    pub(crate) tenants: Arc<Tenants>,
    pub(crate) replays: Arc<Replays>,
    pub(crate) alerts: Arc<Alerts>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) audit: Arc<Audit>,
    pub(crate) benchmarks: Arc<Benchmarks>,
    pub(crate) turns: Arc<Turns>,
    pub(crate) refusals: Arc<Refusals>,
    pub(crate) snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    pub(crate) access: Arc<Access>,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) started: Instant,
}

/// Below this path all endpoints lie but those for Prometheus, load balancers and browsers.
const ROOT: &str = "/internal/resilience";

/// The endpoints of one chapter of the description.
fn chapter(name: &str, mut routes: OpenApiRouter<Control>) -> OpenApiRouter<Control> {
    for (_, operation) in openapi::operations(routes.get_openapi_mut()) {
        operation.tags = Some(vec![name.to_owned()]);
    }
    routes
}

/// The endpoints that need no key; a wrong one is refused all the same.
fn open_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().nest(ROOT, chapter("health", health::open_routes()))
}

/// The endpoints that need the scope to read.
fn read_routes() -> OpenApiRouter<Control> {
    let routes = OpenApiRouter::new()
        .merge(chapter("health", health::read_routes().merge(metrics::read_routes())))
        .merge(chapter("circuit breakers", breakers::read_routes()))
        .merge(chapter("rate limits", rate_limits::read_routes()))
        .merge(chapter("tenants", tenants::read_routes()))
        .merge(chapter("operations", operations::read_routes()))
        .merge(chapter("configuration", config::read_routes()))
        .merge(chapter("fleet", fleet::read_routes()))
        .merge(chapter("presets", presets::read_routes()))
        .merge(chapter("templates", presets::template_routes()))
        .merge(chapter("validation", validation::read_routes()))
        .merge(chapter("monitoring", monitoring::read_routes().merge(alerts::read_routes())))
        .merge(chapter("monitoring", audit::read_routes().merge(events::read_routes())))
        .merge(chapter("performance", performance::read_routes()))
        .merge(chapter("dead letters", dlq::read_routes()));
    OpenApiRouter::new().nest(ROOT, routes).merge(chapter("monitoring", prometheus::read_routes()))
}

/// The endpoints that need the scope to write.
fn write_routes() -> OpenApiRouter<Control> {
    let routes = OpenApiRouter::new()
        .merge(chapter("health", metrics::write_routes()))
        .merge(chapter("circuit breakers", breakers::write_routes()))
        .merge(chapter("rate limits", rate_limits::write_routes()))
        .merge(chapter("tenants", tenants::write_routes()))
        .merge(chapter("operations", operations::write_routes().merge(switches::write_routes())))
        .merge(chapter("configuration", config::write_routes()))
        .merge(chapter("monitoring", monitoring::write_routes().merge(alerts::write_routes())))
        .merge(chapter("performance", performance::write_routes()))
        .merge(chapter("dead letters", dlq::write_routes()));
    OpenApiRouter::new().nest(ROOT, routes)
}

impl Control {
    /// The router of all endpoints.
    pub(crate) fn router(self) -> Router {
        let (open, mut paths) = open_routes().split_for_parts();
        let (read, read_paths) = read_routes().split_for_parts();
        let (write, write_paths) = write_routes().split_for_parts();
        paths.merge(openapi::secured(read_paths, "read"));
        paths.merge(openapi::secured(write_paths, "write"));
        let document = openapi::document(paths);
        let known = Known::of(&document);
        let strict = || from_fn_with_state(known.clone(), parameters::refuse_unknown);
        let open = open
            .route_layer(from_fn(tag::not_modified))
            .route_layer(strict())
            .route_layer(from_fn_with_state(self.clone(), auth::open));
        let read = read
            .route_layer(from_fn(tag::not_modified))
            .route_layer(strict())
            .route_layer(from_fn_with_state(self.clone(), auth::read));
        let write = write
            .route_layer(strict())
            .route_layer(from_fn_with_state(self.clone(), auth::write))
            .route_layer(from_fn_with_state(self.clone(), audit::note));
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(health::ready))
            .route("/dashboard", get(dashboard::index))
            .route("/dashboard/{file}", get(dashboard::file))
            .merge(open)
            .merge(read)
            .merge(write)
            .merge(openapi::pages(&document))
            .fallback(unknown)
            .method_not_allowed_fallback(wrong_method)
            .layer(from_fn_with_state(self.clone(), auth::same_site))
            .with_state(self)
    }
}

async fn unknown(uri: Uri) -> Response {
    let detail = format!("there is nothing at {}", uri.path());
    problem(StatusCode::NOT_FOUND, "Not found", &detail).into()
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let detail = format!("{} does not take {method}", uri.path());
    problem(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", &detail).into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_documentation_names_every_endpoint() {
        let mut routes = open_routes().merge(read_routes()).merge(write_routes());
        let described: BTreeSet<String> = openapi::operations(routes.get_openapi_mut())
            .map(|(endpoint, _)| endpoint)
            .filter(|endpoint| endpoint.contains(ROOT))
            .collect();
        let rows = include_str!("control.rs").lines().filter_map(|line| {
            let (method, rest) = line.strip_prefix("//! | ")?.split_once(" `/")?;
            Some(format!("{method} {ROOT}/{}", rest.split_once('`')?.0))
        });
        let named: BTreeSet<String> = rows.filter(|row| !row.starts_with("below")).collect();
        assert_eq!(named, described);
        let api = include_str!("../../../docs/api.md");
        for endpoint in &named {
            let path = endpoint.split_once(ROOT).unwrap().1;
            assert!(api.contains(&format!("`{path}`")), "docs/api.md does not name {path}");
        }
    }
}
