//! Equal requests that are made at the same time share one call.

use crate::{
    buffer::{Buffered, Collected, Whole, collect, is_for_all, values},
    operation::Running,
    sending::Sending,
};
use bytes::Bytes;
use http::{HeaderName, Method, Request, Response, Uri};
use http_body::Body;
use std::{
    collections::HashMap,
    error::Error,
    fmt,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
};
use tokio::sync::watch;
use tower_layer::Layer;
use tower_service::Service;

/// Which requests a [`CoalesceLayer`] regards as equal, and its bounds.
#[derive(Clone, Debug)]
pub struct CoalesceConfig {
    /// The number of different requests that can be waited for at the same time; further ones are sent on their own.
    /// Default 10,000.
    pub max_keys: usize,
    /// The longest body that is shared, in bytes. When a response is longer, each request that waited for it is sent
    /// on its own. Default 1 MiB.
    pub max_body: usize,
    /// Requests are equal if method, address and the values of these headers are. Requests with credentials are
    /// coalesced only if the headers with their credentials (`authorization`, `cookie`) are listed. Default: `accept`, `accept-encoding`,
    /// `accept-language`.
    pub headers: Vec<HeaderName>,
}

impl Default for CoalesceConfig {
    fn default() -> Self {
        let headers = ["accept", "accept-encoding", "accept-language"];
        let headers = headers.map(HeaderName::from_static).into();
        Self { max_keys: 10_000, max_body: 1 << 20, headers }
    }
}

/// Sends only one of several equal GET or HEAD requests that are in progress at the same time, and gives its response
/// to all of them. If the caller of that one goes away, another one is sent. Put this layer outside of a
/// [`ClientLayer`](crate::ClientLayer), so that retries are shared, too.
///
/// The client is a `Clone + Send + 'static` service from `http::Request<B>`, where `B: Clone`, to `http::Response<R>`,
/// where `R` is an `http_body::Body<Data = Bytes> + Unpin`. Its errors must be `Display`.
#[derive(Clone, Debug)]
pub struct CoalesceLayer {
    config: Arc<CoalesceConfig>,
    flights: Arc<Mutex<Flights>>,
}

type Key = (Method, Uri, Vec<Vec<u8>>);
type Flights = HashMap<Key, watch::Receiver<Landed>>;

/// The state of a call that others wait for.
#[derive(Clone, Debug)]
enum Landed {
    NotYet,
    Answer(Whole),
    Failed(Arc<str>),
    /// The response cannot be shared.
    Alone,
}

impl CoalesceLayer {
    /// Makes a layer. Its clones, and all services under it, share the calls in progress.
    pub fn new(config: CoalesceConfig) -> Self {
        Self { config: Arc::new(config), flights: Arc::default() }
    }

    /// The number of different requests in progress.
    pub fn in_flight(&self) -> usize {
        self.flights.lock().unwrap_or_else(PoisonError::into_inner).len()
    }

    fn join(&self, key: &Key) -> Joined {
        let mut flights = self.flights.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(landing) = flights.get(key) {
            return Joined::Waits(landing.clone());
        }
        if flights.len() >= self.config.max_keys {
            return Joined::Alone;
        }
        let (sender, landing) = watch::channel(Landed::NotYet);
        flights.insert(key.clone(), landing);
        Joined::Leads(Lead { layer: self.clone(), key: key.clone(), sender })
    }
}

enum Joined {
    Leads(Lead),
    Waits(watch::Receiver<Landed>),
    Alone,
}

/// The request that is sent for all. Dropping it removes its entry, so that one of the waiting requests takes over.
struct Lead {
    layer: CoalesceLayer,
    key: Key,
    sender: watch::Sender<Landed>,
}

impl Lead {
    fn land(self, landed: Landed) {
        self.sender.send_replace(landed);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let flights = &self.layer.flights;
        flights.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

impl<S> Layer<S> for CoalesceLayer {
    type Service = Coalesce<S>;
    fn layer(&self, service: S) -> Coalesce<S> {
        Coalesce { service, layer: self.clone() }
    }
}

/// A client under a [`CoalesceLayer`].
#[derive(Clone, Debug)]
pub struct Coalesce<S> {
    service: S,
    layer: CoalesceLayer,
}

impl<S> Coalesce<S> {
    /// The client inside. Calls made with it do not pass through the layer.
    pub fn get_ref(&self) -> &S {
        &self.service
    }

    /// Takes the client out of the layer.
    pub fn into_inner(self) -> S {
        self.service
    }
}

/// The reason why a request under a [`CoalesceLayer`] has no response.
#[derive(Debug)]
pub enum CoalesceError<E> {
    /// The request was sent itself, and this is its error.
    Own(E),
    /// Another request was sent for it. This is the text of that one's error.
    Shared(Arc<str>),
}

impl<E: fmt::Display> fmt::Display for CoalesceError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Own(error) => error.fmt(f),
            Self::Shared(text) => f.write_str(text),
        }
    }
}

impl<E: Error + 'static> Error for CoalesceError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Own(error) => error.source(),
            Self::Shared(_) => None,
        }
    }
}

impl<S, B, R> Service<Request<B>> for Coalesce<S>
where
    S: Service<Request<B>, Response = Response<R>> + Clone + Send + 'static,
    S::Future: Send,
    S::Error: fmt::Display + Send,
    B: Clone + Send + 'static,
    R: Body<Data = Bytes> + Unpin + Send + 'static,
    R::Error: Send,
{
    type Response = Response<Buffered<R>>;
    type Error = CoalesceError<S::Error>;
    type Future = Running<Self::Response, Self::Error>;

    /// Is always ready, since a request that waits for another one needs no service.
    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (service, layer) = (self.service.clone(), self.layer.clone());
        if !is_for_all(&request, &layer.config.headers) {
            return Box::pin(alone(service, request));
        }
        let told_apart = values(request.headers(), &layer.config.headers);
        let key = (request.method().clone(), request.uri().clone(), told_apart);
        Box::pin(async move {
            loop {
                let mut landing = match layer.join(&key) {
                    Joined::Alone => return alone(service, request).await,
                    Joined::Leads(lead) => return lead_on(lead, service, request).await,
                    Joined::Waits(landing) => landing,
                };
                let landed = landing.wait_for(|landed| !matches!(landed, Landed::NotYet)).await;
                match landed.map(|landed| landed.clone()) {
                    Ok(Landed::Answer(answer)) => return Ok(answer.response()),
                    Ok(Landed::Failed(text)) => return Err(CoalesceError::Shared(text)),
                    Ok(Landed::Alone) => return alone(service, request).await,
                    // The caller of the one that was sent has gone away.
                    Ok(Landed::NotYet) | Err(_) => {}
                }
            }
        })
    }
}

async fn alone<S, B, R>(
    service: S,
    request: Request<B>,
) -> Result<Response<Buffered<R>>, CoalesceError<S::Error>>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Body<Data = Bytes>,
{
    let answer = Sending::new(service, request).await.map_err(CoalesceError::Own)?;
    Ok(answer.map(crate::buffer::untouched))
}

async fn lead_on<S, B, R>(
    lead: Lead,
    service: S,
    request: Request<B>,
) -> Result<Response<Buffered<R>>, CoalesceError<S::Error>>
where
    S: Service<Request<B>, Response = Response<R>>,
    S::Error: fmt::Display,
    R: Body<Data = Bytes> + Unpin,
{
    let most = lead.layer.config.max_body;
    match Sending::new(service, request).await {
        Ok(answer) => match collect(answer, most).await {
            Collected::Whole(whole) => {
                lead.land(Landed::Answer(whole.clone()));
                Ok(whole.response())
            }
            Collected::Resumed(resumed) => {
                lead.land(Landed::Alone);
                Ok(resumed)
            }
        },
        Err(error) => {
            lead.land(Landed::Failed(error.to_string().into()));
            Err(CoalesceError::Own(error))
        }
    }
}
