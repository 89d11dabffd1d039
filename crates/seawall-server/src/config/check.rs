//! Checks of what the schema cannot express: names that refer to each other, and the policies' own bounds.

use super::{
    GatewayConfig, RateLimitConfig, RouteConfig, UpstreamConfig,
    dead_letters::LetterStore,
    endpoint::Endpoint,
    matching::{KeySource, PathPattern, is_reserved},
    network::Network,
    operating::SHORTEST_KEY,
};
use seawall::{
    Catalog, PolicyConfig, Unit,
    config::{Check, ConfigError, Problems},
};
use seawall_config::{Document, Report, path_of};
use std::collections::BTreeMap;

mod tenants;

impl Document for GatewayConfig {
    fn check(&self, report: &mut Report<'_>) {
        let catalog = self.catalog();
        add(self.validate(), report);
        self.check_preset(&catalog, report);
        self.check_profiles(&catalog, report);
        self.check_operating(report);
        self.check_dead_letters(report);
        self.check_fleet(report);
        self.check_proxies(report);
        report.within("tenants", |report| self.tenants.check_names(report));
        if self.upstreams.is_empty() && self.operations.is_empty() {
            report.error("upstreams", "there is nothing to stand in front of", "name an upstream");
        }
        for (name, upstream) in &self.upstreams {
            let path = path_of(&["upstreams", name]);
            report.within(path, |report| {
                upstream.check(name, &catalog, report);
                self.check_loops(upstream, report);
            });
        }
        for (name, operation) in &self.operations {
            let path = path_of(&["operations", name]);
            report.within(path, |report| {
                check_name(name, report);
                if self.upstreams.contains_key(name) {
                    report.error("", "an upstream has this name", "choose another");
                }
                check_chosen(&operation.strategy, &operation.policies, &catalog, report);
            });
        }
        if self.routes.is_empty() && (self.operations.is_empty() || !self.upstreams.is_empty()) {
            report.error("routes", "no request would go anywhere", "add a route such as /*");
        }
        for (at, route) in self.routes.iter().enumerate() {
            report.within(format!("routes[{at}]"), |report| route.check(self, report));
        }
        self.advise(report);
    }
}

impl GatewayConfig {
    /// The preset that is chosen, and what `custom` changes of it.
    fn check_preset(&self, catalog: &Catalog, report: &mut Report<'_>) {
        if catalog.preset(&self.preset).is_none() {
            let names: Vec<_> =
                catalog.presets().iter().map(|preset| preset.name.as_str()).collect();
            let message = format!("no preset is called {:?}", self.preset);
            report.error("preset", message, choose(&names));
        }
        report.within("custom", |report| {
            let custom = &self.custom;
            if let Some(strategy) = &custom.default_strategy {
                check_strategy("default_strategy", strategy, catalog, report);
            }
            check_overrides(&custom.operation_overrides, catalog, report);
            let settings = self.settings();
            if settings.exponential_min >= settings.exponential_max
                && (custom.exponential_min.is_some() || custom.exponential_max.is_some())
            {
                let message = format!(
                    "exponential_min, {}, is not below exponential_max, {}",
                    settings.exponential_min, settings.exponential_max
                );
                report.error("exponential_min", message, "lower it, or raise exponential_max");
            }
        });
    }

    /// The presets and strategies that the file defines.
    fn check_profiles(&self, catalog: &Catalog, report: &mut Report<'_>) {
        for (name, strategy) in &self.strategies {
            let path = path_of(&["strategies", name]);
            report.within(path, |report| {
                check_name(name, report);
                check_policies(&strategy.policies, report);
            });
        }
        for (name, preset) in &self.presets {
            let path = path_of(&["presets", name]);
            report.within(path, |report| {
                check_name(name, report);
                check_strategy("default_strategy", &preset.default_strategy, catalog, report);
                check_overrides(&preset.operation_overrides, catalog, report);
            });
        }
    }

    /// Checks the trusted proxies.
    fn check_proxies(&self, report: &mut Report<'_>) {
        for (at, text) in self.trusted_proxies.iter().enumerate() {
            if Network::parse(text).is_none() {
                report.error(
                    format!("trusted_proxies[{at}]"),
                    format!("{text:?} is neither an address nor a network"),
                    "write it such as 10.0.0.7, 10.0.0.0/8 or fd00::/8",
                );
            }
        }
    }

    /// An endpoint that is this gateway's own address sends each request round in a circle.
    fn check_loops(&self, upstream: &UpstreamConfig, report: &mut Report<'_>) {
        for (at, text) in upstream.endpoints.iter().enumerate() {
            if Endpoint::parse(text).is_some_and(|endpoint| endpoint.reaches(self.listen)) {
                report.error(
                    format!("endpoints[{at}]"),
                    format!("{text:?} is where this gateway listens, {}", self.listen),
                    "name the server behind it, or listen on another address",
                );
            }
        }
    }

    fn check_dead_letters(&self, report: &mut Report<'_>) {
        let letters = &self.dead_letters;
        report.within("dead_letters", |report| {
            if letters.store == Some(LetterStore::File)
                && letters.file(self.store.path.as_deref()).is_none()
            {
                let message = "there is no file for the letters";
                report.error("store", message, "set dead_letters.path or store.path");
            }
            if letters.store == Some(LetterStore::Memory) && letters.path.is_some() {
                let message = "the letters are kept in memory, not in this file";
                report.error("path", message, "remove it, or set store: file");
            }
            let in_redis = letters.store == Some(LetterStore::Redis);
            if in_redis && self.store.redis.is_none() {
                report.error("store", "there is no Redis for the letters", "set store.redis");
            }
            if in_redis && letters.path.is_some() {
                let message = "the letters are kept in Redis, not in this file";
                report.error("path", message, "remove it, or set store: file");
            }
            report.within("key_prefix", |report| check_name(&letters.key_prefix, report));
            for name in letters.queues.keys() {
                let path = path_of(&["queues", name]);
                report.within(path, |report| check_name(name, report));
            }
        });
    }

    fn check_fleet(&self, report: &mut Report<'_>) {
        let Some(fleet) = &self.fleet else { return };
        match (self.store.redis.is_some(), fleet.instances.is_empty()) {
            (false, true) => {
                let message = "nothing says which instances there are";
                report.error("fleet", message, "set store.redis, or fleet.instances");
            }
            (true, false) => {
                let message = "the instances find one another in store.redis";
                report.error("fleet.instances", message, "remove it, or store.redis");
            }
            _ => {}
        }
    }

    fn check_operating(&self, report: &mut Report<'_>) {
        for (at, key) in self.auth.keys.iter().enumerate() {
            if key.key.expose().len() < SHORTEST_KEY {
                let message = format!("the key has fewer than {SHORTEST_KEY} characters");
                report.error(
                    format!("auth.keys[{at}].key"),
                    message,
                    "make a longer one, at random",
                );
            }
        }
        let alerts = &self.monitoring.alerts;
        if alerts.error_share_warning > alerts.error_share_critical {
            let message = "the warning would come after the critical alert";
            report.error("monitoring.alerts.error_share_warning", message, "lower it");
        }
        if alerts.p95_warning > alerts.p95_critical {
            let message = "the warning would come after the critical alert";
            report.error("monitoring.alerts.p95_warning", message, "lower it");
        }
    }
}

/// The rule for every name in the configuration; a name is also part of a path.
pub(crate) const NAME_RULE: &str = "use 1 to 64 of the letters a to z and A to Z, digits, - _ . and begin with a letter or a digit";

/// Whether this may be the name of an upstream, an operation, a strategy or a preset.
pub(crate) fn is_name(name: &str) -> bool {
    let sign = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    name.len() <= 64
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(sign)
}

fn check_name(name: &str, report: &mut Report<'_>) {
    if !is_name(name) {
        report.error("", format!("{name:?} is not a name"), NAME_RULE);
    }
}

fn check_strategy(field: &str, strategy: &str, catalog: &Catalog, report: &mut Report<'_>) {
    if catalog.strategy(strategy).is_none() {
        let own = catalog.added_strategies().keys().map(String::as_str);
        let names: Vec<_> =
            seawall::profiles().iter().map(|profile| profile.name).chain(own).collect();
        report.error(field, format!("no profile is called {strategy:?}"), choose(&names));
    }
}

fn check_overrides(
    overrides: &BTreeMap<String, String>,
    catalog: &Catalog,
    report: &mut Report<'_>,
) {
    for (operation, strategy) in overrides {
        let field = path_of(&["operation_overrides", operation]);
        check_strategy(&field, strategy, catalog, report);
    }
}

fn check_chosen(
    strategy: &Option<String>,
    policies: &Option<Vec<PolicyConfig>>,
    catalog: &Catalog,
    report: &mut Report<'_>,
) {
    if policies.is_some() && strategy.is_some() {
        report.error("strategy", "both strategy and policies are given", "keep one of the two");
    }
    if let Some(strategy) = strategy {
        check_strategy("strategy", strategy, catalog, report);
    }
    check_policies(policies.as_deref().unwrap_or(&[]), report);
}

fn check_policies(policies: &[PolicyConfig], report: &mut Report<'_>) {
    for (at, policy) in policies.iter().enumerate() {
        if matches!(policy, PolicyConfig::DeadLetter(_)) {
            let message = "the gateway keeps requests, not the payloads of calls";
            let right = "write dead_letter: true at the routes whose requests shall be kept";
            report.error(format!("policies[{at}].type"), message, right);
        }
    }
    let mut problems = Problems::default();
    seawall::check_policies(policies, &mut problems);
    add(problems.into_result(), report);
}

/// Adds what is out of the bounds that its field declares.
fn add(checked: Result<(), ConfigError>, report: &mut Report<'_>) {
    for problem in checked.err().into_iter().flat_map(|error| error.problems) {
        let message = format!("{} is not right", problem.value);
        report.error(problem.path, message, format!("use {}", problem.right));
    }
}

fn choose(names: &[&str]) -> String {
    format!("choose one of {}", names.join(", "))
}

impl UpstreamConfig {
    fn check(&self, name: &str, catalog: &Catalog, report: &mut Report<'_>) {
        check_name(name, report);
        if self.endpoints.is_empty() {
            report.error(
                "endpoints",
                "there is no address",
                "add one such as http://127.0.0.1:9001",
            );
        }
        for (at, endpoint) in self.endpoints.iter().enumerate() {
            if Endpoint::parse(endpoint).is_none() {
                report.error(
                    format!("endpoints[{at}]"),
                    format!("{endpoint:?} is not an endpoint"),
                    "write http:// or https://, a host, and perhaps a port and a path",
                );
            }
        }
        check_chosen(&self.strategy, &self.policies, catalog, report);
        add(self.validate(), report);
    }
}

impl RouteConfig {
    fn check(&self, config: &GatewayConfig, report: &mut Report<'_>) {
        self.check_path(report);
        self.check_upstreams(config, report);
        for (at, method) in self.methods.iter().enumerate() {
            let upper = method.chars().all(|c| c.is_ascii_uppercase());
            if method.is_empty() || !upper {
                let message = format!("{method:?} is not a method");
                let right = "write it in capitals, such as GET";
                report.error(format!("methods[{at}]"), message, right);
            }
        }
        if let Some(queue) = self.dead_letter.queue() {
            report.within("dead_letter", |report| check_name(queue, report));
        }
        if let Some(limit) = &self.rate_limit {
            report.within("rate_limit", |report| limit.check(report));
        }
    }

    fn check_path(&self, report: &mut Report<'_>) {
        match PathPattern::parse(&self.path) {
            None => report.error(
                "path",
                format!("{:?} is not a path", self.path),
                "write a whole path such as /v1/models, or the start of one such as /v1/*",
            ),
            Some(PathPattern::Exact(path)) if is_reserved(&path) => {
                report.error("path", "the gateway answers this path itself", "choose another");
            }
            Some(PathPattern::Prefix(path)) if is_reserved(path.trim_end_matches('/')) => {
                report.error("path", "the gateway answers these paths itself", "choose others");
            }
            Some(_) => {}
        }
    }

    fn check_upstreams(&self, config: &GatewayConfig, report: &mut Report<'_>) {
        if config.upstreams.is_empty() {
            return; // That is the mistake.
        }
        let known: Vec<&str> = config.upstreams.keys().map(String::as_str).collect();
        let unknown = |name: &String| !config.upstreams.contains_key(name);
        let missing = |name: &String| format!("no upstream is called {name:?}");
        if unknown(&self.upstream) {
            report.error("upstream", missing(&self.upstream), choose(&known));
        }
        for (at, name) in self.fallback.iter().enumerate() {
            if unknown(name) {
                report.error(format!("fallback[{at}]"), missing(name), choose(&known));
            } else if *name == self.upstream || self.fallback[..at].contains(name) {
                let message = format!("{name:?} is asked already");
                report.error(format!("fallback[{at}]"), message, "name each upstream once");
            }
        }
    }
}

impl RateLimitConfig {
    fn check(&self, report: &mut Report<'_>) {
        if KeySource::parse(self.key.as_deref()).is_none() {
            let message = format!("{:?} is not a key", self.key.as_deref().unwrap_or_default());
            report.error("key", message, "write peer, or header: and a header's name");
        }
        match (&self.tier, self.rate) {
            (None, None) if self.tokens.is_some() => {}
            (None, None) => {
                let right = "say how many requests may come in each per, or by which header tiers are known: tier";
                report.error("rate", "a limit has no rate", right);
                return;
            }
            (Some(_), Some(rate)) => {
                let message = format!("a rate of {rate} beside tiers, which have their own");
                report.error("rate", message, "leave out rate, or tier");
            }
            _ => {}
        }
        if self.tier.is_some() && self.tokens.is_some() {
            let message = "a limit of tokens beside tiers, which have their own";
            report.error("tokens", message, "say it in each of tiers");
        }
        self.check_tiers(report);
        for (tier, limiter) in self.limiters() {
            let tokens = (limiter.unit == Unit::Tokens).then(|| "tokens".to_owned());
            let path = tier.map(|tier| format!("tiers.{tier}")).into_iter().chain(tokens);
            let path: Vec<String> = path.collect();
            match path.is_empty() {
                true => add(limiter.validate(), report),
                false => report.within(path.join("."), |report| add(limiter.validate(), report)),
            }
        }
    }

    fn check_tiers(&self, report: &mut Report<'_>) {
        let Some(tier) = &self.tier else {
            if !self.tiers.is_empty() {
                let right = "say by which header they are known: tier: header:x-plan";
                report.error("tiers", "nothing says which tier a request has", right);
            }
            return;
        };
        if self.tier_header().is_none() {
            let message = format!("{tier:?} is not a header");
            report.error("tier", message, "write header: and a header's name");
        }
        let tiers = self.tiers_in_force();
        let known: Vec<&str> = tiers.keys().map(String::as_str).collect();
        for name in known.iter().filter(|name| !is_name(name)) {
            report.error("tiers", format!("{name:?} is not a name"), NAME_RULE);
        }
        if !tiers.contains_key(&self.default_tier) {
            let message = format!("no tier is called {:?}", self.default_tier);
            report.error("default_tier", message, choose(&known));
        }
    }
}

#[cfg(test)]
mod tests;
