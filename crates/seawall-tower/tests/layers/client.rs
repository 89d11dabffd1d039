//! Around a client.

use super::{ms, operation};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body::{Body, Frame};
use http_body_util::{BodyExt, Full};
use seawall::{Error, Operation, Reason, State};
use seawall_tower::{Client, ClientLayer, TokioTimer};
use std::{
    pin::Pin,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::SeqCst},
    },
    task::{Context, Poll},
};
use tower::{Layer, Service, ServiceExt, service_fn};

const RETRY: &str = r#"{"type": "retry", "max_attempts": 3, "backoff": {"base_delay": "10ms"}}"#;

fn request(method: Method) -> http::request::Builder {
    Request::builder().method(method).uri("http://there/path")
}

fn answer(status: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::from("body"));
    *response.status_mut() = StatusCode::from_u16(status).unwrap();
    response
}

/// Answers with these statuses in turn, the last one for ever; 0 is an error. Notes the attempts' numbers.
#[derive(Clone)]
struct Scripted(&'static [u16], Arc<Mutex<Vec<String>>>);

impl Service<Request<Full<Bytes>>> for Scripted {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Self::Response, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<Full<Bytes>>) -> Self::Future {
        let mut seen = self.1.lock().unwrap();
        let status = self.0[seen.len().min(self.0.len() - 1)];
        let attempt = request.headers().get("x-seawall-attempt").unwrap();
        seen.push(attempt.to_str().unwrap().to_owned());
        std::future::ready(if status == 0 { Err("broken") } else { Ok(answer(status)) })
    }
}

fn statuses(
    operation: &Operation<TokioTimer>,
    statuses: &'static [u16],
) -> (Client<Scripted>, Arc<Mutex<Vec<String>>>) {
    let service = Scripted(statuses, Arc::default());
    let seen = service.1.clone();
    (ClientLayer::new(operation.clone()).layer(service), seen)
}

#[tokio::test(start_paused = true)]
async fn what_may_be_sent_again_is() {
    for (method, header, expected) in [
        (Method::GET, None, &["1", "2", "3"][..]),
        (Method::PUT, None, &["1", "2", "3"]),
        (Method::POST, None, &["1"]),
        (Method::POST, Some(("idempotency-key", "k")), &["1", "2", "3"]),
        // The caller counts its attempts itself.
        (Method::GET, Some(("x-seawall-attempt", "7")), &["7"]),
    ] {
        let (client, seen) = statuses(&operation(&format!("[{RETRY}]")), &[503, 0, 200]);
        let mut request = request(method.clone());
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = client.oneshot(request.body(Full::from("payload")).unwrap()).await.unwrap();
        let status = if expected.len() == 3 { 200 } else { 503 };
        assert_eq!(answer.status(), status, "{method} {header:?}");
        assert_eq!(*seen.lock().unwrap(), expected, "{method} {header:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn the_services_own_error_surfaces() {
    let (client, _) = statuses(&operation("[]"), &[0]);
    let error = client.oneshot(request(Method::GET).body(Full::default()).unwrap()).await;
    assert_eq!(error.err(), Some(Error::Inner("broken")));
}

#[tokio::test(start_paused = true)]
async fn the_circuit_is_the_operations_and_two_layers_share_it() {
    let operation = operation(r#"[{"type": "circuit_breaker", "failure_threshold": 1}]"#);
    let (bad, _) = statuses(&operation, &[500]);
    let (good, seen) = statuses(&operation, &[200]);
    let ask = || request(Method::GET).body(Full::default()).unwrap();
    assert_eq!(bad.oneshot(ask()).await.unwrap().status(), 500);
    let refused = good.oneshot(ask()).await.err().unwrap();
    let Error::Rejected(rejection) = refused else { panic!("{refused:?}") };
    assert_eq!(rejection.reason, Reason::CircuitOpen);
    assert_eq!(*seen.lock().unwrap(), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn answers_are_judged_as_the_user_says() {
    let operation = operation(r#"[{"type": "circuit_breaker", "failure_threshold": 1}]"#);
    let layer = ClientLayer::new(operation.clone()).classify(|status, _| {
        if status == 204 {
            seawall::Outcome::failure(seawall::Class::Transient)
        } else {
            seawall::Outcome::Success
        }
    });
    let client = layer.layer(service_fn(async |request: Request<Full<Bytes>>| {
        Ok::<_, ()>(answer(if request.uri().path() == "/path" { 500 } else { 204 }))
    }));
    let ask = |uri: &str| Request::get(uri).body(Full::default()).unwrap();
    client.clone().oneshot(ask("http://there/path")).await.unwrap();
    assert_eq!(operation.pipeline().circuit_breaker().unwrap().state(), State::Closed);
    client.oneshot(ask("http://there/other")).await.unwrap();
    assert_eq!(operation.pipeline().circuit_breaker().unwrap().state(), State::Open);
}

/// A service that is ready after so many polls, counted by each clone for itself.
#[derive(Clone)]
struct Slow {
    polls: usize,
    called: Arc<AtomicUsize>,
}

impl Service<Request<Full<Bytes>>> for Slow {
    type Response = Response<Full<Bytes>>;
    type Error = &'static str;
    type Future = std::future::Ready<Result<Self::Response, &'static str>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        match self.polls {
            0 => Poll::Ready(Ok(())),
            usize::MAX => Poll::Pending,
            99 => Poll::Ready(Err("never ready")),
            _ => {
                self.polls -= 1;
                cx.waker().wake_by_ref();
                Poll::Pending
            }
        }
    }

    fn call(&mut self, _: Request<Full<Bytes>>) -> Self::Future {
        assert_eq!(self.polls, 0, "called before it was ready");
        self.called.fetch_add(1, SeqCst);
        std::future::ready(Ok(answer(200)))
    }
}

#[tokio::test(start_paused = true)]
async fn each_attempt_waits_until_the_service_is_ready() {
    let operation = operation(r#"[{"type": "timeout", "limit": "100ms"}]"#);
    let called = Arc::new(AtomicUsize::new(0));
    let ask = async |polls| {
        let service = Slow { polls, called: called.clone() };
        let client = ClientLayer::new(operation.clone()).layer(service);
        client.oneshot(request(Method::GET).body(Full::default()).unwrap()).await
    };
    assert_eq!(ask(3).await.unwrap().status(), 200);
    assert_eq!(ask(99).await.err(), Some(Error::Inner("never ready")));
    assert!(ask(usize::MAX).await.err().unwrap().is_timed_out());
    assert_eq!(called.load(SeqCst), 1);
}

/// Pieces, and then an end or a break; pending in between.
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
        Poll::Ready(Some(self.0.remove(0).map(|text| Frame::data(Bytes::from(text)))))
    }
}

#[tokio::test(start_paused = true)]
async fn the_body_holds_the_permits_to_its_end() {
    let policies = r#"[{"type": "circuit_breaker", "failure_threshold": 1},
                       {"type": "bulkhead", "max_concurrent": 1}]"#;
    for (pieces, read, expected) in [
        (vec![Ok("a"), Ok("b")], 3, (1, 0, 0, State::Closed)),
        (vec![Ok("a"), Err("broken")], 2, (0, 1, 0, State::Open)),
        (vec![Ok("a"), Ok("b")], 1, (0, 0, 1, State::Closed)),
    ] {
        let operation = operation(policies);
        let made = pieces.clone();
        let service = service_fn(move |_: Request<Full<Bytes>>| {
            let body = Pieces(made.clone(), false);
            async move { Ok::<_, ()>(Response::new(body)) }
        });
        let client = ClientLayer::new(operation.clone()).layer(service);
        let ask = request(Method::GET).body(Full::default()).unwrap();
        let mut body = client.oneshot(ask).await.unwrap().into_body();
        let bulkhead = operation.pipeline().bulkhead().unwrap().clone();
        assert_eq!((bulkhead.in_use(), operation.counts().in_flight), (1, 1));
        for _ in 0..read {
            assert_eq!(bulkhead.in_use(), 1);
            tokio::time::advance(ms(500)).await;
            if body.frame().await.is_none_or(|frame| frame.is_err()) {
                break;
            }
        }
        drop(body);
        let counts = operation.counts();
        let state = operation.pipeline().circuit_breaker().unwrap().state();
        let seen = (counts.successful_calls, counts.failed_calls, counts.abandoned_calls, state);
        assert_eq!(seen, expected, "{pieces:?}");
        assert_eq!((bulkhead.in_use(), counts.in_flight), (0, 0));
    }
}

#[tokio::test(start_paused = true)]
async fn a_body_of_known_length_ends_with_its_last_byte() {
    let operation = operation(r#"[{"type": "bulkhead", "max_concurrent": 1}]"#);
    let (client, _) = statuses(&operation, &[200]);
    let ask = request(Method::GET).body(Full::default()).unwrap();
    let mut body = client.oneshot(ask).await.unwrap().into_body();
    assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap(), "body");
    // Nobody asks again: `Full` says that it is over.
    assert_eq!(operation.counts().successful_calls, 1);
    assert_eq!(operation.pipeline().bulkhead().unwrap().in_use(), 0);
}
