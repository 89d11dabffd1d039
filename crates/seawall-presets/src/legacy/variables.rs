//! The older variables one by one: what each means, and the value it has.

use super::Found;
use crate::field::Fields;
use seawall::{Catalog, Override};
use seawall_config::{excerpt, path_of};
use serde_json::{Map, Value, json};
use std::{collections::BTreeMap, sync::LazyLock};

const FIELDS: [(&str, &str); 10] = [
    ("RETRY_MAX_ATTEMPTS", "retry_attempts"),
    ("CIRCUIT_BREAKER_FAILURE_THRESHOLD", "circuit_breaker_threshold"),
    ("CIRCUIT_BREAKER_RECOVERY_TIMEOUT", "recovery_timeout"),
    ("DEFAULT_RESILIENCE_STRATEGY", "default_strategy"),
    ("RETRY_MAX_DELAY", "max_delay_seconds"),
    ("RETRY_EXPONENTIAL_MULTIPLIER", "exponential_multiplier"),
    ("RETRY_EXPONENTIAL_MIN", "exponential_min"),
    ("RETRY_EXPONENTIAL_MAX", "exponential_max"),
    ("RETRY_JITTER_ENABLED", "jitter_enabled"),
    ("RETRY_JITTER_MAX", "jitter_max"),
];

/// The ending of the name of a variable that gives an operation its strategy.
const OPERATION: &str = "_RESILIENCE_STRATEGY";

const SWITCHES: [(&str, &str); 5] = [
    (
        "RESILIENCE_ENABLED",
        "no target: an upstream whose `policies` are an empty list is called as it is",
    ),
    ("CIRCUIT_BREAKER_ENABLED", "no target: leave the breaker out of the list of policies instead"),
    ("RETRY_ENABLED", "no target: set retry_attempts to 1, or leave retry out of the policies"),
    ("RESILIENCE_METRICS_ENABLED", "no target: metrics are always counted"),
    ("RESILIENCE_HEALTH_CHECK_ENABLED", "no target: health is always answered"),
];

const STORE: &str = "no target: the former system's store; nothing here reads it";
const LOAD: &str = "no target: give it to the load generator when you run it";

/// Variables of the second system, with the path in the file, if there is one.
const SECOND: [(&str, Option<&str>, &str); 9] = [
    (
        "BULKHEAD_MAX_CONCURRENT",
        None,
        "no target: write it as max_concurrent of a bulkhead among the policies of an upstream",
    ),
    ("REDIS_HOST", None, STORE),
    ("REDIS_PORT", None, STORE),
    ("REDIS_DB", None, STORE),
    (BASE_URL, Some("upstreams.external_api.endpoints"), "becomes an endpoint in the file"),
    (
        TIMEOUT,
        Some("upstreams.external_api.attempt_timeout"),
        "becomes the time that an attempt may take, in the file",
    ),
    ("LOAD_TEST_OUTPUT_DIR", None, LOAD),
    ("LOAD_TEST_MAX_USERS", None, LOAD),
    ("LOAD_TEST_DURATION", None, LOAD),
];

/// The address of the second system's only upstream.
pub(crate) const BASE_URL: &str = "EXTERNAL_API_BASE_URL";
/// The time its answers may take, in seconds.
pub(crate) const TIMEOUT: &str = "EXTERNAL_API_TIMEOUT";

const SKIPPED: &str = "skipped: its value cannot be used";

/// The meaning of an older variable.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meaning {
    /// A field of the custom configuration.
    Field(&'static str),
    /// The strategy of an operation.
    Operation(String),
    /// A switch of the first system, with what to do instead.
    Switch(&'static str),
    /// A variable of the second system: the field that takes its place, if there is one, and what becomes of it.
    Second(Option<&'static str>, &'static str),
}

/// The meaning of the variable of this name; none if it is not known.
pub(crate) fn meaning(name: &str) -> Option<Meaning> {
    if let Some((_, field)) = FIELDS.iter().find(|(known, _)| *known == name) {
        return Some(Meaning::Field(field));
    }
    if let Some((_, explanation)) = SWITCHES.iter().find(|(known, _)| *known == name) {
        return Some(Meaning::Switch(explanation));
    }
    if let Some((_, target, explanation)) = SECOND.iter().find(|(known, ..)| *known == name) {
        return Some(Meaning::Second(*target, explanation));
    }
    let operation = name.strip_suffix(OPERATION).filter(|operation| !operation.is_empty())?;
    Some(Meaning::Operation(operation.to_lowercase()))
}

/// The older variables that were read.
#[derive(Debug, Default)]
pub(super) struct Reading {
    pub(super) found: Vec<Found>,
    pub(super) change: Override,
    pub(super) problems: Vec<String>,
    given: Map<String, Value>,
    operations: Map<String, Value>,
}

/// Reads all variables that are known. An empty one counts as not set, as shells have it.
pub(super) fn read(variables: &BTreeMap<String, String>) -> Reading {
    let mut reading = Reading::default();
    for (name, value) in variables {
        let value = value.trim();
        if let Some(meaning) = meaning(name).filter(|_| !value.is_empty()) {
            reading.take(name, value, meaning);
        }
    }
    reading.finish();
    reading
}

impl Reading {
    fn take(&mut self, name: &str, value: &str, meaning: Meaning) {
        let (target, explanation) = match meaning {
            Meaning::Field(target) => {
                let problem = self.field(target, value);
                (Some(target.to_owned()), self.fate(name, target, problem))
            }
            Meaning::Operation(operation) => {
                let target = path_of(&["operation_overrides", &operation]);
                let problem = self.operation(operation, value);
                let fate = self.fate(name, &target, problem);
                (Some(target), fate)
            }
            Meaning::Switch(explanation) => (None, explanation.to_owned()),
            Meaning::Second(target, explanation) => {
                (target.map(str::to_owned), explanation.to_owned())
            }
        };
        let (variable, value) = (excerpt::word(name), shown(value));
        self.found.push(Found { variable, value, target, explanation });
    }

    /// Says what becomes of a variable, and keeps the problem if there is one.
    fn fate(&mut self, name: &str, target: &str, problem: Option<String>) -> String {
        let Some(problem) = problem else { return format!("becomes {target}") };
        self.problems.push(format!("{}: {problem}; skipped", excerpt::word(name)));
        SKIPPED.into()
    }

    fn field(&mut self, target: &str, value: &str) -> Option<String> {
        let kind = BUILT_IN.type_of(target)?;
        let Some(parsed) = parsed(kind, value) else {
            return Some(format!("{} is not {}", excerpt::quoted(value), wanted(kind)));
        };
        if let Some(problem) = BUILT_IN.problems(target, &parsed).into_iter().next() {
            return Some(match kind {
                "string" => problem.message,
                _ => format!("{}, not {}", problem.message, excerpt::word(value)),
            });
        }
        self.given.insert(target.to_owned(), parsed);
        None
    }

    fn operation(&mut self, operation: String, value: &str) -> Option<String> {
        let most = BUILT_IN.bound("operation_overrides", "maxProperties")?;
        if self.operations.len() as f64 >= most {
            return Some(format!("operation_overrides has at most {most} entries"));
        }
        let strategy = json!(value.to_lowercase());
        let entry = json!({ operation.as_str(): &strategy });
        let problems = BUILT_IN.problems("operation_overrides", &entry);
        if let Some(problem) = problems.into_iter().next() {
            return Some(problem.message);
        }
        self.operations.insert(operation, strategy);
        None
    }

    /// Makes the fields a custom configuration. Two that contradict each other are both left out.
    fn finish(&mut self) {
        let number = |name: &str| self.given.get(name).and_then(Value::as_f64);
        if let (Some(min), Some(max)) = (number("exponential_min"), number("exponential_max"))
            && min >= max
        {
            self.problems.push(format!(
                "RETRY_EXPONENTIAL_MIN and RETRY_EXPONENTIAL_MAX: exponential_min must be below \
                 exponential_max, but {min} is not below {max}; both skipped"
            ));
            for name in ["exponential_min", "exponential_max"] {
                self.given.remove(name);
                let of = |found: &&mut Found| found.target.as_deref() == Some(name);
                self.found
                    .iter_mut()
                    .filter(of)
                    .for_each(|found| found.explanation = SKIPPED.into());
            }
        }
        let mut given = self.given.clone();
        if !self.operations.is_empty() {
            given.insert("operation_overrides".into(), Value::Object(self.operations.clone()));
        }
        self.change = BUILT_IN.read(&given).0;
    }
}

/// The fields with the built-in strategies: older systems knew no others.
static BUILT_IN: LazyLock<Fields> = LazyLock::new(|| Fields::of(&Catalog::default()));

/// Reads a value as a field of this JSON type; none if it is not one.
fn parsed(kind: &str, value: &str) -> Option<Value> {
    match kind {
        "integer" => value.parse::<i64>().ok().map(Value::from),
        "number" => value.parse::<f64>().ok().filter(|n| n.is_finite()).map(Value::from),
        "boolean" => truth(value).map(Value::Bool),
        _ => Some(Value::String(value.to_lowercase())),
    }
}

/// Reads the words that people write for true and false in variables, in upper or lower case.
pub(crate) fn truth(value: &str) -> Option<bool> {
    match value.to_lowercase().as_str() {
        "true" | "1" | "yes" | "on" => Some(true),
        "false" | "0" | "no" | "off" => Some(false),
        _ => None,
    }
}

fn wanted(kind: &str) -> &'static str {
    match kind {
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        _ => "a strategy",
    }
}

/// A value without the parts of an address that may hold a password.
fn shown(value: &str) -> String {
    let (start, rest) = match value.split_once("://") {
        Some((scheme, rest)) => (format!("{scheme}://"), rest),
        None => (String::new(), value),
    };
    let rest = rest.split(['?', '#']).next().unwrap_or_default();
    match rest.rsplit_once('@') {
        Some((_, host)) => excerpt::word(&format!("{start}***@{host}")),
        None => excerpt::word(&format!("{start}{rest}")),
    }
}
