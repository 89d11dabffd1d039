//! A request of a tenant on its way: admitted within what the tenant may use, and settled when its end is known.

use super::{
    Count, Tenant, Tenants, bounded_entry,
    budget::{Spent, Standing},
    usage::Usage,
};
use crate::{runtime::HeldPermits, wall_clock};
use seawall::Outcome;
use std::sync::{Arc, atomic::Ordering};

/// What is expected of a request to a language model.
#[derive(Clone, Debug, Default)]
pub(crate) struct Expected {
    pub(crate) usage: Usage,
    pub(crate) model: Option<String>,
}

/// Why a tenant's request is refused.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum TenantRefusal {
    /// The tenant has no name in the configuration, and only those pass.
    Unknown,
    /// So many of its requests are in progress.
    Concurrent(usize),
    /// This budget is used up.
    Budget(Standing),
}

/// A request of a tenant in progress. It holds its place until it is dropped; dropped before its end, its caller has left.
pub(crate) struct TenantCall {
    tenants: Arc<Tenants>,
    tenant: Arc<Tenant>,
    expected: Expected,
    reserved: Spent,
    /// What it has used, as far as is known.
    used: Option<Usage>,
    /// The permits of the tenant's rate limits.
    permits: Option<HeldPermits>,
    end: End,
}

/// How a request ended, as far as its use is concerned.
#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    CallerLeft,
    Succeeded,
    Failed,
    /// A rate limit of the tenant refused it.
    RateLimited,
}

impl Tenants {
    /// Admits a request of the tenant of this name, if that is within its budgets and its concurrency.
    ///
    /// # Errors
    /// Why it is refused; that is counted.
    pub(crate) fn admit(
        self: &Arc<Self>,
        name: &str,
        expected: Expected,
    ) -> Result<TenantCall, TenantRefusal> {
        let (settings, now) = (self.settings.load(), wall_clock::now_ms());
        let tenant = self.tenant(&settings, name, now);
        let plan = settings.plan(&tenant.name);
        let money = settings.prices.of(expected.model.as_deref(), expected.usage).unwrap_or(0);
        let reserved = Spent { requests: 0, tokens: expected.usage.total(), money };
        let mut state = tenant.lock();
        state.seen_at = now;
        state.counts.add(Count::Requests, 1);
        state.spending.roll(now);
        if settings.refuse_unknown && !settings.named.contains_key(name) {
            state.counts.add(Count::Unknown, 1);
            return Err(TenantRefusal::Unknown);
        }
        if let Some(most) = plan.max_concurrent.filter(|most| state.in_flight >= *most) {
            state.counts.add(Count::Concurrent, 1);
            return Err(TenantRefusal::Concurrent(most));
        }
        let standings =
            plan.budgets.iter().map(|budget| state.spending.standing(budget, state.reserved, now));
        // The one that is whole again last says when it is worth coming back.
        let used_up = standings.filter(Standing::is_used_up).max_by_key(|one| one.resets_at);
        if let Some(budget) = used_up {
            state.counts.add(Count::Budget, 1);
            return Err(TenantRefusal::Budget(budget));
        }
        state.in_flight += 1;
        state.reserved.add(reserved);
        state.spending.add(now, Spent { requests: 1, ..Spent::default() });
        drop(state);
        self.is_unsaved.store(true, Ordering::Relaxed);
        let (tenants, used, permits) = (self.clone(), None, None);
        let end = End::CallerLeft;
        Ok(TenantCall { tenants, tenant, expected, reserved, used, permits, end })
    }
}

impl TenantCall {
    /// Holds the permits of the tenant's rate limits to the end.
    pub(crate) fn hold(&mut self, permits: HeldPermits) {
        self.permits = Some(permits);
    }

    /// What the request has used is known.
    pub(crate) fn used(&mut self, usage: Usage) {
        self.used = Some(usage);
        if let Some(permits) = &mut self.permits {
            permits.used_tokens(u32::try_from(usage.total()).unwrap_or(u32::MAX));
        }
    }

    /// The request ended like this. What was expected of it counts where it succeeded and did not report; a failure that did
    /// not report has used nothing.
    pub(crate) fn end(mut self, outcome: Outcome) {
        self.end = if outcome.is_success() { End::Succeeded } else { End::Failed };
        if let Some(permits) = self.permits.take() {
            permits.end(outcome);
        }
    }

    /// A rate limit of the tenant refused it: it was no request.
    pub(crate) fn rate_limited(mut self) {
        self.end = End::RateLimited;
    }
}

impl Drop for TenantCall {
    fn drop(&mut self) {
        let used = match (self.used, self.end) {
            (Some(used), _) => used,
            (None, End::CallerLeft | End::Succeeded) => self.expected.usage,
            (None, End::Failed | End::RateLimited) => Usage::default(),
        };
        let (settings, now) = (self.tenants.settings.load(), wall_clock::now_ms());
        let model = self.expected.model.as_deref();
        let money = settings.prices.of(model, used);
        let tokens = used.total();
        if money.is_none() && tokens > 0 && !settings.prices.is_empty() {
            self.tenants.count_unpriced(model, tokens);
        }
        let money = money.unwrap_or(0);
        let mut state = self.tenant.lock();
        state.in_flight = state.in_flight.saturating_sub(1);
        state.reserved.subtract(self.reserved);
        state.spending.add(now, Spent { requests: 0, tokens, money });
        if self.end == End::RateLimited {
            state.counts.add(Count::RateLimited, 1);
            state.spending.take_back_request();
        }
        state.counts.add_usage(used);
        state.counts.add(Count::Money, money);
        if tokens > 0 {
            let of_model = bounded_entry(&mut state.models, model);
            of_model.requests += 1;
            of_model.tokens = of_model.tokens.saturating_add(tokens);
            of_model.money = of_model.money.saturating_add(money);
        }
        self.tenants.is_unsaved.store(true, Ordering::Relaxed);
    }
}
