//! Tests of the live commands: `seawall events`, and `seawall top` on a terminal.

use crate::{
    remote::{gateway, trip},
    support::{Serving, run, seawall},
};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader, Read, Write},
    process::{Child, Command, Stdio},
    sync::{Arc, Mutex},
    thread,
    time::{Duration, Instant},
};

const LONGEST: Duration = Duration::from_secs(30);

/// A child whose output is gathered while it runs; killed when dropped.
struct Watched {
    child: Child,
    out: Arc<Mutex<String>>,
    told: Arc<Mutex<String>>,
}

impl Watched {
    fn start(command: &mut Command) -> Self {
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        let out = gather(child.stdout.take().unwrap());
        let told = gather(child.stderr.take().unwrap());
        Self { child, out, told }
    }

    fn until(&self, what: &str, text: &Mutex<String>, seen: impl Fn(&str) -> bool) {
        let start = Instant::now();
        while !seen(&text.lock().unwrap()) {
            assert!(start.elapsed() < LONGEST, "{what}: {}", self.end());
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// The last output.
    fn end(&self) -> String {
        let last = |text: &Mutex<String>| {
            let text = text.lock().unwrap();
            text.char_indices().rev().nth(2000).map_or(&**text, |(at, _)| &text[at..]).to_owned()
        };
        format!("{:?} {:?}", last(&self.out), last(&self.told))
    }

    fn press(&mut self, keys: &str) {
        let input = self.child.stdin.as_mut().unwrap();
        input.write_all(keys.as_bytes()).and_then(|()| input.flush()).unwrap();
    }

    fn ended(&mut self) -> Option<i32> {
        let start = Instant::now();
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code();
            }
            assert!(start.elapsed() < LONGEST, "it does not end: {}", self.end());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn gather(mut from: impl Read + Send + 'static) -> Arc<Mutex<String>> {
    let text = Arc::new(Mutex::new(String::new()));
    let kept = text.clone();
    thread::spawn(move || {
        let mut piece = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut piece) {
            kept.lock().unwrap().push_str(&String::from_utf8_lossy(&piece[..length]));
        }
    });
    text
}

#[test]
fn the_tail_is_printed_and_filtered() {
    let serving = Serving::start(&gateway(), &[]);
    trip(&serving);
    let start = Instant::now();
    let (code, text, told) = serving.run(&["events"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(start.elapsed() < Duration::from_secs(5), "it waits for what comes");
    assert!(
        text.contains("closed → open: 2 consecutive failures reached failure_threshold 2"),
        "{text}"
    );
    assert!(text.lines().any(|line| line.contains("started")), "{text}");

    let (_, text, _) = serving.run(&["events", "--json", "--kind", "circuit_changed"]);
    let event: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&event["operation"], &event["policy"]),
        (&"gone".into(), &"circuit_breaker".into())
    );
    let (code, text, _) = serving.run(&["events", "--operation", "well"]);
    assert_eq!((code, text.as_str()), (Some(0), ""));
}

#[test]
fn following_goes_on_across_a_restart() {
    let yaml = gateway();
    let mut serving = Serving::start(&yaml, &[]);
    let arguments = ["events", "--follow", "--json", "--kind", "circuit_changed"];
    let watched = Watched::start(&mut serving.command(&arguments));
    trip(&serving);
    watched.until("the opening", &watched.out, |text| text.lines().count() == 1);
    serving.signal("-KILL");
    serving.ended();
    watched.until("the cut", &watched.told, |told| told.contains("the stream was cut"));
    let again = Serving::start_on(&serving.address, &yaml, &[]);
    trip(&again);
    watched.until("the second opening", &watched.out, |text| text.lines().count() == 2);
    let out = watched.out.lock().unwrap().clone();
    for line in BufReader::new(out.as_bytes()).lines().map_while(Result::ok) {
        let event: Value = serde_json::from_str(&line).unwrap();
        assert_eq!(event["kind"], "circuit_changed");
    }
}

#[test]
fn top_shows_the_worst_the_cut_and_what_comes_after_it() {
    let yaml = gateway();
    let mut serving = Serving::start(&yaml, &[]);
    trip(&serving);
    // Its first picture has the open circuit then: later ones write only the characters that change.
    thread::sleep(Duration::from_millis(2_100));
    let binary = seawall().get_program().to_string_lossy().into_owned();
    let line = format!("stty cols 150 rows 30; exec {binary} top --url http://{}", serving.address);
    // A terminal of its own; `script` is in the Debian package bsdutils.
    let mut command = Command::new("script");
    command.args(["-qec", &line, "/dev/null"]).env("TERM", "xterm-256color").env_remove("NO_COLOR");
    let mut top = Watched::start(&mut command);
    top.until("the open circuit", &top.out, |text| text.contains("gone") && text.contains("open"));
    top.until("the alert", &top.out, |text| text.contains("CRITICAL"));
    top.until("red", &top.out, |text| text.contains("[38;5;1;49mopen"));
    top.press("\u{1b}[B");
    top.until("the detail", &top.out, |text| text.contains("failure_threshold"));
    serving.signal("-KILL");
    serving.ended();
    top.until("the cut", &top.out, |text| text.contains("CONNECTION"));
    let _again = Serving::start_on(&serving.address, &yaml, &[]);
    let before = top.out.lock().unwrap().len();
    top.until("the new start", &top.out, |text| {
        text[before.min(text.len())..].contains("listening")
    });
    top.press("q");
    assert_eq!(top.ended(), Some(0), "{}", top.end());
}

#[test]
fn top_needs_a_terminal_and_a_server() {
    let (code, _, told) = run(&["top"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("top draws on a terminal"), "{told}");
    let gone = Serving::start(&gateway(), &[]).address.clone();
    let binary = seawall().get_program().to_string_lossy().into_owned();
    let line = format!("exec {binary} top --url http://{gone}");
    let mut top = Watched::start(Command::new("script").args(["-qec", &line, "/dev/null"]));
    assert_eq!(top.ended(), Some(2));
    top.until("why", &top.out, |text| text.contains("is `seawall serve` running there?"));
}
