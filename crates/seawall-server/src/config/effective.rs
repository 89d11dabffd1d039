//! The policies that are in force, and where each of their values comes from.

use super::{GatewayConfig, UpstreamConfig};
use seawall::{Catalog, PolicyConfig, Preset, Settings, TimeoutConfig};
use seawall_config::{Leaf, Origin, Origins, leaves};
use std::time::Duration;

/// Longer than most answers of language models take, and shorter than for ever.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(120);

/// What a preset's few fields become: the policy, the start of the path in it, and the field of `custom` that
/// changes it.
const FIELDS: [(&str, &str, &str); 9] = [
    ("circuit_breaker", "failure_threshold", "circuit_breaker_threshold"),
    ("circuit_breaker", "recovery_timeout", "recovery_timeout"),
    ("retry", "max_attempts", "retry_attempts"),
    ("retry", "backoff.base_delay", "exponential_multiplier"),
    ("retry", "backoff.min_delay", "exponential_min"),
    ("retry", "backoff.max_delay", "exponential_max"),
    ("retry", "backoff.jitter_max", "jitter_max"),
    ("retry", "backoff.jitter", "jitter_enabled"),
    ("retry", "max_total_delay", "max_delay_seconds"),
];

/// What a profile says of other policies.
const PROFILED: [(&str, &str); 8] = [
    ("circuit_breaker", "success_threshold"),
    ("bulkhead", "max_concurrent"),
    ("bulkhead", "max_queued"),
    ("bulkhead", "max_wait"),
    ("timeout", "limit"),
    ("rate_limiter", "rate"),
    ("rate_limiter", "per"),
    ("rate_limiter", "burst"),
];

/// One policy in force, with the origin of every value.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct EffectivePolicy {
    /// Its place, 0 the outermost.
    pub position: usize,
    /// Which policy it is.
    #[serde(rename = "type")]
    pub kind: String,
    /// All of its values.
    pub values: Vec<Leaf>,
}

/// Who decided on an operation's policies.
enum Chosen<'c> {
    Own(&'c [PolicyConfig], String),
    Strategy(&'c str),
    Preset,
}

impl GatewayConfig {
    /// What the names of presets and strategies mean here.
    pub fn catalog(&self) -> Catalog {
        let mut catalog = Catalog::default();
        for (name, preset) in &self.presets {
            catalog.add_preset(Preset { name: name.clone(), ..preset.clone() });
        }
        for (name, strategy) in &self.strategies {
            catalog.add_strategy(name, strategy.policies.clone());
        }
        let operations = self.upstreams.keys().chain(self.operations.keys());
        operations.for_each(|name| catalog.add_operation(name));
        catalog
    }

    /// The preset in full, with what `custom` changes. An unknown preset, which the check refuses, is `simple`.
    pub fn settings(&self) -> Settings {
        let catalog = self.catalog();
        let preset = catalog.preset(&self.preset).unwrap_or_else(|| &seawall::presets()[0]);
        preset.settings(&self.custom)
    }

    /// The policies in force of an upstream or an operation, outermost first: its own, its strategy's, or the
    /// preset's.
    pub fn effective_policies(&self, name: &str) -> Vec<PolicyConfig> {
        self.chosen_policies(name, &self.settings(), &self.catalog())
    }

    pub(crate) fn chosen_policies(
        &self,
        name: &str,
        settings: &Settings,
        catalog: &Catalog,
    ) -> Vec<PolicyConfig> {
        let policies = self.named_policies(name, settings, catalog);
        match self.upstreams.get(name) {
            Some(upstream) => upstream.bounded(policies),
            None => policies,
        }
    }

    /// Those that the configuration names, before an upstream bounds its attempts.
    fn named_policies(
        &self,
        name: &str,
        settings: &Settings,
        catalog: &Catalog,
    ) -> Vec<PolicyConfig> {
        match self.chosen(name) {
            Chosen::Own(policies, _) => policies.to_vec(),
            Chosen::Strategy(strategy) => catalog.strategy(strategy).unwrap_or_default(),
            Chosen::Preset => settings.policies(name, catalog),
        }
    }

    /// The name of the strategy that an operation follows; none where it has policies of its own.
    pub fn strategy_of(&self, name: &str) -> Option<String> {
        self.chosen_strategy(name, &self.settings())
    }

    pub(crate) fn chosen_strategy(&self, name: &str, settings: &Settings) -> Option<String> {
        match self.chosen(name) {
            Chosen::Own(..) => None,
            Chosen::Strategy(strategy) => Some(strategy.to_owned()),
            Chosen::Preset => Some(settings.strategy_of(name).to_owned()),
        }
    }

    fn chosen(&self, name: &str) -> Chosen<'_> {
        let (section, strategy, policies) =
            match (self.upstreams.get(name), self.operations.get(name)) {
                (Some(upstream), _) => ("upstreams", &upstream.strategy, &upstream.policies),
                (None, Some(operation)) => ("operations", &operation.strategy, &operation.policies),
                (None, None) => return Chosen::Preset,
            };
        match (policies, strategy) {
            (Some(policies), _) => Chosen::Own(policies, path(section, name)),
            (None, Some(strategy)) => Chosen::Strategy(strategy),
            (None, None) => Chosen::Preset,
        }
    }

    /// The policies in force with the origin of every value.
    pub fn explained_policies(&self, name: &str, origins: &Origins) -> Vec<EffectivePolicy> {
        let (settings, catalog) = (self.settings(), self.catalog());
        let named = self.named_policies(name, &settings, &catalog);
        let upstream = self.upstreams.get(name);
        let added = upstream.is_some_and(|upstream| upstream.adds_timeout(&named));
        let policies = self.chosen_policies(name, &settings, &catalog);
        let (chosen, last) = (self.chosen(name), policies.len().saturating_sub(1));
        policies
            .iter()
            .enumerate()
            .map(|(position, policy)| {
                let kind = policy.label().to_owned();
                let config = serde_json::to_value(policy).unwrap_or_default();
                let values = leaves(&config).into_iter().filter(|(path, _)| path != "type");
                let values = values.map(|(field, value)| {
                    let origin = if added && position == last {
                        let attempt = format!("{}.attempt_timeout", path("upstreams", name));
                        let limit = (field == "limit").then(|| origins.of(&attempt).cloned());
                        limit.flatten().unwrap_or(Origin::Default)
                    } else {
                        let place = (position, kind.as_str(), field.as_str());
                        self.origin(name, place, (&chosen, &settings), origins)
                    };
                    Leaf { path: field, value, origin }
                });
                EffectivePolicy { position, values: values.collect(), kind }
            })
            .collect()
    }

    fn origin(
        &self,
        name: &str,
        (position, kind, field): (usize, &str, &str),
        (chosen, settings): (&Chosen<'_>, &Settings),
        origins: &Origins,
    ) -> Origin {
        let begins = |start: &str| field == start || field.starts_with(&format!("{start}."));
        let of_preset = FIELDS.iter().find(|(policy, start, _)| *policy == kind && begins(start));
        let profiled = PROFILED.iter().any(|(policy, start)| *policy == kind && begins(start));
        match chosen {
            Chosen::Own(_, at) => {
                let path = format!("{at}.policies[{position}].{field}");
                origins.of(&path).cloned().unwrap_or(Origin::Default)
            }
            Chosen::Strategy(strategy) if of_preset.is_some() || profiled => {
                Origin::Preset { name: (*strategy).to_owned() }
            }
            Chosen::Preset if of_preset.is_some() || profiled => {
                if let Some(own) = settings.operation_overrides.get(name) {
                    return Origin::Preset { name: own.clone() };
                }
                let changed =
                    of_preset.and_then(|(_, _, custom)| origins.of(&format!("custom.{custom}")));
                changed.cloned().unwrap_or_else(|| Origin::Preset { name: self.preset.clone() })
            }
            _ => Origin::Default,
        }
    }
}

/// The path of a named thing in a section.
fn path(section: &str, name: &str) -> String {
    seawall_config::path_of(&[section, name])
}

impl UpstreamConfig {
    /// The policies with `attempt_timeout` innermost, in place of another timeout that stood there.
    fn bounded(&self, mut policies: Vec<PolicyConfig>) -> Vec<PolicyConfig> {
        let is_timeout = |policy: &PolicyConfig| matches!(policy, PolicyConfig::Timeout(_));
        let bounded = policies.iter().any(is_timeout);
        if let Some(limit) =
            self.attempt_timeout.or(if bounded { None } else { Some(LONGEST_ATTEMPT) })
        {
            if policies.last().is_some_and(is_timeout) {
                policies.pop();
            }
            policies.push(PolicyConfig::Timeout(TimeoutConfig { limit, ..Default::default() }));
        }
        policies
    }

    /// Whether its innermost timeout is not one of these, which are named for it.
    fn adds_timeout(&self, named: &[PolicyConfig]) -> bool {
        self.attempt_timeout.is_some()
            || !named.iter().any(|policy| matches!(policy, PolicyConfig::Timeout(_)))
    }
}
