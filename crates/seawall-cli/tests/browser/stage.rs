//! A server with two upstreams, one of which fails, and callers who do not give up.

use crate::support::{Serving, answering, get, upstream};
use serde_json::Value;
use std::{
    io::{Read, Write},
    net::TcpStream,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

const POLL: Duration = Duration::from_millis(20);

/// All of it, ended when dropped.
pub(crate) struct Stage {
    pub(crate) server: Serving,
    over: Arc<AtomicBool>,
}

impl Stage {
    /// The stage with further lines in its configuration file.
    pub(crate) fn set(lines: &str) -> Self {
        let well = upstream("well");
        let ill = answering(|stream| {
            write!(stream, "HTTP/1.1 500 Internal Server Error\r\ncontent-length: 0\r\n\r\n")
        });
        let yaml = format!(
            "preset: production
upstreams:
  chat:
    endpoints: ['http://{ill}']
    policies:
      - {{ type: retry, max_attempts: 2, backoff: {{ base_delay: 1ms, max_delay: 2ms }} }}
      - {{ type: circuit_breaker, failure_threshold: 3, recovery_timeout: 5m }}
  search: {{ endpoints: ['http://{well}'], attempt_timeout: 2s }}
routes:
  - {{ path: /chat/*, upstream: chat }}
  - {{ path: /*, upstream: search }}
monitoring: {{ alerts: {{ circuit_open: 1s }} }}
{lines}"
        );
        let server = Serving::start(&yaml, &[]);
        let over = Arc::new(AtomicBool::new(false));
        for path in ["/chat/completions", "/search"] {
            let (address, over) = (server.address.clone(), over.clone());
            thread::spawn(move || {
                while !over.load(Ordering::Relaxed) {
                    // The server may be gone by now.
                    if let Ok(mut stream) = TcpStream::connect(&address) {
                        let head = format!(
                            "GET {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n\r\n"
                        );
                        let _ = stream.write_all(head.as_bytes());
                        let _ = stream.read_to_end(&mut Vec::new());
                    }
                    thread::sleep(POLL);
                }
            });
        }
        Self { server, over }
    }

    pub(crate) fn address(&self) -> &str {
        &self.server.address
    }

    /// The answer of the API to a GET.
    pub(crate) fn api(&self, path: &str) -> Value {
        let answer = get(self.address(), &format!("/internal/resilience{path}"));
        let (_, body) = answer.split_once("\r\n\r\n").unwrap();
        serde_json::from_str(body).unwrap_or_else(|error| panic!("{error}: {answer}"))
    }

    /// Changes the configuration through the API, as another operator would.
    pub(crate) fn change(&self, configuration: &str) {
        let body = format!("{{ \"configuration\": {configuration} }}");
        let mut stream = TcpStream::connect(self.address()).unwrap();
        write!(
            stream,
            "PUT /internal/resilience/config HTTP/1.1\r\nhost: {}\r\ncontent-type: application/json\r\n\
             content-length: {}\r\nconnection: close\r\n\r\n{body}",
            self.address(),
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    }

    /// Waits until the API says this.
    pub(crate) async fn until(&self, path: &str, is_so: impl Fn(&Value) -> bool) -> Value {
        let began = Instant::now();
        loop {
            let answer = self.api(path);
            if is_so(&answer) {
                return answer;
            }
            assert!(began.elapsed() < Duration::from_secs(20), "{path}: {answer}");
            tokio::time::sleep(POLL).await;
        }
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.over.store(true, Ordering::Relaxed);
    }
}
