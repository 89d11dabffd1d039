//! The stage of the demo: upstreams, gateway and load, all on free loopback ports.

use super::outcome::{Breaker, Facts, Outcome};
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Method};
use seawall::{Clock, Event, Instant as PolicyInstant, Kind, Observer, State, Transition};
use seawall_config::Format;
use seawall_load::{
    behaviour::{Behaviour, Latency},
    open_loop::{self, Load, Progress},
    timeline::Timeline,
    upstream::{Config as UpstreamConfig, Upstream},
};
use seawall_server::{GatewayConfig, Inputs, Server, Startup, Stop};
use seawall_tower::TokioTimer;
use std::{
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::{Duration, Instant},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

/// The configuration that the gateway runs with; `{A}`, `{B}` and `{C}` are the upstreams' addresses.
const CONFIG: &str = include_str!("seawall.yaml");
/// How long a client waits for an answer.
const PATIENCE: Duration = Duration::from_secs(3);
const SOURCE: &str = "x-load-source";

/// Everything that runs, and what was seen of it.
pub(super) struct Stage {
    pub(super) timeline: Timeline,
    pub(super) address: SocketAddr,
    start: Instant,
    flaky: [Upstream; 2],
    steady: Upstream,
    direct: Load,
    seawall: Load,
    seen: Arc<Seen>,
    stop: Stop,
}

/// The way in which the demo ended.
pub(super) enum Ended {
    Over,
    Stopped,
}

/// The state of the stage at one moment.
pub(super) struct Look {
    pub(super) at: Duration,
    pub(super) phase: String,
    pub(super) direct: Progress,
    pub(super) seawall: Progress,
    pub(super) circuit: State,
    pub(super) reached: [u64; 2],
    pub(super) steady: u64,
}

/// The changes of the circuit, as the gateway reported them, with their offsets from the start.
pub(super) struct Seen {
    zero: PolicyInstant,
    changes: Mutex<Vec<(Duration, Transition)>>,
}

impl Observer for Seen {
    fn observe(&self, event: &Event<'_>) {
        if let Kind::CircuitChanged(change) = event.kind
            && &**event.operation == "chat"
        {
            let mut changes = self.changes.lock().unwrap_or_else(PoisonError::into_inner);
            changes.push((change.at.since(self.zero), change));
        }
    }
}

impl Seen {
    pub(super) fn changes(&self) -> Vec<(Duration, Transition)> {
        self.changes.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The first change to `state` at or after `from`.
    fn first(&self, state: State, from: Duration) -> Option<Duration> {
        self.changes()
            .into_iter()
            .find(|(at, change)| change.to == state && *at >= from)
            .map(|c| c.0)
    }
}

impl Stage {
    pub(super) async fn build(start: Instant, total: Duration, rate: u32) -> Result<Self, String> {
        let timeline = Timeline::standard(total);
        let flaky = [upstream(start, &timeline, 1).await?, upstream(start, &timeline, 2).await?];
        let calm = Behaviour {
            latency: Latency::log_normal(Duration::from_millis(60), 0.3),
            ..Behaviour::default()
        };
        let steady = upstream(start, &Timeline::constant("steady", calm), 3).await?;
        let text = CONFIG
            .replace("{A}", &flaky[0].url())
            .replace("{B}", &flaky[1].url())
            .replace("{C}", &steady.url());
        let config: GatewayConfig =
            seawall_config::load_str("demo/seawall.yaml", &text, Format::Yaml)
                .map_err(|mistakes| mistakes.to_string())?;
        let until_start = start.saturating_duration_since(Instant::now());
        let zero = TokioTimer.now() + until_start;
        let seen = Arc::new(Seen { zero, changes: Mutex::default() });
        let startup = Startup::read(Inputs::of(&config)).map_err(|error| error.to_string())?;
        let server =
            Server::start(startup, vec![seen.clone()]).await.map_err(|error| error.to_string())?;
        let (address, stop) = (server.address(), server.stop());
        tokio::spawn(server.run());
        let straight = flaky.iter().map(Upstream::url).collect();
        let direct = load("direct", straight, start, total, rate)?;
        let seawall = load("seawall", vec![format!("http://{address}")], start, total, rate)?;
        Ok(Self { timeline, address, start, flaky, steady, direct, seawall, seen, stop })
    }

    /// Calls `tell` at intervals until the load is over; `tell` may end it early by returning true.
    pub(super) async fn watch(&self, mut tell: impl FnMut(&Self) -> bool) -> Ended {
        let mut tick = tokio::time::interval(Duration::from_millis(100));
        loop {
            tick.tick().await;
            if tell(self) {
                return Ended::Stopped;
            }
            if self.direct.progress().finished && self.seawall.progress().finished {
                return Ended::Over;
            }
        }
    }

    pub(super) fn look(&self) -> Look {
        let at = Instant::now().saturating_duration_since(self.start);
        let reached = |source: &str| {
            let of = |upstream: &Upstream| upstream.table().of_source(source).received;
            self.flaky.iter().map(of).sum()
        };
        Look {
            at,
            phase: self.timeline.phase_at(at).map_or_else(String::new, |phase| phase.name.clone()),
            direct: self.direct.progress(),
            seawall: self.seawall.progress(),
            circuit: self.seen.changes().last().map_or(State::Closed, |(_, change)| change.to),
            reached: [reached("direct"), reached("seawall")],
            steady: self.steady.table().total().received,
        }
    }

    pub(super) fn changes(&self) -> Vec<(Duration, Transition)> {
        self.seen.changes()
    }

    fn begins(&self, phase: &str) -> Duration {
        let found = self.timeline.phases.iter().find(|known| known.name == phase);
        found.map_or(Duration::ZERO, |phase| phase.from)
    }

    /// Adds up what was seen, asks the gateway itself once more, and stops it.
    pub(super) async fn finish(self) -> Outcome {
        let (outage, healed) = (self.begins("outage"), self.begins("healed"));
        let opened = self.seen.first(State::Open, outage).filter(|at| *at < healed);
        let closed = self.seen.first(State::Closed, healed);
        let breaker = Breaker {
            opened_after: opened.map(|at| at - outage),
            calls_while_open: opened.map_or(0, |at| self.arrivals("seawall", at, healed)),
            closed_after: closed.map(|at| at - healed),
        };
        let calls_in_outage =
            [self.arrivals("direct", outage, healed), self.arrivals("seawall", outage, healed)];
        let said = ask(self.address, "/internal/resilience/circuit-breakers/chat").await;
        let facts = Facts {
            outage: healed - outage,
            calls_in_outage,
            state_said: said.as_ref().and_then(|said| Some(said["state"].as_str()?.to_owned())),
            opens_said: said.as_ref().and_then(|said| said["metrics"]["opens"].as_u64()),
            opens_seen: self.changes().iter().filter(|(_, c)| c.to == State::Open).count() as u64,
        };
        let Self { direct, seawall, stop, .. } = self;
        let (direct, seawall) = (direct.finish().await, seawall.finish().await);
        stop.now();
        Outcome { direct, seawall, breaker, facts }
    }

    /// Calls of one source that reached the flaky upstreams in a span. A call that was on its way when the
    /// circuit opened is not one that was let through: a few milliseconds are its due.
    fn arrivals(&self, source: &str, from: Duration, to: Duration) -> usize {
        let from = from + Duration::from_millis(20);
        self.flaky.iter().map(|upstream| upstream.arrivals(source).within(from, to)).sum()
    }
}

async fn upstream(start: Instant, timeline: &Timeline, seed: u64) -> Result<Upstream, String> {
    let timeline = timeline.clone();
    let config = UpstreamConfig { timeline, start, seed, ..UpstreamConfig::default() };
    Upstream::start(config).await.map_err(|error| format!("no port for an upstream: {error}"))
}

fn load(
    source: &'static str,
    targets: Vec<String>,
    start: Instant,
    duration: Duration,
    rate: u32,
) -> Result<Load, String> {
    let mut headers = HeaderMap::new();
    headers.insert(SOURCE, HeaderValue::from_static(source));
    headers.insert("content-type", HeaderValue::from_static("application/json"));
    let question = r#"{"model":"demo","messages":[{"role":"user","content":"Will it hold?"}]}"#;
    open_loop::start(open_loop::Config {
        targets,
        method: Method::POST,
        path: "/v1/chat/completions".into(),
        headers,
        body: Bytes::from_static(question.as_bytes()),
        rate: f64::from(rate),
        duration,
        timeout: PATIENCE,
        max_in_flight: rate as usize * 8,
        start: Some(start),
        ..open_loop::Config::default()
    })
    .map_err(|error| error.to_string())
}

/// A GET to the gateway's own API, over a socket like anybody's.
async fn ask(address: SocketAddr, path: &str) -> Option<serde_json::Value> {
    let asked = async {
        let mut stream = TcpStream::connect(address).await.ok()?;
        let request = format!("GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        serde_json::from_str(answer.split_once("\r\n\r\n")?.1).ok()
    };
    tokio::time::timeout(Duration::from_secs(5), asked).await.ok().flatten()
}
