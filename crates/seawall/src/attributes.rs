//! The description of a call that a driver hands to the policies in place of the request itself.

use crate::time::Instant;
use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::LazyLock,
    time::Duration,
};

/// Who makes a call: keyed rate limiters and circuit breakers keep one state for each key.
///
/// A key is a well-mixed hash, never the number or the name that it stands for, because the maps of keys are divided by
/// its bits: were small numbers keys as they are, all of them would share one part of the map, and with it its bound.
///
/// ```
/// use seawall::Key;
/// assert_eq!(Key::of("tenant 7"), Key::of("tenant 7"));
/// assert_ne!(Key::of(7_u64), Key::of(8_u64));
/// ```
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Key(u64);

impl Key {
    /// The key of all calls that do not say who makes them.
    pub const NONE: Self = Self(0);

    /// The key of the caller that `caller` describes: a name, an address, a number, or several of them in a tuple.
    /// Equal values have equal keys within one process. The hash is SipHash with a secret that each process draws at
    /// its start, so that an outsider cannot choose names whose keys collide.
    pub fn of(caller: impl Hash) -> Self {
        static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self(SECRET.hash_one(caller))
    }

    /// The key of a caller for whom there is a hash already, all of whose bits are well mixed: to share keys between
    /// processes, or to have the same ones in each run of a simulation.
    pub const fn from_hash(hash: u64) -> Self {
        Self(hash)
    }

    /// The hash that this key is: what [`from_hash`](Self::from_hash) takes.
    pub const fn hash(self) -> u64 {
        self.0
    }
}

/// The facts about one execution that policies may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Who makes the call, for keyed policies; [`Key::NONE`] unless said otherwise.
    pub key: Key,
    /// How much of a rate limit of calls the call uses. At least 1.
    pub cost: u32,
    /// How much of a rate limit of tokens ([`Unit::Tokens`](crate::Unit)) the call is expected to use, such as the tokens of
    /// a language model. So much is taken before it is made, but never more than the whole limit, and settled afterwards
    /// ([`Run::settle`](crate::Run::settle)). 0, the default, passes such a limit without taking anything.
    pub tokens: u32,
    /// How many tokens the calls of this execution have used, as far as they have reported it. A [`Run`](crate::Run) sets
    /// this itself.
    pub used_tokens: Option<u32>,
    /// The priority of the call: when not all calls can be served, those of higher priority go first.
    pub priority: Priority,
    /// Whether running the operation twice does no harm. Calls that are not repeatable are neither retried nor hedged.
    pub repeatable: bool,
    /// The most attempts that this call is worth, the first included: less than a retry's own bound lowers it.
    pub max_attempts: u32,
    /// The longest `Retry-After` that is worth waiting for: less than a retry's own bound lowers it. For callers that
    /// have somewhere else to go.
    pub max_retry_after: Duration,
    /// The instant at which the caller gives up, as if the outermost policy were a timeout that ends then.
    pub deadline: Instant,
    /// Whether the value is a stream: its outcome is known at its end, which the driver reports with
    /// [`handle_end`](crate::Execution::handle_end). A [`Run`](crate::Run) sets this itself: it is so where it is
    /// [`held`](crate::Run::held).
    pub streamed: bool,
    /// How many alternatives the driver has. They are called as a fallback in the pipeline says; without one, as the
    /// default fallback around the whole pipeline would call them. A [`Run`](crate::Run) sets this itself, to what its work
    /// has.
    pub fallbacks: u32,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            key: Key::NONE,
            cost: 1,
            tokens: 0,
            used_tokens: None,
            priority: Priority::Normal,
            repeatable: true,
            max_attempts: u32::MAX,
            max_retry_after: Duration::MAX,
            deadline: Instant::FAR_FUTURE,
            streamed: false,
            fallbacks: 0,
        }
    }
}

impl Attributes {
    /// The defaults, with the key of this caller: short for `Attributes { key: Key::of(caller), ..Attributes::default() }`.
    pub fn of_key(caller: impl Hash) -> Self {
        Self { key: Key::of(caller), ..Self::default() }
    }

    /// Sets how much of a rate limit of calls the call uses.
    pub fn cost(self, cost: u32) -> Self {
        Self { cost, ..self }
    }

    /// Sets how many tokens the call is expected to use.
    pub fn tokens(self, tokens: u32) -> Self {
        Self { tokens, ..self }
    }
}

/// The priority of a call: when not all calls can be served, those of higher priority go first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Background work: no caller waits for its answer.
    Background,
    /// An ordinary call. This is the default.
    #[default]
    Normal,
    /// A call that must go through while any call does.
    Critical,
}
