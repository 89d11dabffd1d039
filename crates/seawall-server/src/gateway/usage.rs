//! The use of language models: what a request is expected to use, and what its answer says that it has used.
//!
//! Nothing is buffered for it: bodies are scanned as they pass, in pieces of any size, and only a few members of their JSON are
//! kept, up to a bound. What answers say is untrusted: numbers that are negative, broken or absurd are left out.

use super::event_json::members;
use crate::tenants::Usage;
use serde_json::value::RawValue;

mod request;
mod scan;

pub(super) use request::Estimate;
use scan::JsonScan;

/// The largest number of tokens that one call can have used; beyond it a report is absurd, and left out.
pub(super) const MOST_TOKENS: u64 = 100_000_000;

/// The members of an answer in which its use stands, in any of the APIs.
const USAGE_MEMBERS: &[&str] = &["usage", "usageMetadata"];

impl Usage {
    /// Reads a `usage` of OpenAI or Anthropic, or a `usageMetadata` of Google; zeros where it says nothing that can be true.
    pub(in crate::gateway) fn read(value: &RawValue) -> Self {
        let found = members(value);
        let number = |name: &str| found.get(name).and_then(|value| tokens(value)).unwrap_or(0);
        let cached_of = |name: &str| {
            let details = found.get(name).map(|details| members(details)).unwrap_or_default();
            details.get("cached_tokens").and_then(|value| tokens(value)).unwrap_or(0)
        };
        // OpenAI and Google count tokens from a cache within those of the request, Anthropic beside them.
        let within = number("cachedContentTokenCount")
            .max(cached_of("prompt_tokens_details"))
            .max(cached_of("input_tokens_details"));
        let read = number("prompt_tokens")
            .max(number("input_tokens"))
            .max(number("promptTokenCount"))
            .saturating_add(number("toolUsePromptTokenCount"));
        Self {
            input: read.saturating_sub(within),
            cached_input: within.min(read).saturating_add(number("cache_read_input_tokens")),
            cache_write: number("cache_creation_input_tokens"),
            output: number("completion_tokens")
                .max(number("output_tokens"))
                .max(number("candidatesTokenCount").saturating_add(number("thoughtsTokenCount"))),
        }
    }

    /// Takes in a further report of the same call. Reports of one stream grow, and some come twice.
    pub(in crate::gateway) fn merge(&mut self, other: Self) {
        if other.of_request() > self.of_request() {
            let Self { input, cached_input, cache_write, .. } = other;
            *self = Self { input, cached_input, cache_write, output: self.output };
        }
        self.output = self.output.max(other.output);
    }
}

/// A number of tokens; none where the value is no number, is negative, or is absurd.
fn tokens(value: &RawValue) -> Option<u64> {
    let text = value.get();
    let number = text.parse::<u64>().ok().or_else(|| {
        let number = text.parse::<f64>().ok()?;
        (number.is_finite() && number >= 0.0).then_some(number as u64)
    });
    number.filter(|number| *number <= MOST_TOKENS)
}

/// The use that an object reports in its member `usage`.
pub(super) fn usage_inside(object: &RawValue) -> Usage {
    members(object).get("usage").map(|usage| Usage::read(usage)).unwrap_or_default()
}

/// Looks through a JSON document that passes for the use that it reports.
#[derive(Debug)]
pub(super) struct UsageScan {
    scan: JsonScan,
    reported: Usage,
}

impl Default for UsageScan {
    fn default() -> Self {
        Self { scan: JsonScan::new(USAGE_MEMBERS), reported: Usage::default() }
    }
}

impl UsageScan {
    /// Reads the next piece.
    pub(super) fn feed(&mut self, piece: &[u8]) {
        self.scan.feed(piece, |_, value| self.reported.merge(Usage::read(value)));
    }

    /// What was seen by now.
    pub(super) fn seen(&self) -> Seen {
        Seen { reported: self.reported, parts: 0, is_whole: true }
    }
}

/// What was seen of a call's use by the end of its answer, or when its client left.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Seen {
    pub(super) reported: Usage,
    /// Events of a stream that brought a part of the answer. One of them is about a token.
    pub(super) parts: u64,
    /// Whether the answer came to its proper end, so that its report is the last one.
    pub(super) is_whole: bool,
}

impl Seen {
    /// The use of the call, where something is known of it. What the provider did not report is put together from the
    /// estimate of the request and the parts of the answer that came.
    pub(super) fn used(&self, estimate: &Estimate) -> Option<Usage> {
        let Self { reported, parts, is_whole } = *self;
        if reported == Usage::default() && parts == 0 {
            return None;
        }
        let mut used = reported;
        if used.of_request() == 0 {
            used.input = u64::from(estimate.input);
        }
        if !is_whole || used.output == 0 {
            used.output = used.output.max(parts);
        }
        Some(used)
    }
}

#[cfg(test)]
mod tests;
