//! Which policies of a registry share their state, now and later: each has a connector that carries it to Redis.

use seawall::{Pipeline, Registry, SharedCircuits, SharedLimits, Timer};
use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::task::{AbortHandle, JoinSet};

/// How often the registry is looked through.
const DISCOVERY: Duration = Duration::from_millis(500);

/// The sharing of a registry's limits, or of its circuits; it ends when this is dropped.
#[derive(Debug)]
#[must_use = "they are shared for as long as it lives"]
pub struct Sharing(pub(super) JoinSet<()>);

impl Sharing {
    /// Waits for its end, which never comes by itself.
    pub async fn run(mut self) {
        while self.0.join_next().await.is_some() {}
    }
}

/// A policy's handle on state that instances share.
pub(super) trait SharedState: Clone + Send + 'static {
    /// Those of a pipeline.
    fn all_of(pipeline: &Pipeline) -> Vec<Self>;

    /// Whether both belong to the same policy.
    fn is_same(&self, other: &Self) -> bool;
}

impl SharedState for SharedLimits {
    fn all_of(pipeline: &Pipeline) -> Vec<Self> {
        pipeline.shared_limits()
    }

    fn is_same(&self, other: &Self) -> bool {
        Self::is_same(self, other)
    }
}

impl SharedState for SharedCircuits {
    fn all_of(pipeline: &Pipeline) -> Vec<Self> {
        pipeline.shared_circuits()
    }

    fn is_same(&self, other: &Self) -> bool {
        Self::is_same(self, other)
    }
}

/// The state that is shared now, each with the task that carries it.
pub(super) type Connectors<S> = Mutex<Vec<(S, AbortHandle)>>;

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives every shared policy of the registry a connector, and takes it from those that are gone, for ever.
pub(super) async fn follow<Tm, S, F>(
    registry: Registry<Tm>,
    known: Arc<Connectors<S>>,
    connect: impl Fn(S) -> F,
) where
    Tm: Timer + Clone + Send + Sync + 'static,
    S: SharedState,
    F: Future<Output = ()> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    loop {
        let operations = registry.operations();
        let present: Vec<S> =
            operations.iter().flat_map(|one| S::all_of(&one.pipeline())).collect();
        {
            let mut known = lock(&known);
            known.retain(|(state, task)| {
                let stays = present.iter().any(|one| one.is_same(state));
                if !stays {
                    task.abort();
                }
                stays
            });
            for state in present {
                if !known.iter().any(|(one, _)| one.is_same(&state)) {
                    let task = tasks.spawn(connect(state.clone()));
                    known.push((state, task));
                }
            }
        }
        while tasks.try_join_next().is_some() {}
        tokio::time::sleep(DISCOVERY).await;
    }
}
