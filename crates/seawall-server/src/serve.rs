//! The listener: accepts, serves, and stops without losing a request.

use crate::{
    access::Peer,
    active::{ActiveConfig, ConfigEdit},
    actor::Actor,
    config::is_reserved,
    feed::Feed,
    fleet::Fleet,
    gateway::{Client, Gateway, client_body::UnreadBody, response_body::ResponseBody},
    replays::Replays,
    revisions::Cause,
    runtime::BoxError,
};
use axum::Router;
use http::{HeaderValue, Request, Response, StatusCode, Version, header};
use hyper::{body::Incoming, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer as HyperTimer},
    server::{conn::auto, graceful::GracefulShutdown},
};
use seawall_tower::TokioTimer;
use std::{
    convert::Infallible,
    fmt,
    net::SocketAddr,
    pin::pin,
    sync::{
        Arc, Weak,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{Semaphore, watch},
    task::JoinSet,
};
use tower::ServiceExt;

mod framing;
mod front;
mod linger;
mod persister;
mod tracked;
mod wire;
mod wiring;

use linger::Lingering;
use persister::Persister;
use tracked::Tracked;
use wire::{InProgress, Line, Patience, Wire};

/// The reason why a server did not start.
#[derive(Debug)]
pub enum ServeError {
    /// The address could not be listened on: it is taken, or not this machine's.
    Listen(SocketAddr, std::io::Error),
    /// The address can be reached from other machines, and no key of 16 or more characters is set.
    Unprotected(SocketAddr),
    /// The configuration does not make a server, or its store cannot be opened; the text says why.
    Config(String),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(address, error) => write!(f, "cannot listen on {address}: {error}"),
            Self::Unprotected(address) => write!(
                f,
                "{address} can be reached from other machines, and no key of 16 or more characters \
                 protects the control plane: set SEAWALL_API_KEYS, or listen on 127.0.0.1"
            ),
            Self::Config(error) => f.write_str(error),
        }
    }
}

impl std::error::Error for ServeError {}

/// A server whose listener is open: [`run`](Self::run) serves.
pub struct Server {
    listener: TcpListener,
    address: SocketAddr,
    shared: Arc<Shared>,
    live: Arc<ActiveConfig>,
    feed: Arc<Feed>,
    persister: Persister,
    replays: Arc<Replays>,
    fleet: Arc<Fleet>,
    draining: Arc<AtomicBool>,
    stop: (watch::Sender<bool>, watch::Receiver<bool>),
    /// The sampler and the persister: they end with the server.
    tasks: JoinSet<()>,
}

/// The parts of the server that every connection needs.
struct Shared {
    gateway: Arc<Gateway>,
    control: Router,
}

/// A handle to a running server: it stops the server, or has it read its files again.
#[derive(Clone)]
pub struct Stop {
    sender: watch::Sender<bool>,
    /// A weak reference, so that a handle that is kept does not keep the store open.
    live: Weak<ActiveConfig>,
}

impl Stop {
    /// Stops accepting, lets requests in progress finish, then [`Server::run`] returns.
    pub fn now(&self) {
        self.sender.send_replace(true);
    }

    /// Reads the files again, as at SIGHUP. Where they have mistakes, those are logged and nothing changes.
    pub async fn reload(&self) {
        let Some(live) = self.live.upgrade() else { return };
        let edit = ConfigEdit::Reload(Cause::Signal);
        let work = move || live.apply(&edit, &Actor::named("signal"), None).map(|_| ());
        if let Ok(Err(refused)) = tokio::task::spawn_blocking(work).await {
            tracing::error!("the configuration stays as it is:\n{refused}");
        }
    }
}

impl Server {
    /// The address that the server listens on, with the real port if port 0 was asked for.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The operations that this server runs, for code of the same process.
    pub fn registry(&self) -> &seawall::Registry<TokioTimer> {
        self.live.registry()
    }

    /// A handle that stops this server; it may be kept and cloned freely.
    pub fn stop(&self) -> Stop {
        Stop { sender: self.stop.0.clone(), live: Arc::downgrade(&self.live) }
    }

    /// Serves until [`Stop::now`], then drains. Returns `true` if every request in progress could finish within
    /// `drain_timeout`.
    pub async fn run(self) -> bool {
        self.feed.note("started", "", format!("listening on {}", self.address));
        let connections = GracefulShutdown::new();
        let places = Arc::new(Semaphore::new(self.live.now().config.limits.max_connections));
        let mut stopped = pin!(self.stopped());
        loop {
            let place = tokio::select! {
                place = places.clone().acquire_owned() => place.ok(),
                () = &mut stopped => break,
            };
            let accepted = tokio::select! {
                accepted = self.listener.accept() => accepted,
                () = &mut stopped => break,
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

    /// Ends when no connection is to be accepted any more: `/readyz` has said so for long enough.
    fn stopped(&self) -> impl Future<Output = ()> + 'static {
        let mut stop = self.stop.1.clone();
        let (draining, live) = (self.draining.clone(), self.live.clone());
        async move {
            // An error only says that no handle is left to stop it.
            let _ = stop.wait_for(|stop| *stop).await;
            draining.store(true, Ordering::Relaxed);
            tokio::time::sleep(live.now().config.shutdown_delay).await;
        }
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
        let limits = self.live.now().config.limits.clone();
        let patience = Patience::new(&limits);
        let (line, unread) = (Arc::new(Line::new()), UnreadBody::default());
        let stream = Lingering::new(stream, limits.write_timeout, unread.clone());
        let wire = Wire::new(stream, line.clone(), patience);
        let service = service_fn(move |mut request: Request<Incoming>| {
            unread.expect(&request);
            request.extensions_mut().insert(unread.clone());
            let (shared, in_progress) = (shared.clone(), line.begin());
            async move { Ok::<_, Infallible>(shared.answer(request, peer, in_progress).await) }
        });
        let mut builder = auto::Builder::new(TokioExecutor::new());
        // How long a head may take, and how long a connection may be idle, is seen to by the wire.
        builder.http1().timer(HyperTimer::new()).header_read_timeout(None);
        builder.http2().timer(HyperTimer::new()).max_concurrent_streams(256);
        builder.http2().keep_alive_interval(patience.head);
        let connection = builder.serve_connection(TokioIo::new(wire), service).into_owned();
        let watched = connections.watch(connection);
        async move {
            if let Err(error) = watched.await {
                tracing::debug!(%error, %peer, "connection ended");
            }
        }
    }

    async fn drain(self, connections: GracefulShutdown) -> bool {
        self.draining.store(true, Ordering::Relaxed);
        self.feed.note("stopping", "", "draining: requests in progress may finish".into());
        drop(self.listener);
        let drain_timeout = self.live.now().config.drain_timeout;
        let served = tokio::time::timeout(drain_timeout, connections.shutdown());
        let (drained, ()) = tokio::join!(served, self.replays.stop(drain_timeout));
        if drained.is_err() {
            tracing::warn!(after = ?drain_timeout, "stopped with requests in progress");
        }
        let mut tasks = self.tasks;
        tasks.shutdown().await;
        self.fleet.leave().await;
        let persister = self.persister;
        if let Err(error) = tokio::task::spawn_blocking(move || persister.save()).await {
            tracing::error!(%error, "the store was not written");
        }
        drained.is_ok()
    }
}

impl Shared {
    async fn answer(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
        in_progress: InProgress,
    ) -> Response<Tracked> {
        let version = request.version();
        if let Err(problem) = front::check(&mut request, in_progress.is_ambiguous()) {
            let mut response = self.gateway.malformed(&problem);
            if version < Version::HTTP_2 {
                // The end of its body is not certain, and so neither is the beginning of a next request.
                let close = HeaderValue::from_static("close");
                response.headers_mut().insert(header::CONNECTION, close);
            }
            return response.map(|body| Tracked::new(body, in_progress, None));
        }
        if is_reserved(request.uri().path()) {
            let response = self.control(request, peer).await;
            return response.map(|body| Tracked::new(body, in_progress, None));
        }
        let Some(place) = self.gateway.admit() else {
            let refused = self.gateway.at_capacity(request.headers());
            return refused.map(|body| Tracked::new(body, in_progress, None));
        };
        let interim = (version == Version::HTTP_11).then(|| in_progress.open_interim());
        let response = self.gateway.handle(request, Client { peer, interim }).await;
        in_progress.close_interim();
        let promised = tracked::promised(&response, version);
        response.map(|body| Tracked::new(body, in_progress, Some(place)).promising(promised))
    }

    async fn control(
        &self,
        mut request: Request<Incoming>,
        peer: SocketAddr,
    ) -> Response<ResponseBody> {
        request.extensions_mut().insert(Peer(peer));
        let unread = request.extensions_mut().remove::<UnreadBody>().unwrap_or_default();
        let answer: Result<_, BoxError> =
            self.control.clone().oneshot(request).await.map_err(|never| match never {});
        match answer {
            Ok(response) => {
                let refused = response.status() == StatusCode::PAYLOAD_TOO_LARGE;
                unread.0.fetch_and(refused, Ordering::Relaxed);
                response.map(ResponseBody::Control)
            }
            Err(_) => Response::new(ResponseBody::empty()),
        }
    }
}
