//! The peers' cases with a cache, which is a layer here: `seawall/tests/vectors` replays all others.

use super::{ms, operation};
use bytes::Bytes;
use http::{Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use seawall_tower::{CacheConfig, CacheLayer, ClientLayer};
use serde_json::{Value, json};
use std::{
    convert::Infallible,
    sync::{Arc, Mutex},
};
use tower::{Layer, Service, ServiceExt, service_fn};

const CASES: &str = include_str!("../../../seawall/tests/vectors/second.jsonl");

/// The calls of one execution: how each goes, and how many were made. The last one repeats.
#[derive(Default)]
struct Script {
    entries: Vec<Value>,
    calls: usize,
}

fn origin(
    script: Arc<Mutex<Script>>,
) -> impl Service<
    Request<Full<Bytes>>,
    Response = Response<Full<Bytes>>,
    Error = Infallible,
    Future: Send,
> + Clone
+ Send
+ 'static {
    service_fn(move |_: Request<Full<Bytes>>| {
        let mut script = script.lock().unwrap();
        let entry = script.entries[script.calls.min(script.entries.len() - 1)].clone();
        script.calls += 1;
        let value = entry["value"].as_str().unwrap_or_default().to_owned();
        let mut answer = Response::new(Full::from(value));
        if entry["outcome"] != "success" {
            *answer.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
        }
        std::future::ready(Ok(answer))
    })
}

/// Runs one case; the result has the fields that a case may expect.
async fn run(case: &Value) {
    let [cache, retry] = case["config"]["pipeline"].as_array().unwrap().as_slice() else {
        panic!("{case}: not a cache around a retry")
    };
    let (key, retry) = (cache["cache"]["key"].as_str().unwrap(), &retry["retry"]);
    let policies = json!([{
        "type": "retry",
        "max_attempts": retry["max_attempts"],
        "backoff": {"base_delay": format!("{}ms", retry["delay_ms"]), "jitter": "none"},
        "budget": null,
    }]);
    let script: Arc<Mutex<Script>> = Arc::default();
    let client = ClientLayer::new(operation(&policies.to_string())).layer(origin(script.clone()));
    let layer = CacheLayer::new(CacheConfig { ttl: ms(60_000), ..Default::default() }).unwrap();
    let client = layer.layer(client);
    for step in case["steps"].as_array().unwrap() {
        assert_eq!(step["do"], "execute");
        let entries = step["attempts_script"].as_array().unwrap().clone();
        *script.lock().unwrap() = Script { entries, calls: 0 };
        let request = Request::get(format!("http://there/{key}")).body(Full::default()).unwrap();
        let answer = client.clone().oneshot(request).await.unwrap();
        let hits = u64::from(answer.headers().contains_key("cache-status"));
        let result = if answer.status().is_success() { "success" } else { "error" };
        let body = answer.into_body().collect().await.unwrap().to_bytes();
        let calls = script.lock().unwrap().calls;
        for (field, wanted) in step["expect"].as_object().unwrap() {
            let seen = match field.as_str() {
                "result" => json!(result),
                "value" => json!(String::from_utf8_lossy(&body)),
                "attempts" | "invocations" => json!(calls),
                "cache_hits" => json!(hits),
                other => panic!("nobody reads {other}"),
            };
            assert_eq!(seen, *wanted, "{}: {field} of {step}", case["id"]);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_value_that_is_kept_needs_no_call() {
    let mut replayed = Vec::new();
    for line in CASES.lines() {
        let case: Value = serde_json::from_str(line).unwrap();
        let policies = case["config"]["pipeline"].as_array();
        if policies
            .is_some_and(|policies| policies.iter().any(|policy| policy["cache"] != Value::Null))
        {
            run(&case).await;
            replayed.push(case["id"].as_str().unwrap().to_owned());
        }
    }
    assert_eq!(replayed, ["CO-10"]);
}
