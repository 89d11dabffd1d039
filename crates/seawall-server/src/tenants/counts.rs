//! What is counted of tenants since the start, and which of them metrics name: those with the most requests, and `other`.

use super::usage::Usage;
use std::{
    collections::{BTreeMap, HashMap},
    sync::Arc,
};

/// A counter of one tenant, in the order of [`Counts`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Count {
    Requests,
    RateLimited,
    Concurrent,
    Budget,
    Unknown,
    Input,
    CachedInput,
    CacheWrite,
    Output,
    /// Money in billionths.
    Money,
}

const COUNTERS: usize = Count::Money as usize + 1;

/// What is counted of one tenant.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts([u64; COUNTERS]);

impl Counts {
    pub(crate) fn of(&self, count: Count) -> u64 {
        self.0[count as usize]
    }

    pub(super) fn add(&mut self, count: Count, by: u64) {
        let value = &mut self.0[count as usize];
        *value = value.saturating_add(by);
    }

    pub(super) fn add_usage(&mut self, usage: Usage) {
        self.add(Count::Input, usage.input);
        self.add(Count::CachedInput, usage.cached_input);
        self.add(Count::CacheWrite, usage.cache_write);
        self.add(Count::Output, usage.output);
    }

    pub(super) fn add_all(&mut self, other: &Self) {
        self.0.iter_mut().zip(other.0).for_each(|(one, other)| *one = one.saturating_add(other));
    }

    fn without(mut self, other: &Self) -> Self {
        self.0.iter_mut().zip(other.0).for_each(|(one, other)| *one = one.saturating_sub(other));
        self
    }
}

/// Which tenants metrics name. Counters never go back: what was shown as a part of `other` stays there when its tenant gets a
/// name, and what a tenant had counted under its name goes to `other` when it loses it.
#[derive(Debug, Default)]
pub(super) struct Ranking {
    /// The tenants with a name, and what of their counts belongs to `other`.
    named: HashMap<Arc<str>, Counts>,
    /// What was in `other` of each of the other tenants when it was shown last.
    in_other: HashMap<Arc<str>, Counts>,
    /// What was counted of tenants that are forgotten.
    gone: Counts,
}

/// What metrics show: some tenants by name, and the others as one.
#[derive(Clone, Debug, Default)]
pub(crate) struct Ranked {
    pub(crate) named: BTreeMap<Arc<str>, Counts>,
    pub(crate) other: Counts,
}

impl Ranking {
    /// A tenant is forgotten.
    pub(super) fn forget(&mut self, name: &str, counts: &Counts) {
        self.gone.add_all(counts);
        self.named.remove(name);
        self.in_other.remove(name);
    }

    /// Ranks tenants by their requests, and shows at most `top` of them by name.
    pub(super) fn rank(&mut self, mut all: Vec<(Arc<str>, Counts)>, top: usize) -> Ranked {
        all.sort_by(|(one, of_one), (other, of_other)| {
            let requests = |counts: &Counts| std::cmp::Reverse(counts.of(Count::Requests));
            requests(of_one).cmp(&requests(of_other)).then_with(|| one.cmp(other))
        });
        let mut total = self.gone;
        let (mut named, mut in_other) = (HashMap::new(), HashMap::new());
        let mut ranked = Ranked::default();
        for (at, (name, counts)) in all.into_iter().enumerate() {
            total.add_all(&counts);
            if at >= top {
                in_other.insert(name, counts);
                continue;
            }
            let before = self.named.get(&name).or_else(|| self.in_other.get(&name));
            let before = before.copied().unwrap_or_default();
            ranked.named.insert(name.clone(), counts.without(&before));
            named.insert(name, before);
        }
        let shown = ranked.named.values().fold(Counts::default(), |mut sum, counts| {
            sum.add_all(counts);
            sum
        });
        ranked.other = total.without(&shown);
        (self.named, self.in_other) = (named, in_other);
        ranked
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn requests(n: u64) -> Counts {
        let mut counts = Counts::default();
        counts.add(Count::Requests, n);
        counts
    }

    #[test]
    fn counters_never_go_back_while_tenants_come_and_go() {
        let mut ranking = Ranking::default();
        let names = ["a", "b", "c", "d"].map(Arc::<str>::from);
        let mut counts = [0_u64; 4];
        let mut random = seawall::Random::new(7);
        let mut last = Ranked::default();
        for round in 0..300 {
            counts[random.below(4) as usize] += random.below(20);
            if round == 150 {
                ranking.forget("d", &requests(counts[3]));
                counts[3] = 0;
            }
            let all = names.iter().cloned().zip(counts.map(requests)).collect();
            let ranked = ranking.rank(all, 2);
            assert_eq!(ranked.named.len(), 2);
            let of = |counts: &Counts| counts.of(Count::Requests);
            assert!(of(&ranked.other) >= of(&last.other), "{last:?} {ranked:?}");
            for (name, now) in &ranked.named {
                let before = last.named.get(name).filter(|_| &**name != "d").map_or(0, of);
                assert!(of(now) >= before, "{name}: {last:?} {ranked:?}");
            }
            last = ranked;
        }
    }
}
