//! Tenants: whose a request is, what each of them may use, and what it has used. Memory is bounded whatever requests say: tenants
//! that are not named are remembered up to a number, and further ones count as one.

use crate::{
    config::{BudgetConfig, TenantConfig, TenantSource, TenantsConfig},
    persistence::{Persistence, Value},
};
use arc_swap::ArcSwap;
use http::HeaderMap;
use identity::Said;
use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicBool},
};

mod budget;
mod call;
mod counts;
mod identity;
mod store;
mod usage;
mod view;

pub(crate) use budget::Standing;
use budget::{Spending, Spent};
pub(crate) use call::{Expected, TenantCall, TenantRefusal};
use counts::Ranking;
pub(crate) use counts::{Count, Counts, Ranked};
pub(crate) use identity::ANONYMOUS;
use usage::Prices;
pub(crate) use usage::{NANOS, Usage};
pub(crate) use view::{ModelUse, TenantLine};

/// The tenant that all those are for whom there is no place; no name has brackets at both ends.
pub(crate) const OVERFLOW: &str = "(others)";
/// How often tenants are looked for that are idle, in milliseconds.
const SWEEP_PAUSE: u64 = 1_000;
/// A tenant without budgets is idle when nothing has come from it for so long, in milliseconds.
const IDLE: u64 = 10 * 60 * 1_000;
/// Models that are counted apart, of one tenant and without a price; further ones count as one.
const MOST_MODELS: usize = 50;

/// All tenants of a server.
pub(crate) struct Tenants {
    settings: ArcSwap<Settings>,
    known: Mutex<Known>,
    /// Tokens of models that have no price, by model.
    unpriced: Mutex<BTreeMap<String, u64>>,
    value: Value<store::Saved>,
    is_unsaved: AtomicBool,
}

/// What the configuration in force says of tenants.
struct Settings {
    source: Option<TenantSource>,
    named: HashMap<String, Arc<TenantConfig>>,
    by_key: HashMap<[u8; 32], String>,
    default: Arc<TenantConfig>,
    refuse_unknown: bool,
    max_tenants: usize,
    top: usize,
    prices: Prices,
}

#[derive(Default)]
struct Known {
    tenants: HashMap<Arc<str>, Arc<Tenant>>,
    swept_at: u64,
    ranking: Ranking,
}

/// One tenant, and what it has used.
struct Tenant {
    name: Arc<str>,
    state: Mutex<TenantState>,
}

#[derive(Default)]
struct TenantState {
    in_flight: usize,
    /// What is expected of requests in progress.
    reserved: Spent,
    spending: Spending,
    counts: Counts,
    models: BTreeMap<String, ModelUse>,
    /// When it was seen last, in milliseconds since 1970.
    seen_at: u64,
}

impl Settings {
    fn new(config: &TenantsConfig) -> Self {
        let mut by_key = HashMap::new();
        for (name, tenant) in &config.named {
            by_key.extend(tenant.hashes().flatten().map(|hash| (hash, name.clone())));
        }
        let plans = config.plans().filter_map(|(name, plan)| Some((name?.to_owned(), plan.into())));
        Self {
            source: config.source(),
            named: plans.collect(),
            by_key,
            default: config.effective(&config.unnamed).into(),
            refuse_unknown: config.refuse_unknown,
            max_tenants: config.max_tenants,
            top: config.top,
            prices: Prices::new(config),
        }
    }

    fn plan(&self, name: &str) -> &Arc<TenantConfig> {
        self.named.get(name).unwrap_or(&self.default)
    }
}

impl Tenant {
    fn new(name: &str) -> Self {
        Self { name: name.into(), state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, TenantState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl TenantState {
    /// Whether nothing is lost where it is forgotten, apart from its counters.
    fn is_idle(&self, budgets: &[BudgetConfig], now: u64) -> bool {
        let is_spent =
            || budgets.iter().any(|budget| !self.spending.of(budget.per).spent.is_nothing());
        self.in_flight == 0 && now.saturating_sub(self.seen_at) >= IDLE && !is_spent()
    }
}

impl Tenants {
    /// The tenants of this configuration, with what they had spent in the former run.
    pub(crate) fn new(config: &TenantsConfig, persistence: &Persistence) -> Self {
        let this = Self {
            settings: ArcSwap::from_pointee(Settings::new(config)),
            known: Mutex::default(),
            unpriced: Mutex::default(),
            value: persistence.value("tenants"),
            is_unsaved: AtomicBool::new(false),
        };
        this.restore();
        this
    }

    /// Follows another configuration. What tenants have spent stays.
    pub(crate) fn renew(&self, config: &TenantsConfig) {
        self.settings.store(Arc::new(Settings::new(config)));
    }

    fn lock(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The name of the tenant whose request this is; `None` where there are no tenants. `trusted` says whether whoever sent
    /// it is believed.
    pub(crate) fn identify(&self, headers: &HeaderMap, trusted: bool) -> Option<String> {
        let settings = self.settings.load();
        let said = identity::said(settings.source.as_ref()?, headers, trusted);
        Some(match said {
            Said::Nothing => ANONYMOUS.to_owned(),
            // Nobody is taken for all those who found no place.
            Said::Name(name) if name == OVERFLOW => ANONYMOUS.to_owned(),
            Said::Name(name) => name,
            Said::Key(hash) => {
                let named = settings.by_key.get(&hash).cloned();
                named.unwrap_or_else(|| identity::name_of_key(&hash))
            }
        })
    }

    /// Whether there are tenants.
    pub(crate) fn are_configured(&self) -> bool {
        self.settings.load().source.is_some()
    }

    /// The tenant of this name, or the one of all for whom there is no place.
    fn tenant(&self, settings: &Settings, name: &str, now: u64) -> Arc<Tenant> {
        let mut known = self.lock();
        if let Some(tenant) = known.tenants.get(name) {
            return tenant.clone();
        }
        let most = settings.max_tenants + settings.named.len();
        let is_full = |known: &Known| known.tenants.len() >= most;
        let named = settings.named.contains_key(name);
        if is_full(&known) && now.abs_diff(known.swept_at) >= SWEEP_PAUSE {
            known.sweep(settings, now);
        }
        let name = if is_full(&known) && !named { OVERFLOW } else { name };
        let found = known.tenants.get(name).cloned();
        found.unwrap_or_else(|| {
            let tenant = Arc::new(Tenant::new(name));
            known.tenants.insert(tenant.name.clone(), tenant.clone());
            tenant
        })
    }

    /// Tokens of models that have no price, by model.
    pub(crate) fn unpriced(&self) -> BTreeMap<String, u64> {
        self.unpriced.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn count_unpriced(&self, model: Option<&str>, tokens: u64) {
        let mut unpriced = self.unpriced.lock().unwrap_or_else(PoisonError::into_inner);
        *bounded_entry(&mut unpriced, model) += tokens;
    }

    /// The counters of those tenants that metrics name, and of all others.
    pub(crate) fn ranked(&self) -> Ranked {
        let top = self.settings.load().top;
        let mut known = self.lock();
        let all = known.tenants.values().map(|one| (one.name.clone(), one.lock().counts)).collect();
        known.ranking.rank(all, top)
    }
}

impl Known {
    /// Forgets tenants that are idle and have no name in the configuration.
    fn sweep(&mut self, settings: &Settings, now: u64) {
        self.swept_at = now;
        let Self { tenants, ranking, .. } = self;
        tenants.retain(|name, tenant| {
            let mut state = tenant.lock();
            state.spending.roll(now);
            let named = settings.named.contains_key(&**name);
            let stays = named || !state.is_idle(&settings.plan(name).budgets, now);
            if !stays {
                ranking.forget(name, &state.counts);
            }
            stays
        });
    }
}

/// The entry of a model, in a map of at most so many; further ones, and those without a name, have common entries.
fn bounded_entry<'m, V: Default>(
    map: &'m mut BTreeMap<String, V>,
    model: Option<&str>,
) -> &'m mut V {
    let model = model.unwrap_or("unknown");
    let has_place = map.contains_key(model) || map.len() < MOST_MODELS;
    map.entry(if has_place { model } else { "other" }.to_owned()).or_default()
}

#[cfg(test)]
mod tests;
