//! The timer thread, on the real clock.

use super::*;
use crate::time::{Clock, Timer};
use std::{
    pin::pin,
    sync::{Arc, Condvar, Mutex},
    task::{Context, Poll, Wake, Waker},
    time::Duration,
};

#[derive(Default)]
struct Bell(Mutex<u32>, Condvar);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() += 1;
        self.1.notify_all();
    }
}

impl Bell {
    fn wait(&self) {
        let mut rung = self.0.lock().unwrap();
        while *rung == 0 {
            let (guard, timeout) = self.1.wait_timeout(rung, Duration::from_secs(20)).unwrap();
            assert!(!timeout.timed_out(), "nobody rang");
            rung = guard;
        }
        *rung = 0;
    }
}

fn block_on(sleep: SystemSleep) {
    let bell = Arc::new(Bell::default());
    let waker = Waker::from(bell.clone());
    let mut sleep = pin!(sleep);
    while sleep.as_mut().poll(&mut Context::from_waker(&waker)).is_pending() {
        bell.wait();
    }
}

#[test]
fn it_is_never_early() {
    for ms in [0, 1, 3, 20] {
        let at = SystemTimer.now() + Duration::from_millis(ms);
        block_on(SystemTimer.sleep_until(at));
        assert!(SystemTimer.now() >= at);
    }
}

#[test]
fn many_sleep_at_once_and_an_earlier_one_is_not_kept_waiting() {
    std::thread::scope(|scope| {
        for n in 0..50_u64 {
            // Later ones come first, so that each new one is the earliest.
            let at = SystemTimer.now() + Duration::from_millis(100 - 2 * n);
            scope.spawn(move || block_on(SystemTimer.sleep_until(at)));
        }
    });
}

#[test]
fn the_last_waker_is_the_one_that_is_called() {
    let (old, new) = (Arc::new(Bell::default()), Arc::new(Bell::default()));
    let mut sleep = pin!(SystemTimer.sleep_until(SystemTimer.now() + Duration::from_millis(30)));
    let mut poll = |bell: &Arc<Bell>| {
        sleep.as_mut().poll(&mut Context::from_waker(&Waker::from(bell.clone())))
    };
    assert_eq!((poll(&old), poll(&new)), (Poll::Pending, Poll::Pending));
    new.wait();
    assert_eq!(*old.0.lock().unwrap(), 0);
}

#[test]
fn cancelled_sleeps_are_removed() {
    let mut alarms = Alarms::default();
    // As sleeps do it: one alarm each, and most are cancelled before they ring.
    for id in 0..10_000 {
        alarms.due.push(Reverse((Instant::from_nanos(id), id)));
        alarms.wakers.insert(id, Waker::noop().clone());
        if id % 100 != 0 {
            alarms.wakers.remove(&id);
            alarms.shed_cancelled();
        }
    }
    assert!(alarms.due.len() < 300, "{} alarms are kept for 100 sleeps", alarms.due.len());
    assert_eq!(alarms.take_due(Instant::FAR_FUTURE).len(), 100);
}
