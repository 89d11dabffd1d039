//! The body of an answer, and what it holds.

use super::{ms, operation};
use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use seawall::{Operation, State};
use seawall_tower::{ClientLayer, HeldBody, TokioTimer};
use std::{
    pin::Pin,
    task::{Context, Poll},
};
use tower::{Layer, ServiceExt, service_fn};

const POLICIES: &str = r#"[{"type": "circuit_breaker", "failure_threshold": 1},
                           {"type": "bulkhead", "max_concurrent": 1}]"#;

/// The answer of a service that answers so, under `operation`.
async fn answered<B>(
    operation: &Operation<TokioTimer>,
    status: StatusCode,
    body: impl Fn() -> B + Clone + Send + Sync + 'static,
) -> HeldBody<B, TokioTimer>
where
    B: Body + Send + 'static,
{
    let service = service_fn(move |_: Request<Full<Bytes>>| {
        let mut answer = Response::new(body());
        *answer.status_mut() = status;
        std::future::ready(Ok::<_, &'static str>(answer))
    });
    let ask = Request::get("http://there/path").body(Full::default()).unwrap();
    ClientLayer::new(operation.clone()).layer(service).oneshot(ask).await.unwrap().into_body()
}

/// Successes, failures, callers gone; the circuit; places in use and executions in progress.
fn told(operation: &Operation<TokioTimer>) -> (u64, u64, u64, State, (usize, u64)) {
    let (counts, pipeline) = (operation.counts(), operation.pipeline());
    (
        counts.successful_calls,
        counts.failed_calls,
        counts.abandoned_calls,
        pipeline.circuit_breaker().unwrap().state(),
        (pipeline.bulkhead().unwrap().in_use() as usize, counts.in_flight),
    )
}

/// Pieces, and then an end or a break; pending in between.
#[derive(Clone)]
struct Pieces(Vec<Result<&'static str, &'static str>>, bool);

impl Body for Pieces {
    type Data = Bytes;
    type Error = &'static str;
    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, &'static str>>> {
        self.1 = !self.1;
        if self.1 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        if self.0.is_empty() {
            return Poll::Ready(None);
        }
        let frame = |text| match text {
            "panic" => std::panic::resume_unwind(Box::new("burnt down")),
            text => Frame::data(Bytes::from(text)),
        };
        Poll::Ready(Some(self.0.remove(0).map(frame)))
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_holds_the_permits_to_its_end() {
    let nothing = (0, 0);
    for (pieces, read, expected) in [
        (vec![Ok("a"), Ok("b")], 3, (1, 0, 0, State::Closed, nothing)),
        (vec![Ok("a"), Err("broken")], 2, (0, 1, 0, State::Open, nothing)),
        // Dropped before its end: the caller is gone, and that is nobody's fault.
        (vec![Ok("a"), Ok("b")], 1, (0, 0, 1, State::Closed, nothing)),
    ] {
        let operation = operation(POLICIES);
        let made = Pieces(pieces.clone(), false);
        let mut body = answered(&operation, StatusCode::OK, move || made.clone()).await;
        for _ in 0..read {
            assert_eq!(told(&operation), (0, 0, 0, State::Closed, (1, 1)));
            tokio::time::advance(ms(500)).await;
            if body.frame().await.is_none_or(|frame| frame.is_err()) {
                break;
            }
        }
        drop(body);
        assert_eq!(told(&operation), expected, "{pieces:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_that_panics_is_one_that_failed() {
    let operation = operation(POLICIES);
    let made = || Pieces(vec![Ok("a"), Ok("panic")], false);
    let body = answered(&operation, StatusCode::OK, made).await;
    assert!(tokio::spawn(body.collect()).await.unwrap_err().is_panic());
    assert_eq!(told(&operation), (0, 1, 0, State::Open, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn a_body_of_known_length_ends_with_its_last_byte() {
    let operation = operation(POLICIES);
    let mut body = answered(&operation, StatusCode::OK, || Full::<Bytes>::from("body")).await;
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "body");
    // Nobody asks again: `Full` says that it is over.
    assert_eq!(told(&operation), (1, 0, 0, State::Closed, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn an_empty_body_ends_at_once() {
    let operation = operation(POLICIES);
    let body = answered(&operation, StatusCode::OK, Full::<Bytes>::default).await;
    assert_eq!(told(&operation), (1, 0, 0, State::Closed, (0, 0)));
    assert!(body.is_end_stream());
}

#[tokio::test(start_paused = true)]
async fn trailers_pass_and_come_before_the_end() {
    let operation = operation(POLICIES);
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", "0".parse().unwrap());
    let sent = trailers.clone();
    let made = move || {
        let sent = sent.clone();
        Full::<Bytes>::from("body").with_trailers(Box::pin(async move { Some(Ok(sent)) }))
    };
    let mut body = answered(&operation, StatusCode::OK, made).await;
    assert!(body.frame().await.unwrap().unwrap().is_data());
    assert_eq!(told(&operation), (0, 0, 0, State::Closed, (1, 1)));
    assert_eq!(body.frame().await.unwrap().unwrap().into_trailers().unwrap(), trailers);
    assert!(body.frame().await.is_none());
    assert_eq!(told(&operation), (1, 0, 0, State::Closed, (0, 0)));
}

#[tokio::test(start_paused = true)]
async fn the_body_of_a_failure_holds_its_place_and_is_no_success() {
    let operation = operation(POLICIES);
    let body =
        answered(&operation, StatusCode::SERVICE_UNAVAILABLE, || Full::<Bytes>::from("sorry"))
            .await;
    assert_eq!(told(&operation), (0, 1, 0, State::Open, (1, 0)));
    assert_eq!(body.collect().await.unwrap().to_bytes(), "sorry");
    assert_eq!(told(&operation), (0, 1, 0, State::Open, (0, 0)));
}
