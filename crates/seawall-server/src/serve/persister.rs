//! The task that runs once a second beside the requests: it looks whether files have changed, and saves new records to
//! the store.

use crate::{
    active::ActiveConfig,
    alerts::Alerts,
    circuits::SavedCircuits,
    control::{Audit, Benchmarks},
    dead_letters::DeadLetters,
    tenants::Tenants,
};
use std::{sync::Arc, time::Duration};

/// How often files are looked at, and the store is written.
const PERIOD: Duration = Duration::from_secs(1);
/// Every so many periods, dead letters whose time is over are removed.
const EXPIRY_PERIODS: u32 = 60;

/// Writes everything that is kept to the store.
#[derive(Clone)]
pub(super) struct Persister {
    pub(super) live: Arc<ActiveConfig>,
    pub(super) alerts: Arc<Alerts>,
    pub(super) audit: Arc<Audit>,
    pub(super) benchmarks: Arc<Benchmarks>,
    pub(super) letters: Arc<DeadLetters>,
    pub(super) circuits: Arc<SavedCircuits>,
    pub(super) tenants: Arc<Tenants>,
}

impl Persister {
    /// Writes what is not in the store yet. What fails is noted by the store's owner, and tried again the next time.
    pub(super) fn save(&self) {
        let _ = self.live.history().save();
        let _ = self.alerts.save();
        let _ = self.audit.save();
        let _ = self.benchmarks.journal.save();
        let _ = self.circuits.save();
        let _ = self.tenants.save();
    }

    /// Follows changes of the files, and saves, for ever. Files and store may take their time, so that is done off the
    /// threads that serve.
    pub(super) async fn run(self) {
        for period in (1..=EXPIRY_PERIODS).cycle() {
            tokio::time::sleep(PERIOD).await;
            let persister = self.clone();
            let work = move || {
                if let Some(Err(error)) = persister.live.reload_if_changed() {
                    tracing::error!("the configuration stays as it is:\n{error}");
                }
                persister.save();
                if period == EXPIRY_PERIODS {
                    persister.letters.expire();
                }
                persister.letters.refresh();
            };
            if let Err(error) = tokio::task::spawn_blocking(work).await {
                tracing::error!(%error, "files and store are not followed");
            }
        }
    }
}
