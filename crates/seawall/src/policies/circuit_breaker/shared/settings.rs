//! The settings of a circuit that several instances share.

use crate::config::{Problems, config, millis, secs};
use std::time::Duration;

config! {
    /// How the circuit of a breaker is shared with other instances, through a store that carries its changes.
    #[check(Self::check_fields)]
    pub struct SharedCircuit {
        /// The name of the circuit in the store. Breakers that give the same name have one circuit together. Left out: the
        /// name of the operation.
        name: Option<String> = None,
        /// Whose failures open the circuit of all instances.
        open_by: OpenBy = OpenBy::Any,
        /// How long the store may take to answer. No call waits for it: where it takes longer, this instance goes on alone
        /// until the store answers again.
        #[range(positive..=secs(30))]
        timeout: Duration = millis(500),
        /// How long the right to probe stays with an instance that has fallen silent. Three times in that while an instance
        /// says that it is alive, and reads what it may have missed.
        #[range(millis(300)..=secs(60))]
        lease: Duration = secs(3),
    }
}

config! {
    /// Whose failures open a circuit that several instances share.
    #[derive(Copy, Default, Eq)]
    pub enum OpenBy {
        /// One instance that opens its circuit opens that of all.
        #[default]
        Any,
        /// The circuit of all opens when more than half of the instances that are alive have opened theirs. Until then each
        /// has its own.
        Quorum,
    }
}

impl OpenBy {
    /// `any` or `quorum`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Any => "any",
            Self::Quorum => "quorum",
        }
    }
}

impl SharedCircuit {
    fn check_fields(&self, problems: &mut Problems) {
        if let Some(name) = &self.name {
            let odd = |c: char| c.is_control() || matches!(c, '{' | '}');
            let good = !name.is_empty() && name.chars().count() <= 200 && !name.contains(odd);
            problems.require(good, "name", name, "1 to 200 characters without braces");
        }
        let good = self.timeout < self.lease;
        problems.require(good, "timeout", self.timeout, "less than lease");
    }
}
