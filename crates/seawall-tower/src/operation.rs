//! Around any service, whatever its requests and answers are.

use crate::{AnyRequest, Describe, TokioTimer, sending::Sending};
use seawall::{AnyError, Attributes, Classify, Error, Operation, Timer};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Puts any service under an operation's policies. Requests are cloned for each attempt.
///
/// State lives in the operation, never in the layer: two layers of one operation share its circuit. For HTTP
/// there are [`ClientLayer`](crate::ClientLayer) and [`ServerLayer`](crate::ServerLayer), which know about
/// methods, statuses and bodies.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use tower::{ServiceBuilder, ServiceExt}; use seawall_tower::{OperationLayer, TokioTimer};
/// # let preset = seawall::preset("production").ok_or("no such preset")?;
/// # let registry = seawall::Registry::with_timer(TokioTimer, preset, Vec::new());
/// let stock = tower::service_fn(async |item: u32| Ok::<_, std::io::Error>(item * 2));
/// let stock = ServiceBuilder::new().layer(OperationLayer::new(registry.operation("stock")?)).service(stock);
/// assert_eq!(stock.oneshot(21).await?, 42);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct OperationLayer<C = AnyError, D = AnyRequest, Tm = TokioTimer> {
    pub(crate) operation: Operation<Tm>,
    pub(crate) classify: C,
    pub(crate) describe: D,
}

impl<Tm: Timer + Clone> OperationLayer<AnyError, AnyRequest, Tm> {
    /// Under this operation: every `Err` is a failure, and every request may be sent again.
    pub fn new(operation: Operation<Tm>) -> Self {
        Self { operation, classify: AnyError, describe: AnyRequest }
    }
}

impl<C, D, Tm> OperationLayer<C, D, Tm> {
    /// Says which results are failures.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> OperationLayer<C2, D, Tm> {
        OperationLayer { operation: self.operation, classify, describe: self.describe }
    }

    /// Says which requests may be sent again, and who asks.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> OperationLayer<C, D2, Tm> {
        OperationLayer { operation: self.operation, classify: self.classify, describe }
    }
}

impl<S, C: Clone, D: Clone, Tm: Clone> Layer<S> for OperationLayer<C, D, Tm> {
    type Service = OperationService<S, C, D, Tm>;
    fn layer(&self, service: S) -> Self::Service {
        OperationService { service, layer: self.clone() }
    }
}

/// A service under an operation's policies; see [`OperationLayer`].
#[derive(Clone, Debug)]
pub struct OperationService<S, C = AnyError, D = AnyRequest, Tm = TokioTimer> {
    service: S,
    layer: OperationLayer<C, D, Tm>,
}

/// What a call under an operation comes to. Boxed, because nobody can name the type of a pipeline's run.
pub(crate) type Running<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<S, Q, C, D, Tm> Service<Q> for OperationService<S, C, D, Tm>
where
    S: Service<Q> + Clone + Send + 'static,
    S::Response: Send,
    S::Future: Send,
    S::Error: Send,
    Q: Clone + Send + 'static,
    C: Classify<S::Response, S::Error> + Clone + Send + Sync + 'static,
    D: Describe<Q>,
    Tm: Timer + Clone + Send + Sync + 'static,
    Tm::Sleep: Send,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Running<Self::Response, Self::Error>;

    /// Always ready: each attempt waits for a service of its own, within its timeout. Bounds on what is in
    /// progress are the bulkhead's work.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Q) -> Self::Future {
        // The answer is whole when it comes.
        let attributes = Attributes { streamed: false, ..self.layer.describe.describe(&request) };
        let (operation, classify) = (self.layer.operation.clone(), self.layer.classify.clone());
        let service = self.service.clone();
        Box::pin(async move {
            let send = move |_| Sending::new(service.clone(), request.clone());
            operation.call_with(attributes, &classify, send).await
        })
    }
}
