//! The control plane: health, metrics, circuits, events and the dashboard, beside the data path on the same
//! listener, under paths of its own.

use crate::{
    Registry,
    feed::Feed,
    sampler::{self, Snapshot},
};
use axum::{
    Json, Router,
    extract::{Path, State},
    http::{Method, StatusCode, Uri},
    middleware,
    response::{IntoResponse, Response},
    routing::{get, post},
};
use seawall::Instant;
use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};
use tokio::sync::watch;

mod auth;
mod dashboard;
mod events;
mod prometheus;
mod views;

pub(crate) use auth::{Access, Keys};

/// What the control plane shows and changes.
#[derive(Clone)]
pub(crate) struct Control {
    pub(crate) registry: Registry,
    pub(crate) feed: Arc<Feed>,
    pub(crate) snapshots: watch::Receiver<Option<Arc<Snapshot>>>,
    pub(crate) access: Arc<Access>,
    pub(crate) draining: Arc<AtomicBool>,
    pub(crate) started: Instant,
}

/// Whether a path belongs to the control plane, not to a route.
pub(crate) fn owns(path: &str) -> bool {
    let under = |root: &str| {
        path.strip_prefix(root).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    ["/internal", "/dashboard", "/metrics", "/livez", "/readyz"].into_iter().any(under)
}

impl Control {
    /// All of its endpoints.
    pub(crate) fn router(self) -> Router {
        let guarded = Router::new()
            .route("/metrics", get(prometheus::text))
            .route("/internal/resilience/metrics", get(metrics))
            .route("/internal/resilience/circuit-breakers", get(circuit_breakers))
            .route("/internal/resilience/circuit-breakers/{name}", get(circuit_breaker))
            .route("/internal/resilience/circuit-breakers/{name}/reset", post(reset))
            .route("/internal/resilience/events", get(events::stream))
            .route_layer(middleware::from_fn_with_state(self.clone(), auth::require_key));
        Router::new()
            .route("/livez", get(|| async { "ok\n" }))
            .route("/readyz", get(ready))
            .route("/internal/resilience/health", get(health))
            .route("/dashboard", get(dashboard::index))
            .route("/dashboard/{file}", get(dashboard::file))
            .merge(guarded)
            .fallback(unknown)
            .method_not_allowed_fallback(wrong_method)
            .layer(middleware::from_fn_with_state(self.clone(), auth::same_site))
            .with_state(self)
    }
}

/// An error of the control plane's, as problem JSON.
pub(crate) fn problem(status: StatusCode, title: &str, detail: &str) -> Response {
    let document = serde_json::json!({
        "type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail,
    });
    let kind = [("content-type", "application/problem+json")];
    (status, kind, document.to_string()).into_response()
}

async fn unknown(uri: Uri) -> Response {
    problem(StatusCode::NOT_FOUND, "Not found", &format!("there is nothing at {}", uri.path()))
}

async fn wrong_method(method: Method, uri: Uri) -> Response {
    let detail = format!("{} does not take {method}", uri.path());
    problem(StatusCode::METHOD_NOT_ALLOWED, "Method not allowed", &detail)
}

async fn ready(State(control): State<Control>) -> Response {
    if control.draining.load(Ordering::Relaxed) {
        return (StatusCode::SERVICE_UNAVAILABLE, "draining\n").into_response();
    }
    "ready\n".into_response()
}

async fn health(State(control): State<Control>) -> Json<serde_json::Value> {
    let mut body = serde_json::json!(sampler::health(&control.registry));
    body["timestamp"] = views::timestamp().into();
    Json(body)
}

async fn metrics(State(control): State<Control>) -> Json<serde_json::Value> {
    Json(views::metrics(&control.registry))
}

async fn circuit_breakers(State(control): State<Control>) -> Json<serde_json::Value> {
    Json(views::circuit_breakers(&control.registry))
}

async fn circuit_breaker(State(control): State<Control>, Path(name): Path<String>) -> Response {
    let found = control.registry.find(&name);
    match found
        .as_ref()
        .and_then(|operation| views::circuit_breaker(operation, control.registry.now()))
    {
        Some(view) => Json(view).into_response(),
        None => no_breaker(&control.registry, &name),
    }
}

async fn reset(State(control): State<Control>, Path(name): Path<String>) -> Response {
    let operation = control.registry.find(&name);
    let Some((old, new)) = operation.and_then(|operation| operation.reset_circuit()) else {
        return no_breaker(&control.registry, &name);
    };
    tracing::info!(name, old = old.label(), "circuit breaker reset");
    control.feed.note("reset", &name, format!("reset by an operator; it was {}", old.label()));
    Json(serde_json::json!({
        "name": name,
        "old_state": old.label(),
        "new_state": new.label(),
        "message": format!("circuit breaker {name} is reset"),
    }))
    .into_response()
}

fn no_breaker(registry: &Registry, name: &str) -> Response {
    let known: Vec<String> = registry
        .operations()
        .iter()
        .filter(|operation| operation.pipeline().circuit_breaker().is_some())
        .map(|operation| operation.name().to_string())
        .collect();
    let detail = format!("no circuit breaker is called {name:?}; there are: {}", known.join(", "));
    problem(StatusCode::NOT_FOUND, "Unknown circuit breaker", &detail)
}
