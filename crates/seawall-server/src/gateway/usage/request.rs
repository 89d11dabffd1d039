//! What a request is expected to use, before it is sent.

use super::{JsonScan, MOST_TOKENS};
use crate::gateway::event_json::{members, text};
use serde_json::value::RawValue;

/// Bytes of a request that are about a token.
const BYTES_A_TOKEN: u64 = 4;
/// Tokens of an answer for which the request sets no bound.
const USUAL_OUTPUT: u64 = 1_000;
/// The most that is expected of one request: what a model takes at most, several times over.
const MOST_EXPECTED: u64 = 10_000_000;
/// The most answers that one request can ask for.
const MOST_CHOICES: u64 = 128;
/// The longest name of a model that is kept, in characters.
const LONGEST_MODEL: usize = 100;

const WANTED: &[&str] =
    &["model", "max_tokens", "max_completion_tokens", "max_output_tokens", "generationConfig", "n"];

/// The tokens that a request is expected to use, and the model that it asks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(in crate::gateway) struct Estimate {
    pub(in crate::gateway) input: u32,
    pub(in crate::gateway) output: u32,
    pub(in crate::gateway) model: Option<String>,
}

impl Estimate {
    /// Reads a request: as much of its body as is there, of this length in all. A request without a body uses no tokens.
    pub(in crate::gateway) fn of(path: &str, body: &[u8], length: u64) -> Self {
        let length = length.max(body.len() as u64);
        if length == 0 {
            return Self::default();
        }
        let (mut model, mut bound, mut choices) = (model_in(path), None::<u64>, 1);
        let mut scan = JsonScan::new(WANTED);
        scan.feed(body, |name, value| match name {
            "model" => model = Some(shortened(&text(value))).filter(|name| !name.is_empty()),
            "n" => choices = number(value).unwrap_or(1).clamp(1, MOST_CHOICES),
            "generationConfig" => {
                let inside = members(value);
                let most = inside.get("maxOutputTokens").and_then(|most| number(most));
                bound = bound.max(most);
            }
            _ => bound = bound.max(number(value)),
        });
        let output = if answers_no_text(path) { 0 } else { bound.unwrap_or(USUAL_OUTPUT) };
        let bounded = |tokens: u64| u32::try_from(tokens.min(MOST_EXPECTED)).unwrap_or(u32::MAX);
        Self {
            input: bounded(length.div_ceil(BYTES_A_TOKEN)),
            output: bounded(output.saturating_mul(choices)),
            model,
        }
    }

    /// All tokens together.
    pub(in crate::gateway) fn total(&self) -> u32 {
        self.input.saturating_add(self.output)
    }
}

/// The model in a path of Google's: `/v1beta/models/gemini-2.5-pro:generateContent`.
fn model_in(path: &str) -> Option<String> {
    let (_, rest) = path.split_once("/models/")?;
    let (model, _) = rest.split_once(':')?;
    Some(shortened(model))
}

/// Whether answers along this path are no text, such as embeddings.
fn answers_no_text(path: &str) -> bool {
    const ENDS: [&str; 6] = [
        "/embeddings",
        ":embedContent",
        ":batchEmbedContents",
        "/moderations",
        "/count_tokens",
        ":countTokens",
    ];
    ENDS.iter().any(|end| path.ends_with(end))
}

fn shortened(name: &str) -> String {
    name.chars().filter(|c| !c.is_control()).take(LONGEST_MODEL).collect()
}

fn number(value: &RawValue) -> Option<u64> {
    value.get().parse().ok().filter(|number| *number <= MOST_TOKENS)
}
