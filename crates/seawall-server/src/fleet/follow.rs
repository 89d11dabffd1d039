//! The heartbeats of this instance, and what it makes of what the others changed.

use super::{Fleet, FleetRevision, InForce, Others};
use crate::{
    active::{Applied, ChangeError, ConfigEdit},
    actor::Actor,
    revisions::Cause,
};
use seawall_store::redis::{FleetError, FleetStore, Pulse};
use std::{
    sync::{Arc, PoisonError, atomic::Ordering},
    time::{Duration, Instant},
};

/// The time between two heartbeats, where nothing new is published in between.
const PERIOD: Duration = Duration::from_millis(500);

impl Fleet {
    /// Sends heartbeats and follows what the fleet changes, for ever.
    pub(super) async fn follow(self: &Arc<Self>, store: &FleetStore) {
        let fleet = self.clone();
        let listening = store.listen(move || fleet.news.notify_one());
        let beating = async {
            loop {
                self.beat(store).await;
                let _ = tokio::time::timeout(PERIOD, self.news.notified()).await;
            }
        };
        tokio::join!(listening, beating);
    }

    /// One heartbeat, and what follows from its answer.
    pub(super) async fn beat(self: &Arc<Self>, store: &FleetStore) {
        let report = serde_json::to_string(&self.report()).unwrap_or_default();
        let known = self.standing().in_force.as_ref().map(|present| present.hash.clone());
        let known = known.unwrap_or_default();
        match store.beat(&report, self.config.gone_for, &known).await {
            Ok(pulse) => self.heard(store, pulse).await,
            Err(error) => self.lost(&error),
        }
    }

    /// Notes that the store does not answer.
    pub(super) fn lost(&self, error: &FleetError) {
        let mut standing = self.standing();
        let since = standing.lost.as_ref().map_or_else(Instant::now, |(_, since)| *since);
        let is_new = standing.lost.replace((error.to_string(), since)).is_none();
        drop(standing);
        if is_new {
            tracing::error!(%error, "the store of the fleet is lost");
            let text = format!("the store of the fleet is lost: {error}");
            self.parts.feed.note("fleet", "", text);
        }
    }

    async fn heard(self: &Arc<Self>, store: &FleetStore, pulse: Pulse) {
        let Pulse { is_member, alive, hash, text, proposal } = pulse;
        let was_lost = {
            let mut standing = self.standing();
            standing.alive = alive;
            standing.lost.take().is_some()
        };
        if was_lost {
            tracing::info!(alive, "the store of the fleet answers");
            self.parts.feed.note("fleet", "", "the store of the fleet answers".to_owned());
        }
        if !is_member {
            self.refuse("the fleet has no room for further instances".to_owned());
            return;
        }
        // What this instance changes itself it puts in force itself.
        if self.changing.load(Ordering::SeqCst) == 0 {
            self.compare(store, hash, text).await;
        }
        if let Some((id, body)) = proposal {
            self.consider(store, id, body).await;
        }
    }

    /// Compares the fleet's revision with the one in force here, and follows it.
    async fn compare(self: &Arc<Self>, store: &FleetStore, hash: String, text: Option<String>) {
        let present = self.standing().in_force.clone();
        let Some(text) = text else {
            match present {
                // The store has lost it; the fleet has not.
                Some(present) if hash.is_empty() => self.restore(store, &hash, &present).await,
                _ => self.standing().refused = None,
            }
            return;
        };
        let revision: FleetRevision = match serde_json::from_str(&text) {
            Ok(revision) => revision,
            Err(error) => {
                let key = store.revision_key();
                self.refuse(format!(
                    "the fleet's revision in the store cannot be read ({error}); if no newer version of Seawall wrote it, \
                     delete the key {key}"
                ));
                return;
            }
        };
        match present {
            // A fail-over may have lost the last change.
            Some(present) if present.revision.number > revision.number => {
                self.restore(store, &hash, &present).await;
            }
            _ => {
                let fleet = self.clone();
                let work = move || fleet.take_over(InForce { revision, text, hash });
                if let Err(error) = tokio::task::spawn_blocking(work).await {
                    tracing::error!(%error, "the fleet's revision was not taken over");
                }
            }
        }
    }

    async fn restore(&self, store: &FleetStore, lost: &str, present: &InForce) {
        match store.restore(lost, &present.text).await {
            Ok(true) => {
                let named = present.revision.named();
                tracing::warn!("the store had lost the fleet's {named}, and has it again");
            }
            Ok(false) => {}
            Err(error) => self.lost(&error),
        }
    }

    /// Votes on a change that another instance proposes, once.
    async fn consider(self: &Arc<Self>, store: &FleetStore, id: String, body: String) {
        if self.standing().voted == id {
            return;
        }
        let fleet = self.clone();
        let against = tokio::task::spawn_blocking(move || fleet.objection(&body)).await;
        let against = against.unwrap_or_else(|error| Some(error.to_string()));
        match store.vote(&id, against.as_deref()).await {
            Ok(()) => self.standing().voted = id,
            Err(error) => self.lost(&error),
        }
    }

    /// The reason why a proposed change cannot be made here; none if it can.
    fn objection(&self, body: &str) -> Option<String> {
        let proposed: FleetRevision = match serde_json::from_str(body) {
            Ok(proposed) => proposed,
            Err(error) => return Some(format!("it cannot be read: {error}")),
        };
        let edit = ConfigEdit::Fleet(proposed.change, Cause::Fleet);
        self.parts.live.dry_run(&edit, None).err().map(|why| why.in_a_line())
    }

    /// Puts a revision in force that another instance made, or notes why it cannot be.
    fn take_over(&self, new: InForce) {
        let edit = ConfigEdit::Fleet(new.revision.change.clone(), Cause::Fleet);
        if let Err(why) = self.parts.live.dry_run(&edit, None) {
            let named = new.revision.named();
            self.refuse(format!(
                "the fleet's {named} cannot be put in force here: {}",
                why.in_a_line()
            ));
            return;
        }
        let made = new.revision.view();
        let actor = Actor::named(&format!("{} on {}", made.who, made.instance));
        // Why it failed all the same is noted by now.
        if self.put_in_force(&edit, &actor, new).is_ok() {
            (self.parts.audit)(&made);
        }
    }

    /// Puts a revision of the fleet in force here.
    pub(super) fn put_in_force(
        &self,
        edit: &ConfigEdit,
        actor: &Actor,
        new: InForce,
    ) -> Result<Applied, ChangeError> {
        let _one_after_another = self.applying.lock().unwrap_or_else(PoisonError::into_inner);
        let applied = self.parts.live.apply(edit, actor, None);
        match &applied {
            Ok(_) => {
                let mut standing = self.standing();
                (standing.refused, standing.changed_alone) = (None, false);
                standing.in_force = Some(new);
            }
            Err(why) => {
                let named = new.revision.named();
                let why = why.in_a_line();
                self.refuse(format!("the fleet's {named} cannot be put in force here: {why}"));
            }
        }
        applied
    }

    /// Notes why the fleet's revision is not in force here.
    fn refuse(&self, why: String) {
        let mut standing = self.standing();
        if standing.refused.as_ref() == Some(&why) {
            return;
        }
        standing.refused = Some(why.clone());
        drop(standing);
        tracing::error!("{why}");
        self.parts.feed.note("fleet", "", why);
    }

    /// The store that the instances share; `None` where there is none.
    pub(super) fn shared(&self) -> Option<&FleetStore> {
        match &self.others {
            Others::Shared(store) => Some(store),
            Others::None | Others::Listed(_) => None,
        }
    }
}
