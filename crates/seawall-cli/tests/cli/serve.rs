//! `seawall serve`: how it starts, and how it stops.

use crate::support::{Serving, answering, ask, get, upstream};
use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

fn gateway_to(upstream: SocketAddr, more: &str) -> String {
    format!(
        "{more}upstreams: {{ only: {{ endpoints: ['http://{upstream}'] }} }}\n\
         routes: [{{ path: '/*', upstream: only }}]\n"
    )
}

/// An upstream that streams a first piece at once and the last one when it may.
fn streaming() -> (SocketAddr, Arc<AtomicBool>) {
    let go = Arc::new(AtomicBool::new(false));
    let may = go.clone();
    let address = answering(move |stream| {
        write!(stream, "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nfirst\r\n")?;
        stream.flush()?;
        while !may.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(5));
        }
        write!(stream, "4\r\nlast\r\n0\r\n\r\n")
    });
    (address, go)
}

fn read_until(stream: &mut TcpStream, text: &str) -> String {
    let mut read = Vec::new();
    let mut byte = [0];
    while !String::from_utf8_lossy(&read).contains(text) {
        stream.read_exact(&mut byte).unwrap();
        read.push(byte[0]);
    }
    String::from_utf8(read).unwrap()
}

#[test]
fn sigterm_lets_a_stream_finish_and_lets_nobody_in() {
    for signal in ["-TERM", "-INT"] {
        let (upstream, go) = streaming();
        let mut serving = Serving::start(&gateway_to(upstream, ""), &[]);
        let mut stream = ask(&serving.address, "/");
        read_until(&mut stream, "first");
        serving.signal(signal);
        while TcpStream::connect(&serving.address).is_ok() {
            thread::sleep(Duration::from_millis(5));
        }
        go.store(true, Ordering::SeqCst);
        read_until(&mut stream, "last");
        assert_eq!(serving.ended().code(), Some(0), "{signal}: {}", serving.log());
    }
}

#[test]
fn a_drain_that_takes_too_long_ends_and_says_so() {
    let (upstream, _never) = streaming();
    let mut serving = Serving::start(&gateway_to(upstream, "drain_timeout: 200ms\n"), &[]);
    let mut stream = ask(&serving.address, "/");
    read_until(&mut stream, "first");
    serving.signal("-TERM");
    assert_eq!(serving.ended().code(), Some(1));
    assert!(serving.log().contains("stopped with requests in progress"), "{}", serving.log());
}

#[test]
fn a_second_interrupt_does_not_wait() {
    let (upstream, _never) = streaming();
    let mut serving = Serving::start(&gateway_to(upstream, ""), &[]);
    let mut stream = ask(&serving.address, "/");
    read_until(&mut stream, "first");
    serving.signal("-INT");
    while !serving.log().contains("draining") {
        thread::sleep(Duration::from_millis(5));
    }
    // The second one may come before the first one is dealt with; then a third is needed.
    while serving.log().contains("draining") {
        serving.signal("-INT");
        thread::sleep(Duration::from_millis(50));
        if TcpStream::connect(&serving.address).is_err() {
            break;
        }
    }
    assert_eq!(serving.ended().code(), Some(130));
}

#[test]
fn after_a_kill_it_starts_again_on_the_same_port() {
    let upstream = upstream("here");
    let yaml = gateway_to(upstream, "");
    let mut serving = Serving::start(&yaml, &[]);
    let address = serving.address.clone();
    assert!(get(&address, "/").ends_with("here"));
    serving.signal("-KILL");
    serving.ended();
    let again = Serving::start_on(&address, &yaml, &[]);
    assert_eq!(again.address, address);
    assert!(get(&address, "/").ends_with("here"));
}

#[test]
fn faults_that_prevent_a_start_are_reported() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let folder = crate::support::Folder::new();
    // Not the address that is listened on: that is a mistake of its own.
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let file = folder.file("seawall.yaml", &gateway_to(upstream.local_addr().unwrap(), ""));
    for (listen, words) in [(&*address, "in use"), ("0.0.0.0:0", "SEAWALL_API_KEYS")] {
        let mut command = crate::support::seawall();
        command.args(["serve", "--listen", listen, "--config"]).arg(&file);
        let output = command.output().unwrap();
        let told = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(2), "{told}");
        assert!(told.contains(words), "{told}");
    }
}

#[test]
fn log_lines_are_json_where_asked_for() {
    let serving = Serving::start(&gateway_to(upstream("a"), ""), &["--log-json"]);
    // It serves before the first line is written out.
    let mut log = serving.log();
    for _ in 0..1_000 {
        if log.contains('\n') {
            break;
        }
        thread::sleep(Duration::from_millis(10));
        log = serving.log();
    }
    let line: serde_json::Value = serde_json::from_str(log.lines().next().unwrap()).unwrap();
    assert_eq!(line["level"], "INFO");
}

/// Reads the breaker of this operation as the API shows it.
fn breaker(serving: &Serving, name: &str) -> serde_json::Value {
    serving.json(&["breakers", "show", name])
}

/// When the circuit lets a probe through, in milliseconds since 1970.
fn probes_at(breaker: &serde_json::Value) -> u128 {
    let at = breaker["next_probe_at"].as_str().unwrap_or_else(|| panic!("not open: {breaker}"));
    let at = humantime::parse_rfc3339(at).unwrap();
    at.duration_since(std::time::UNIX_EPOCH).unwrap().as_millis()
}

#[test]
fn open_and_forced_circuits_survive_a_kill() {
    let folder = crate::support::Folder::new();
    let store = folder.file("state.redb", "");
    std::fs::remove_file(&store).unwrap();
    let (is_up, up) =
        (Arc::new(AtomicBool::new(false)), "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nup");
    let health = is_up.clone();
    let upstream = answering(move |stream| match health.load(Ordering::SeqCst) {
        true => write!(stream, "{up}"),
        false => write!(stream, "HTTP/1.1 503 Down\r\ncontent-length: 0\r\n\r\n"),
    });
    let named = |name: &str, recovery: &str| {
        format!(
            "  {name}: {{ endpoints: ['http://{upstream}'], policies: [{{ type: circuit_breaker, \
             failure_threshold: 2, recovery_timeout: {recovery} }}] }}\n"
        )
    };
    let yaml = format!(
        "store: {{ path: {} }}\nupstreams:\n{}{}{}\
         routes: [{{ path: /slow/*, upstream: slow }}, {{ path: /soon/*, upstream: soon }}]\n",
        store.display(),
        named("slow", "1h"),
        named("soon", "2s"),
        named("well", "1h"),
    );
    let mut serving = Serving::start(&yaml, &[]);
    for path in ["/slow/x", "/slow/x", "/soon/x", "/soon/x"] {
        assert!(get(&serving.address, path).starts_with("HTTP/1.1 503"));
    }
    let before = breaker(&serving, "slow");
    assert_eq!(before["state"], "open");
    // What an operator was told is on disk, and with it all that happened before.
    let force = ["breakers", "force", "well", "open", "--reason", "a drill", "--for", "10m"];
    assert_eq!(serving.json(&force)["new_state"], "forced_open");
    let forced = breaker(&serving, "well");
    serving.signal("-KILL");
    serving.ended();

    let serving = Serving::start(&yaml, &[]);
    let after = breaker(&serving, "slow");
    assert_eq!(
        (&after["state"], &after["why"]),
        (&"open".into(), &"restored from a saved state".into())
    );
    assert!(probes_at(&after).abs_diff(probes_at(&before)) < 1_000, "{after}, before: {before}");
    let refused = get(&serving.address, "/slow/x");
    assert!(refused.contains("circuit_open"), "{refused}");
    let again = breaker(&serving, "well");
    assert_eq!(
        (&again["state"], &again["forced"]["reason"]),
        (&"forced_open".into(), &forced["forced"]["reason"])
    );
    // The short one probes when its time is over, wherever in its time the process was started again.
    is_up.store(true, Ordering::SeqCst);
    while !get(&serving.address, "/soon/x").ends_with("up") {
        thread::sleep(Duration::from_millis(20));
    }
    assert_eq!(breaker(&serving, "soon")["state"], "closed");
    assert!(get(&serving.address, "/slow/x").contains("circuit_open"), "the long one goes on");
    let (_, events, _) = serving.run(&["events", "--kind", "circuit_changed"]);
    assert!(events.contains("closed → open: restored from a saved state"), "{events}");
}
