//! The routing table: routes, upstreams and limits as one value, swapped whole.

use super::{Route, Upstream, forward::Forwarding};
use crate::{
    config::{
        GatewayConfig, Limits, RateLimitConfig, RouteConfig, TenantsConfig, UpstreamConfig,
        shared_key,
    },
    runtime::{Operation, Registry},
};
use seawall::{FallbackConfig, Key, PolicyConfig, RegistryChange, TimeoutConfig, Unit};
use seawall_tower::TokioTimer;
use std::{collections::BTreeMap, sync::Arc};

/// The routes, upstreams and limits of one revision of the configuration.
#[derive(Default)]
pub(super) struct RoutingTable {
    pub(super) routes: Vec<Arc<Route>>,
    pub(super) limits: Limits,
    pub(super) forwarding: Forwarding,
    pub(super) tenants: TenantLimits,
    upstreams: BTreeMap<String, KnownUpstream>,
    /// The operations that this table registered, by name, with the policies they were given.
    operations: BTreeMap<String, Vec<PolicyConfig>>,
}

/// The operations that hold the rate limits of tenants.
#[derive(Default)]
pub(super) struct TenantLimits {
    /// Those of tenants with a name in the configuration; `None` for one that has no limit.
    named: BTreeMap<String, Option<Operation>>,
    /// That of all others, with a limit for each.
    default: Option<Operation>,
    is_shared: bool,
}

impl TenantLimits {
    /// The operation with the limits of this tenant, and the key by which they count.
    pub(super) fn of(&self, name: &str) -> Option<(&Operation, Key)> {
        match self.named.get(name) {
            Some(operation) => Some((operation.as_ref()?, Key::NONE)),
            None if self.is_shared => Some((self.default.as_ref()?, shared_key(name))),
            None => Some((self.default.as_ref()?, Key::of(name))),
        }
    }
}

/// An upstream, with the configuration that it was made from.
struct KnownUpstream {
    config: UpstreamConfig,
    upstream: Arc<Upstream>,
}

/// A routing table that is ready to be put in force, with the change of the registry that it needs.
pub(crate) struct Plan {
    table: RoutingTable,
    change: RegistryChange<TokioTimer>,
}

impl Plan {
    /// Puts the operations in the registry, and returns the table that goes with them.
    ///
    /// # Errors
    /// When the registry has no room, or a name was taken meanwhile; then nothing changes.
    pub(super) fn commit(self) -> Result<RoutingTable, String> {
        self.change.commit().map_err(|error| error.to_string())?;
        Ok(self.table)
    }
}

impl RoutingTable {
    /// Plans the table of another configuration, and changes nothing. What stays the same keeps its state and its
    /// connections; what is gone leaves the registry with the commit.
    pub(super) fn plan(&self, config: &GatewayConfig, registry: &Registry) -> Result<Plan, String> {
        let forwarding = Forwarding::new(&config.trusted_proxies)
            .map_err(|text| format!("trusted_proxies: {text:?} is not a network"))?;
        let table = Self { limits: config.limits.clone(), forwarding, ..Self::default() };
        let mut plan = Plan { table, change: registry.change() };
        let (settings, catalog) = (config.settings(), config.catalog());
        for (name, upstream) in &config.upstreams {
            let policies = config.chosen_policies(name, &settings, &catalog);
            let operation = self.operation(&mut plan, name, policies)?;
            let upstream = self.upstream(name, upstream, operation)?;
            plan.table.upstreams.insert(name.clone(), upstream);
        }
        for name in config.operations.keys() {
            let policies = config.chosen_policies(name, &settings, &catalog);
            self.operation(&mut plan, name, policies)?;
        }
        self.tenants(&mut plan, &config.tenants)?;
        for (at, route) in config.routes.iter().enumerate() {
            let route = self.route(&mut plan, route, at)?;
            plan.table.routes.push(Arc::new(route));
        }
        let gone = self.operations.keys().filter(|name| !plan.table.operations.contains_key(*name));
        gone.for_each(|name| plan.change.remove(name));
        plan.change.check().map_err(|error| error.to_string())?;
        Ok(plan)
    }

    /// Plans the rate limits of tenants.
    fn tenants(&self, plan: &mut Plan, config: &TenantsConfig) -> Result<(), String> {
        if config.source().is_none() {
            return Ok(());
        }
        plan.table.tenants.is_shared = config.shared.is_some();
        for (name, tenant) in config.plans() {
            let policies = config.policies(&tenant, name.is_none());
            // No tenant of the configuration has a name with brackets.
            let of = format!("tenant {}", name.unwrap_or("(default)"));
            let operation = match policies.is_empty() {
                true => None,
                false => Some(self.operation(plan, &of, policies)?),
            };
            match name {
                Some(name) => _ = plan.table.tenants.named.insert(name.to_owned(), operation),
                None => plan.table.tenants.default = operation,
            }
        }
        Ok(())
    }

    /// Plans the operation of this name, with these policies.
    fn operation(
        &self,
        plan: &mut Plan,
        name: &str,
        policies: Vec<PolicyConfig>,
    ) -> Result<Operation, String> {
        // What an operator switched by hand stays while the file says the same.
        let before = self.operations.get(name).map(Vec::as_slice);
        let operation = plan.change.set(name, policies.clone(), before);
        let operation = operation.map_err(|error| format!("{name}: {error}"))?;
        plan.table.operations.insert(name.to_owned(), policies);
        Ok(operation)
    }

    /// Takes over the upstream of this name if its configuration is the same, else makes a new one.
    fn upstream(
        &self,
        name: &str,
        config: &UpstreamConfig,
        operation: Operation,
    ) -> Result<KnownUpstream, String> {
        // The policies are the operation's; the rest is the upstream's own.
        let config = UpstreamConfig { policies: None, strategy: None, ..config.clone() };
        if let Some(known) = self.upstreams.get(name).filter(|known| known.config == config) {
            return Ok(KnownUpstream { config, upstream: known.upstream.clone() });
        }
        let upstream = Upstream::new(name, &config, operation)
            .ok_or_else(|| format!("upstreams.{name}.endpoints: not addresses"))?;
        Ok(KnownUpstream { config, upstream: Arc::new(upstream) })
    }

    /// Makes a route, and plans its operation.
    fn route(&self, plan: &mut Plan, config: &RouteConfig, at: usize) -> Result<Route, String> {
        let limiters = config.rate_limit.as_ref().map(RateLimitConfig::limiters);
        let mut limits: Vec<(Option<String>, Vec<PolicyConfig>)> = Vec::new();
        for (tier, limit) in limiters.unwrap_or_default() {
            let limit = PolicyConfig::RateLimiter(limit);
            match limits.last_mut().filter(|(last, _)| *last == tier) {
                Some((_, of_tier)) => of_tier.push(limit),
                None => limits.push((tier, vec![limit])),
            }
        }
        if limits.is_empty() {
            limits.push((None, Vec::new()));
        }
        let fallback = PolicyConfig::Fallback(FallbackConfig {
            max_fallbacks: 32,
            on_permanent: false,
            ..Default::default()
        });
        let total = config
            .total_timeout
            .map(|limit| PolicyConfig::Timeout(TimeoutConfig { limit, ..Default::default() }));
        let mut name = format!("route {}", config.path);
        // The same path with other methods is another route.
        if plan.table.operations.contains_key(&name) {
            name = format!("{name} [{at}]");
        }
        let mut operations = Vec::new();
        for (tier, mut policies) in limits {
            policies.extend(total.clone());
            policies.push(fallback.clone());
            let name =
                tier.as_ref().map_or_else(|| name.clone(), |tier| format!("{name} [{tier}]"));
            operations.push((tier, self.operation(plan, &name, policies)?));
        }
        let names = std::iter::once(&config.upstream).chain(&config.fallback);
        let counts_tokens = |name: &str| {
            let policies = plan.table.operations.get(name).map_or(&[][..], Vec::as_slice);
            policies.iter().any(|policy| matches!(policy, PolicyConfig::RateLimiter(limit) if limit.unit == Unit::Tokens))
        };
        let own = operations.iter().map(|(_, operation)| operation.name().to_string());
        let counts_tokens = own.chain(names.clone().cloned()).any(|name| counts_tokens(&name));
        let chain: Option<Vec<_>> = names
            .map(|name| plan.table.upstreams.get(name).map(|named| named.upstream.clone()))
            .collect();
        chain
            .and_then(|chain| Route::new(config, operations, chain, counts_tokens))
            .ok_or_else(|| format!("routes[{at}] is not a route"))
    }
}
