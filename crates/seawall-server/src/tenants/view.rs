//! What operators see of tenants, and what they reset.

use super::{Counts, Settings, Standing, Tenant, Tenants, budget::Spending};
use crate::wall_clock;
use std::{
    collections::BTreeMap,
    sync::{Arc, atomic::Ordering},
};

/// What one tenant has used of one model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct ModelUse {
    pub(crate) requests: u64,
    pub(crate) tokens: u64,
    /// Money in billionths.
    pub(crate) money: u64,
}

/// One tenant, with what it has used and what is left to it.
#[derive(Clone, Debug)]
pub(crate) struct TenantLine {
    pub(crate) name: String,
    /// Whether the configuration names it.
    pub(crate) named: bool,
    pub(crate) tier: Option<String>,
    pub(crate) in_flight: usize,
    pub(crate) max_concurrent: Option<usize>,
    pub(crate) counts: Counts,
    pub(crate) budgets: Vec<Standing>,
    pub(crate) models: BTreeMap<String, ModelUse>,
}

impl Tenants {
    /// All tenants: those that the configuration names, and those that have come.
    pub(crate) fn lines(&self) -> Vec<TenantLine> {
        let (settings, now) = (self.settings.load(), wall_clock::now_ms());
        if settings.source.is_none() {
            return Vec::new();
        }
        let mut all: BTreeMap<Arc<str>, Arc<Tenant>> = {
            let known = self.lock();
            known.tenants.iter().map(|(name, one)| (name.clone(), one.clone())).collect()
        };
        for name in settings.named.keys() {
            all.entry(name.as_str().into()).or_insert_with(|| Arc::new(Tenant::new(name)));
        }
        all.values().map(|tenant| line(&settings, tenant, now)).collect()
    }

    /// The tenant of this name, if it is named or has come.
    pub(crate) fn line(&self, name: &str) -> Option<TenantLine> {
        let (settings, now) = (self.settings.load(), wall_clock::now_ms());
        settings.source.as_ref()?;
        let known = self.lock().tenants.get(name).cloned();
        let named = || settings.named.contains_key(name).then(|| Arc::new(Tenant::new(name)));
        let tenant = known.or_else(named)?;
        Some(line(&settings, &tenant, now))
    }

    /// Forgets what the tenant of this name has spent, so that its budgets are whole.
    pub(crate) fn reset(&self, name: &str) {
        let tenant = self.lock().tenants.get(name).cloned();
        if let Some(tenant) = tenant {
            tenant.lock().spending = Spending::default();
            self.is_unsaved.store(true, Ordering::Release);
        }
    }
}

fn line(settings: &Settings, tenant: &Tenant, now: u64) -> TenantLine {
    let plan = settings.plan(&tenant.name);
    let mut state = tenant.lock();
    state.spending.roll(now);
    let standing = |budget| state.spending.standing(budget, state.reserved, now);
    TenantLine {
        name: tenant.name.to_string(),
        named: settings.named.contains_key(&*tenant.name),
        tier: plan.tier.clone(),
        in_flight: state.in_flight,
        max_concurrent: plan.max_concurrent,
        counts: state.counts,
        budgets: plan.budgets.iter().map(standing).collect(),
        models: state.models.clone(),
    }
}
