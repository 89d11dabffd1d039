//! What the control plane costs with a thousand operations: the time to ready, each GET, what is remembered.
//!
//! `cargo run --release -p seawall-server --example control_plane`

use bytes::Bytes;
use http::{Method, Request};
use http_body_util::{BodyExt, Full};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use seawall_server::{Inputs, Server, Startup};
use std::{error::Error, fmt::Write, time::Instant};

type Outcome<T> = Result<T, Box<dyn Error>>;

const GETS: [&str; 12] = [
    "/metrics",
    "/internal/resilience/metrics",
    "/internal/resilience/circuit-breakers",
    "/internal/resilience/config",
    "/internal/resilience/operations?limit=1000",
    "/internal/resilience/operations/op5",
    "/internal/resilience/health",
    "/internal/resilience/health/detailed",
    "/internal/resilience/dashboard",
    "/internal/resilience/config/history",
    "/internal/resilience/monitoring/alerts",
    "/internal/resilience/audit",
];

/// A client of one server.
struct Asking {
    client: Client<HttpConnector, Full<Bytes>>,
    address: String,
}

impl Asking {
    async fn ask(
        &self,
        method: Method,
        path: &str,
        body: &str,
        session: Option<&str>,
    ) -> Outcome<(String, Bytes)> {
        let mut request = Request::builder()
            .method(method)
            .uri(format!("http://{}{path}", self.address))
            .header("content-type", "application/json");
        if let Some(session) = session {
            request = request.header("x-session-id", session);
        }
        let answer = self.client.request(request.body(Full::from(body.to_owned()))?).await?;
        let session =
            answer.headers().get("x-session-id").map_or("", |id| id.to_str().unwrap_or(""));
        let session = session.to_owned();
        Ok((session, answer.into_body().collect().await?.to_bytes()))
    }
}

#[tokio::main]
async fn main() -> Outcome<()> {
    let folder = std::env::temp_dir().join(format!("seawall-control-plane-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let file = folder.join("seawall.yaml");
    let mut yaml = String::from("listen: 127.0.0.1:0\noperations:\n");
    for n in 0..1000 {
        writeln!(yaml, "  op{n}: {{ strategy: balanced }}")?;
    }
    std::fs::write(&file, yaml)?;
    let began = Instant::now();
    let server = Server::start(Startup::read(Inputs::file(&file))?, Vec::new()).await?;
    let client = Client::builder(TokioExecutor::new()).build_http();
    let asking = Asking { client, address: server.address().to_string() };
    let stop = server.stop();
    let running = tokio::spawn(server.run());
    asking.ask(Method::GET, "/readyz", "", None).await?;
    println!("start to ready: {:.1} ms", began.elapsed().as_secs_f64() * 1000.0);
    for path in GETS {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..200 {
            let began = Instant::now();
            bytes = asking.ask(Method::GET, path, "", None).await?.1.len();
            times.push(began.elapsed().as_secs_f64() * 1000.0);
        }
        times.sort_by(f64::total_cmp);
        println!("GET {path}: {bytes} bytes, p50 {:.2} ms, p99 {:.2} ms", times[99], times[197]);
    }
    benchmarks(&asking).await?;
    memory(&asking).await?;
    stop.now();
    running.await?;
    Ok(std::fs::remove_dir_all(&folder)?)
}

/// What the server says of its own paths.
async fn benchmarks(asking: &Asking) -> Outcome<()> {
    let path = "/internal/resilience/performance/benchmark";
    let body = r#"{"iterations": 2000, "include_slow": true}"#;
    let (_, answer) = asking.ask(Method::POST, path, body, None).await?;
    let answer: serde_json::Value = serde_json::from_slice(&answer)?;
    for one in answer["suite"]["results"].as_array().into_iter().flatten() {
        println!("{}: {} ms on average", one["operation"], one["avg_ms"]);
    }
    Ok(())
}

/// How much more memory 10,000 events in 1,000 sessions take.
async fn memory(asking: &Asking) -> Outcome<()> {
    let resident = || -> Option<u64> {
        let status = std::fs::read_to_string("/proc/self/status").ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        line.split_whitespace().nth(1)?.parse().ok()
    };
    let path = "/internal/resilience/config/validate";
    let body = r#"{"configuration": {"retry_attempts": 3}}"#;
    let before = resident();
    for _ in 0..1000 {
        let (session, _) = asking.ask(Method::POST, path, body, None).await?;
        for _ in 0..9 {
            asking.ask(Method::POST, path, body, Some(&session)).await?;
        }
    }
    if let (Some(before), Some(after)) = (before, resident()) {
        println!(
            "10,000 events in 1,000 sessions: {:.1} MB",
            after.saturating_sub(before) as f64 / 1024.0
        );
    }
    Ok(())
}
