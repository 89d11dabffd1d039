//! The routing table: routes, upstreams and limits as one value, swapped whole.

use super::{Route, Upstream, forward::Forwarding};
use crate::{
    config::{GatewayConfig, Limits, RateLimitConfig, RouteConfig, UpstreamConfig},
    runtime::{Operation, Registry},
};
use seawall::{FallbackConfig, PolicyConfig, RegistryChange, TimeoutConfig};
use seawall_tower::TokioTimer;
use std::{collections::BTreeMap, sync::Arc};

/// The routes, upstreams and limits of one revision of the configuration.
#[derive(Default)]
pub(super) struct RoutingTable {
    pub(super) routes: Vec<Arc<Route>>,
    pub(super) limits: Limits,
    pub(super) forwarding: Forwarding,
    upstreams: BTreeMap<String, KnownUpstream>,
    /// The operations that this table registered, by name, with the policies they were given.
    operations: BTreeMap<String, Vec<PolicyConfig>>,
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
        for (at, route) in config.routes.iter().enumerate() {
            let route = self.route(&mut plan, route, at)?;
            plan.table.routes.push(Arc::new(route));
        }
        let gone = self.operations.keys().filter(|name| !plan.table.operations.contains_key(*name));
        gone.for_each(|name| plan.change.remove(name));
        plan.change.check().map_err(|error| error.to_string())?;
        Ok(plan)
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
        let limiters = limiters.unwrap_or_default().into_iter();
        let limits = limiters.map(|(tier, limit)| (tier, Some(PolicyConfig::RateLimiter(limit))));
        let mut limits: Vec<_> = limits.collect();
        if limits.is_empty() {
            limits.push((None, None));
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
        for (tier, limit) in limits {
            let policies = [limit, total.clone(), Some(fallback.clone())];
            let policies = policies.into_iter().flatten().collect();
            let name =
                tier.as_ref().map_or_else(|| name.clone(), |tier| format!("{name} [{tier}]"));
            operations.push((tier, self.operation(plan, &name, policies)?));
        }
        let names = std::iter::once(&config.upstream).chain(&config.fallback);
        let chain: Option<Vec<_>> = names
            .map(|name| plan.table.upstreams.get(name).map(|named| named.upstream.clone()))
            .collect();
        chain
            .and_then(|chain| Route::new(config, operations, chain))
            .ok_or_else(|| format!("routes[{at}] is not a route"))
    }
}
