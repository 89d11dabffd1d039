//! Which letters are meant, and what questions about them are answered with.

use super::{
    id::{Fingerprint, LetterId},
    letter::{Envelope, State},
    time,
};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The letters that are meant: those to which all that is set applies. Without anything set, all of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Query {
    /// Those made at this time or later.
    #[serde(with = "time::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub from: Option<u64>,
    /// Those made before this time.
    #[serde(with = "time::optional", skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<String>")]
    pub until: Option<u64>,
    /// Those in this queue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub queue: Option<String>,
    /// Those of this operation.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub operation: Option<String>,
    /// Those of this error class.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error_class: Option<String>,
    /// Those of this tenant.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tenant: Option<String>,
    /// Those in this state.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state: Option<State>,
    /// Those of this group.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprint>,
    /// Those with this text, in any case, in operation, error class, error, tenant or idempotency key. Payloads are not
    /// searched.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Lists begin with the oldest letter in place of the newest.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub oldest_first: bool,
}

impl Query {
    /// Whether it means this letter.
    pub fn matches(&self, letter: &Envelope) -> bool {
        fn is<T: PartialEq<U>, U>(wanted: Option<&T>, found: &U) -> bool {
            wanted.is_none_or(|wanted| wanted == found)
        }
        self.times().contains(&letter.id.number())
            && is(self.queue.as_ref(), &letter.queue)
            && is(self.operation.as_ref(), &letter.operation)
            && is(self.error_class.as_ref(), &letter.error_class)
            && self.tenant.as_ref().is_none_or(|tenant| letter.tenant.as_ref() == Some(tenant))
            && is(self.state.as_ref(), &letter.state)
            && is(self.fingerprint.as_ref(), &letter.fingerprint)
            && self.text.as_ref().is_none_or(|text| has_text(letter, &text.to_lowercase()))
    }

    /// The identifiers of letters of the times that it means.
    pub(crate) fn times(&self) -> std::ops::Range<u128> {
        let from = self.from.map_or(0, LetterId::first_of);
        from..self.until.map_or(u128::MAX, LetterId::first_of).max(from)
    }

    /// Those of them that a list has from behind this letter on.
    pub(crate) fn times_after(&self, after: Option<LetterId>) -> std::ops::Range<u128> {
        let mut times = self.times();
        let Some(after) = after.map(LetterId::number) else { return times };
        if self.oldest_first {
            times.start = times.start.max(after.saturating_add(1)).min(times.end);
        } else {
            times.end = times.end.min(after).max(times.start);
        }
        times
    }
}

fn has_text(letter: &Envelope, text: &str) -> bool {
    let texts = [&letter.operation, &letter.error_class, &letter.error];
    let texts = texts.into_iter().chain(&letter.tenant).chain(&letter.idempotency_key);
    texts.into_iter().any(|found| found.to_lowercase().contains(text))
}

/// A part of a list of letters.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Page {
    /// The letters.
    pub letters: Vec<Envelope>,
    /// Where the next page begins; none at the end. A search for what is rare may bring a page with few letters, or
    /// none, and more behind it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next: Option<LetterId>,
}

/// Letters of the same kind of failure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    /// The fingerprint that they share.
    pub fingerprint: Fingerprint,
    /// The number of its letters.
    pub letters: u64,
    /// When the first of them failed.
    #[serde(with = "time")]
    #[schemars(with = "String")]
    pub first_failure: u64,
    /// When one of them failed last.
    #[serde(with = "time")]
    #[schemars(with = "String")]
    pub last_failure: u64,
    /// The newest of them.
    pub example: Envelope,
}

/// The groups of a query's letters, largest first.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Groups {
    /// The groups, at most [`MAX_GROUPS`].
    pub groups: Vec<Group>,
    /// Letters in groups beyond those.
    pub others: u64,
}

/// Groups that are told apart in one answer.
pub const MAX_GROUPS: usize = 1000;

/// Collects groups of letters that come newest first.
#[derive(Default)]
pub(crate) struct Grouping {
    groups: std::collections::HashMap<Fingerprint, Group>,
    others: u64,
}

impl Grouping {
    pub(crate) fn add(&mut self, letter: Envelope) {
        if let Some(group) = self.groups.get_mut(&letter.fingerprint) {
            group.letters += 1;
            group.first_failure = group.first_failure.min(letter.first_failure);
            group.last_failure = group.last_failure.max(letter.last_failure);
        } else if self.groups.len() < MAX_GROUPS {
            let group = Group {
                fingerprint: letter.fingerprint,
                letters: 1,
                first_failure: letter.first_failure,
                last_failure: letter.last_failure,
                example: letter,
            };
            self.groups.insert(group.fingerprint, group);
        } else {
            self.others += 1;
        }
    }

    pub(crate) fn into_groups(self) -> Groups {
        let mut groups: Vec<_> = self.groups.into_values().collect();
        groups.sort_by_key(|group| (std::cmp::Reverse(group.letters), group.fingerprint));
        Groups { groups, others: self.others }
    }
}
