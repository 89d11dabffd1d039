//! The layer around a service of any kind.

use crate::{Alternative, AnyRequest, Describe, NoFallback, TokioTimer, work::ServiceWork};
use seawall::{AnyError, Attempt, Classify, Error, Operation, Timer};
use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};
use tower_layer::Layer;
use tower_service::Service;

/// Puts any service under an operation's policies.
///
/// The state lives in the operation, never in the layer: two layers of one operation share its circuit. For HTTP there are [`ClientLayer`](crate::ClientLayer) and [`ServerLayer`](crate::ServerLayer), which know about
/// methods, statuses and bodies.
///
/// The service, its requests and what classifies its results are cloned for each attempt, so all of them are
/// `Clone + Send + 'static`; responses and errors are `Send`.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # use tower::ServiceBuilder; use seawall_tower::{OperationLayer, TokioTimer};
/// # let registry = seawall::Registry::builder().preset("production")?.timer(TokioTimer).build();
/// let stock = tower::service_fn(async |item: u32| Ok::<_, std::io::Error>(item * 2));
/// let stock = ServiceBuilder::new().layer(OperationLayer::new(registry.operation("stock")?)).service(stock);
/// assert_eq!(stock.send(21).await?, 42);
/// # Ok(()) }
/// ```
#[derive(Clone, Debug)]
pub struct OperationLayer<C = AnyError, D = AnyRequest, A = NoFallback, Tm = TokioTimer> {
    operation: Operation<Tm>,
    classify: C,
    describe: D,
    fallback: Option<A>,
}

impl<Tm: Timer + Clone> OperationLayer<AnyError, AnyRequest, NoFallback, Tm> {
    /// Makes a layer of this operation. Every `Err` is a failure, and every request may be sent again.
    pub fn new(operation: Operation<Tm>) -> Self {
        Self { operation, classify: AnyError, describe: AnyRequest, fallback: None }
    }
}

impl<C, D, A, Tm> OperationLayer<C, D, A, Tm> {
    /// Sets what says which results are failures.
    #[must_use]
    pub fn classify<C2>(self, classify: C2) -> OperationLayer<C2, D, A, Tm> {
        let Self { operation, describe, fallback, .. } = self;
        OperationLayer { operation, classify, describe, fallback }
    }

    /// Sets what says which requests may be sent again, and who makes them.
    #[must_use]
    pub fn describe<D2>(self, describe: D2) -> OperationLayer<C, D2, A, Tm> {
        let Self { operation, classify, fallback, .. } = self;
        OperationLayer { operation, classify, describe, fallback }
    }

    /// Sets what answers in the service's place, see [`Alternative`]. A `fallback` among the operation's policies decides
    /// when it is called; without one, it is called after every failure, timeout and refusal. A layer that was given
    /// none has nothing to call, so that a `fallback` policy does nothing.
    #[must_use]
    pub fn fallback<A2>(self, fallback: A2) -> OperationLayer<C, D, A2, Tm> {
        let Self { operation, classify, describe, .. } = self;
        OperationLayer { operation, classify, describe, fallback: Some(fallback) }
    }
}

impl<S, C: Clone, D: Clone, A: Clone, Tm: Clone> Layer<S> for OperationLayer<C, D, A, Tm> {
    type Service = OperationService<S, C, D, A, Tm>;
    fn layer(&self, service: S) -> Self::Service {
        OperationService { service, layer: self.clone() }
    }
}

/// A service under an operation's policies; see [`OperationLayer`].
#[derive(Clone, Debug)]
pub struct OperationService<S, C = AnyError, D = AnyRequest, A = NoFallback, Tm = TokioTimer> {
    service: S,
    layer: OperationLayer<C, D, A, Tm>,
}

impl<S, C, D, A, Tm> OperationService<S, C, D, A, Tm> {
    /// Calls the service, as [`Service::call`] does, without a `&mut`: this service is always ready.
    ///
    /// # Errors
    /// [`Error::Inner`] with the service's own error, the last one if there were several attempts; a timeout of the
    /// operation; or a refusal, for which the service was not called.
    pub fn send<Q>(&self, request: Q) -> <Self as Service<Q>>::Future
    where
        Self: Service<Q> + Clone,
    {
        self.clone().call(request)
    }

    /// The service inside. Calls made with it do not pass through the policies.
    pub fn get_ref(&self) -> &S {
        &self.service
    }

    /// Takes the service out of the layer.
    pub fn into_inner(self) -> S {
        self.service
    }
}

/// The result of a call under an operation. It is boxed, because the type of a pipeline's run has no name.
pub(crate) type Running<T, E> = Pin<Box<dyn Future<Output = Result<T, E>> + Send>>;

impl<S, Q, C, D, A, Tm> Service<Q> for OperationService<S, C, D, A, Tm>
where
    S: Service<Q> + Clone + Send + 'static,
    S::Response: Send,
    S::Future: Send,
    S::Error: Send,
    Q: Clone + Send + 'static,
    C: Classify<S::Response, S::Error> + Clone + Send + Sync + 'static,
    D: Describe<Q>,
    A: Alternative<Q, S::Response, S::Error> + Clone + Send + 'static,
    A::Answer: Send,
    Tm: Timer + Clone + Send + Sync + 'static,
    Tm::Sleep: Send,
{
    type Response = S::Response;
    type Error = Error<S::Error>;
    type Future = Running<Self::Response, Self::Error>;

    /// Is always ready: each attempt waits for a clone of the service, within its timeout. To bound the calls in
    /// progress, use a bulkhead.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Q) -> Self::Future {
        let attributes = self.layer.describe.describe(&request);
        let (operation, classify) = (self.layer.operation.clone(), self.layer.classify.clone());
        let fallback = self.layer.fallback.clone().map(|fallback| (fallback, request.clone()));
        let (spare, mut first) = (request.clone(), Some(request));
        let next = move |_: Attempt| Some(first.take().unwrap_or_else(|| spare.clone()));
        let service = self.service.clone();
        Box::pin(async move {
            let work = ServiceWork {
                operation: operation.name(),
                service,
                next,
                repeats: true,
                classify,
                fallback,
            };
            work.run(&operation, attributes).await
        })
    }
}
