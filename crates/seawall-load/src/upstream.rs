//! A real HTTP/1.1 server that misbehaves on a timeline, and counts who called it meanwhile.
//!
//! It answers GET with a line of text, and every other method as a chat model would: a completion in the OpenAI shape,
//! or, where the request says `"stream": true`, a stream of events. Each call's fate is drawn from the seed
//! and the call's number. Phases follow the timeline, or are set by hand.

use crate::{
    behaviour::Behaviour,
    timeline::{Phase, Timeline},
};
use http::HeaderName;
use std::{
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{sync::oneshot, task::JoinHandle};

mod answer;
mod chat;
mod ledger;
mod port;
mod script;
mod serve;

pub use ledger::{Arrivals, Counts, Row, Table};

/// The settings of an upstream.
#[derive(Clone, Debug)]
pub struct Config {
    /// The address to listen on; port 0 takes a free one. Default: a free port of 127.0.0.1.
    pub address: SocketAddr,
    /// The behaviour over time. Default: every call is answered at once, in a phase called `healthy`.
    pub timeline: Timeline,
    /// When the timeline begins; share it among upstreams and load. Default: when the settings were made.
    pub start: Instant,
    /// The seed of latencies and faults. Default: 1.
    pub seed: u64,
    /// The request header that names who calls, for the counts. Default: `x-load-source`.
    pub source_header: HeaderName,
    /// The model that answers name where the request names none. Default: `seawall-model`.
    pub model: String,
    /// The number of chunks of a stream, without `[DONE]`. Default: 20.
    pub stream_chunks: usize,
    /// The time between one chunk and the next. Default: 10 ms.
    pub stream_gap: Duration,
    /// The number of arrivals that are logged for a source, at four bytes each. Default: 200,000.
    pub arrivals_kept: usize,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            address: (Ipv4Addr::LOCALHOST, 0).into(),
            timeline: Timeline::default(),
            start: Instant::now(),
            seed: 1,
            source_header: HeaderName::from_static("x-load-source"),
            model: "seawall-model".to_owned(),
            stream_chunks: 20,
            stream_gap: Duration::from_millis(10),
            arrivals_kept: 200_000,
        }
    }
}

/// A running upstream. Dropping it closes the port and all connections at once.
pub struct Upstream {
    address: SocketAddr,
    shared: Arc<serve::Shared>,
    /// The sender that stops the upstream; there until it is used.
    stop: Option<oneshot::Sender<Duration>>,
    serving: JoinHandle<()>,
}

impl std::fmt::Debug for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Upstream").field("address", &self.address).finish_non_exhaustive()
    }
}

impl Upstream {
    /// Binds and serves, on the runtime it is called on. Fails where the address cannot be bound.
    ///
    /// The port is bound in every phase: also an upstream that begins by refusing has it.
    pub async fn start(config: Config) -> io::Result<Self> {
        let port = port::Port::open(config.address)?;
        let address = port.address();
        let shared = Arc::new(serve::Shared {
            script: script::Script::new(config.timeline, config.start),
            ledger: Arc::new(ledger::Ledger::new(config.arrivals_kept)),
            seed: config.seed,
            source_header: config.source_header,
            model: config.model,
            stream_chunks: config.stream_chunks,
            stream_gap: config.stream_gap,
        });
        let (stop, stopped) = oneshot::channel();
        let serving = tokio::spawn(serve::serve(Arc::clone(&shared), port, stopped));
        Ok(Self { address, shared, stop: Some(stop), serving })
    }

    /// The address that the upstream listens on.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The base URL of the upstream, without a slash at its end.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The name of the phase in force.
    pub fn phase(&self) -> String {
        self.shared.script.phase().name.clone()
    }

    /// Sets the behaviour from now on, whatever the timeline says; calls count under `phase`. Calls that have arrived
    /// keep their fate, unless the upstream refuses now. A change to `refuse` takes effect within moments.
    pub fn set_behaviour(&self, phase: &str, behaviour: Behaviour) {
        let name = phase.to_owned();
        self.shared.script.set(Some(Phase { name, from: Duration::ZERO, behaviour }));
    }

    /// Ends what [`set_behaviour`](Self::set_behaviour) began: the timeline is in force again.
    pub fn follow_timeline(&self) {
        self.shared.script.set(None);
    }

    /// The table of what was counted so far.
    pub fn table(&self) -> Table {
        self.shared.ledger.table()
    }

    /// The arrivals of the calls of one source.
    pub fn arrivals(&self, source: &str) -> Arrivals {
        self.shared.ledger.arrivals(source)
    }

    /// Stops accepting, lets calls end within `grace`, closes the rest, and returns the last counts.
    pub async fn stop(mut self, grace: Duration) -> Table {
        // Both fail only where the runtime is gone, and the server with it.
        let _ = self.stop.take().map(|stop| stop.send(grace));
        let _ = (&mut self.serving).await;
        self.shared.ledger.table()
    }
}

impl Drop for Upstream {
    fn drop(&mut self) {
        self.serving.abort();
    }
}
