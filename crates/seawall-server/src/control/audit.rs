//! The audit log: one entry for each request that changes something, whether it was allowed or not. Unauthorized
//! requests (a wrong key, a forbidden host, a page of another site) have a bounded journal of their own, so that they
//! cannot push out the others; requests without a key leave no entry.

use super::{
    Control,
    extract::{Query, number, within},
    problem::ApiError,
    table::{Column, TableFormat, csv, page},
    tag::tagged,
};
use crate::{
    access::Peer, actor::Actor, fleet::FleetRevisionView, journal::Journal,
    persistence::Persistence, wall_clock,
};
use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use seawall_store::StoreError;
use serde::{Deserialize, Serialize};
use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering},
};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::{router::OpenApiRouter, routes};

/// Entries kept in memory, and in the store.
const KEPT: usize = 2000;
/// Entries of unauthorized requests that are kept in memory, and in the store.
const STRANGERS_KEPT: usize = 500;

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list))
}

/// One request that changed something, or should have.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub(crate) struct AuditEntry {
    /// The number of the entry. Later entries have larger numbers.
    id: u64,
    at: String,
    /// The name of the key with which the request was made.
    who: String,
    /// The address from which the request came; of a change that was made on another instance of the fleet, its name.
    from: String,
    /// The method of the request; `FLEET` for a change that was made on another instance.
    method: String,
    /// The path of the request, or the revision of the fleet.
    path: String,
    /// The status of the answer: below 400 the change was made, from 400 on it was refused.
    status: u16,
    /// The reason why an unauthorized request was refused, and how many more were refused before it without an entry;
    /// none for a request with a valid key.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
}

/// The audit log.
pub(crate) struct Audit {
    journal: Journal<AuditEntry>,
    strangers: Journal<AuditEntry>,
    next: AtomicU64,
}

/// An unauthorized request that was refused.
pub(super) struct Refused {
    pub(super) from: String,
    pub(super) method: String,
    pub(super) path: String,
    pub(super) status: u16,
    pub(super) reason: String,
}

impl Audit {
    /// The entries that the store has of former runs.
    pub(crate) fn new(store: &Persistence) -> Self {
        let journal: Journal<AuditEntry> = Journal::open(store.log("audit"), KEPT);
        let strangers: Journal<AuditEntry> =
            Journal::open(store.log("audit_strangers"), STRANGERS_KEPT);
        let all = journal.latest().into_iter().chain(strangers.latest());
        let next = all.map(|entry| entry.id).max().unwrap_or(0) + 1;
        Self { journal, strangers, next: AtomicU64::new(next) }
    }

    /// Writes entries that could not be written when they were made.
    ///
    /// # Errors
    /// When the store still cannot be written.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        let saved = self.journal.save();
        self.strangers.save().and(saved)
    }

    /// Adds an entry for a change that another instance of the fleet made, and that is in force here.
    pub(crate) fn note_fleet(&self, made: &FleetRevisionView) {
        self.journal.add(AuditEntry {
            id: self.next_id(),
            at: wall_clock::now(),
            who: made.who.clone(),
            from: made.instance.clone(),
            method: "FLEET".to_owned(),
            path: format!("revision {}", made.number),
            status: 200,
            reason: None,
        });
    }

    fn next_id(&self) -> u64 {
        self.next.fetch_add(1, Ordering::Relaxed)
    }

    /// All entries, the latest first.
    fn latest(&self) -> Vec<Arc<AuditEntry>> {
        let mut all = self.journal.latest();
        all.extend(self.strangers.latest());
        all.sort_by_key(|entry| std::cmp::Reverse(entry.id));
        all
    }
}

/// The path of a request with its query, as far as it is written down.
pub(super) fn path_of(request: &Request) -> String {
    let path = request.uri().path_and_query().map_or("", |path| path.as_str());
    path.chars().take(500).collect()
}

/// Adds an entry for an unauthorized request.
pub(super) async fn note_refused(control: &Control, refused: Refused) {
    let Refused { from, method, path, status, reason } = refused;
    let (id, at, who, reason) =
        (control.audit.next_id(), wall_clock::now(), "unknown".to_owned(), Some(reason));
    let entry = AuditEntry { id, at, who, from, method, path, status, reason };
    let audit = control.audit.clone();
    written(move || audit.strangers.add(entry)).await;
}

/// Writes an entry off the threads that serve. The answer says that it is done: then it is also written down.
async fn written(write: impl FnOnce() + Send + 'static) {
    if let Err(error) = tokio::task::spawn_blocking(write).await {
        tracing::error!(%error, "the audit log was not written");
    }
}

/// Writes down what was asked, by whom, and what came of it.
pub(super) async fn note(State(control): State<Control>, request: Request, next: Next) -> Response {
    let from = request.extensions().get::<Peer>().map(|peer| peer.0.to_string());
    let method = request.method().to_string();
    let path = path_of(&request);
    let response = next.run(request).await;
    let Some(who) = response.extensions().get::<Actor>().map(|actor| actor.name.clone()) else {
        return response;
    };
    let entry = AuditEntry {
        id: control.audit.next_id(),
        at: wall_clock::now(),
        who,
        from: from.unwrap_or_default(),
        method,
        path,
        status: response.status().as_u16(),
        reason: None,
    };
    tracing::info!(
        who = entry.who,
        from = entry.from,
        status = entry.status,
        "{} {}",
        entry.method,
        entry.path
    );
    let audit = control.audit.clone();
    written(move || audit.journal.add(entry)).await;
    response
}

#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct AuditParameters {
    /// The most entries in one answer.
    #[serde(default = "number::<100, _>")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
    /// Only entries with a smaller number than this.
    before: Option<u64>,
    /// The format of the answer: `json` or `csv`.
    #[serde(default, deserialize_with = "crate::control::extract::any_case")]
    #[param(inline)]
    format: TableFormat,
}

/// The columns of the CSV table.
const COLUMNS: &[Column<AuditEntry>] = &[
    ("id", |entry| entry.id.to_string()),
    ("at", |entry| entry.at.clone()),
    ("who", |entry| entry.who.clone()),
    ("from", |entry| entry.from.clone()),
    ("method", |entry| entry.method.clone()),
    ("path", |entry| entry.path.clone()),
    ("status", |entry| entry.status.to_string()),
    ("reason", |entry| entry.reason.clone().unwrap_or_default()),
];

/// A page of entries, the latest first.
#[derive(Serialize, ToSchema)]
struct AuditLog {
    entries: Vec<AuditEntry>,
    /// The value of `before` for the next page; none on the last page.
    next: Option<u64>,
}

/// Lists who changed what, the latest first.
#[utoipa::path(get, path = "/audit", params(AuditParameters),
    responses((status = 200, content((AuditLog = "application/json"), (String = "text/csv")))))]
async fn list(
    State(control): State<Control>,
    Query(parameters): Query<AuditParameters>,
) -> Result<Response, ApiError> {
    let limit = within("limit", parameters.limit, 1, 1000)?;
    let all = control.audit.latest();
    let wanted =
        |entry: &&Arc<AuditEntry>| parameters.before.is_none_or(|before| entry.id < before);
    let wanted = all.iter().filter(wanted).map(|entry| AuditEntry::clone(entry));
    let (entries, more) = page(wanted, limit);
    if parameters.format == TableFormat::Csv {
        return Ok(csv(COLUMNS, &entries));
    }
    let next = entries.last().filter(|_| more).map(|last| last.id);
    Ok(tagged(&AuditLog { entries, next }))
}
