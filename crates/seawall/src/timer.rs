//! A timer for any async runtime, or none: one thread of the process, started by the first sleep.
//!
//! Drivers poll the operation first and sleep only while it is pending, so fast calls never come here. On
//! tokio, `seawall_tower::TokioTimer` is cheaper.

use crate::{
    sync::{Mutex, lock},
    time::{Clock, Instant, SystemClock, Timer},
};
use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
    future::Future,
    pin::Pin,
    sync::{Condvar, LazyLock, PoisonError},
    task::{Context, Poll, Waker},
};

mod default;

pub use default::{DefaultSleep, DefaultTimer};

/// The operating system's monotonic clock, and sleeps on one thread of our own.
#[derive(Clone, Copy, Debug, Default)]
pub struct SystemTimer;

impl Clock for SystemTimer {
    fn now(&self) -> Instant {
        SystemClock.now()
    }
}

impl Timer for SystemTimer {
    type Sleep = SystemSleep;
    fn sleep_until(&self, at: Instant) -> SystemSleep {
        SystemSleep { at, id: None }
    }
}

/// A future that completes at its instant or a little later.
#[derive(Debug)]
pub struct SystemSleep {
    at: Instant,
    id: Option<u64>,
}

#[derive(Default)]
struct Alarms {
    next_id: u64,
    /// Earliest first. An alarm whose waker is gone was cancelled.
    due: BinaryHeap<Reverse<(Instant, u64)>>,
    wakers: BTreeMap<u64, Waker>,
}

struct Shared {
    alarms: Mutex<Alarms>,
    changed: Condvar,
}

static SHARED: LazyLock<Shared> = LazyLock::new(|| {
    std::thread::Builder::new()
        .name("seawall-timer".into())
        .spawn(ring)
        .expect("the system has a thread left for timeouts");
    Shared { alarms: Mutex::default(), changed: Condvar::new() }
});

/// The thread: waits for the earliest alarm, wakes who asked for it, and again.
fn ring() {
    let shared = &*SHARED;
    let mut alarms = lock(&shared.alarms);
    loop {
        let now = SystemClock.now();
        let woken = alarms.take_due(now);
        if !woken.is_empty() {
            drop(alarms);
            woken.into_iter().for_each(Waker::wake);
            alarms = lock(&shared.alarms);
            continue;
        }
        alarms = match alarms.due.peek() {
            Some(Reverse((at, _))) => {
                let wait = at.since(now);
                let woken = shared.changed.wait_timeout(alarms, wait);
                woken.unwrap_or_else(PoisonError::into_inner).0
            }
            None => shared.changed.wait(alarms).unwrap_or_else(PoisonError::into_inner),
        };
    }
}

impl Alarms {
    fn take_due(&mut self, now: Instant) -> Vec<Waker> {
        let mut woken = Vec::new();
        while let Some(Reverse((at, id))) = self.due.peek().copied() {
            let live = self.wakers.contains_key(&id);
            if live && at > now {
                break;
            }
            self.due.pop();
            woken.extend(self.wakers.remove(&id));
        }
        woken
    }

    /// Cancelled alarms stay in the heap until they are due, or until they are most of it.
    fn shed_cancelled(&mut self) {
        if self.due.len() > 64 && self.due.len() > 2 * self.wakers.len() {
            let Self { due, wakers, .. } = self;
            due.retain(|Reverse((_, id))| wakers.contains_key(id));
        }
    }
}

impl Future for SystemSleep {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if SystemClock.now() >= self.at {
            return Poll::Ready(());
        }
        let shared = &*SHARED;
        let mut alarms = lock(&shared.alarms);
        let waker = cx.waker().clone();
        match self.id.filter(|id| alarms.wakers.contains_key(id)) {
            Some(id) => {
                alarms.wakers.insert(id, waker);
            }
            None => {
                let id = alarms.next_id;
                alarms.next_id += 1;
                let earliest = alarms.due.peek().is_none_or(|Reverse((at, _))| self.at < *at);
                alarms.due.push(Reverse((self.at, id)));
                alarms.wakers.insert(id, waker);
                self.id = Some(id);
                if earliest {
                    shared.changed.notify_one();
                }
            }
        }
        Poll::Pending
    }
}

impl Drop for SystemSleep {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            let mut alarms = lock(&SHARED.alarms);
            alarms.wakers.remove(&id);
            alarms.shed_cancelled();
        }
    }
}

#[cfg(test)]
mod tests;
