//! The policies that are in force, and where each of their values comes from.

use super::{GatewayConfig, UpstreamConfig};
use seawall::{Catalog, DecidedBy, PolicyConfig, Preset, Settings, TimeoutConfig, decided_by};
use seawall_config::{Leaf, Origin, Origins, leaves};
use std::time::Duration;

/// Longer than most answers of language models take, and shorter than for ever.
const LONGEST_ATTEMPT: Duration = Duration::from_secs(120);

/// One policy in force, with the origin of every value.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct EffectivePolicy {
    /// The place of the policy in its pipeline; 0 is the outermost.
    pub position: usize,
    /// The type of the policy.
    #[serde(rename = "type")]
    pub kind: String,
    /// All values of the policy, each with its origin.
    pub values: Vec<Leaf>,
}

/// The source of an operation's policies.
enum Chosen<'c> {
    Own(&'c [PolicyConfig], String),
    Strategy(&'c str),
    Preset,
}

impl GatewayConfig {
    /// The presets and strategies of this configuration, by their names.
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
            Some(upstream) => upstream.bounded(policies, self.is_built_in(name, settings)),
            None => policies,
        }
    }

    /// Whether the policies of an operation are those of a built-in profile or a preset.
    fn is_built_in(&self, name: &str, settings: &Settings) -> bool {
        let strategy = match self.chosen(name) {
            Chosen::Own(..) => return false,
            Chosen::Strategy(strategy) => Some(strategy),
            Chosen::Preset => settings.operation_overrides.get(name).map(String::as_str),
        };
        strategy.is_none_or(|strategy| !self.strategies.contains_key(strategy))
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
        let policies = self.chosen_policies(name, &settings, &catalog);
        let limits = self.limits_of_upstream(name, &policies, &settings, &catalog);
        let attempt = format!("{}.attempt_timeout", path("upstreams", name));
        let origin = |position: usize, value: &str| match limits[position] {
            false => self.origin(name, (&policies, position, value), &settings, origins),
            true if value != "limit" => Origin::Default,
            true => origins.of(&attempt).cloned().unwrap_or(Origin::Default),
        };
        let explained = policies.iter().enumerate().map(|(position, policy)| {
            let config = serde_json::to_value(policy).unwrap_or_default();
            let values = leaves(&config).into_iter().filter(|(path, _)| path != "type");
            let values =
                values.map(|(path, value)| Leaf { origin: origin(position, &path), path, value });
            EffectivePolicy { position, values: values.collect(), kind: policy.label().to_owned() }
        });
        explained.collect()
    }

    /// For each policy, whether it is a timeout whose limit an upstream's `attempt_timeout`, or the default of that,
    /// decides on.
    fn limits_of_upstream(
        &self,
        name: &str,
        policies: &[PolicyConfig],
        settings: &Settings,
        catalog: &Catalog,
    ) -> Vec<bool> {
        let upstream = self.upstreams.get(name);
        let named = self.named_policies(name, settings, catalog);
        let innermost = upstream.is_some_and(|upstream| upstream.adds_timeout(&named));
        let total = upstream.is_some_and(|upstream| upstream.attempt_timeout.is_some())
            && self.is_built_in(name, settings);
        let last = policies.len().saturating_sub(1);
        let decides = |(at, policy)| at == last && innermost || total && is_timeout(policy);
        policies.iter().enumerate().map(decides).collect()
    }

    fn origin(
        &self,
        name: &str,
        (policies, position, value): (&[PolicyConfig], usize, &str),
        settings: &Settings,
        origins: &Origins,
    ) -> Origin {
        let profile = |name: &str| Origin::Preset { name: name.to_owned() };
        let decided = decided_by(policies, position, value);
        match (self.chosen(name), decided) {
            (Chosen::Own(_, at), _) => {
                let path = format!("{at}.policies[{position}].{value}");
                origins.of(&path).cloned().unwrap_or(Origin::Default)
            }
            (_, None) => Origin::Default,
            (Chosen::Strategy(strategy), Some(_)) => profile(strategy),
            (Chosen::Preset, Some(decided)) => {
                if let Some(own) = settings.operation_overrides.get(name) {
                    return profile(own);
                }
                let changed = match decided {
                    DecidedBy::Field(field) => origins.of(&format!("custom.{field}")).cloned(),
                    DecidedBy::Profile => None,
                };
                changed.unwrap_or_else(|| profile(&self.preset))
            }
        }
    }
}

fn is_timeout(policy: &PolicyConfig) -> bool {
    matches!(policy, PolicyConfig::Timeout(_))
}

/// The path of a named thing in a section.
fn path(section: &str, name: &str) -> String {
    seawall_config::path_of(&[section, name])
}

impl UpstreamConfig {
    /// The policies with `attempt_timeout` innermost, in place of another timeout that stood there. The total around
    /// those of a built-in profile moves along, so that it goes on allowing one attempt after the last beginning.
    fn bounded(&self, mut policies: Vec<PolicyConfig>, built_in: bool) -> Vec<PolicyConfig> {
        if !self.adds_timeout(&policies) {
            return policies;
        }
        let limit = self.attempt_timeout.unwrap_or(LONGEST_ATTEMPT);
        if let Some(PolicyConfig::Timeout(former)) =
            policies.pop_if(|policy| is_timeout(policy)).filter(|_| built_in)
        {
            let total = policies.iter_mut().find_map(|policy| match policy {
                PolicyConfig::Timeout(total) => Some(&mut total.limit),
                _ => None,
            });
            if let Some(total) = total {
                *total = total.saturating_sub(former.limit).saturating_add(limit);
            }
        }
        policies.push(PolicyConfig::Timeout(TimeoutConfig { limit, ..Default::default() }));
        policies
    }

    /// Whether the innermost timeout was added to these policies.
    fn adds_timeout(&self, named: &[PolicyConfig]) -> bool {
        self.attempt_timeout.is_some() || !named.iter().any(is_timeout)
    }
}
