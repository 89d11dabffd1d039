//! Seawall's types on the runtime of the server.

/// The registry of a server: Seawall's, on tokio's clock.
pub(crate) type Registry = seawall::Registry<seawall_tower::TokioTimer>;
/// A registered operation of a server.
pub(crate) type Operation = seawall::Operation<seawall_tower::TokioTimer>;
/// The permits of an answer that is still being streamed.
pub(crate) type HeldPermits =
    seawall::HeldPermits<std::sync::Arc<seawall::Pipeline>, seawall_tower::TokioTimer>;
/// An error of any kind, where only its text matters.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;
