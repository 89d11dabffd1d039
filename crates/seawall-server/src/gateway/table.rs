//! What is in force: routes, upstreams and limits as one value, swapped whole.

use super::{Route, Upstream};
use crate::{GatewayConfig, Operation, Registry, RouteConfig, UpstreamConfig, config::Limits};
use seawall::{FallbackConfig, Mode, PolicyConfig};
use std::{collections::BTreeMap, sync::Arc};

/// The modes that were switched by hand: those that are not as configured.
fn switched(operation: &Operation, configured: &[PolicyConfig]) -> Vec<(&'static str, Mode)> {
    let pipeline = operation.pipeline();
    let modes = configured.iter().enumerate().map(|(at, policy)| (policy, pipeline.mode(at)));
    modes
        .filter(|(policy, mode)| policy.mode() != *mode)
        .map(|(policy, mode)| (policy.label(), mode))
        .collect()
}

/// The data path of one revision of the configuration.
#[derive(Default)]
pub(super) struct Table {
    pub(super) routes: Vec<Arc<Route>>,
    pub(super) limits: Limits,
    upstreams: BTreeMap<String, Named>,
    /// The operations that this table registered, with the policies they were given.
    operations: BTreeMap<String, Vec<PolicyConfig>>,
}

struct Named {
    config: UpstreamConfig,
    upstream: Arc<Upstream>,
}

impl Table {
    /// The table of another configuration. What did not change stays, with its state and its connections; what
    /// is gone leaves the registry.
    pub(super) fn next(&self, config: &GatewayConfig, registry: &Registry) -> Result<Self, String> {
        let mut next = Self { limits: config.limits.clone(), ..Self::default() };
        let (settings, catalog) = (config.settings(), config.catalog());
        for (name, upstream) in &config.upstreams {
            let policies = config.chosen_policies(name, &settings, &catalog);
            let operation = self.operation(&mut next, registry, name.clone(), policies)?;
            let upstream = self.upstream(name, upstream, operation)?;
            next.upstreams.insert(name.clone(), upstream);
        }
        for name in config.operations.keys() {
            let policies = config.chosen_policies(name, &settings, &catalog);
            self.operation(&mut next, registry, name.clone(), policies)?;
        }
        for (at, route) in config.routes.iter().enumerate() {
            let route = self.route(&mut next, registry, route, at)?;
            next.routes.push(Arc::new(route));
        }
        for name in self.operations.keys().filter(|name| !next.operations.contains_key(*name)) {
            registry.remove(name);
        }
        Ok(next)
    }

    /// The operation of this name, with these policies.
    fn operation(
        &self,
        next: &mut Self,
        registry: &Registry,
        name: String,
        policies: Vec<PolicyConfig>,
    ) -> Result<Operation, String> {
        let told = |error: &dyn std::fmt::Display| format!("{name}: {error}");
        let operation = match registry.find(&name) {
            Some(operation) => {
                // What an operator switched by hand stays while the file says the same.
                let before = self.operations.get(&name);
                if before != Some(&policies) {
                    let switched =
                        before.map(|before| switched(&operation, before)).unwrap_or_default();
                    operation.reconfigure(&policies).map_err(|error| told(&error))?;
                    for (label, mode) in switched {
                        operation.set_mode(label, mode);
                    }
                }
                operation
            }
            None => registry.register(&name, policies.clone()).map_err(|error| told(&error))?,
        };
        next.operations.insert(name, policies);
        Ok(operation)
    }

    fn upstream(
        &self,
        name: &str,
        config: &UpstreamConfig,
        operation: Operation,
    ) -> Result<Named, String> {
        // The policies are the operation's; the rest is the upstream's own.
        let config = UpstreamConfig { policies: None, strategy: None, ..config.clone() };
        if let Some(known) = self.upstreams.get(name).filter(|known| known.config == config) {
            return Ok(Named { config, upstream: known.upstream.clone() });
        }
        let upstream = Upstream::new(name, &config, operation)
            .ok_or_else(|| format!("upstreams.{name}.endpoints: not addresses"))?;
        Ok(Named { config, upstream: Arc::new(upstream) })
    }

    fn route(
        &self,
        next: &mut Self,
        registry: &Registry,
        config: &RouteConfig,
        at: usize,
    ) -> Result<Route, String> {
        let limit =
            config.rate_limit.as_ref().map(|limit| PolicyConfig::RateLimiter(limit.policy()));
        let fallback = PolicyConfig::Fallback(FallbackConfig {
            max_fallbacks: 32,
            on_permanent: false,
            ..Default::default()
        });
        let policies: Vec<_> = limit.into_iter().chain([fallback]).collect();
        let mut name = format!("route {}", config.path);
        // The same path with other methods is another route.
        if next.operations.contains_key(&name) {
            name = format!("{name} [{at}]");
        }
        let operation = self.operation(next, registry, name, policies)?;
        let names = std::iter::once(&config.upstream).chain(&config.fallback);
        let chain: Option<Vec<_>> = names
            .map(|name| next.upstreams.get(name).map(|named| named.upstream.clone()))
            .collect();
        chain
            .and_then(|chain| Route::new(config, operation, chain))
            .ok_or_else(|| format!("routes[{at}] is not a route"))
    }
}
