//! A replay of many letters, as it is asked for, stored and shown.

use super::{id::LetterId, letter::State, query::Query, time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Identifiers that one job may list.
pub const MAX_SELECTED: usize = 10_000;
const MAX_RATE: f64 = 10_000.0;
const MAX_CONCURRENCY: usize = 1000;

/// A replay of many letters, oldest first. Stored by [`Letters::save_job`](super::Letters::save_job), it goes on after a
/// restart where it was.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Job {
    /// Its identifier, which sorts by the time at which it was asked for.
    pub id: LetterId,
    /// The replay that was asked for.
    pub order: ReplayOrder,
    /// The state that it is in.
    pub status: JobStatus,
    /// The time at which it was asked for. Letters that came later are not replayed by it.
    #[serde(with = "time")]
    #[schemars(with = "String")]
    pub started: u64,
    /// The last letter that it handed out. It goes on behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<LetterId>,
    /// The letters that it is about, where that is known: those of a list, or what whoever began it has counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub total: Option<u64>,
    /// What it has done so far.
    pub progress: Progress,
}

/// What a replay of many letters is asked to do.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplayOrder {
    /// The letters to replay.
    pub selection: Selection,
    /// Replays that begin in a second; above 0, at most 10,000.
    #[serde(default = "default_rate")]
    #[schemars(range(min = 0.001, max = 10_000.0))]
    pub rate: f64,
    /// Replays that are on their way at once, 1 to 1,000.
    #[serde(default = "default_concurrency")]
    #[schemars(range(min = 1, max = 1000))]
    pub concurrency: usize,
    /// Counts the letters that would be replayed, and replays none.
    #[serde(default)]
    pub dry_run: bool,
}

fn default_rate() -> f64 {
    10.0
}

fn default_concurrency() -> usize {
    4
}

/// Letters to replay. Those that do not wait are passed over.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    /// Single ones, at most 10,000.
    Ids(Vec<LetterId>),
    /// All that a query means: one with a fingerprint is a group, an empty one means all letters.
    Query(Query),
}

/// The state of a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum JobStatus {
    /// It hands out letters, or waits for their ends.
    Running,
    /// Somebody paused it.
    Paused,
    /// Somebody ended it before its end.
    Cancelled,
    /// It has handed out every letter, and all of them have ended.
    Done,
}

/// The answer to whoever wants to run a job.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JobLease {
    /// The caller may run it. Another instance has asked to bring it to this state, if there is one.
    Held(Option<JobStatus>),
    /// Another instance runs it.
    Elsewhere,
}

/// What a job has done so far.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Progress {
    /// Letters that were handed out. For a dry run: that would have been, which is its answer.
    pub found: u64,
    /// Letters whose replay succeeded.
    pub succeeded: u64,
    /// Letters whose replay failed.
    pub failed: u64,
    /// Letters that could not be replayed: they did not wait any more, could not be read, or were never sent.
    pub skipped: u64,
}

impl Job {
    /// A job that begins at `now`, in milliseconds since 1970.
    ///
    /// # Errors
    /// When the order is out of its bounds; the message says which.
    pub fn new(mut order: ReplayOrder, now: u64) -> Result<Self, String> {
        if !(order.rate > 0.0 && order.rate <= MAX_RATE) {
            return Err(format!("`rate` must be above 0 and at most {MAX_RATE}"));
        }
        if !(1..=MAX_CONCURRENCY).contains(&order.concurrency) {
            return Err(format!("`concurrency` must be 1 to {MAX_CONCURRENCY}"));
        }
        let mut total = None;
        match &mut order.selection {
            Selection::Ids(ids) if ids.len() > MAX_SELECTED => {
                return Err(format!("at most {MAX_SELECTED} letters can be listed"));
            }
            Selection::Ids(ids) => {
                ids.sort_unstable();
                ids.dedup();
                total = Some(ids.len() as u64);
            }
            Selection::Query(query) => {
                query.state = Some(State::Waiting);
                query.oldest_first = true;
                query.until = Some(query.until.map_or(now + 1, |until| until.min(now + 1)));
            }
        }
        Ok(Self {
            id: LetterId::new(now),
            order,
            status: JobStatus::Running,
            started: now,
            after: None,
            total,
            progress: Progress::default(),
        })
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        matches!(self.status, JobStatus::Cancelled | JobStatus::Done)
    }
}
