//! A change of the configuration for the whole fleet: worked out here, agreed to by every instance that is alive, committed in the
//! store, and put in force. It reaches all of them or is refused.

use super::{Fleet, FleetRevision, InForce};
use crate::{
    active::{Applied, ChangeError, ConfigEdit},
    actor::Actor,
    wall_clock,
};
use seawall_store::redis::{FleetError, FleetStore, Verdict};
use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

/// The pause between two looks at the votes.
const LOOK: Duration = Duration::from_millis(25);
/// How much longer than the change itself a proposal lasts, so that it does not end while it is decided.
const SLACK: Duration = Duration::from_secs(2);

/// A change in progress; others leave the fleet's revision to it meanwhile.
struct InProgress<'f>(&'f AtomicUsize);

impl<'f> InProgress<'f> {
    fn new(count: &'f AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(count)
    }
}

impl Drop for InProgress<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// A change that is proposed to the others.
struct Proposal {
    id: String,
    /// The hash of the fleet's revision that it was made for, and how to name that one.
    base: String,
    based_on: String,
    revision: FleetRevision,
    text: String,
}

impl Fleet {
    /// Applies an edit on all instances, or on none. `alone` applies it on this instance only, as an instance without others
    /// does. Once begun, it goes on where the caller does not wait for it.
    pub(crate) async fn apply(
        self: &Arc<Self>,
        edit: ConfigEdit,
        actor: Actor,
        expected: Option<u64>,
        alone: bool,
    ) -> Result<Applied, ChangeError> {
        let (fleet, edit) = (self.clone(), Arc::new(edit));
        let work = tokio::spawn(async move {
            let by_all = !alone && !edit.is_reload();
            match fleet.shared().filter(|_| by_all) {
                Some(store) => fleet.change_all(store, edit, actor, expected).await,
                None => {
                    let fleet = fleet.clone();
                    blocking(move || fleet.change_alone(&edit, &actor, expected)).await
                }
            }
        });
        work.await.unwrap_or_else(|error| Err(ChangeError::Failed(error.to_string())))
    }

    fn change_alone(
        &self,
        edit: &ConfigEdit,
        actor: &Actor,
        expected: Option<u64>,
    ) -> Result<Applied, ChangeError> {
        let applied = self.parts.live.apply(edit, actor, expected)?;
        if self.shared().is_some() && !edit.is_reload() {
            self.standing().changed_alone = true;
        }
        Ok(applied)
    }

    async fn change_all(
        self: &Arc<Self>,
        store: &FleetStore,
        edit: Arc<ConfigEdit>,
        actor: Actor,
        expected: Option<u64>,
    ) -> Result<Applied, ChangeError> {
        let _in_progress = InProgress::new(&self.changing);
        let lost = self.standing().lost.clone();
        if let Some((why, _)) = lost {
            return Err(unavailable(&why));
        }
        let fleet = self.clone();
        let (by, wanted) = (actor.clone(), edit.clone());
        let (proposal, planned) = blocking(move || fleet.plan(&wanted, &by, expected)).await?;
        if let Err(error) = self.agree(store, &proposal).await {
            return Err(self.parts.live.refused(error, &actor));
        }
        let decided = self.decide(store, &proposal).await;
        let hash = match decided {
            Ok(hash) => hash,
            Err(error) => {
                // Where it fails, the proposal ends when its time is over.
                let _ = store.withdraw(&proposal.id).await;
                return Err(self.parts.live.refused(error, &actor));
            }
        };
        let fleet = self.clone();
        let Proposal { revision, text, .. } = proposal;
        let cause = planned.revision.entry.cause;
        let edit = ConfigEdit::Fleet(revision.change.clone(), cause);
        let new = InForce { revision, text, hash };
        blocking(move || fleet.put_in_force(&edit, &actor, new)).await
    }

    /// Works the edit out for this instance, and makes a proposal of it.
    fn plan(
        &self,
        edit: &ConfigEdit,
        actor: &Actor,
        expected: Option<u64>,
    ) -> Result<(Proposal, Applied), ChangeError> {
        let live = &self.parts.live;
        let present = self.standing().in_force.clone();
        let planned = live.dry_run(edit, expected);
        let planned = planned.map_err(|error| live.refused(error, actor))?;
        let number = present.as_ref().map_or(0, |present| present.revision.number);
        let revision = FleetRevision {
            number: number + 1,
            at: wall_clock::now_ms(),
            who: actor.name.clone(),
            instance: self.name.clone(),
            cause: planned.revision.entry.cause,
            change: planned.revision.entry.change.clone(),
        };
        let text = serde_json::to_string(&revision)
            .map_err(|error| ChangeError::Failed(error.to_string()))?;
        let proposal = Proposal {
            id: format!("{}#{:016x}", self.id, seawall::fresh_seed()),
            base: present.as_ref().map(|present| present.hash.clone()).unwrap_or_default(),
            based_on: present.map_or_else(
                || "no revision of the fleet".to_owned(),
                |present| format!("the fleet's {}", present.revision.named()),
            ),
            revision,
            text,
        };
        Ok((proposal, planned))
    }

    /// Proposes the change to all.
    async fn agree(&self, store: &FleetStore, proposal: &Proposal) -> Result<(), ChangeError> {
        let Proposal { id, base, text, .. } = proposal;
        // This instance has planned it.
        self.standing().voted.clone_from(id);
        let lasts = self.config.prepare_timeout + SLACK;
        match store.propose(base, id, text, lasts).await.map_err(|error| self.gone(&error))? {
            Verdict::Waiting(_) => Ok(()),
            verdict => Err(refused(proposal, verdict)),
        }
    }

    /// Waits until every instance has voted, and commits the change; the hash of the fleet's new revision.
    async fn decide(&self, store: &FleetStore, proposal: &Proposal) -> Result<String, ChangeError> {
        let Proposal { id, base, text, .. } = proposal;
        let deadline = Instant::now() + self.config.prepare_timeout;
        loop {
            let verdict = store.decide(id, base, text).await;
            match verdict.map_err(|error| self.gone(&error))? {
                Verdict::Committed(hash) => return Ok(hash),
                Verdict::Waiting(_) if Instant::now() < deadline => {
                    tokio::time::sleep(LOOK).await;
                }
                verdict => return Err(refused(proposal, verdict)),
            }
        }
    }

    /// The store was lost on the way.
    fn gone(&self, error: &FleetError) -> ChangeError {
        self.lost(error);
        unavailable(&error.to_string())
    }
}

fn unavailable(why: &str) -> ChangeError {
    ChangeError::FleetLost(format!(
        "the store of the fleet does not answer ({why}), so the change cannot reach all instances; requests go on as they are. \
         `?local=true` (`--local` of the command line) makes the change on this instance alone. If the store was lost while \
         the change was made, `/fleet` says whether it is in force, once the store answers again"
    ))
}

/// Why a change reaches none of the instances.
fn refused(proposal: &Proposal, verdict: Verdict) -> ChangeError {
    let named = |text: &str| match serde_json::from_str::<FleetRevision>(text) {
        Ok(revision) => revision.named(),
        Err(_) if text.is_empty() => "no revision any more".to_owned(),
        Err(_) => "a revision that cannot be read".to_owned(),
    };
    let based_on = &proposal.based_on;
    ChangeError::NotEverywhere(match verdict {
        Verdict::Outdated(present) => format!(
            "nothing has changed: the change was made for {based_on}, and the fleet has {} by now; look at it, and \
             try again",
            named(&present)
        ),
        Verdict::Busy(other) => format!(
            "nothing has changed: the change was made for {based_on}, and another one, {}, is being made now; try again",
            named(&other)
        ),
        Verdict::Refused(id, why) => format!(
            "nothing has changed on any instance: {} cannot make the change: {why}",
            FleetStore::name_of(&id)
        ),
        Verdict::Waiting(silent) => {
            let names: Vec<&str> = silent.iter().map(|id| FleetStore::name_of(id)).collect();
            format!(
                "nothing has changed on any instance: no answer in time from {}",
                names.join(", ")
            )
        }
        Verdict::Gone | Verdict::Committed(_) => {
            "nothing has changed: the store has forgotten the proposal; try again".to_owned()
        }
    })
}

/// Work that reads files, off the threads that serve.
async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> Result<T, ChangeError> + Send + 'static,
) -> Result<T, ChangeError> {
    let done = tokio::task::spawn_blocking(work).await;
    done.unwrap_or_else(|error| Err(ChangeError::Failed(error.to_string())))
}
