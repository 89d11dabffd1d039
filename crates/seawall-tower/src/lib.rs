//! Seawall on tokio, tower and HTTP: the timer, the layers, the classification of answers, and what an
//! error of Seawall's looks like as an HTTP response.
//!
//! Around an HTTP client ([`OperationLayer`] is for services of any other kind):
//!
//! ```
//! # use http::{Request, Response}; use http_body_util::Full; use bytes::Bytes;
//! use seawall_tower::{ClientLayer, TokioTimer};
//! use tower::Layer;
//! # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let http_client = tower::service_fn(async |_: Request<Full<Bytes>>| {
//! #     Ok::<_, std::io::Error>(Response::new(Full::new(Bytes::from("ok")))) });
//! let registry = seawall::Registry::builder().preset("production")?.timer(TokioTimer).build();
//! let client = ClientLayer::new(registry.operation("prices")?).layer(http_client);
//! let answer = client.send(Request::get("http://prices/4").body(Full::default())?).await?;
//! # assert_eq!(answer.status(), 200); Ok(()) }
//! ```
//!
//! Around an axum router:
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use seawall_tower::{ServerLayer, TokioTimer};
//! let registry = seawall::Registry::builder().preset("production")?.timer(TokioTimer).build();
//! let layer = ServerLayer::new(registry.operation("shop")?).exclude(["/health", "/metrics"]);
//! let router: axum::Router = axum::Router::new()
//!     .route("/prices", axum::routing::get(|| async { "1, 2, 3" }))
//!     .layer(layer);
//! # let _ = router; Ok(()) }
//! ```

mod body;
mod buffer;
#[cfg(feature = "cache")]
mod cache;
mod classify;
mod client;
mod coalesce;
mod deadline;
mod describe;
mod fallback;
mod headers;
mod operation;
mod problem;
#[cfg(feature = "reqwest")]
mod reqwest_client;
mod sending;
mod server;
mod timer;
mod work;

pub use body::{HeldBody, Permits};
pub use buffer::{Buffered, Resumed};
#[cfg(feature = "cache")]
pub use cache::{CacheConfig, CacheLayer, Cached};
pub use classify::{HttpClassify, classify_grpc, classify_grpc_code, classify_status, retry_after};
pub use client::{Client, ClientLayer, ClientRequest, ClientResponse};
pub use coalesce::{Coalesce, CoalesceConfig, CoalesceError, CoalesceLayer};
pub use deadline::{Deadline, DeadlineHeader};
pub use describe::{AnyRequest, Describe, HttpDescribe};
pub use fallback::{Alternative, NoFallback};
pub use headers::{ATTEMPT_HEADER, circuit_header, write_rate_limit};
pub use operation::{OperationLayer, OperationService};
pub use problem::{Problem, rejection_problem, timeout_problem};
#[cfg(feature = "reqwest")]
pub use reqwest_client::SendThrough;
pub use server::{Server, ServerLayer};
pub use timer::TokioTimer;

/// A guide's examples, compiled and run.
#[cfg(all(doctest, feature = "cache"))]
#[doc = include_str!("../../../docs/policies/shared-answers.md")]
struct SharedAnswers;
