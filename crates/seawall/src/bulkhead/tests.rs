//! The queue against a naive model, and real threads.

use super::*;
use crate::{Attributes, Command, Execution, Pipeline, Policy, Random};
use std::{
    collections::VecDeque,
    sync::atomic::{AtomicU32, AtomicUsize, Ordering::SeqCst},
    task::Wake,
};

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
fn who_waited_too_long_is_refused_and_the_next_one_is_not_delayed() {
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
fn a_naked_caller_does_not_overtake_the_queue() {
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
        ..Default::default()
    };
    let told = Bulkhead::new(wrong).unwrap_err().to_string();
    for field in ["max_concurrent", "max_queued", "max_wait"] {
        assert!(told.contains(field), "{field} is not in: {told}");
    }
}
