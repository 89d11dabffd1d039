//! Tests of the answers of fallbacks.

use super::operation;
use axum::{Router, body::Body, routing::get};
use bytes::Bytes;
use http::{Request, Response, StatusCode, request::Parts};
use http_body_util::{BodyExt, Full};
use seawall::{Error, Reason};
use seawall_tower::{ClientLayer, OperationLayer, ServerLayer};
use std::convert::Infallible;
use tower::{Layer, ServiceExt, service_fn};

const NOT_PERMANENT: &str = r#"[{"type": "fallback", "on_permanent": false}]"#;

#[tokio::test(start_paused = true)]
async fn an_alternative_answers_where_a_service_fails() {
    let stock =
        service_fn(async |item: u32| if item == 0 { Err("no such item") } else { Ok(item) });
    let yesterday = |item: u32, failed: Result<u32, Error<&'static str>>| async move {
        assert_eq!((item, failed), (0, Err(Error::Inner("no such item"))));
        Ok(40)
    };
    // A policy decides when; without one, it is whenever there is no good answer.
    for policies in ["[]", r#"[{"type": "fallback"}]"#] {
        let layer = OperationLayer::new(operation(policies)).fallback(yesterday);
        let service = layer.layer(stock);
        assert_eq!(service.clone().oneshot(2).await, Ok(2), "{policies}");
        assert_eq!(service.oneshot(0).await, Ok(40), "{policies}");
    }
    let layer = OperationLayer::new(operation(r#"[{"type": "fallback", "mode": "off"}]"#));
    let service = layer.fallback(yesterday).layer(stock);
    assert_eq!(service.oneshot(0).await, Err(Error::Inner("no such item")));
}

#[tokio::test(start_paused = true)]
async fn a_bad_status_is_a_failure_that_a_client_falls_back_from() {
    let service = service_fn(async |request: Request<Full<Bytes>>| {
        let mut answer = Response::new(Full::from("own"));
        *answer.status_mut() = request.uri().path()[1..].parse().unwrap();
        Ok::<_, Infallible>(answer)
    });
    let layer = ClientLayer::new(operation(NOT_PERMANENT)).fallback(
        |request: Request<Full<Bytes>>, failed: Result<Response<Full<Bytes>>, Error<_>>| async move {
            let words = format!("{} instead of {}", request.uri(), failed.unwrap().status());
            Ok(Response::new(Full::from(words)))
        },
    );
    let client = layer.layer(service);
    for (path, expected) in [
        ("/200", "own"),
        ("/503", "/503 instead of 503 Service Unavailable"),
        // The request's own fault, which this policy leaves alone.
        ("/404", "own"),
    ] {
        let ask = Request::get(path).body(Full::default()).unwrap();
        let body = client.clone().oneshot(ask).await.unwrap().into_body();
        assert_eq!(body.collect().await.unwrap().to_bytes(), expected, "{path}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_server_answers_by_other_means_where_it_would_refuse() {
    let policies = r#"[{"type": "fallback"}, {"type": "circuit_breaker", "failure_threshold": 1}]"#;
    let layer = ServerLayer::new(operation(policies)).fallback(
        |parts: Parts, failed: Result<Response<Body>, Error<Infallible>>| async move {
            let why = match failed {
                Ok(answer) => answer.status().to_string(),
                Err(Error::Rejected(rejection)) => {
                    assert_eq!(rejection.reason, Reason::CircuitOpen);
                    "the circuit".to_owned()
                }
                Err(error) => panic!("{error:?}"),
            };
            Ok(Response::new(Body::from(format!("{} is closed: {why}", parts.uri))))
        },
    );
    let router: Router = Router::new()
        .route("/shop", get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, "own") }))
        .layer(layer);
    for expected in ["/shop is closed: 500 Internal Server Error", "/shop is closed: the circuit"] {
        let ask = Request::get("/shop").body(Body::empty()).unwrap();
        let answer = router.clone().oneshot(ask).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), expected);
    }
}
