//! Tests of how long a request may take, from hop to hop.

use super::{ms, operation};
use bytes::Bytes;
use http::{HeaderName, Request, Response};
use http_body_util::Full;
use seawall::Error;
use seawall_tower::{ClientLayer, Deadline, DeadlineHeader, ServerLayer};
use std::sync::{Arc, Mutex};
use tower::{Layer, ServiceExt, service_fn};

type Plain = Request<Full<Bytes>>;

fn ask() -> http::request::Builder {
    Request::get("http://there/")
}

/// A server that answers, after a while, with what it was sent about deadlines.
async fn slow(request: Plain) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let told =
        |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap().to_owned());
    let text = format!("{:?} {:?}", told("grpc-timeout"), told("x-left-ms"));
    tokio::time::sleep(ms(100)).await;
    Ok(Response::new(Full::from(text)))
}

#[tokio::test(start_paused = true)]
async fn a_server_works_no_longer_than_its_caller_waits() {
    let own = HeaderName::from_static("x-wait-ms");
    let seen = Arc::new(Mutex::new(Vec::new()));
    let noted = seen.clone();
    let operation = operation("[]");
    let clock = operation.clone();
    let service = service_fn(move |request: Plain| {
        let deadline = request.extensions().get::<Deadline>();
        noted.lock().unwrap().push(deadline.map(|deadline| deadline.0.since(clock.now())));
        slow(request)
    });
    let server = ServerLayer::new(operation).deadline_header(own).layer(service);
    for (header, wait, status) in [
        (None, None, 200),
        (Some(("grpc-timeout", "50m")), Some(ms(50)), 504),
        (Some(("grpc-timeout", "150m")), Some(ms(150)), 200),
        (Some(("x-envoy-expected-rq-timeout-ms", "99")), Some(ms(99)), 504),
        (Some(("x-wait-ms", "98")), Some(ms(98)), 504),
        (Some(("x-wait-ms", "soon")), None, 200),
    ] {
        let mut request = ask();
        if let Some((name, value)) = header {
            request = request.header(name, value);
        }
        let answer = server.clone().oneshot(request.body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(answer.status(), status, "{header:?}");
        assert_eq!(seen.lock().unwrap().pop(), Some(wait), "{header:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_gives_up_with_its_own_caller_and_says_how_long_is_left() {
    let timeout = r#"[{"type": "timeout", "limit": "10s"}]"#;
    let operation = operation(timeout);
    let left = HeaderName::from_static("x-left-ms");
    let body = |answer: Response<_>| async {
        use http_body_util::BodyExt;
        let body: seawall_tower::HeldBody<Full<Bytes>, _> = answer.into_body();
        String::from_utf8(body.collect().await.unwrap().to_bytes().to_vec()).unwrap()
    };
    let layer = ClientLayer::new(operation.clone());
    let silent = layer.clone().layer(service_fn(slow));
    let answer = silent.clone().oneshot(ask().body(Full::default()).unwrap()).await.unwrap();
    assert_eq!(body(answer).await, "None None", "it tells nobody unasked");
    for (header, expected) in [
        (DeadlineHeader::Grpc, r#"Some("10000000u") None"#),
        (DeadlineHeader::Millis(left), r#"None Some("10000")"#),
    ] {
        let client = layer.clone().send_deadline(header).layer(service_fn(slow));
        let answer = client.oneshot(ask().body(Full::default()).unwrap()).await.unwrap();
        assert_eq!(body(answer).await, expected);
    }
    let deadline = Deadline(operation.now() + ms(60));
    let request = ask().extension(deadline).body(Full::default()).unwrap();
    let error = silent.oneshot(request).await.err().unwrap();
    assert!(matches!(error, Error::TimedOut(elapsed) if elapsed.limit == ms(60)));
}
