//! Dead letters as a file: exported and imported, a line of JSON each, without ever holding many of them in memory.

use super::{LetterFilter, LetterSelection, LettersById, changes::bounded, store_failed};
use crate::{
    control::{
        Control,
        extract::{JsonBody, Query},
        problem::{Answer, ApiError, problem},
    },
    dead_letters::DeadLetters,
    runtime::BoxError,
};
use axum::{
    Json,
    body::{Body, Bytes},
    extract::{Request, State},
    http::{StatusCode, header},
    response::{IntoResponse, Response},
};
use http_body_util::BodyExt;
use seawall_store::letters::{self, Content, Letter, LetterId, Put};
use serde::{Deserialize, Serialize};
use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::sync::mpsc;
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

const NDJSON: &str = "application/x-ndjson";
/// Letters that are looked up, or written, at once.
const BATCH: usize = 100;
/// Bytes of lines that are written at once.
const BATCH_BYTES: usize = 1 << 20;
/// Bytes of the longest line that is read.
const MAX_LINE: usize = 64 << 20;
/// How long a client may take for the next piece of a file.
const SLOWEST_PIECE: Duration = Duration::from_secs(10);
/// Lines that were refused and are named in an answer.
const MAX_NAMED: usize = 100;

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(export, export_selected)).routes(routes!(import))
}

/// Exports letters with their payloads, the newest first: a line of JSON each. It needs the scope to write, since payloads
/// are in it.
#[utoipa::path(get, path = "/dlq/export", params(LetterFilter),
    responses((status = 200, content((String = "application/x-ndjson")))))]
async fn export(
    State(control): State<Control>,
    Query(filter): Query<LetterFilter>,
) -> Result<Response, ApiError> {
    let query = filter.query()?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(send_all(control.letters.clone(), query, sender));
    Ok(file_of(receiver))
}

/// Exports single letters with their payloads, in the order in which they are named: a line of JSON each. Those that are
/// not there are left out.
#[utoipa::path(post, path = "/dlq/export", request_body = LettersById,
    responses((status = 200, content((String = "application/x-ndjson")))))]
async fn export_selected(
    State(control): State<Control>,
    JsonBody(selection): JsonBody<LetterSelection>,
) -> Result<Response, ApiError> {
    let ids = bounded(selection)?;
    let (sender, receiver) = mpsc::channel(2);
    tokio::spawn(async move { send_these(&control.letters, ids, &sender).await });
    Ok(file_of(receiver))
}

fn file_of(receiver: mpsc::Receiver<Line>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, NDJSON),
        (header::CACHE_CONTROL, "no-store"),
        (header::CONTENT_DISPOSITION, "attachment; filename=\"dead-letters.ndjson\""),
    ];
    (headers, Body::new(Lines(receiver))).into_response()
}

type Line = Result<Bytes, BoxError>;

/// Sends every letter of a query. An error breaks the answer off, so that nobody takes a part for the whole.
async fn send_all(letters: Arc<DeadLetters>, query: letters::Query, sender: mpsc::Sender<Line>) {
    let mut after = None;
    loop {
        let (asked, from) = (query.clone(), after);
        let page = letters.read(move |letters| letters.page(&asked, from, BATCH)).await;
        let page = match page {
            Ok(page) => page,
            Err(error) => return drop(sender.send(Err(error.into())).await),
        };
        let ids = page.letters.iter().map(|envelope| envelope.id).collect();
        if !send_these(&letters, ids, &sender).await {
            return;
        }
        after = match page.next {
            Some(next) => Some(next),
            None => return,
        };
    }
}

/// Sends these letters; `false` where that ended before the last one.
async fn send_these(
    letters: &Arc<DeadLetters>,
    ids: Vec<LetterId>,
    sender: &mpsc::Sender<Line>,
) -> bool {
    for id in ids {
        let line = match letters.read(move |letters| letters.get(id)).await {
            Ok(Some(letter)) => line_of(&letter),
            // It was deleted meanwhile.
            Ok(None) => continue,
            Err(error) => Err(error.into()),
        };
        let is_last = line.is_err();
        if sender.send(line).await.is_err() || is_last {
            return false;
        }
    }
    true
}

fn line_of(letter: &Letter) -> Line {
    let mut line = serde_json::to_vec(letter)?;
    line.push(b'\n');
    Ok(line.into())
}

/// The receiving end of an export, as a body.
struct Lines(mpsc::Receiver<Line>);

impl http_body::Body for Lines {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<http_body::Frame<Bytes>, BoxError>>> {
        self.0.poll_recv(cx).map(|next| next.map(|next| next.map(http_body::Frame::data)))
    }
}

/// The result of an import.
#[derive(Clone, Debug, Default, Serialize, Deserialize, ToSchema)]
pub struct ImportAnswer {
    /// Letters that are stored. Those whose identifier was there already are counted here, and are there once.
    pub stored: u64,
    /// Letters that became part of one with their idempotency key.
    pub merged: u64,
    /// Lines that are no letters, or letters that were not taken.
    pub refused: u64,
    /// The first 100 of those, and why.
    pub errors: Vec<RefusedLine>,
}

/// A line of an import that was not taken.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct RefusedLine {
    /// The number of the line, from 1.
    pub line: u64,
    /// The reason.
    pub reason: String,
}

impl ImportAnswer {
    fn refuse(&mut self, line: u64, reason: String) {
        self.refused += 1;
        if self.errors.len() < MAX_NAMED {
            self.errors.push(RefusedLine { line, reason });
        }
    }
}

/// Imports letters, as an export wrote them. Values of secret headers are replaced. What a line is refused for does not
/// keep the others out; where the body breaks off, what came before is stored.
#[utoipa::path(post, path = "/dlq/import",
    request_body(content = String, content_type = "application/x-ndjson"),
    responses((status = 200, body = ImportAnswer)))]
async fn import(State(control): State<Control>, request: Request) -> Answer<ImportAnswer> {
    let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
    let kind = kind.map_or("", |kind| kind.split(';').next().unwrap_or("").trim());
    if !kind.eq_ignore_ascii_case(NDJSON) {
        let detail = format!("send it as {NDJSON}");
        let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        return Err(problem(status, "Unsupported media type", &detail));
    }
    let mut importer = Importer::new(control.letters.clone());
    let (mut body, mut rest) = (request.into_body(), Vec::new());
    while let Some(piece) = next_piece(&mut body).await? {
        for part in piece.split_inclusive(|byte| *byte == b'\n') {
            rest.extend_from_slice(part);
            if rest.len() > MAX_LINE {
                let detail = format!("line {} is longer than {MAX_LINE} bytes", importer.line + 1);
                return Err(problem(StatusCode::PAYLOAD_TOO_LARGE, "Line too long", &detail));
            }
            if rest.ends_with(b"\n") {
                importer.take(&rest).await?;
                rest.clear();
            }
        }
    }
    importer.take(&rest).await?;
    importer.write().await?;
    Ok(Json(importer.answer))
}

async fn next_piece(body: &mut Body) -> Result<Option<Bytes>, ApiError> {
    loop {
        let frame = tokio::time::timeout(SLOWEST_PIECE, body.frame()).await.map_err(|_| {
            let detail = format!("nothing came for {SLOWEST_PIECE:?}");
            problem(StatusCode::REQUEST_TIMEOUT, "Request too slow", &detail)
        })?;
        let broken = "the body broke off before its end";
        match frame {
            None => return Ok(None),
            Some(Err(_)) => {
                return Err(problem(StatusCode::BAD_REQUEST, "Broken request", broken));
            }
            // Trailers say nothing here.
            Some(Ok(frame)) => {
                if let Ok(data) = frame.into_data() {
                    return Ok(Some(data));
                }
            }
        }
    }
}

/// Collects letters and writes them, a batch at a time.
struct Importer {
    letters: Arc<DeadLetters>,
    batch: Vec<(u64, Letter)>,
    bytes: usize,
    line: u64,
    answer: ImportAnswer,
}

impl Importer {
    fn new(letters: Arc<DeadLetters>) -> Self {
        Self { letters, batch: Vec::new(), bytes: 0, line: 0, answer: ImportAnswer::default() }
    }

    async fn take(&mut self, line: &[u8]) -> Result<(), ApiError> {
        if line.is_empty() {
            return Ok(());
        }
        self.line += 1;
        if line.trim_ascii().is_empty() {
            return Ok(());
        }
        match serde_json::from_slice::<Letter>(line) {
            Ok(mut letter) => {
                if let Content::Open { headers, .. } = &mut letter.content {
                    self.letters.redaction().apply(headers);
                }
                self.bytes += line.len();
                self.batch.push((self.line, letter));
            }
            Err(error) => self.answer.refuse(self.line, format!("it is no letter: {error}")),
        }
        if self.batch.len() >= BATCH || self.bytes >= BATCH_BYTES {
            self.write().await?;
        }
        Ok(())
    }

    async fn write(&mut self) -> Result<(), ApiError> {
        self.bytes = 0;
        let (lines, batch): (Vec<u64>, Vec<Letter>) = self.batch.drain(..).unzip();
        if batch.is_empty() {
            return Ok(());
        }
        let put = self.letters.change(move |letters| letters.put(batch)).await;
        for (line, put) in lines.into_iter().zip(put.map_err(|error| store_failed(&error))?) {
            match put {
                Put::Stored => self.answer.stored += 1,
                Put::Merged(_) => self.answer.merged += 1,
                Put::Refused(why) => self.answer.refuse(line, format!("it is not taken: {why:?}")),
            }
        }
        Ok(())
    }
}
