//! `seawall status` against running servers: one alone, and a fleet that shares a real Redis.

use crate::support::{Folder, Serving};
use std::{
    net::TcpListener,
    process::{Child, Command, Stdio},
    thread,
    time::{Duration, Instant},
};

const ALONE: &str = "\
upstreams: { chat: { endpoints: ['http://127.0.0.1:9'] } }
routes: [{ path: /*, upstream: chat }]
";

/// A Redis server on a free port, which ends with the test.
struct Redis(Child, u16);

impl Redis {
    fn start() -> Self {
        let port = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
        let child = Command::new("redis-server")
            .args(["--port", &port.to_string(), "--bind", "127.0.0.1", "--save", ""])
            .stdout(Stdio::null())
            .spawn();
        Self(child.expect("`cargo xtask test tools` installs redis-server"), port)
    }

    fn instance(&self, name: &str, more: &str) -> Serving {
        let store = format!("store: {{ redis: {{ url: 'redis://127.0.0.1:{}/' }} }}\n", self.1);
        Serving::start(&format!("{store}fleet: {{ name: {name} }}\n{ALONE}{more}"), &[])
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Asks until the text has all these parts in one line.
fn until_a_line_has(serving: &Serving, parts: &[&str]) {
    let began = Instant::now();
    loop {
        let (code, text, told) = serving.run(&["status", "--fleet"]);
        assert_eq!(code, Some(0), "{told}");
        if text.lines().any(|line| parts.iter().all(|part| line.contains(part))) {
            return;
        }
        assert!(began.elapsed() < Duration::from_secs(60), "no line has {parts:?}:\n{text}");
        thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn one_server_says_how_it_is() {
    let serving = Serving::start(ALONE, &[]);
    let force = ["breakers", "force", "chat", "open", "--reason", "a test"];
    assert_eq!(serving.run(&force).0, Some(0));
    let (code, text, told) = serving.run(&["status"]);
    assert_eq!(code, Some(0), "{told}");
    for part in ["state", "ready", "revision", "open circuit  chat", "calls/s", "alerts"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    let json = serving.json(&["status"]);
    assert_eq!(json["instance"]["state"], "ready", "{json}");
    assert_eq!(json["circuit_breakers"]["chat"]["state"], "forced_open", "{json}");
    let (_, text, _) = serving.run(&["status", "--fleet"]);
    assert!(text.contains("on its own"), "{text}");
    assert_eq!(serving.json(&["status", "--fleet"])["kind"], "alone");
}

#[test]
fn a_fleet_is_shown_whole_and_an_instance_that_dies_keeps_nobody_waiting_for_long() {
    let redis = Redis::start();
    let a = redis.instance("a", "");
    let b = redis.instance("b", "");
    let c = redis.instance("c", "drain_timeout: 7s\n");
    for line in [&["a *", "ready"][..], &["b ", "ready"], &["c ", "ready", "differs"]] {
        until_a_line_has(&a, line);
    }
    // Killed, it does not say so: the change waits until it counts as gone, and is made.
    c.signal("-KILL");
    let folder = Folder::new();
    let file = folder.file("change.yaml", "preset: production\n");
    let (code, text, told) = a.run(&["config", "apply", file.to_str().unwrap()]);
    assert_eq!(code, Some(0), "{text}{told}");
    until_a_line_has(&b, &["the fleet's revision is 1, by ", " on a,"]);
    until_a_line_has(&b, &["a ", "ready", " 1 "]);
    until_a_line_has(&a, &["c ", "gone"]);
    let (code, text, told) = b.run(&["config", "rollback", "1", "--local"]);
    assert_eq!(code, Some(0), "{text}{told}");
    until_a_line_has(&a, &["b ", "ready", "differs", "changed alone"]);
}
