//! The live stream: a snapshot a second, and the event tail, as server-sent events.

use super::Control;
use crate::{feed::Line, runtime::BoxError, sampler::Snapshot};
use axum::{
    body::{Body, Bytes},
    extract::State,
    response::{IntoResponse, Response},
};
use std::{
    collections::VecDeque,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};
use tokio::sync::{broadcast::error::RecvError, mpsc};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Lines of the tail sent to who connects.
const TAIL: usize = 100;

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(stream))
}

/// Streams events as they happen: a `snapshot` of everything each second, and an `event` for each line of the feed, as
/// server-sent events.
#[utoipa::path(get, path = "/events",
    responses((status = 200, content((String = "text/event-stream")))))]
async fn stream(State(control): State<Control>) -> Response {
    let (sender, receiver) = mpsc::channel(64);
    tokio::spawn(feed(control, sender));
    let headers = [("content-type", "text/event-stream"), ("cache-control", "no-store")];
    (headers, Body::new(Messages(receiver))).into_response()
}

/// Sends until the client leaves, or the server drains: an open page must not keep it from stopping.
async fn feed(control: Control, sender: mpsc::Sender<Bytes>) {
    let (tail, mut lines) = control.feed.follow(TAIL);
    let mut snapshots = control.snapshots.clone();
    let first = snapshots.borrow_and_update().clone();
    let mut ready: VecDeque<Bytes> = first.iter().map(snapshot).collect();
    ready.extend(tail.iter().map(line));
    for message in ready {
        if sender.send(message).await.is_err() {
            return;
        }
    }
    while !control.draining.load(std::sync::atomic::Ordering::Relaxed) {
        let message = tokio::select! {
            changed = snapshots.changed() => {
                if changed.is_err() {
                    return;
                }
                match snapshots.borrow_and_update().as_ref() {
                    Some(now) => now.brief(|brief| message("snapshot", brief)),
                    None => continue,
                }
            }
            next = lines.recv() => match next {
                Ok(next) => line(&next),
                // A slow client misses lines; the next snapshot still tells it the state.
                Err(RecvError::Lagged(missed)) => Bytes::from(format!(": {missed} lines missed\n\n")),
                Err(RecvError::Closed) => return,
            },
            () = sender.closed() => return,
        };
        if sender.send(message).await.is_err() {
            return;
        }
    }
}

fn message(kind: &str, data: &impl serde::Serialize) -> Bytes {
    let data = serde_json::to_string(data).unwrap_or_default();
    Bytes::from(format!("event: {kind}\ndata: {data}\n\n"))
}

fn snapshot(now: &Arc<Snapshot>) -> Bytes {
    message("snapshot", now.as_ref())
}

fn line(line: &Arc<Line>) -> Bytes {
    message("event", line.as_ref())
}

/// The receiving end as a body.
struct Messages(mpsc::Receiver<Bytes>);

impl http_body::Body for Messages {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|next| next.map(|next| Ok(http_body::Frame::data(next))))
    }
}
