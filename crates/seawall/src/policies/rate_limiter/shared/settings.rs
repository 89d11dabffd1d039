//! What an operator sets on a limit that several instances share.

use crate::config::{Problems, config, hours, millis, secs};
use std::time::Duration;

config! {
    /// How the limits of a rate limiter are shared with other instances, through a store that counts for all of them.
    #[check(Self::check_name)]
    pub struct SharedLimit {
        /// The name of the limit in the store. Operations that give the same name share one limit, and state it alike.
        /// Left out: the name of the operation.
        name: Option<String> = None,
        /// The most calls of one key that this instance takes from the store at once, so that most of them need no round
        /// trip. It takes fewer while it uses fewer. In any period up to `instances × lease` calls more than the limit may
        /// pass. Left out: just what waiting calls cost is taken, in one round trip for all that wait.
        #[range(2..=1_000_000)]
        lease: Option<u32> = None,
        /// How long calls that were taken from the store may be made; what is not used by then is lost.
        #[range(positive..=hours(1))]
        lease_time: Duration = secs(1),
        /// The longest time that a call waits for the store. After that it is decided as `degraded` says.
        #[range(positive..=secs(60))]
        timeout: Duration = millis(50),
        /// What becomes of calls while the store does not answer.
        degraded: DegradedMode = DegradedMode::Local,
        /// How many instances share the limit, for the share of each while the store does not answer. Left out: as many as
        /// the store last said, and one before it said anything.
        #[range(1..=100_000)]
        instances: Option<u32> = None,
    }
}

config! {
    /// What becomes of calls of a shared limit while the store does not answer.
    #[derive(Copy, Default, Eq)]
    pub enum DegradedMode {
        /// Each instance counts by itself, with its share of the limit.
        #[default]
        Local,
        /// Every call passes.
        Open,
        /// Every call is refused.
        Closed,
    }
}

impl DegradedMode {
    /// `local`, `open` or `closed`.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Local => "local",
            Self::Open => "open",
            Self::Closed => "closed",
        }
    }
}

impl SharedLimit {
    fn check_name(&self, problems: &mut Problems) {
        if let Some(name) = &self.name {
            let odd = |c: char| c.is_control() || matches!(c, '{' | '}');
            let good = !name.is_empty() && name.chars().count() <= 200 && !name.contains(odd);
            problems.require(good, "name", name, "1 to 200 characters without braces");
        }
    }
}
