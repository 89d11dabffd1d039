//! What keeps replays right although instances come and go: each says that it is alive, and what one that is gone had begun
//! is ended by another.

use super::{layout::id_of, place::Place};
use crate::{
    letters::{ReplayOutcome, letter::State, lifecycle},
    store::Result,
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Weak,
};

/// Replays that are read at once.
const PIECE: usize = 500;

/// Says again and again that this instance is alive, and ends the replays of those that are not, until the place is closed.
pub(super) async fn keep_up(place: Weak<Place>) {
    let mut gone = BTreeSet::new();
    while let Some(place) = place.upgrade() {
        let pause = place.config.lease / 3;
        // What fails is tried again.
        if place.say_alive().await.is_ok()
            && let Ok(found) = place.end_abandoned_replays(&gone).await
        {
            gone = found;
        }
        drop(place);
        tokio::time::sleep(pause).await;
    }
}

impl Place {
    async fn say_alive(&self) -> Result<()> {
        let mut command = redis::cmd("SET");
        command.arg(self.layout.owner(&self.owner)).arg("1");
        command.arg("PX").arg(self.config.lease.as_millis() as u64);
        self.ask_one(command).await
    }

    /// Ends replays whose owners are gone, and gives back those of this instance of which it does not know. Owners that are
    /// gone for the first time may have lost Redis for as long as all others; they are returned, and count the next time.
    async fn end_abandoned_replays(&self, gone: &BTreeSet<String>) -> Result<BTreeSet<String>> {
        let mut by_owner = BTreeMap::<_, Vec<_>>::new();
        for (id, owner) in self.replays().await? {
            by_owner.entry(owner).or_default().push(id);
        }
        let mut newly_gone = BTreeSet::new();
        for (owner, ids) in by_owner {
            if owner == self.owner {
                let unknown = ids.into_iter().filter(|id| !self.held().contains(id));
                for id in unknown.collect::<Vec<_>>() {
                    self.end_replay(id, &owner, Some(&ReplayOutcome::NotSent)).await?;
                }
            } else if !self.is_alive(&owner).await? {
                if !gone.contains(&owner) {
                    newly_gone.insert(owner);
                    continue;
                }
                for id in ids {
                    self.end_replay(id, &owner, None).await?;
                }
            }
        }
        Ok(newly_gone)
    }

    /// Ends what this instance has begun and not ended, since it will not.
    pub(super) async fn give_up(&self) -> Result<()> {
        self.give_up_leases().await?;
        for (id, owner) in self.replays().await? {
            if owner == self.owner {
                self.end_replay(id, &owner, None).await?;
            }
        }
        let mut command = redis::cmd("DEL");
        command.arg(self.layout.owner(&self.owner));
        self.ask_one(command).await
    }

    async fn is_alive(&self, owner: &str) -> Result<bool> {
        let mut command = redis::cmd("EXISTS");
        command.arg(self.layout.owner(owner));
        self.ask_one(command).await
    }

    /// All replays that have begun, with their owners.
    async fn replays(&self) -> Result<Vec<(u128, String)>> {
        let (mut cursor, mut found) = (0_u64, Vec::new());
        loop {
            let mut command = redis::cmd("HSCAN");
            command.arg(&self.layout.replaying).arg(cursor).arg("COUNT").arg(PIECE);
            let (next, fields): (u64, Vec<(String, String)>) = self.ask_one(command).await?;
            found.extend(fields.into_iter().filter_map(|(id, owner)| Some((id_of(&id)?, owner))));
            cursor = next;
            if cursor == 0 {
                return Ok(found);
            }
        }
    }

    /// Ends the replay of an owner, if it still is that owner's. Without an outcome it was interrupted.
    async fn end_replay(
        &self,
        id: u128,
        owner: &str,
        outcome: Option<&ReplayOutcome>,
    ) -> Result<()> {
        let queues = self.queues();
        self.change(&[id], |transaction| {
            if !transaction.is_held_by(id, owner) {
                return;
            }
            transaction.change(id, |envelope, attempts| {
                let config = queues.of(&envelope.queue);
                match outcome {
                    _ if envelope.state != State::Replaying => {}
                    Some(outcome) => lifecycle::finish(envelope, attempts, outcome, config),
                    None => lifecycle::interrupt(envelope, config),
                }
            });
        })
        .await
    }
}
