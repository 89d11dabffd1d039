//! What a connector sees of a shared limit: questions for the store out, its answers in.

use super::{Shared, SharedLimit};
use crate::{
    attributes::Key,
    event::{Event, Kind, Observer},
    name::Name,
    policies::rate_limiter::{Limit, Limiter, RateLimiter, Unit},
    sync::lock,
    time::Instant,
};
use std::{
    fmt,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

/// A question for the store about one key of a limit. The store grants `needed` calls, or as many of them as are left but not
/// fewer than `first`; and of what is left then up to `ahead` more, but not more than half of it, so that one instance does
/// not take what others need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LimitAsk {
    /// Whose calls they are; [`Key::NONE`] where there is one limit for all.
    pub key: Key,
    /// What the call that has waited longest costs; 0 where none waits.
    pub first: u32,
    /// What the calls that wait cost together.
    pub needed: u32,
    /// Calls that are taken in advance.
    pub ahead: u32,
    /// What the store corrects before it decides.
    pub settlement: LimitSettlement,
    pub(super) asked_at: Instant,
    pub(super) era: u64,
}

/// What calls of one key have used beyond what they took in advance, and what they left of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitSettlement {
    /// So much more counts as used, though there may be no room for it.
    pub beyond: u32,
    /// So much goes back, where the window in which it was counted still counts.
    pub left: u32,
    /// How long ago the first of the calls was counted that left something.
    pub left_since: Duration,
}

impl LimitSettlement {
    /// Whether it corrects nothing.
    pub fn is_empty(&self) -> bool {
        self.beyond == 0 && self.left == 0
    }
}

/// The store's answer to an [`LimitAsk`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LimitGrant {
    /// Calls that this instance may make, all of which count as made.
    pub calls: u32,
    /// Where fewer than `needed` were granted: how long until `first` more would be.
    pub retry_after: Option<Duration>,
    /// Calls that are left for everyone.
    pub remaining: u32,
    /// How long until nothing would be used up any more.
    pub reset_after: Duration,
}

/// A shared limit of one operation, as the connector sees it that carries its questions to the store. It does no I/O.
///
/// The connector says [`connected`](Self::connected) when it reaches the store. From then on it takes what
/// [`poll_asks`](Self::poll_asks) has, and hands in the answer to each with [`granted`](Self::granted). Where the store does
/// not answer within [`SharedLimit::timeout`] it says [`lost`](Self::lost): from then on calls are decided without the store
/// and nothing is asked, until it says `connected` again. Several connectors of one limit would share its questions.
#[derive(Clone)]
pub struct SharedLimits {
    operation: Name,
    limiter: Arc<RateLimiter>,
    observer: Option<Arc<dyn Observer>>,
}

impl SharedLimits {
    /// The view on this limiter, if it shares its limits.
    pub(crate) fn of(
        operation: &Name,
        limiter: &Arc<RateLimiter>,
        observer: Option<Arc<dyn Observer>>,
    ) -> Option<Self> {
        limiter.shared()?;
        Some(Self { operation: operation.clone(), limiter: limiter.clone(), observer })
    }

    fn with<T: Default>(&self, work: impl FnOnce(&Shared) -> T) -> T {
        self.limiter.shared().map(work).unwrap_or_default()
    }

    /// Its name in the store: that of its configuration, or of its operation.
    pub fn name(&self) -> &str {
        match &self.limiter.config().shared {
            Some(SharedLimit { name: Some(name), .. }) => name,
            _ => &self.operation,
        }
    }

    /// The limits that each call takes from, from all or from none.
    pub fn limits(&self) -> &[Limit] {
        self.limiter.shared().map_or(&[], |shared| &shared.limits)
    }

    /// Whether the limits count calls or tokens.
    pub fn unit(&self) -> Unit {
        self.limiter.config().unit
    }

    /// How long the store may take for an answer.
    pub fn timeout(&self) -> Duration {
        self.with(|shared| shared.settings.timeout)
    }

    /// Whether it is decided without the store.
    pub fn is_degraded(&self) -> bool {
        self.with(Shared::is_degraded)
    }

    /// Whether both are views on one limit of this process.
    pub fn is_same(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.limiter, &other.limiter)
    }

    /// The questions to take to the store now, at most `most`; each key is in one at a time. An empty batch says that calls
    /// gave up waiting for the store, so that the connector looks whether it still answers. Where there is nothing to ask,
    /// the waker is woken when there is.
    pub fn poll_asks(
        &self,
        now: Instant,
        most: usize,
        cx: &mut Context<'_>,
    ) -> Poll<Vec<LimitAsk>> {
        let Some(shared) = self.limiter.shared() else { return Poll::Pending };
        let mut book = lock(&shared.book);
        let asks = book.asks(now, most);
        if !asks.is_empty() || book.should_probe() {
            return Poll::Ready(asks);
        }
        book.wait_for_asks(cx.waker());
        Poll::Pending
    }

    /// The store answered this question. An answer that comes late counts all the same: the store has counted it.
    pub fn granted(&self, now: Instant, ask: &LimitAsk, grant: &LimitGrant) {
        self.with(|shared| {
            shared.change(|book, wakers| book.answered(now, ask, grant, wakers));
        });
    }

    /// The store had no answer to this question, though it may have others, such as a cluster of which a part is down: the
    /// calls of its key are decided without the store until then.
    pub fn failed(&self, ask: &LimitAsk, until: Instant) {
        self.with(|shared| shared.change(|book, wakers| book.failed(ask, until, wakers)));
    }

    /// A round trip to the store ended, for so many questions at once: for the counters.
    pub fn round_trip(&self, now: Instant, asks: u32, took: Duration) {
        self.emit(now, Kind::StoreAnswered { asks, took });
    }

    /// The store answers: calls wait for it from now on. `instances` is how many share its limits now, where it says so.
    pub fn connected(&self, now: Instant, instances: Option<u32>) {
        self.with(|shared| {
            if let Some(instances) = instances {
                shared.count_instances(instances);
            }
            if shared.is_degraded() {
                lock(&shared.book).connect();
                self.emit(now, Kind::StoreFound { policy: "rate_limiter" });
            }
        });
    }

    /// The store does not answer: whoever waits for it is decided without it at once, and nobody waits from now on.
    pub fn lost(&self, now: Instant) {
        self.with(|shared| {
            if shared.change(|book, wakers| book.lose(false, wakers)) {
                self.emit(now, Kind::StoreLost { policy: "rate_limiter" });
            }
        });
    }

    fn emit(&self, at: Instant, kind: Kind) {
        if let Some(observer) = &self.observer {
            let operation = &self.operation;
            observer.observe(&Event { at, operation, execution: 0, shadow: false, kind });
        }
    }
}

impl fmt::Debug for SharedLimits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedLimits")
            .field("name", &self.name())
            .field("limits", &self.limits())
            .finish_non_exhaustive()
    }
}

impl RateLimiter {
    fn shared(&self) -> Option<&Shared> {
        match &self.limiter {
            Limiter::Shared(shared) => Some(shared),
            Limiter::Word(..) | Limiter::Several(..) => None,
        }
    }

    /// Whether it shares its limits with other instances and is decided without the store now, because that does not
    /// answer.
    pub fn is_degraded(&self) -> bool {
        self.shared().is_some_and(Shared::is_degraded)
    }
}
