//! The queue against a naive model, and real threads.

use super::*;
use crate::{
    command::Command, execution::Execution, pipeline::Pipeline, policies::Policy, random::Random,
};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst},
    task::Wake,
};

mod moving;

const NOW: Instant = Instant::from_millis(1_000_000);

fn bulkhead(max_concurrent: u32, max_queued: u32) -> Arc<Bulkhead> {
    let max_wait = Duration::from_millis(100);
    Arc::new(
        Bulkhead::new(BulkheadConfig {
            max_concurrent,
            max_queued,
            max_wait,
            ..Default::default()
        })
        .unwrap(),
    )
}

#[derive(Default)]
struct Bell(AtomicUsize);

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.0.fetch_add(1, SeqCst);
    }
}

struct Caller {
    name: u32,
    execution: Execution<Arc<Pipeline>>,
    bell: Arc<Bell>,
}

impl Caller {
    fn arrive(name: u32, pipeline: &Arc<Pipeline>) -> Self {
        let bell = Arc::new(Bell::default());
        let waker = Waker::from(bell.clone());
        let attributes = Attributes::default();
        let execution = Execution::start(pipeline.clone(), attributes, 0, NOW, &waker);
        Self { name, execution, bell }
    }

    /// Looks again, if it was woken.
    fn look(&mut self) {
        if self.bell.0.swap(0, SeqCst) > 0 {
            let waker = Waker::from(self.bell.clone());
            self.execution.handle_wake(NOW, &waker);
        }
    }
}

#[test]
fn the_queue_is_served_in_order_whatever_happens() {
    for seed in 0..300 {
        let mut random = Random::new(seed);
        let (places, queued) = (1 + random.below(3) as u32, random.below(5) as u32);
        let bulkhead = bulkhead(places, queued);
        let pipeline = Arc::new(Pipeline::new("b", [Policy::Bulkhead(bulkhead.clone())]));
        let mut callers: Vec<Caller> = Vec::new();
        // The model: who is inside, and who waits, in order.
        let (mut inside, mut waiting): (Vec<u32>, VecDeque<u32>) = Default::default();
        for name in 0..200 {
            if random.below(2) == 0 {
                let mut caller = Caller::arrive(name, &pipeline);
                let expected = if inside.len() < places as usize {
                    inside.push(name);
                    "inside"
                } else if waiting.len() < queued as usize {
                    waiting.push_back(name);
                    "waiting"
                } else {
                    "refused"
                };
                let seen = match caller.execution.poll_command() {
                    Some(Command::Call { .. }) => "inside",
                    Some(Command::Done(_)) => "refused",
                    None => "waiting",
                    other => panic!("{other:?}"),
                };
                assert_eq!(seen, expected, "seed {seed}, caller {name}");
                if seen != "refused" {
                    callers.push(caller);
                }
            } else if !callers.is_empty() {
                // Somebody goes: from inside, or out of the queue.
                let gone = callers.swap_remove(random.below(callers.len() as u64) as usize).name;
                let was_inside = inside.contains(&gone);
                inside.retain(|name| *name != gone);
                waiting.retain(|name| *name != gone);
                if was_inside && let Some(next) = waiting.pop_front() {
                    inside.push(next);
                    let next = callers.iter_mut().find(|caller| caller.name == next).unwrap();
                    // It may notice now or later; meanwhile the place is its own.
                    if random.below(2) == 0 {
                        next.look();
                        let command = next.execution.poll_command();
                        assert!(matches!(command, Some(Command::Call { .. })), "seed {seed}");
                    }
                }
            }
            let counts = (inside.len() as u32, waiting.len() as u32);
            assert_eq!((bulkhead.in_use(), bulkhead.queued()), counts, "seed {seed}");
        }
        drop(callers);
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0), "seed {seed}");
    }
}

#[test]
fn a_caller_who_waited_too_long_is_refused_and_does_not_delay_the_next_one() {
    let bulkhead = bulkhead(1, 2);
    let pipeline = Arc::new(Pipeline::new("b", [Policy::Bulkhead(bulkhead.clone())]));
    let place = bulkhead.try_acquire().unwrap();
    let mut first = Caller::arrive(1, &pipeline);
    let mut second = Caller::arrive(2, &pipeline);
    let due = first.execution.poll_timeout().unwrap();
    assert_eq!(due, NOW + Duration::from_millis(100));
    first.execution.handle_wake(due, Waker::noop());
    let Some(Command::Done(done)) = first.execution.poll_command() else { panic!("it waits") };
    let refused = Rejection::new(Reason::QueueTimeout, None);
    assert_eq!(done.outcome, Outcome::Rejected(refused));
    drop(place);
    second.look();
    assert!(matches!(second.execution.poll_command(), Some(Command::Call { .. })));
}

#[test]
fn a_caller_outside_of_a_pipeline_does_not_overtake_the_queue() {
    let bulkhead = bulkhead(1, 1);
    let pipeline = Arc::new(Pipeline::new("b", [Policy::Bulkhead(bulkhead.clone())]));
    let place = bulkhead.try_acquire().unwrap();
    let waiter = Caller::arrive(1, &pipeline);
    drop(place);
    assert_eq!(bulkhead.try_acquire().unwrap_err().reason, Reason::BulkheadFull);
    drop(waiter);
    assert!(bulkhead.try_acquire().is_ok());
}

#[test]
fn an_owned_place_goes_back_from_another_thread_however_that_ends() {
    let bulkhead = bulkhead(1, 1);
    let pipeline = Arc::new(Pipeline::new("b", [Policy::Bulkhead(bulkhead.clone())]));
    for panics in [false, true] {
        let place = bulkhead.try_acquire_owned().unwrap();
        assert_eq!(bulkhead.try_acquire_owned().unwrap_err().reason, Reason::BulkheadFull);
        let mut waiter = Caller::arrive(1, &pipeline);
        let ended = std::thread::spawn(move || {
            let _place = place;
            if panics {
                std::panic::resume_unwind(Box::new("the call panics"));
            }
        });
        assert_eq!(ended.join().is_err(), panics);
        waiter.look();
        assert!(matches!(waiter.execution.poll_command(), Some(Command::Call { .. })));
        drop(waiter);
        assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
    }
}

#[test]
fn an_owned_place_outlives_every_other_handle_on_its_bulkhead() {
    let bulkhead = bulkhead(1, 0);
    let left = Arc::downgrade(&bulkhead);
    let place = bulkhead.try_acquire_owned().unwrap();
    drop(bulkhead);
    assert_eq!(left.upgrade().map(|bulkhead| bulkhead.in_use()), Some(1));
    drop(place);
    assert_eq!(left.strong_count(), 0);
}

#[test]
fn threads_are_never_more_than_there_are_places() {
    let bulkhead = bulkhead(3, 0);
    let (inside, entered) = (AtomicU32::new(0), AtomicU32::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..5_000 {
                    if let Ok(place) = bulkhead.try_acquire() {
                        assert!(inside.fetch_add(1, SeqCst) < 3);
                        entered.fetch_add(1, SeqCst);
                        inside.fetch_sub(1, SeqCst);
                        drop(place);
                    }
                }
            });
        }
    });
    assert!(entered.load(SeqCst) > 0);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (0, 0));
}

#[test]
fn bounds_are_named() {
    let wrong = BulkheadConfig {
        max_concurrent: 0,
        max_queued: 2_000_000,
        max_wait: Duration::ZERO,
        normal_share: 0.0,
        background_share: 1.5,
        controlled_delay: Some(ControlledDelay { interval: Duration::ZERO, ..Default::default() }),
        adaptive: Some(Adaptive::Aimd(Aimd { backoff_ratio: 1.0, ..Aimd::default() })),
        ..Default::default()
    };
    let told = Bulkhead::new(wrong).unwrap_err().to_string();
    for field in [
        "max_concurrent",
        "max_queued",
        "max_wait",
        "normal_share",
        "background_share",
        "controlled_delay.interval",
        "adaptive.aimd.initial_limit",
        "adaptive.aimd.backoff_ratio",
    ] {
        assert!(told.contains(field), "{field} is not in: {told}");
    }
}

#[test]
fn the_last_places_are_kept_for_what_matters_more() {
    let config = BulkheadConfig {
        max_concurrent: 10,
        max_queued: 5,
        background_share: 0.5,
        normal_share: 0.8,
        ..Default::default()
    };
    let bulkhead = Arc::new(Bulkhead::new(config).unwrap());
    let enter = |priority| bulkhead.enter(priority, NOW, Waker::noop());
    let fill = |priority| {
        let mut taken = 0;
        while matches!(enter(priority), Entry::Taken) {
            taken += 1;
        }
        taken
    };
    assert_eq!(fill(Priority::Background), 5);
    assert!(matches!(enter(Priority::Background), Entry::Shed));
    assert_eq!(fill(Priority::Normal), 3);
    assert!(matches!(enter(Priority::Normal), Entry::Shed));
    for _ in 0..2 {
        assert!(matches!(enter(Priority::Critical), Entry::Taken));
    }
    // With no place at all, only who has a right to all of them waits.
    assert!(matches!(enter(Priority::Normal), Entry::Full));
    assert!(matches!(enter(Priority::Critical), Entry::Waiting { .. }));
    Bulkhead::release(&bulkhead);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (10, 0), "who waits goes first");
}

#[test]
fn while_the_queue_stands_waits_are_short_and_the_newest_goes_first() {
    let config = BulkheadConfig {
        max_concurrent: 1,
        max_queued: 10,
        order: QueueOrder::AdaptiveLifo,
        controlled_delay: Some(ControlledDelay::default()),
        ..Default::default()
    };
    let bulkhead = Bulkhead::new(config).unwrap();
    let place = bulkhead.try_acquire().unwrap();
    let wait = |ms: u64| match bulkhead.enter(
        Priority::Normal,
        NOW + Duration::from_millis(ms),
        Waker::noop(),
    ) {
        Entry::Waiting { ticket, until } => (ticket, until.since(NOW).as_millis() as u64 - ms),
        _ => panic!("it is full"),
    };
    assert_eq!((wait(0), wait(50)), ((0, 100), (1, 100)));
    let next = |ticket| {
        bulkhead.hand_over();
        assert!(lock(&bulkhead.queue).claim(ticket), "{ticket}");
    };
    next(0);
    // The queue has not been empty for 100 ms.
    assert_eq!((wait(99), wait(100)), ((2, 100), (3, 5)));
    next(3);
    next(2);
    next(1);
    // It was empty: all is as in the beginning.
    assert_eq!((wait(200), wait(201)), ((4, 100), (5, 100)));
    next(4);
    next(5);
    std::mem::forget(place);
}

#[test]
fn a_limit_that_moves_lets_waiters_in_and_takes_no_place_away() {
    let aimd = Aimd {
        initial_limit: 4,
        max_latency: Duration::from_millis(10),
        backoff_ratio: 0.5,
        ..Aimd::default()
    };
    let config = BulkheadConfig {
        max_concurrent: 5,
        max_queued: 10,
        adaptive: Some(Adaptive::Aimd(aimd)),
        ..Default::default()
    };
    let bulkhead = Bulkhead::new(config).unwrap();
    let enter = || bulkhead.enter(Priority::Normal, NOW, Waker::noop());
    let mut now = NOW;
    let mut record = |took, outcome: &Outcome| {
        now = now + Duration::from_secs(1);
        bulkhead.record(now, took, outcome);
    };
    let (quick, slow) = (Duration::from_millis(1), Duration::from_millis(11));
    for _ in 0..4 {
        assert!(matches!(enter(), Entry::Taken));
    }
    assert!(matches!(enter(), Entry::Waiting { ticket: 0, .. }));
    assert!(matches!(enter(), Entry::Waiting { ticket: 1, .. }));
    record(slow, &Outcome::Success);
    assert_eq!((bulkhead.limit(), bulkhead.in_use(), bulkhead.queued()), (2, 4, 2));
    // Places over the limit go; the next one is handed over.
    Bulkhead::release(&bulkhead);
    Bulkhead::release(&bulkhead);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (2, 2));
    Bulkhead::release(&bulkhead);
    assert_eq!((bulkhead.in_use(), bulkhead.queued()), (2, 1));
    // The limit rises: who waits need not wait for a release.
    record(quick, &Outcome::Success);
    assert_eq!((bulkhead.limit(), bulkhead.in_use(), bulkhead.queued()), (3, 3, 0));
    // Failures that say nothing about load move nothing; those that do, do.
    record(slow, &Outcome::failure(Class::Transient));
    assert_eq!(bulkhead.limit(), 3);
    record(quick, &Outcome::failure(Class::RateLimited));
    assert_eq!(bulkhead.limit(), 1);
    // And never beyond its bounds.
    for _ in 0..20 {
        record(slow, &Outcome::TimedOut { limit: slow });
    }
    assert_eq!(bulkhead.limit(), 1);
    for _ in 0..20 {
        record(quick, &Outcome::Success);
    }
    assert_eq!(bulkhead.limit(), 5, "3 in use are at least half of 5");
}

#[test]
fn many_late_calls_at_once_are_one_overload() {
    let aimd = Aimd { max_latency: Duration::from_millis(100), ..Aimd::default() };
    let config = BulkheadConfig { adaptive: Some(Adaptive::Aimd(aimd)), ..Default::default() };
    let bulkhead = Bulkhead::new(config).unwrap();
    let late = |ms: u64| {
        let took = Duration::from_secs(1);
        bulkhead.record(NOW + Duration::from_millis(ms), took, &Outcome::TimedOut { limit: took });
        bulkhead.limit()
    };
    assert_eq!([late(0), late(1), late(9), late(10), late(11)], [18, 18, 18, 16, 16]);
}
