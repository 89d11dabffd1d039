//! The upstream at work: accepts as the script allows, and answers each call as it was drawn.

use super::{
    answer::{Answer, BrokenOff},
    chat::{self, Completion, Wish},
    ledger::{Call, Ledger, Settled},
    port::Port,
    script::Script,
};
use crate::{behaviour::Fate, random::Random, timeline::Phase};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Method, Request, Response, header};
use http_body_util::{BodyExt, Limited};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    server::graceful::GracefulShutdown,
};
use std::{
    future::pending,
    sync::Arc,
    time::{Duration, Instant},
};
use tokio::{net::TcpStream, sync::oneshot, task::JoinSet, time};

/// Longer request bodies close the connection.
const LONGEST_REQUEST: usize = 4 << 20;

/// The state that all connections share.
pub(super) struct Shared {
    pub(super) script: Script,
    pub(super) ledger: Arc<Ledger>,
    pub(super) seed: u64,
    pub(super) source_header: HeaderName,
    pub(super) model: String,
    pub(super) stream_chunks: usize,
    pub(super) stream_gap: Duration,
}

/// Serves until `stop` says how long open calls may take to end, or is dropped.
pub(super) async fn serve(
    shared: Arc<Shared>,
    mut port: Port,
    mut stop: oneshot::Receiver<Duration>,
) {
    let graceful = GracefulShutdown::new();
    let mut connections = JoinSet::new();
    let mut changes = shared.script.changes();
    let grace = loop {
        let open = !shared.script.phase().behaviour.refuse;
        if !open {
            port.refuse();
            close(&shared, &mut connections).await;
        }
        tokio::select! {
            grace = &mut stop => break grace.unwrap_or_default(),
            _ = changes.changed() => {}
            () = until(shared.script.next_change()) => {}
            Some(_) = connections.join_next() => {}
            stream = port.accept_if(open) => {
                connections.spawn(connection(Arc::clone(&shared), stream, &graceful));
            }
        }
    };
    drop(port);
    // Ends idle connections at once, and busy ones with the answer under way; hung calls outlast any grace.
    let _ = time::timeout(grace, graceful.shutdown()).await;
    close(&shared, &mut connections).await;
}

/// Closes all connections; the calls on them count as broken.
async fn close(shared: &Shared, connections: &mut JoinSet<()>) {
    shared.ledger.set_closing(true);
    connections.shutdown().await;
    shared.ledger.set_closing(false);
}

async fn until(instant: Option<Instant>) {
    match instant {
        Some(instant) => time::sleep_until(instant.into()).await,
        None => pending().await,
    }
}

fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    graceful: &GracefulShutdown,
) -> impl Future<Output = ()> + Send + use<> {
    // Without it a small chunk waits for the client's acknowledgement. A socket that fails it fails below.
    let _ = stream.set_nodelay(true);
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { shared.respond(request).await }
    });
    let served = http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(stream), service);
    let served = graceful.watch(served);
    async move {
        // Cut-off bodies and clients that leave end here; both are counted where they happen.
        let _ = served.await;
    }
}

impl Shared {
    async fn respond(&self, request: Request<Incoming>) -> Result<Response<Answer>, BrokenOff> {
        let arrived = Instant::now();
        let phase = self.script.phase();
        let mut call = self.enter(&request, &phase);
        let is_get = request.method() == Method::GET;
        let body = Limited::new(request.into_body(), LONGEST_REQUEST).collect().await;
        let body = body.map_err(|_| BrokenOff)?.to_bytes();
        if phase.behaviour.refuse {
            call.settle(Settled::Broken);
            return Err(BrokenOff);
        }
        let (fate, latency) = phase.behaviour.draw(&mut Random::nth(self.seed, call.nth()));
        if fate == Fate::Hang {
            call.settle(Settled::Hung);
            return pending().await;
        }
        if !latency.is_zero() {
            time::sleep_until((arrived + latency).into()).await;
        }
        Ok(match fate {
            Fate::Fail => failure(call, &phase),
            Fate::CutOff => self.success(call, is_get, &body).map(Answer::cut_off),
            Fate::Answer | Fate::Hang => self.success(call, is_get, &body),
        })
    }

    fn enter(&self, request: &Request<Incoming>, phase: &Phase) -> Call {
        let source = request.headers().get(&self.source_header);
        let source = source.and_then(|value| value.to_str().ok()).unwrap_or("unknown");
        self.ledger.arrive(source, &phase.name, self.script.offset())
    }

    fn success(&self, call: Call, is_get: bool, body: &Bytes) -> Response<Answer> {
        let whole = |call, text| Answer::whole(call, text, Settled::Ok);
        if is_get {
            return response("text/plain", whole(call, Bytes::from_static(b"All is well.\n")));
        }
        let wish = Wish::read(body);
        let stream = wish.stream;
        let completion = Completion::new(call.nth(), wish, &self.model);
        if stream {
            let events = completion.events(self.stream_chunks);
            let answer = Answer::stream(call, events, self.stream_gap, Settled::Ok);
            return response("text/event-stream", answer);
        }
        response("application/json", whole(call, completion.whole(body.len())))
    }
}

fn failure(call: Call, phase: &Phase) -> Response<Answer> {
    let status = phase.behaviour.error_status;
    let answer = Answer::whole(call, chat::error(status), Settled::Failed);
    let mut response = response("application/json", answer);
    *response.status_mut() = status;
    if let Some(after) = phase.behaviour.retry_after {
        let seconds = after.as_secs().saturating_add(u64::from(after.subsec_nanos() > 0));
        response.headers_mut().insert(header::RETRY_AFTER, seconds.into());
    }
    response
}

fn response(content_type: &'static str, answer: Answer) -> Response<Answer> {
    let mut response = Response::new(answer);
    let content_type = HeaderValue::from_static(content_type);
    response.headers_mut().insert(header::CONTENT_TYPE, content_type);
    response
}
