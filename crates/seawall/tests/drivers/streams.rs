//! Streams: the permits come along with the value, and the outcome is known at the end.

use crate::stage::{Stage, finish};
use seawall::{Class, HeldPermits, Outcome, Pipeline, State};
use std::future::ready;

use crate::stage::Hand;

fn open(stage: &Stage) -> HeldPermits<&Pipeline, &Hand> {
    struct Stream;
    impl seawall::Work for Stream {
        type Value = ();
        type Error = ();
        type Call = std::future::Ready<Result<(), ()>>;
        type Alternative = Self::Call;
        fn call(&mut self, _: seawall::Attempt) -> Self::Call {
            ready(Ok(()))
        }
        fn fallback(
            &mut self,
            _: u32,
            failed: seawall::WorkResult<Self>,
        ) -> Result<Self::Call, seawall::WorkResult<Self>> {
            Err(failed)
        }
    }
    let run = stage.pipeline.drive(&stage.hand, Stream).held();
    finish(&stage.hand, run).expect("it is answered").1
}

#[test]
fn permits_are_held_to_the_end_and_a_good_end_is_a_success() {
    let stage = Stage::new();
    let held = open(&stage);
    stage.hand.pass(10_000);
    assert_eq!((stage.bulkhead.in_use(), stage.breaker.state()), (1, State::HalfOpen));
    assert_eq!((stage.counts().in_flight, held.calls()), (1, 1));
    held.end(Outcome::Success);
    assert_eq!(stage.breaker.state(), State::Closed);
    assert_eq!(stage.counts().successful_calls, 1);
    stage.assert_everything_is_back("after a stream");
}

#[test]
fn a_stream_that_breaks_off_is_a_failure() {
    let stage = Stage::new();
    open(&stage).end(Outcome::failure(Class::Transient));
    assert_eq!(stage.breaker.state(), State::Open);
    assert_eq!(stage.counts().failed_calls, 1);
    stage.assert_everything_is_back("after a broken stream");
}

#[test]
fn a_stream_whose_reader_leaves_says_nothing_of_the_dependency() {
    let stage = Stage::new();
    drop(open(&stage));
    assert_eq!(stage.breaker.state(), State::HalfOpen);
    assert_eq!(stage.counts().abandoned_calls, 1);
    stage.assert_everything_is_back("after the reader left");
}
