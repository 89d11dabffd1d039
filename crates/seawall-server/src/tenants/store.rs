//! What tenants have spent survives a restart, and is shared with other instances.

use super::{Tenant, Tenants, budget::Spending};
use crate::wall_clock;
use seawall_store::StoreError;
use serde::{Deserialize, Serialize};
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

/// What tenants had spent, as it is in the store.
#[derive(Serialize, Deserialize)]
pub(super) struct Saved {
    tenants: BTreeMap<String, Spending>,
}

impl Tenants {
    /// Restores what the former run saved.
    pub(super) fn restore(&self) {
        let Some(saved) = self.value.read() else { return };
        let settings = self.settings.load();
        let most = settings.max_tenants + settings.named.len();
        let mut known = self.lock();
        for (name, spending) in saved.tenants.into_iter().take(most) {
            let tenant = Tenant::new(&name);
            {
                let mut state = tenant.lock();
                state.spending = spending;
                state.seen_at = wall_clock::now_ms();
            }
            known.tenants.insert(tenant.name.clone(), Arc::new(tenant));
        }
    }

    /// Writes what tenants with budgets have spent, if that has changed.
    ///
    /// # Errors
    /// When it cannot be written; then the next call tries again.
    pub(crate) fn save(&self) -> Result<(), StoreError> {
        if !self.is_unsaved.swap(false, Ordering::AcqRel) {
            return Ok(());
        }
        let (settings, now) = (self.settings.load(), wall_clock::now_ms());
        let all: Vec<Arc<Tenant>> = self.lock().tenants.values().cloned().collect();
        let with_budgets = all.iter().filter(|one| !settings.plan(&one.name).budgets.is_empty());
        let spent = with_budgets.filter_map(|tenant| {
            let mut state = tenant.lock();
            state.spending.roll(now);
            let nothing = state.spending.is_nothing();
            (!nothing).then(|| (tenant.name.to_string(), state.spending.clone()))
        });
        let saved = Saved { tenants: spent.collect() };
        if let Err(error) = self.value.put(&saved) {
            self.is_unsaved.store(true, Ordering::Release);
            return Err(error);
        }
        Ok(())
    }
}
