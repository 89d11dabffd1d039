//! Replays of dead letters: begun, followed, paused, cancelled.

use super::{ReplayJob, ReplayJobs, ReplayRequest, letter_id, store_failed};
use crate::{
    actor::Actor,
    control::{
        Control,
        extract::{JsonBody, PathName},
        problem::{Answer, ApiError, problem, wrong},
        tag::tagged,
    },
    replays::{JobChange, NoReplay},
};
use axum::{
    Json,
    extract::State,
    http::{StatusCode, header},
    response::Response,
};
use seawall_store::letters::{Job, LetterId, ReplayOrder};
use utoipa_axum::{router::OpenApiRouter, routes};

pub(super) fn read_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new().routes(routes!(list)).routes(routes!(one))
}

pub(super) fn write_routes() -> OpenApiRouter<Control> {
    OpenApiRouter::new()
        .routes(routes!(begin))
        .routes(routes!(pause))
        .routes(routes!(resume))
        .routes(routes!(cancel))
}

/// Lists the replays that are remembered, the latest first.
#[utoipa::path(get, path = "/dlq/replays", responses((status = 200, body = ReplayJobs)))]
async fn list(State(control): State<Control>) -> Result<Response, ApiError> {
    let jobs = control.replays.jobs().await.map_err(|error| store_failed(&error))?;
    Ok(tagged(&jobs))
}

/// Shows one replay with its progress.
#[utoipa::path(get, path = "/dlq/replays/{id}", responses((status = 200, body = ReplayJob)))]
async fn one(State(control): State<Control>, PathName(id): PathName) -> Result<Response, ApiError> {
    Ok(tagged(&control.job(letter_id("id", &id)?).await?))
}

/// Begins a replay of letters that wait: by their identifiers, or all that a query means; with a fingerprint that is a
/// group. They go along their routes as requests of clients do.
#[utoipa::path(post, path = "/dlq/replays", request_body = ReplayRequest,
    responses((status = 200, body = ReplayJob), (status = 429)))]
async fn begin(
    State(control): State<Control>,
    actor: Actor,
    JsonBody(order): JsonBody<ReplayOrder>,
) -> Answer<Job> {
    let job = control.replays.begin(order).await.map_err(|error| match error {
        NoReplay::Wrong(why) => wrong("", &why),
        NoReplay::Store(error) => store_failed(&error),
        NoReplay::TooMany => {
            let detail = "so many replays are not over; wait for one, or cancel one";
            problem(StatusCode::TOO_MANY_REQUESTS, "Too many replays", detail)
                .with_header(header::RETRY_AFTER, 10)
        }
    })?;
    let told = format!("{} began the replay {}", actor.name, job.id);
    tracing::info!(job = %job.id, by = actor.name, "replay of dead letters begun");
    control.feed.note("dead_letters", "", told);
    Ok(Json(job))
}

/// Pauses a replay: no further letter is sent until it is resumed.
#[utoipa::path(post, path = "/dlq/replays/{id}/pause",
    responses((status = 200, body = ReplayJob), (status = 409)))]
async fn pause(State(control): State<Control>, PathName(id): PathName) -> Answer<Job> {
    control.change_job(&id, JobChange::Pause).await
}

/// Resumes a replay that was paused.
#[utoipa::path(post, path = "/dlq/replays/{id}/resume",
    responses((status = 200, body = ReplayJob), (status = 409)))]
async fn resume(State(control): State<Control>, PathName(id): PathName) -> Answer<Job> {
    control.change_job(&id, JobChange::Resume).await
}

/// Cancels a replay: no further letter is sent. Letters on their way end as they do.
#[utoipa::path(post, path = "/dlq/replays/{id}/cancel",
    responses((status = 200, body = ReplayJob), (status = 409)))]
async fn cancel(State(control): State<Control>, PathName(id): PathName) -> Answer<Job> {
    control.change_job(&id, JobChange::Cancel).await
}

impl Control {
    async fn job(&self, id: LetterId) -> Result<Job, ApiError> {
        let jobs = self.replays.jobs().await.map_err(|error| store_failed(&error))?;
        jobs.into_iter().find(|job| job.id == id).ok_or_else(|| {
            let detail = format!("there is no replay {id}");
            problem(StatusCode::NOT_FOUND, "Unknown replay", &detail)
        })
    }

    async fn change_job(&self, id: &str, change: JobChange) -> Answer<Job> {
        let id = letter_id("id", id)?;
        let changed = self.replays.change(id, change).await;
        if let Some(job) = changed.map_err(|error| store_failed(&error))? {
            return Ok(Json(job));
        }
        self.job(id).await?;
        let detail = format!("the replay {id} is over");
        Err(problem(StatusCode::CONFLICT, "Replay is over", &detail))
    }
}
