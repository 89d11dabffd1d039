//! What a driver tells the policies about a call, instead of the request.

use crate::time::Instant;
use std::{
    hash::{BuildHasher, Hash, RandomState},
    sync::LazyLock,
    time::Duration,
};

/// What policies may know of one execution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Attributes {
    /// Who is calling, as a hash: keyed limiters keep one state a key. 0 where there is no key.
    pub key: u64,
    /// How much of a rate limit the call uses. At least 1.
    pub cost: u32,
    /// What goes first when not all can go.
    pub priority: Priority,
    /// Running the operation twice does no harm. Retries and hedges leave alone what is not repeatable.
    pub repeatable: bool,
    /// Attempts that this call is worth, the first included: less than a retry's own bound lowers it.
    pub max_attempts: u32,
    /// The longest `Retry-After` that is worth waiting for: less than a retry's own bound lowers it. For callers that
    /// have somewhere else to go.
    pub max_retry_after: Duration,
    /// The caller gives up at this instant, as if the outermost policy were a timeout that ends then.
    pub deadline: Instant,
    /// The value is a stream: its outcome is known at its end, which the driver reports with
    /// [`handle_end`](crate::Execution::handle_end).
    pub streamed: bool,
    /// How many alternatives the driver has. They are called as a fallback in the pipeline says; without one, as the
    /// default fallback around the whole pipeline would call them. [`Operation`](crate::Operation) and
    /// [`drive`](crate::drive) raise this to what their work has.
    pub fallbacks: u32,
}

impl Default for Attributes {
    fn default() -> Self {
        Self {
            key: 0,
            cost: 1,
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
    /// The attributes of a call by this caller, whoever that is: a name, an address, a number. Equal keys are
    /// equal within one process, and no key can be guessed from outside.
    pub fn of_key(key: impl Hash) -> Self {
        static SECRET: LazyLock<RandomState> = LazyLock::new(RandomState::new);
        Self { key: SECRET.hash_one(key), ..Self::default() }
    }
}

/// What goes first when not all can go.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Priority {
    /// Work nobody waits for.
    Background,
    /// Most calls.
    #[default]
    Normal,
    /// Calls that must go through while anything does.
    Critical,
}
