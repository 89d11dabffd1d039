//! Dead letters: looked at, changed, replayed, and carried to another place.

use super::{
    Control,
    extract::{PathName, Query, number, within},
    problem::{ApiError, failed, problem, wrong},
    tag::tagged,
};
use crate::{
    config::Scope,
    schema::{bodies, described},
};
use axum::{
    extract::State,
    http::{HeaderMap, StatusCode},
    response::Response,
};
use schemars::JsonSchema;
use seawall_store::{
    StoreError,
    letters::{
        self, Attempt, Content, Envelope, Groups, Header, Job, Letter, LetterId, Page, Payload,
        ReplayOrder, Resealed, Stats,
    },
};
use serde::{Deserialize, Serialize};
use utoipa::IntoParams;
use utoipa_axum::{router::OpenApiRouter, routes};

bodies! {
    LetterPage = Page,
    LetterBody = LetterView,
    LetterGroups = Groups,
    ReplayRequest = ReplayOrder,
    ReplayJob = Job,
    ReplayJobs = Vec<Job>,
    LettersById = LetterSelection,
    Purge = PurgeRequest,
    Reseal = ResealRequest,
    ResealAnswer = Resealed,
}

mod changes;
mod replays;
mod transfer;

pub use changes::{LetterChange, LetterSelection, PurgeRequest, ResealRequest};
pub use transfer::{ImportAnswer, RefusedLine};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(list))
        .routes(routes!(one))
        .routes(routes!(groups))
        .routes(routes!(stats))
        .merge(replays::read_routes())
}

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    replays::write_routes().merge(changes::write_routes()).merge(transfer::write_routes())
}

/// Which letters are meant: those to which all that is set applies.
#[derive(Default, Deserialize, Serialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
struct LetterFilter {
    /// Letters made at this time or later, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    from: Option<String>,
    /// Letters made before this time, in RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    until: Option<String>,
    /// Letters in this queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    queue: Option<String>,
    /// Letters of this operation, such as `POST /orders/*`.
    #[serde(skip_serializing_if = "Option::is_none")]
    operation: Option<String>,
    /// Letters of this class of error.
    #[serde(skip_serializing_if = "Option::is_none")]
    error_class: Option<String>,
    /// Letters of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    tenant: Option<String>,
    /// Letters in this state: `waiting`, `replaying`, `replayed` or `quarantined`.
    #[serde(skip_serializing_if = "Option::is_none")]
    state: Option<String>,
    /// Letters of the group with this fingerprint.
    #[serde(skip_serializing_if = "Option::is_none")]
    fingerprint: Option<String>,
    /// Letters with this text in operation, error class, error, tenant or idempotency key.
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<String>,
}

impl LetterFilter {
    fn query(&self) -> Result<letters::Query, ApiError> {
        let value = serde_json::to_value(self).map_err(|error| failed(&error.to_string()))?;
        serde_path_to_error::deserialize(value)
            .map_err(|error| wrong(&error.path().to_string(), &error.inner().to_string()))
    }
}

#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct ListParameters {
    /// The most letters in one answer.
    #[serde(default = "number::<100, _>")]
    #[param(minimum = 1, maximum = 1000, default = 100)]
    limit: usize,
    /// Only letters behind this one: `next` of the page before.
    after: Option<String>,
    #[serde(flatten)]
    #[param(ignore)]
    filter: LetterFilter,
}

/// Lists letters without their content, the newest first.
#[utoipa::path(get, path = "/dlq/letters", params(ListParameters, LetterFilter),
    responses((status = 200, body = LetterPage)))]
async fn list(
    State(control): State<Control>,
    Query(parameters): Query<ListParameters>,
) -> Result<Response, ApiError> {
    let limit = within("limit", parameters.limit, 1, 1000)?;
    let after = parameters.after.as_deref().map(|id| letter_id("after", id)).transpose()?;
    let query = parameters.filter.query()?;
    let page = control.letters.read(move |letters| letters.page(&query, after, limit)).await;
    Ok(tagged(&page.map_err(|error| store_failed(&error))?))
}

/// One letter, as the API shows it.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
pub struct LetterView {
    /// What lists show of it.
    #[serde(flatten)]
    pub envelope: Envelope,
    /// Every try to do the work, oldest first, replays among them.
    pub attempts: Vec<Attempt>,
    /// Its headers, without the values of secret ones. `:method`, `:path` and `:client` say what was asked, and by whom.
    pub headers: Vec<Header>,
    /// Its body; none where the key may only read, or the content cannot be read.
    pub payload: Option<Payload>,
    /// Why the content cannot be read; none where it can.
    pub unreadable: Option<String>,
}

impl LetterView {
    fn of(letter: Letter, with_payload: bool) -> Self {
        let (headers, payload, unreadable) = match letter.content {
            Content::Open { headers, payload } => (headers, Some(payload), None),
            Content::Unreadable(why) => (Vec::new(), None, Some(why)),
        };
        Self {
            envelope: letter.envelope,
            attempts: letter.attempts,
            headers,
            payload: payload.filter(|_| with_payload),
            unreadable,
        }
    }
}

/// Shows one letter whole. Its payload is shown to keys that may write.
#[utoipa::path(get, path = "/dlq/letters/{id}",
    responses((status = 200, body = LetterBody)))]
async fn one(
    State(control): State<Control>,
    PathName(id): PathName,
    headers: HeaderMap,
) -> Result<Response, ApiError> {
    let id = letter_id("id", &id)?;
    let found = control.letters.read(move |letters| letters.get(id)).await;
    let letter = found.map_err(|error| store_failed(&error))?.ok_or_else(|| no_letter(id))?;
    let identity = control.access.identify(&headers).ok().flatten();
    let may_write = identity.is_some_and(|identity| identity.scope == Scope::Write);
    Ok(tagged(&LetterView::of(letter, may_write)))
}

/// Shows the groups of letters of one kind of failure, the largest first.
#[utoipa::path(get, path = "/dlq/groups", params(LetterFilter),
    responses((status = 200, body = LetterGroups)))]
async fn groups(
    State(control): State<Control>,
    Query(filter): Query<LetterFilter>,
) -> Result<Response, ApiError> {
    let query = filter.query()?;
    let groups = control.letters.read(move |letters| letters.groups(&query)).await;
    Ok(tagged(&groups.map_err(|error| store_failed(&error))?))
}

/// The numbers of all queues, and where the letters are.
#[derive(Clone, Debug, Serialize, Deserialize, utoipa::ToSchema)]
pub struct LetterStats {
    /// The numbers of the queues, and of letters that were damaged.
    #[serde(flatten)]
    #[schema(schema_with = described::<Stats>)]
    pub stats: Stats,
    /// The place of the letters: a path, or that they end with the process.
    pub place: String,
    /// Why letters cannot be kept now; none if they can.
    pub failure: Option<String>,
}

/// Shows the numbers of all queues.
#[utoipa::path(get, path = "/dlq/stats", responses((status = 200, body = LetterStats)))]
async fn stats(State(control): State<Control>) -> Result<Response, ApiError> {
    let stats = control.letters.read(|letters| letters.stats()).await;
    let stats = stats.map_err(|error| store_failed(&error))?;
    let (place, failure) = (control.letters.place(), control.letters.failure());
    Ok(tagged(&LetterStats { stats, place, failure }))
}

/// Reads the identifier of a letter or of a job.
fn letter_id(field: &str, text: &str) -> Result<LetterId, ApiError> {
    text.parse().map_err(|_| wrong(field, &format!("{field} is no identifier, which is a UUID")))
}

fn no_letter(id: LetterId) -> ApiError {
    let detail = format!("there is no dead letter {id}");
    problem(StatusCode::NOT_FOUND, "Unknown dead letter", &detail)
}

/// 500, since the letters cannot be read or written.
fn store_failed(error: &StoreError) -> ApiError {
    failed(&error.to_string())
}
