//! The listener: accepts, serves, and stops without losing a request.

use crate::{
    BoxError, GatewayConfig, Registry,
    control::{self, Access, Control, Keys},
    feed::Feed,
    gateway::{Gateway, body::AnswerBody},
    sampler,
};
use axum::Router;
use http::{Request, Response};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer as HyperTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use seawall::{Observer, preset};
use seawall_tower::TokioTimer;
use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
};
use tower::ServiceExt;

/// Why a server did not start.
#[derive(Debug)]
pub enum ServeError {
    /// The address could not be opened.
    Listen(SocketAddr, std::io::Error),
    /// Not on loopback, and no key is set.
    Unprotected(SocketAddr),
    /// The configuration does not make a server.
    Config(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Unprotected(address) => write!(
                f,
                "{address} can be reached from other machines, and no key protects the control \
                 plane: set SEAWALL_API_KEYS, or listen on 127.0.0.1"
            ),
            Self::Config(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for ServeError {}

/// A server that has its listener.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    registry: Registry,
    feed: Arc<Feed>,
    drain_timeout: Duration,
    max_connections: usize,
    client_timeout: Duration,
    draining: Arc<AtomicBool>,
    stop: (watch::Sender<bool>, watch::Receiver<bool>),
}

/// What every connection needs.
struct Shared {
    gateway: Gateway,
    control: Router,
}

/// Tells a running server to stop.
#[derive(Clone, Debug)]
pub struct Stop(watch::Sender<bool>);

impl Stop {
    /// Stops accepting, lets requests in progress finish, then [`Server::run`] returns.
    pub fn now(&self) {
        self.0.send_replace(true);
    }
}

impl Server {
    /// Opens the listener and builds everything. `api_keys` is a list with commas; empty for none.
    ///
    /// # Errors
    /// When the address is taken or not protected, or the configuration does not make a server.
    pub async fn bind(config: &GatewayConfig, api_keys: &str) -> Result<Self, ServeError> {
        Self::bind_observed(config, api_keys, Vec::new()).await
    }

    /// The same, and tells `observers` everything that happens.
    ///
    /// # Errors
    /// When the address is taken or not protected, or the configuration does not make a server.
    pub async fn bind_observed(
        config: &GatewayConfig,
        api_keys: &str,
        mut observers: Vec<Arc<dyn Observer>>,
    ) -> Result<Self, ServeError> {
        let keys = Keys::parse(api_keys);
        if keys.is_empty() && !config.listen.ip().is_loopback() {
            return Err(ServeError::Unprotected(config.listen));
        }
        let preset = preset(&config.preset).ok_or_else(|| {
            ServeError::Config(format!("no preset is called {:?}", config.preset))
        })?;
        let feed = Feed::new();
        observers.push(feed.clone());
        let registry = Registry::with_timer(TokioTimer, preset, observers);
        let gateway = Gateway::new(config, &registry).map_err(ServeError::Config)?;
        let listen = |error| ServeError::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let draining = Arc::new(AtomicBool::new(false));
        let (publish, snapshots) = watch::channel(None);
        let started = registry.now();
        let control = Control {
            registry: registry.clone(),
            feed: feed.clone(),
            snapshots,
            access: Arc::new(Access { keys }),
            draining: draining.clone(),
            started,
        };
        tokio::spawn(sampler::sample(registry.clone(), started, publish));
        Ok(Self {
            listener,
            address,
            shared: Arc::new(Shared { gateway, control: control.router() }),
            registry,
            feed,
            drain_timeout: config.drain_timeout,
            max_connections: config.limits.max_connections,
            client_timeout: config.limits.client_timeout,
            draining,
            stop: watch::channel(false),
        })
    }

    /// The address it listens on; the port is the real one where 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The operations that it runs.
    pub fn registry(&self) -> &seawall::Registry<TokioTimer> {
        &self.registry
    }

    /// A handle to stop it with.
    pub fn stop(&self) -> Stop {
        Stop(self.stop.0.clone())
    }

    /// Serves until told to stop, then drains. Says whether every request in progress could finish.
    pub async fn run(self) -> bool {
        self.feed.note("started", "", format!("listening on {}", self.address));
        let connections = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.max_connections));
        let mut stop = self.stop.1.clone();
        loop {
            let place = tokio::select! {
                place = places.clone().acquire_owned() => place.ok(),
                _ = stop.wait_for(|stop| *stop) => break,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                _ = stop.wait_for(|stop| *stop) => break,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let connection = self.connection(stream, peer, &connections);
                    tokio::spawn(async move {
                        connection.await;
                        drop(place);
                    });
                }
                // Out of descriptors, most likely: waiting frees some, spinning would not.
                Err(error) => {
                    tracing::warn!(%error, "cannot accept a connection");
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
        }
        self.drain(connections).await
    }

    fn connection(
        &self,
        stream: TcpStream,
        peer: SocketAddr,
        connections: &GracefulShutdown,
    ) -> impl Future<Output = ()> + Send + 'static {
        // Small pieces of a stream must leave at once (Nagle's algorithm would hold them 40 ms).
        if let Err(error) = stream.set_nodelay(true) {
            tracing::debug!(%error, "cannot set TCP_NODELAY");
        }
        let shared = self.shared.clone();
        let spoken = Arc::new(AtomicBool::new(false));
        let heard = spoken.clone();
        let service = service_fn(move |request| {
            heard.store(true, Ordering::Relaxed);
            let shared = shared.clone();
            async move { Ok::<_, Infallible>(shared.answer(request, peer).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        builder.http1().timer(HyperTimer::new()).header_read_timeout(self.client_timeout);
        builder.http2().timer(HyperTimer::new()).max_concurrent_streams(256);
        builder.http2().keep_alive_interval(self.client_timeout);
        let connection = builder.serve_connection(TokioIo::new(stream), service).into_owned();
        let watched = connections.watch(connection);
        let patience = self.client_timeout;
        async move {
            let mut watched = pin!(watched);
            // Until the first bytes say which HTTP it is, no timeout of the protocol's is running.
            let ended = match tokio::time::timeout(patience, &mut watched).await {
                Ok(ended) => ended,
                Err(_) if !spoken.load(Ordering::Relaxed) => {
                    return tracing::debug!(%peer, "no request came");
                }
                Err(_) => watched.await,
            };
            if let Err(error) = ended {
                tracing::debug!(%error, %peer, "connection ended");
            }
        }
    }

    async fn drain(self, connections: GracefulShutdown) -> bool {
        self.draining.store(true, Ordering::Relaxed);
        self.feed.note("stopping", "", "draining: requests in progress may finish".into());
        drop(self.listener);
        let drained = tokio::time::timeout(self.drain_timeout, connections.shutdown()).await;
        if drained.is_err() {
            tracing::warn!(after = ?self.drain_timeout, "stopped with requests in progress");
        }
        drained.is_ok()
    }
}

impl Shared {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<AnswerBody> {
        if !control::owns(request.uri().path()) {
            return self.gateway.handle(request, peer).await;
        }
        let answer: Result<_, BoxError> =
            self.control.clone().oneshot(request).await.map_err(|never| match never {});
        match answer {
            Ok(response) => response.map(AnswerBody::Control),
            Err(_) => Response::new(AnswerBody::empty()),
        }
    }
}
