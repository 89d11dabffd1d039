//! The control plane: health, metrics, circuits, configuration, events and the dashboard, beside the data path on
//! the same listener, under paths of its own.

use crate::{
    Registry, access::Access, active::ActiveConfig, alerts::Alerts, feed::Feed,
    persistence::Persistence, sampler::Snapshot,
};
use axum::{
    Router,
    http::{Method, StatusCode, Uri},
    middleware::from_fn_with_state,
    response::Response,
    routing::get,
};
use seawall::Instant;
use std::sync::{Arc, atomic::AtomicBool};
use tokio::sync::watch;
use utoipa_axum::router::OpenApiRouter;

mod alerts;
mod answer;
mod audit;
mod auth;
mod breakers;
mod config;
mod dashboard;
mod events;
mod health;
mod metrics;
mod monitoring;
mod openapi;
mod operations;
mod parameters;
mod performance;
mod presets;
mod prometheus;
mod refusals;
mod validation;
mod views;

pub use alerts::{AlertList, AlertSummary};
use answer::problem;
pub use answer::{MistakeView, ProblemDocument};
pub(crate) use audit::Audit;
pub use breakers::{CircuitBreakers, ForceRequest, ForcedState, StateChange};
pub use config::{
    ChangeMode, ConfigAnswer, ConfigChanged, ConfigRequest, RevisionHistory, RevisionLine,
    RollbackRequest,
};
pub use operations::{
    ModeChange, ModeRequest, OperationDetail, OperationLine, Operations, PauseChange, PauseRequest,
    PolicyValue, PolicyView,
};
use parameters::Known;
pub(crate) use performance::Benchmarks;
pub use performance::{BenchmarkAnswer, Suite};
pub(crate) use refusals::Refusals;
pub(crate) use validation::Turns;
pub use views::{CircuitBreakerView, CircuitMetrics, ForcedView, OperationMetrics, TransitionView};

/// What the control plane shows and changes.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) registry: Registry,
    pub(crate) live: Arc<ActiveConfig>,
    pub(crate) store: Arc<Persistence>,
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

/// The endpoints that answer everyone but who has a wrong key.
fn open() -> OpenApiRouter<Control> {
    health::open()
}

/// The endpoints that look.
fn reading() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .merge(health::reading())
        .merge(metrics::reading())
        .merge(breakers::reading())
        .merge(operations::reading())
        .merge(config::reading())
        .merge(presets::reading())
        .merge(validation::reading())
        .merge(monitoring::reading())
        .merge(alerts::reading())
        .merge(performance::reading())
        .merge(audit::reading())
        .merge(events::reading())
        .merge(prometheus::reading())
}

/// The endpoints that change something.
fn writing() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .merge(metrics::writing())
        .merge(breakers::writing())
        .merge(operations::writing())
        .merge(config::writing())
        .merge(monitoring::writing())
        .merge(alerts::writing())
        .merge(performance::writing())
}

impl Control {
    /// All of its endpoints.
    pub(crate) fn router(self) -> Router {
        let (open, open_paths) = open().split_for_parts();
        let (reading, mut paths) = reading().split_for_parts();
        let (writing, writing_paths) = writing().split_for_parts();
        paths.merge(open_paths);
        paths.merge(writing_paths);
        let document = openapi::document(paths);
        let known = Known::of(&document);
        let strict = || from_fn_with_state(known.clone(), parameters::refuse_unknown);
        let open =
            open.route_layer(strict()).route_layer(from_fn_with_state(self.clone(), auth::open));
        let reading =
            reading.route_layer(strict()).route_layer(from_fn_with_state(self.clone(), auth::read));
        let writing = writing
            .route_layer(strict())
            .route_layer(from_fn_with_state(self.clone(), auth::write))
            .route_layer(from_fn_with_state(self.clone(), audit::note));
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(health::ready))
            .route("/dashboard", get(dashboard::index))
            .route("/dashboard/{file}", get(dashboard::file))
            .merge(open)
            .merge(reading)
            .merge(writing)
            .merge(openapi::pages(&document))
            .fallback(unknown)
            .method_not_allowed_fallback(wrong_method)
            .layer(from_fn_with_state(self.clone(), auth::same_site))
            .with_state(self)
    }
}

async fn unknown(uri: Uri) -> Response {
    problem(StatusCode::NOT_FOUND, "Not found", &format!("there is nothing at {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let detail = format!("{} does not take {method}", uri.path());
    problem(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", &detail)
}
