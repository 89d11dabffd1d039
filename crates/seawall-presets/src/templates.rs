//! Templates: custom configurations with names, to begin with.

use super::{
    custom::{self, Verdict},
    field::as_integer,
    rounded,
};
use schemars::JsonSchema;
use seawall::{Catalog, Override};
use seawall_config::excerpt;
use serde::Serialize;
use serde_json::{Map, Value};
use std::sync::LazyLock;

#[cfg(test)]
mod tests;

/// A custom configuration to begin with, under a name.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Template {
    /// The name of the template.
    pub name: &'static str,
    /// The purpose of the template, in one line for people.
    pub description: &'static str,
    /// The changes to a preset.
    pub config: Override,
}

/// The template that a custom configuration is nearest to, with the reason.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct TemplateAdvice {
    /// The name of the template; none if no template is near.
    pub suggested_template: Option<String>,
    /// The share of the compared fields that are equal, from 0 to 1.
    pub confidence: f64,
    /// The reason why this template is the nearest.
    pub reasoning: String,
    /// The names of all templates.
    pub available_templates: Vec<String>,
}

static TEMPLATES: LazyLock<Vec<Template>> = LazyLock::new(|| {
    vec![
        Template {
            name: "fast_development",
            description: "One attempt, to see at once what fails",
            config: changed((1, 2, 15), "aggressive", &[("sentiment", "aggressive")]),
        },
        Template {
            name: "robust_production",
            description: "Many patient attempts, for services that must answer",
            config: changed(
                (6, 12, 180),
                "conservative",
                &[("qa", "critical"), ("summarize", "conservative")],
            ),
        },
        Template {
            name: "low_latency",
            description: "An answer or an error within five seconds",
            config: Override {
                max_delay_seconds: Some(5),
                exponential_multiplier: Some(0.5),
                exponential_min: Some(0.5),
                exponential_max: Some(5.0),
                ..changed((1, 2, 10), "aggressive", &[])
            },
        },
        Template {
            name: "high_throughput",
            description: "Few attempts and a tolerant circuit, for many calls",
            config: changed(
                (3, 8, 45),
                "balanced",
                &[("sentiment", "aggressive"), ("key_points", "balanced")],
            ),
        },
        Template {
            name: "maximum_reliability",
            description: "Every attempt that is allowed to matter, whatever it costs in time",
            config: Override {
                exponential_multiplier: Some(2.0),
                exponential_min: Some(3.0),
                exponential_max: Some(60.0),
                jitter_enabled: Some(true),
                jitter_max: Some(5.0),
                ..changed((8, 15, 300), "critical", &MOST_RELIABLE)
            },
        },
    ]
});

const MOST_RELIABLE: [(&str, &str); 5] = [
    ("qa", "critical"),
    ("summarize", "critical"),
    ("sentiment", "conservative"),
    ("key_points", "conservative"),
    ("questions", "conservative"),
];

/// A custom configuration of these attempts, threshold and recovery, this strategy, and operations with one of their own.
fn changed(numbers: (u32, u32, u32), strategy: &str, operations: &[(&str, &str)]) -> Override {
    let (attempts, threshold, recovery) = numbers;
    Override {
        retry_attempts: Some(attempts),
        circuit_breaker_threshold: Some(threshold),
        recovery_timeout: Some(recovery),
        default_strategy: Some(strategy.to_owned()),
        operation_overrides: operations
            .iter()
            .map(|(a, b)| (a.to_string(), b.to_string()))
            .collect(),
        ..Override::default()
    }
}

/// All built-in templates.
pub fn all() -> &'static [Template] {
    &TEMPLATES
}

/// The built-in template of this name.
pub fn named(name: &str) -> Option<&'static Template> {
    TEMPLATES.iter().find(|template| template.name == name)
}

fn names() -> Vec<&'static str> {
    TEMPLATES.iter().map(|template| template.name).collect()
}

/// The values of a custom configuration that are compared. One of a wrong type counts as none.
struct Compared<'v> {
    attempts: Option<i64>,
    threshold: Option<i64>,
    strategy: Option<&'v str>,
}

impl<'v> Compared<'v> {
    fn of(config: &'v Value) -> Self {
        let number = |name: &str| config.get(name).and_then(as_integer);
        Self {
            attempts: number("retry_attempts"),
            threshold: number("circuit_breaker_threshold"),
            strategy: config.get("default_strategy").and_then(Value::as_str),
        }
    }

    fn present(&self) -> usize {
        usize::from(self.attempts.is_some())
            + usize::from(self.threshold.is_some())
            + usize::from(self.strategy.is_some())
    }

    /// The score of a template. A field that is not given counts as the preset `simple` has it.
    fn score(&self, config: &Override) -> u32 {
        let far = |given: Option<i64>, default: i64, own: Option<u32>| {
            given.unwrap_or(default).abs_diff(own.map_or(0, i64::from))
        };
        let attempts = match far(self.attempts, 3, config.retry_attempts) {
            0..=1 => 3,
            2 => 1,
            _ => 0,
        };
        let threshold = match far(self.threshold, 5, config.circuit_breaker_threshold) {
            0..=2 => 2,
            3..=5 => 1,
            _ => 0,
        };
        let strategy = Some(self.strategy.unwrap_or("balanced"));
        attempts + threshold + if strategy == config.default_strategy.as_deref() { 3 } else { 0 }
    }

    /// The names of the fields that are as the template has them.
    fn equal(&self, config: &Override) -> Vec<&'static str> {
        let same =
            |given: Option<i64>, own: Option<u32>| given.is_some() && given == own.map(i64::from);
        let strategy =
            self.strategy.is_some() && self.strategy == config.default_strategy.as_deref();
        let fields = [
            ("retry_attempts", same(self.attempts, config.retry_attempts)),
            ("circuit_breaker_threshold", same(self.threshold, config.circuit_breaker_threshold)),
            ("default_strategy", strategy),
        ];
        fields.into_iter().filter(|(_, equal)| *equal).map(|(name, _)| name).collect()
    }
}

/// Finds the template that a custom configuration is nearest to, by attempts, threshold and strategy.
pub fn nearest(config: &Value) -> TemplateAdvice {
    const NEAR: u32 = 4;
    let given = Compared::of(config);
    let available_templates = names().iter().map(ToString::to_string).collect();
    let scores = TEMPLATES.iter().map(|template| (given.score(&template.config), template));
    // Of equal ones the first: `max_by_key` would take the last.
    let best = scores.rev().max_by_key(|(score, _)| *score).filter(|(score, _)| *score >= NEAR);
    let Some((_, template)) = best else {
        return TemplateAdvice {
            suggested_template: None,
            confidence: 0.0,
            reasoning: "no template is near: attempts, threshold and strategy all differ".into(),
            available_templates,
        };
    };
    let equal = given.equal(&template.config);
    let (confidence, of) = match (given.present(), equal.is_empty()) {
        (0, _) => (0.5, "by default values, since none of the compared fields is given".into()),
        (_, true) => (0.0, "by near values; none of the compared fields is equal".into()),
        (present, false) => {
            (equal.len() as f64 / present as f64, format!("equal: {}", equal.join(", ")))
        }
    };
    TemplateAdvice {
        suggested_template: Some(template.name.to_owned()),
        confidence: rounded(confidence),
        reasoning: format!("`{}` is the nearest template; {of}", template.name),
        available_templates,
    }
}

/// Checks the custom configuration that a template gives with these overrides. Operations are added to those of the
/// template one by one.
pub fn validate(name: &str, overrides: Option<&Value>, catalog: &Catalog) -> Verdict {
    let mut verdict = Verdict::new();
    let Some(template) = named(name) else {
        let known = names();
        let message = format!(
            "there is no template `{}`; there are {}",
            excerpt::word(name),
            known.join(", ")
        );
        let near = seawall_config::nearest(name, known.iter().copied());
        let suggestion = near.map(|near| format!("did you mean the template `{near}`?"));
        verdict.error(message, suggestion.unwrap_or_else(|| "choose one of the templates".into()));
        return verdict;
    };
    let mut config = serde_json::to_value(&template.config).unwrap_or_default();
    match (config.as_object_mut(), overrides) {
        (_, None | Some(Value::Null)) => {}
        (Some(config), Some(Value::Object(changes))) => lay_over(config, changes),
        _ => {
            verdict.error(
                "overrides must be a JSON object",
                "write overrides as {\"retry_attempts\": 3}",
            );
            return verdict;
        }
    }
    custom::validate(&config, catalog)
}

fn lay_over(config: &mut Map<String, Value>, changes: &Map<String, Value>) {
    for (name, change) in changes {
        match (config.get_mut(name), change) {
            (Some(Value::Object(below)), Value::Object(changes)) => lay_over(below, changes),
            _ => {
                config.insert(name.clone(), change.clone());
            }
        }
    }
}
