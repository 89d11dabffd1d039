//! Load that does not wait for answers: requests begin on a schedule, whatever became of those before.
//!
//! A closed loop sends the next request after the last answer, so a stalled server is asked less and its stall is
//! measured once ("coordinated omission"). Here every request has an intended instant and its latency counts
//! from there. What the generator itself could not send is counted apart, as dropped; how late it was is reported.

use bytes::Bytes;
use http::{HeaderMap, Method};
use std::{
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{
    sync::oneshot,
    task::{JoinError, JoinSet},
};

mod call;
mod latencies;
mod pacer;
mod recent;
mod recorder;
mod report;
mod schedule;
mod slices;
mod start_error;
mod ticket;

pub use report::{ErrorClass, Errors, Percentiles, Progress, Recent, Report, Slice};
pub use start_error::StartError;

/// A load: the requests to send, their target, their rate and their duration.
///
/// Every request in flight holds a connection, and so a file descriptor: `max_in_flight` belongs below the process's
/// limit, with what an upstream in the same process needs on top.
#[derive(Clone, Debug)]
pub struct Config {
    /// The base URLs, `http` only; requests go to one after the other. Default: none, which does not start.
    pub targets: Vec<String>,
    /// The method of the requests. Default: GET.
    pub method: Method,
    /// The path that is appended to the base URL, query included. Default: `/`.
    pub path: String,
    /// The headers of every request. Default: none.
    pub headers: HeaderMap,
    /// The body of every request. Default: empty.
    pub body: Bytes,
    /// The rate, in requests a second. Default: 100.
    pub rate: f64,
    /// How long requests are begun. Default: 10 s.
    pub duration: Duration,
    /// How long one request may take, connecting and reading the body included. Default: 10 s.
    pub timeout: Duration,
    /// The most requests in flight; further ones are not sent, and are counted as dropped. Default: 1,000.
    pub max_in_flight: usize,
    /// How requests are spread in time. Default: constant.
    pub arrivals: Arrivals,
    /// The seed of Poisson arrivals. Default: 1.
    pub seed: u64,
    /// When the schedule begins; share it with an upstream's timeline. Default: at the start of the load.
    pub start: Option<Instant>,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            targets: Vec::new(),
            method: Method::GET,
            path: "/".to_owned(),
            headers: HeaderMap::new(),
            body: Bytes::new(),
            rate: 100.0,
            duration: Duration::from_secs(10),
            timeout: Duration::from_secs(10),
            max_in_flight: 1_000,
            arrivals: Arrivals::Constant,
            seed: 1,
            start: None,
        }
    }
}

/// How requests are spread in time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Arrivals {
    /// Requests at equal distances: one every `1 / rate` seconds.
    #[default]
    Constant,
    /// As independent clients send them: gaps are exponential, with `1 / rate` seconds as their mean.
    Poisson,
}

/// Begins to send, on the runtime it is called on and one thread of its own, which keeps the time.
pub fn start(config: Config) -> Result<Load, StartError> {
    let runtime = tokio::runtime::Handle::try_current().map_err(|_| StartError::NoRuntime)?;
    let caller = Arc::new(call::Caller::new(&config)?);
    let schedule = schedule::Schedule::new(&config)?;
    let begin = config.start.unwrap_or_else(Instant::now);
    let recorder = recorder::Recorder::new(config.max_in_flight);
    let shared = Arc::new(ticket::Shared::new(begin, recorder));
    let (sent, begun) = oneshot::channel();
    let pace = {
        let shared = Arc::clone(&shared);
        // When there is no receiver left for them, the requests in flight are dropped here, which cancels them.
        move || drop(sent.send(pacer::pace(&shared, schedule, &caller, &runtime)))
    };
    std::thread::Builder::new()
        .name("load-pacer".to_owned())
        .spawn(pace)
        .map_err(StartError::Thread)?;
    Ok(Load { handle: Handle(shared), begun })
}

/// Load that is being sent. Dropping it ends it at once, requests in flight included.
#[derive(Debug)]
pub struct Load {
    handle: Handle,
    begun: oneshot::Receiver<JoinSet<()>>,
}

impl Load {
    /// A handle that watches or stops the load, and may be passed on.
    pub fn handle(&self) -> Handle {
        self.handle.clone()
    }

    /// The progress of the load at this moment.
    pub fn progress(&self) -> Progress {
        self.handle.progress()
    }

    /// Begins no more requests; see [`Handle::stop`].
    pub fn stop(&self) {
        self.handle.stop();
    }

    /// The report, when all requests have ended: at most a timeout after the last one began.
    pub async fn finish(mut self) -> Report {
        // An error here means that the pacer is gone without its requests: what was recorded is all there is.
        if let Ok(mut in_flight) = (&mut self.begun).await {
            while in_flight.join_next().await.is_some_and(counted) {}
        }
        self.handle.0.report()
    }
}

/// A request records its end also where it panicked or was cancelled.
fn counted(_: Result<(), JoinError>) -> bool {
    true
}

impl Drop for Load {
    fn drop(&mut self) {
        self.handle.stop();
    }
}

/// Watches and stops a load, from anywhere.
#[derive(Clone, Debug)]
pub struct Handle(Arc<ticket::Shared>);

impl Handle {
    /// The progress of the load at this moment. It takes some microseconds; meant for a display that asks a few times
    /// a second.
    pub fn progress(&self) -> Progress {
        self.0.progress()
    }

    /// Begins no more requests. Those in flight end as they would have, so that the report is not flattered
    /// by leaving out the slow ones.
    pub fn stop(&self) {
        self.0.stop();
    }
}
