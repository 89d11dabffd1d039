//! Changes of dead letters: released from quarantine, deleted one by one, or purged.

use super::{LettersById, Purge, Reseal, ResealAnswer, store_failed};
use crate::{
    actor::Actor,
    control::{
        Control,
        extract::JsonBody,
        problem::{Answer, ApiError, problem, wrong},
    },
    wall_clock,
};
use axum::{Json, extract::State, http::StatusCode};
use schemars::JsonSchema;
use seawall_store::{
    StoreError,
    letters::{LetterId, Letters, MAX_SELECTED, Query, Resealed},
};
use serde::{Deserialize, Serialize};
use std::time::{Duration, Instant};
use utoipa::ToSchema;
use utoipa_axum::{router::OpenApiRouter, routes};

/// How long one request encrypts letters again.
const RESEAL_FOR: Duration = Duration::from_secs(1);

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(release))
        .routes(routes!(delete))
        .routes(routes!(purge))
        .routes(routes!(reseal))
}

/// Letters by their identifiers.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct LetterSelection {
    /// The identifiers, at most 10,000.
    #[schemars(length(max = 10_000))]
    pub ids: Vec<LetterId>,
}

/// The number of letters that were changed.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
pub struct LetterChange {
    /// Letters that were changed. Those that were not there, or in another state, do not count.
    pub letters: u64,
}

/// Lets quarantined letters be replayed again.
#[utoipa::path(post, path = "/dlq/release", request_body = LettersById,
    responses((status = 200, body = LetterChange)))]
async fn release(
    State(control): State<Control>,
    JsonBody(selection): JsonBody<LetterSelection>,
) -> Answer<LetterChange> {
    let ids = bounded(selection)?;
    let done = control.letters.change(move |letters| letters.release(&ids)).await;
    Ok(Json(LetterChange { letters: done.map_err(|error| store_failed(&error))? }))
}

/// Deletes letters.
#[utoipa::path(post, path = "/dlq/delete", request_body = LettersById,
    responses((status = 200, body = LetterChange)))]
async fn delete(
    State(control): State<Control>,
    JsonBody(selection): JsonBody<LetterSelection>,
) -> Answer<LetterChange> {
    let ids = bounded(selection)?;
    let done = control.letters.change(move |letters| letters.delete(&ids)).await;
    Ok(Json(LetterChange { letters: done.map_err(|error| store_failed(&error))? }))
}

pub(super) fn bounded(selection: LetterSelection) -> Result<Vec<LetterId>, ApiError> {
    if selection.ids.len() > MAX_SELECTED {
        return Err(wrong("ids", &format!("at most {MAX_SELECTED} letters can be named")));
    }
    Ok(selection.ids)
}

/// A request to encrypt letters again.
#[derive(Clone, Debug, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ResealRequest {
    /// Only letters behind this one: `next` of the answer before.
    #[serde(default)]
    pub after: Option<LetterId>,
}

/// Encrypts letters with the newest key that are not encrypted with it yet, the oldest first, for about a second. Repeat it
/// with `next` of the answer until there is none; from then on older keys are not needed any more, unless letters are
/// `unreadable`.
#[utoipa::path(post, path = "/dlq/reseal", request_body = Reseal,
    responses((status = 200, body = ResealAnswer), (status = 409)))]
async fn reseal(
    State(control): State<Control>,
    actor: Actor,
    JsonBody(ResealRequest { after }): JsonBody<ResealRequest>,
) -> Answer<Resealed> {
    if !control.letters.encrypts() {
        let detail = "letters are encrypted in a file or in Redis, and with a key: set SEAWALL_DEAD_LETTER_KEYS, or \
                      dead_letters.keys_file, and start again";
        return Err(problem(StatusCode::CONFLICT, "Letters are not encrypted", detail));
    }
    let resealed = control.letters.change(move |letters| reseal_for_a_while(letters, after)).await;
    let resealed = resealed.map_err(|error| store_failed(&error))?;
    let letters = resealed.resealed;
    tracing::info!(letters, by = actor.name, "dead letters encrypted again");
    Ok(Json(resealed))
}

fn reseal_for_a_while(
    letters: &dyn Letters,
    after: Option<LetterId>,
) -> Result<Resealed, StoreError> {
    let (began, mut all) = (Instant::now(), Resealed { next: after, ..Resealed::default() });
    loop {
        let step = letters.reseal(all.next)?;
        all.resealed += step.resealed;
        all.unreadable += step.unreadable;
        all.next = step.next;
        if all.next.is_none() || began.elapsed() >= RESEAL_FOR {
            return Ok(all);
        }
    }
}

/// A request to delete all letters that a query means.
#[derive(Clone, Debug, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PurgeRequest {
    /// The letters that are meant; an empty query means all of them.
    #[serde(default)]
    pub query: Query,
    /// The number of letters that it is expected to mean. With any other number nothing is deleted.
    pub expect: u64,
}

/// Deletes all letters that a query means, if there are as many as expected. Letters that come meanwhile stay.
#[utoipa::path(post, path = "/dlq/purge", request_body = Purge,
    responses((status = 200, body = LetterChange), (status = 409)))]
async fn purge(
    State(control): State<Control>,
    actor: Actor,
    JsonBody(PurgeRequest { mut query, expect }): JsonBody<PurgeRequest>,
) -> Answer<LetterChange> {
    let now = wall_clock::now_ms();
    query.until = Some(query.until.map_or(now, |until| until.min(now)));
    let purged = control.letters.change(move |letters| {
        let groups = letters.groups(&query)?;
        let found = groups.groups.iter().map(|group| group.letters).sum::<u64>() + groups.others;
        if found != expect { Ok(Err(found)) } else { letters.purge(&query).map(Ok) }
    });
    match purged.await.map_err(|error| store_failed(&error))? {
        Ok(letters) => {
            let told = format!("{} purged {letters} dead letters", actor.name);
            tracing::warn!(letters, by = actor.name, "dead letters purged");
            control.feed.note("dead_letters", "", told);
            Ok(Json(LetterChange { letters }))
        }
        Err(found) => {
            let detail = format!("the query means {found} letters, not {expect}; none is deleted");
            Err(problem(StatusCode::CONFLICT, "Other number of letters", &detail))
        }
    }
}
