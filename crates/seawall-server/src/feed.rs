//! The event feed: the events that people read, bounded in memory and in rate.
//!
//! Under overload a gateway rejects thousands of calls a second; of each kind of event a bounded number is kept in each
//! second, and the next one kept says how many were passed over.

use seawall::{Clock, Event, Kind, Observer, State, Why};
use seawall_tower::TokioTimer;
use serde::{Deserialize, Serialize};
use std::{
    borrow::Cow,
    collections::VecDeque,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::sync::broadcast;

/// Events kept for clients that connect later.
const KEPT: usize = 1000;
/// Changes kept for clients that connect later, however many rejections there were since.
const CHANGES_KEPT: usize = 500;
/// Events of one kind kept in one second.
const PER_SECOND: u64 = 20;

/// One line of the feed.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Line {
    /// The number of the line. Later lines have larger numbers.
    pub id: u64,
    /// When it happened: RFC 3339, in UTC.
    pub at: String,
    /// The operation that the line is about; empty if it is about none.
    pub operation: String,
    /// The policy that the line is about; `server` for what an operator or the server did.
    pub policy: Cow<'static, str>,
    /// The kind of event: `circuit_changed`, `rejected` …
    pub kind: Cow<'static, str>,
    /// The event, in words.
    pub text: String,
}

/// The latest lines, and the clients that follow them.
pub(crate) struct Feed {
    lines: Mutex<Kept>,
    next_id: AtomicU64,
    followers: broadcast::Sender<Arc<Line>>,
    quotas: [Quota; 7],
}

/// The lines that are kept, oldest first.
#[derive(Default)]
struct Kept {
    all: VecDeque<Arc<Line>>,
    /// The latest lines about changes, however many rejections there were since.
    changes: VecDeque<Arc<Line>>,
}

impl Kept {
    fn push(&mut self, line: &Arc<Line>) {
        if self.all.len() == KEPT {
            self.all.pop_front();
        }
        self.all.push_back(line.clone());
        if line.is_change() {
            if self.changes.len() == CHANGES_KEPT {
                self.changes.pop_front();
            }
            self.changes.push_back(line.clone());
        }
    }
}

impl Line {
    /// Whether the line is about a change, not about a call.
    fn is_change(&self) -> bool {
        self.policy == "server" || self.kind == "circuit_changed"
    }
}

/// The number of lines of one kind that were kept in the present second: `second << 20 | count`.
#[derive(Default)]
struct Quota {
    second: AtomicU64,
    passed_over: AtomicU64,
}

impl Quota {
    /// Whether one more line may be kept in this second; if so, how many were left out before it.
    fn admit(&self, second: u64) -> Option<u64> {
        let seen = |word: u64| if word >> 20 == second { word & 0xF_FFFF } else { 0 };
        let next = |word| (seen(word) < PER_SECOND).then(|| second << 20 | (seen(word) + 1));
        match self.second.fetch_update(Ordering::Relaxed, Ordering::Relaxed, next) {
            Ok(_) => Some(self.passed_over.swap(0, Ordering::Relaxed)),
            Err(_) => {
                self.passed_over.fetch_add(1, Ordering::Relaxed);
                None
            }
        }
    }
}

impl Feed {
    pub(crate) fn new() -> Arc<Self> {
        Arc::new(Self {
            lines: Mutex::default(),
            next_id: AtomicU64::new(1),
            followers: broadcast::channel(256).0,
            quotas: Default::default(),
        })
    }

    /// The last `count` lines, with all changes that are kept, oldest first; and everything after them.
    pub(crate) fn follow(&self, count: usize) -> (Vec<Arc<Line>>, broadcast::Receiver<Arc<Line>>) {
        // Under the lock, so that no line is missed or seen twice between the two.
        let lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let receiver = self.followers.subscribe();
        let skip = lines.all.len().saturating_sub(count);
        let tail = lines.all.iter().skip(skip);
        let from = tail.clone().next().map_or(u64::MAX, |line| line.id);
        let before = lines.changes.iter().filter(|line| line.id < from);
        (before.chain(tail).cloned().collect(), receiver)
    }

    /// Adds a line that is about no execution.
    pub(crate) fn note(&self, kind: &'static str, operation: &str, text: String) {
        self.push(kind, operation, "server", text);
    }

    fn push(&self, kind: &'static str, operation: &str, policy: &'static str, text: String) {
        let at = humantime::format_rfc3339_millis(SystemTime::now()).to_string();
        let mut lines = self.lines.lock().unwrap_or_else(PoisonError::into_inner);
        let id = self.next_id.fetch_add(1, Ordering::Relaxed);
        let (kind, policy) = (kind.into(), policy.into());
        let line = Arc::new(Line { id, at, operation: operation.into(), policy, kind, text });
        lines.push(&line);
        // An error only says that there are no followers.
        let _ = self.followers.send(line);
    }
}

impl Observer for Feed {
    fn observe(&self, event: &Event<'_>) {
        // What a policy in shadow would have done is counted, and does not appear in the feed.
        if event.shadow && !matches!(event.kind, Kind::CircuitChanged(_)) {
            return;
        }
        let quota = match event.kind {
            Kind::CircuitChanged(change) => {
                // One that does not act says so, or it would read as if calls were refused.
                let mut text = change.to_string();
                if event.shadow && change.why != Why::SwitchedOff {
                    text.push_str(" (in shadow: no call is refused)");
                }
                log(event, change.to, &text);
                return self.push("circuit_changed", event.operation, "circuit_breaker", text);
            }
            Kind::Rejected(_) => &self.quotas[0],
            Kind::TimedOut { .. } => &self.quotas[1],
            Kind::RetryScheduled { .. } => &self.quotas[2],
            Kind::FellBack { .. } => &self.quotas[3],
            Kind::Withheld { .. } => &self.quotas[4],
            Kind::Hedged { .. } => &self.quotas[5],
            Kind::FaultInjected(_) => &self.quotas[6],
            _ => return,
        };
        let second = TokioTimer.now().as_nanos() / Duration::from_secs(1).as_nanos() as u64;
        let Some(passed_over) = quota.admit(second) else { return };
        let mut text = event.kind.to_string();
        if passed_over > 0 {
            text.push_str(&format!(" (and {passed_over} more before)"));
        }
        self.push(event.kind.label(), event.operation, event.kind.policy().unwrap_or(""), text);
    }
}

/// One line in the log for each change of state.
fn log(event: &Event<'_>, to: State, what: &str) {
    let operation = event.operation;
    match to {
        State::Open | State::ForcedOpen if !event.shadow => {
            tracing::warn!(%operation, "circuit {what}")
        }
        _ => tracing::info!(%operation, "circuit {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flood_is_bounded_and_counted() {
        let quota = Quota::default();
        let kept = (0..1000).filter(|_| quota.admit(7).is_some()).count();
        assert_eq!(kept as u64, PER_SECOND);
        assert_eq!(quota.admit(8), Some(1000 - PER_SECOND));
        assert_eq!(quota.admit(8), Some(0));
    }

    #[test]
    fn the_tail_is_bounded_and_in_order() {
        let feed = Feed::new();
        feed.note("started", "", "first".into());
        for n in 0..KEPT + 5 {
            feed.push("rejected", "a", "circuit_breaker", n.to_string());
        }
        let texts = |count| {
            let (lines, _) = feed.follow(count);
            lines.iter().map(|line| line.text.clone()).collect::<Vec<_>>()
        };
        let all = texts(usize::MAX);
        assert_eq!((all.len(), all[0].as_str(), all[1].as_str()), (KEPT + 1, "first", "5"));
        assert_eq!(texts(2), ["first", "1003", "1004"], "a change is not pushed out by calls");
    }
}
