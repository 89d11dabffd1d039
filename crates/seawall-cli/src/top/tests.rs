//! What `top` shows, on a terminal in memory.

use super::*;
use ratatui::{Terminal, backend::TestBackend};
use serde_json::{Value, json};

fn operation(name: &str, state: &str, calls: f64, failures: f64) -> Value {
    json!({
        "name": name,
        "circuit": { "state": state, "failure_count": 2, "threshold": 5, "in_state_ms": 65_000,
            "next_probe_in_ms": (state == "open").then_some(12_500), "reason": "5 failures in a row" },
        "rates": { "calls": calls, "failures": failures, "timed_out": 0.0, "rejected": 0.0, "retries": 1.5 },
        "latency_ms": { "p95": 120.25 }, "in_flight": 3, "hour": "cchof-", "repeats_paused": false,
    })
}

fn snapshot() -> Value {
    json!({
        "version": "0.1.0", "preset": "production", "revision": 7, "uptime_ms": 90_000,
        "alerts": [{ "level": "critical", "description": "the circuit is open", "operation": "chat",
            "started_at": "2026-01-02T03:04:05.678Z", "acknowledged_by": "ann" }],
        "operations": [
            operation("well", "closed", 10.0, 0.0),
            operation("failing", "closed", 10.0, 4.0),
            operation("chat", "open", 0.0, 0.0),
            operation("probing", "half_open", 1.0, 0.0),
            { "name": "bare" },
        ],
    })
}

fn happened(id: u64, operation: &str, text: &str) -> Value {
    let at = format!("2026-01-02T03:04:{id:02}.000Z");
    json!({ "id": id, "at": at, "operation": operation, "kind": "circuit_changed", "text": text })
}

fn view() -> View {
    let mut view = View::new("http://here".into(), true);
    view.take(Change::of("snapshot", &snapshot().to_string()));
    view
}

fn drawn(view: &View) -> String {
    let mut terminal = Terminal::new(TestBackend::new(140, 24)).unwrap();
    terminal.draw(|frame| draw::draw(frame, view)).unwrap();
    let buffer = terminal.backend().buffer();
    let lines = buffer.content().chunks(140).map(|line| {
        line.iter().map(ratatui::buffer::Cell::symbol).collect::<String>().trim_end().to_owned()
    });
    lines.collect::<Vec<_>>().join("\n")
}

fn press(view: &mut View, code: KeyCode) -> bool {
    heed(view, KeyEvent::new(code, KeyModifiers::NONE))
}

#[test]
fn the_worst_is_first() {
    let view = view();
    let names: Vec<&str> = view.rows().iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["chat", "probing", "failing", "bare", "well"]);
}

#[test]
fn everything_is_there_in_words() {
    let mut view = view();
    view.take(Change::of("event", &happened(1, "chat", "closed → open: why").to_string()));
    let text = drawn(&view);
    for words in [
        "Seawall http://here",
        "2 of 5 circuits not closed",
        "preset production, revision 7, up 1 min 30 s",
        "CRITICAL chat the circuit is open  since 03:04:05  (taken by ann)",
        "chat",
        "half open",
        "12 s",
        "40.0 %",
        "120.2 ms",
        "1.5",
        "··◐█F",
        "03:04:01 chat circuit_changed closed → open: why",
        "q quit",
    ] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
}

#[test]
fn keys_select_filter_pause_and_quit() {
    let mut view = view();
    press(&mut view, KeyCode::Down);
    assert_eq!(view.selected.as_deref(), Some("chat"));
    assert!(drawn(&view).contains("chat open for 1 min 5 s, 2/5 failures: 5 failures in a row"));
    press(&mut view, KeyCode::Down);
    press(&mut view, KeyCode::Down);
    press(&mut view, KeyCode::Up);
    assert_eq!(view.selected.as_deref(), Some("probing"));

    press(&mut view, KeyCode::Char('/'));
    "WELLq".chars().for_each(|c| assert!(!press(&mut view, KeyCode::Char(c))));
    press(&mut view, KeyCode::Backspace);
    press(&mut view, KeyCode::Enter);
    assert_eq!((view.filter.as_str(), view.rows().len()), ("WELL", 1));
    assert!(drawn(&view).contains("only WELL"));
    press(&mut view, KeyCode::Esc);
    assert_eq!(view.rows().len(), 5);

    press(&mut view, KeyCode::Char('p'));
    view.take(Change::of("snapshot", &json!({ "operations": [] }).to_string()));
    assert_eq!(view.rows().len(), 5);
    assert!(drawn(&view).contains("PAUSED"));
    press(&mut view, KeyCode::Char('p'));
    assert_eq!(view.rows().len(), 0);

    assert!(press(&mut view, KeyCode::Char('q')));
    assert!(heed(&mut view, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
}

#[test]
fn a_cut_is_said_until_it_is_over() {
    let mut view = view();
    for why in ["the server ended it", "cannot reach it"] {
        view.take(Change::Cut { why: why.into(), again_in: Duration::from_secs(3) });
        let text = drawn(&view);
        assert!(text.contains("CONNECTION CUT") && text.contains(why), "{text}");
        assert!(text.contains("chat"), "what is known stays:\n{text}");
    }
    view.take(Change::of("snapshot", &snapshot().to_string()));
    assert!(!drawn(&view).contains("CONNECTION CUT"));
}

#[test]
fn the_tail_is_not_shown_twice() {
    let mut view = view();
    for id in [1, 2, 1, 2, 3] {
        view.take(Change::of("event", &happened(id, "chat", "x").to_string()));
    }
    assert_eq!(view.tail().iter().map(|one| one.id).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn nothing_from_elsewhere_reaches_the_terminal_as_a_command() {
    let mut view = view();
    view.take(Change::of("event", &happened(1, "a\u{1b}[2J", "b\u{7}").to_string()));
    assert!(!drawn(&view).contains(['\u{1b}', '\u{7}']));
}

#[test]
fn strange_messages_are_passed_over() {
    let mut view = view();
    for (kind, data) in [("snapshot", "{"), ("event", "3"), ("later", "{}"), ("", "")] {
        view.take(Change::of(kind, data));
    }
    assert_eq!((view.rows().len(), view.tail().len()), (5, 0));
}

#[test]
fn without_colours_the_words_are_the_same() {
    let mut plain = view();
    plain.colours = false;
    assert_eq!(drawn(&plain), drawn(&view()));
}

#[test]
fn a_small_terminal_is_enough() {
    let mut terminal = Terminal::new(TestBackend::new(20, 5)).unwrap();
    terminal.draw(|frame| draw::draw(frame, &view())).unwrap();
}
