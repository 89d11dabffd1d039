//! Checks of tenants: their names, tiers, keys and budgets, and the bounds of what stands in maps.

use super::{add, check_name, choose};
use crate::config::tenants::{BudgetUnit, TenantConfig, TenantSource, TenantsConfig};
use seawall::config::{Check, Problems};
use seawall_config::{Report, path_of};

impl TenantsConfig {
    pub(super) fn check_names(&self, report: &mut Report<'_>) {
        let from = self.from.as_deref();
        if let Some(from) = from.filter(|from| TenantSource::parse(from).is_none()) {
            let message = format!("{from:?} does not say whose a request is");
            report.error("from", message, "write header:<name>, key, or claim:<name>");
        }
        let sections = [("named", &self.named), ("tiers", &self.tiers)];
        let all = sections.into_iter().flat_map(|(section, tenants)| {
            tenants.iter().map(move |(name, one)| (vec![section, name.as_str()], one))
        });
        for (path, tenant) in all.chain([(vec!["default"], &self.unnamed)]) {
            report.within(path_of(&path), |report| {
                if let [_, name] = *path {
                    check_name(name, report);
                }
                self.check_tenant(tenant, path[0] == "tiers", report);
            });
        }
        for (model, price) in &self.prices {
            report.within(path_of(&["prices", model]), |report| add(price.validate(), report));
        }
        let shared = self.shared.as_ref().and_then(|shared| shared.name.as_ref());
        if let Some(name) = shared {
            let message = format!("all tenants would share the limit {name:?}");
            report.error("shared.name", message, "leave it out");
        }
    }

    fn check_tenant(&self, tenant: &TenantConfig, is_tier: bool, report: &mut Report<'_>) {
        add(tenant.validate(), report);
        let known: Vec<&str> = self.tiers.keys().map(String::as_str).collect();
        match &tenant.tier {
            Some(_) if is_tier => report.error("tier", "a tier has no tier", "leave it out"),
            Some(tier) if !self.tiers.contains_key(tier) => {
                report.error("tier", format!("no tier is called {tier:?}"), choose(&known));
            }
            _ => {}
        }
        for (at, hash) in tenant.hashes().enumerate() {
            if hash.is_none() {
                let message = "this is no SHA-256 of a key";
                report.error(format!("key_hashes[{at}]"), message, "write 64 hexadecimal digits");
            }
        }
        for (at, budget) in tenant.budgets.iter().enumerate() {
            if budget.unit == BudgetUnit::Money && self.prices.is_empty() {
                let message = "no model has a price, so no money is ever spent";
                report.error(format!("budgets[{at}].unit"), message, "set tenants.prices");
            }
        }
        let mut problems = Problems::default();
        seawall::check_policies(&self.policies(tenant, false), &mut problems);
        if let Err(error) = problems.into_result() {
            let message = format!("its limits are not right: {error}");
            report.error("", message, "change rate, per or burst");
        }
    }
}
