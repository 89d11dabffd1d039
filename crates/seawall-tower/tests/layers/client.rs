//! Tests of the layer around a client.

use super::{ms, operation};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode};
use http_body_util::Full;
use seawall::{Attributes, Class, Error, Failure, Operation, Outcome, Reason, State};
use seawall_tower::{Client, ClientLayer, TokioTimer};
use std::{
    future::Future,
    pin::pin,
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
async fn requests_are_sent_again_by_method_and_idempotency_key() {
    let thrice = &["1", "2", "3"][..];
    for (method, header, expected) in [
        (Method::GET, None, thrice),
        (Method::HEAD, None, thrice),
        (Method::OPTIONS, None, thrice),
        (Method::TRACE, None, thrice),
        (Method::PUT, None, thrice),
        (Method::DELETE, None, thrice),
        (Method::POST, None, &["1"]),
        (Method::PATCH, None, &["1"]),
        (Method::POST, Some(("idempotency-key", "k")), thrice),
        (Method::CONNECT, Some(("idempotency-key", "k")), &["1"]),
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
async fn a_hint_of_the_dependency_lengthens_the_pause_and_never_shortens_it() {
    let retry = r#"[{"type": "retry", "max_attempts": 10, "max_retry_after": "365days",
        "backoff": {"base_delay": "100ms", "jitter": "none", "growth": "constant"}, "budget": null}]"#;
    let past = "Sun, 06 Nov 1994 08:49:37 GMT";
    for (status, hint, attempts, at_least) in [
        (429, "0", 10, ms(900)),
        (503, past, 10, ms(900)),
        (429, "2", 10, ms(18_000)),
        // Beyond all bounds: nobody waits for that.
        (429, "18000000000000000000", 1, ms(0)),
        (503, "99999999999999999999999", 1, ms(0)),
    ] {
        let calls = Arc::new(AtomicUsize::new(0));
        let counted = calls.clone();
        let service = service_fn(move |_: Request<Full<Bytes>>| {
            counted.fetch_add(1, SeqCst);
            let mut answer = answer(status);
            answer.headers_mut().insert("retry-after", hint.parse().unwrap());
            std::future::ready(Ok::<_, &str>(answer))
        });
        let client = ClientLayer::new(operation(retry)).layer(service);
        let start = tokio::time::Instant::now();
        let ask = request(Method::GET).body(Full::from("")).unwrap();
        assert_eq!(client.oneshot(ask).await.unwrap().status(), status);
        assert_eq!(calls.load(SeqCst), attempts, "{status} {hint}");
        assert!(start.elapsed() >= at_least, "{status} {hint}: {:?}", start.elapsed());
    }
}

#[tokio::test(start_paused = true)]
async fn requests_that_never_left_are_sent_again_whatever_they_are() {
    let service = Scripted(&[0, 200], Arc::default());
    let refused = Failure { unsent: true, ..Failure::new(Class::Transient) };
    let layer = ClientLayer::new(operation(&format!("[{RETRY}]"))).classify(
        move |result: &Result<Response<Full<Bytes>>, &'static str>| match result {
            Ok(_) => Outcome::Success,
            Err(_) => Outcome::Failure(refused),
        },
    );
    let ask = request(Method::POST).body(Full::from("payload")).unwrap();
    assert_eq!(layer.layer(service.clone()).oneshot(ask).await.unwrap().status(), 200);
    assert_eq!(*service.1.lock().unwrap(), ["1", "2"]);
}

#[tokio::test(start_paused = true)]
async fn requests_are_described_as_the_user_says() {
    let limits = r#"[{"type": "rate_limiter", "rate": 1, "per": "1m", "keyed": true}]"#;
    let (service, by_length) = (Scripted(&[200], Arc::default()), |request: &Request<_>| {
        Attributes::of_key(request.uri().path().len())
    });
    let client = ClientLayer::new(operation(limits)).describe(by_length).layer(service);
    let ask =
        |path: &str| client.clone().oneshot(Request::get(path).body(Full::default()).unwrap());
    assert!(ask("/a").await.is_ok());
    assert!(ask("/b").await.err().unwrap().is_rejected());
    assert!(ask("/another").await.is_ok());
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
    let layer = ClientLayer::new(operation.clone()).classify(
        |result: &Result<Response<Full<Bytes>>, ()>| match result {
            Ok(answer) if answer.status() != 204 => Outcome::Success,
            _ => Outcome::failure(Class::Transient),
        },
    );
    let client = layer.layer(service_fn(async |request: Request<Full<Bytes>>| {
        Ok::<_, ()>(answer(if request.uri().path() == "/path" { 500 } else { 204 }))
    }));
    let ask = |uri: &str| Request::get(uri).body(Full::default()).unwrap();
    client.clone().oneshot(ask("http://there/path")).await.unwrap();
    assert_eq!(operation.pipeline().circuit_breaker().unwrap().state(), State::Closed);
    client.oneshot(ask("http://there/other")).await.unwrap();
    assert_eq!(operation.pipeline().circuit_breaker().unwrap().state(), State::Open);
}

/// A service that is ready after this many polls, counted by each clone for itself.
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

#[tokio::test(start_paused = true)]
async fn a_caller_who_leaves_gives_the_place_back_and_blames_nobody() {
    let operation = operation(
        r#"[{"type": "circuit_breaker", "failure_threshold": 1}, {"type": "bulkhead", "max_concurrent": 1}]"#,
    );
    let hangs = service_fn(async |_: Request<Full<Bytes>>| {
        std::future::pending::<Result<Response<Full<Bytes>>, ()>>().await
    });
    let client = ClientLayer::new(operation.clone()).layer(hangs);
    let ask = client.oneshot(request(Method::GET).body(Full::default()).unwrap());
    let pipeline = operation.pipeline();
    let bulkhead = pipeline.bulkhead().unwrap();
    {
        let mut ask = pin!(ask);
        let polled = std::future::poll_fn(|cx| Poll::Ready(ask.as_mut().poll(cx).is_pending()));
        assert!(polled.await, "it hangs");
        assert_eq!(bulkhead.in_use(), 1);
    }
    assert_eq!(bulkhead.in_use(), 0);
    assert_eq!(operation.counts().abandoned_calls, 1);
    assert_eq!(pipeline.circuit_breaker().unwrap().state(), State::Closed);
}
