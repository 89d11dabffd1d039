//! Tests of what `top` shows, on a terminal in memory.

use super::*;
use ratatui::{Terminal, backend::TestBackend};
use serde_json::{Value, json};

fn operation(name: &str, state: &str, calls: f64, failures: f64) -> Value {
    json!({
        "name": name,
        "circuit": { "state": state, "failure_count": 2, "threshold": 5, "in_state_ms": 65_000,
            "next_probe_in_ms": (state == "open").then_some(12_500), "reason": "5 failures in a row" },
        "rates": { "calls": calls, "successes": calls - failures, "failures": failures, "timed_out": 0.0,
            "caller_faults": 0.0, "rejected": 0.0, "rate_limited": 0.0, "attempts": 0.0, "retries": 1.5,
            "fallbacks": 0.0, "opens": 0.0, "half_opens": 0.0 },
        "totals": { "calls": 0, "successes": 0, "failures": 0, "timed_out": 0, "caller_faults": 0, "rejected": 0,
            "rate_limited": 0, "attempts": 0, "retries": 0, "fallbacks": 0, "opens": 0, "half_opens": 0 },
        "latency_ms": { "count": 3, "p50": null, "p95": 120.25, "p99": null }, "in_flight": 3, "queued": 0, "hour": "cchof-",
        "minutes": [], "minute": 0, "repeats_paused": false,
    })
}

fn bare() -> Value {
    let mut bare = operation("bare", "closed", 0.0, 0.0);
    bare["circuit"] = Value::Null;
    bare
}

fn snapshot() -> Value {
    with(&[
        operation("well", "closed", 10.0, 0.0),
        operation("failing", "closed", 10.0, 4.0),
        operation("chat", "open", 0.0, 0.0),
        operation("probing", "half_open", 1.0, 0.0),
        bare(),
    ])
}

/// A snapshot as a server sends it, but for a field of a newer one.
fn with(operations: &[Value]) -> Value {
    json!({
        "at": "2026-01-02T03:04:05.678Z", "version": "0.1.0", "preset": "production", "revision": 7,
        "uptime_ms": 90_000, "repeats_paused": false, "later": 1,
        "health": { "healthy": true, "open_circuit_breakers": [], "half_open_circuit_breakers": [],
            "would_refuse_circuit_breakers": [], "total_circuit_breakers": 4, "total_operations": 5 },
        "alerts": [{ "id": 1, "level": "critical", "category": "circuit_breaker", "title": "Circuit open",
            "description": "the circuit is open", "operation": "chat", "threshold_value": 1.0,
            "actual_value": 2.0, "started_at": "2026-01-02T03:04:05.678Z", "ended_at": null,
            "acknowledged_at": "2026-01-02T03:04:06.678Z", "acknowledged_by": "ann" }],
        "operations": operations,
    })
}

fn happened(id: u64, operation: &str, text: &str) -> Value {
    let at = format!("2026-01-02T03:04:{id:02}.000Z");
    json!({ "id": id, "at": at, "operation": operation, "policy": "circuit_breaker",
        "kind": "circuit_changed", "text": text })
}

fn of(kind: &str, data: &Value) -> Change {
    Change::of(kind, &data.to_string()).unwrap()
}

fn view() -> View {
    let mut view = View::new("http://here".into(), true);
    view.take(of("snapshot", &snapshot()));
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
    handle_key(view, KeyEvent::new(code, KeyModifiers::NONE))
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
    view.take(of("event", &happened(1, "chat", "closed → open: why")));
    let text = drawn(&view);
    for words in [
        "Seawall http://here",
        "2 of 4 circuits not closed",
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
    view.take(of("snapshot", &with(&[])));
    assert_eq!(view.rows().len(), 5);
    assert!(drawn(&view).contains("PAUSED"));
    press(&mut view, KeyCode::Char('p'));
    assert_eq!(view.rows().len(), 0);

    assert!(press(&mut view, KeyCode::Char('q')));
    assert!(handle_key(&mut view, KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)));
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
    view.take(of("snapshot", &snapshot()));
    assert!(!drawn(&view).contains("CONNECTION CUT"));
}

#[test]
fn the_tail_is_not_shown_twice() {
    let mut view = view();
    for id in [1, 2, 1, 2, 3] {
        view.take(of("event", &happened(id, "chat", "x")));
    }
    assert_eq!(view.tail().iter().map(|one| one.id).collect::<Vec<_>>(), [1, 2, 3]);
}

#[test]
fn nothing_from_elsewhere_reaches_the_terminal_as_a_command() {
    let mut view = view();
    view.take(of("event", &happened(1, "a\u{1b}[2J", "b\u{7}")));
    assert!(!drawn(&view).contains(['\u{1b}', '\u{7}']));
}

#[test]
fn a_message_that_is_not_ours_is_reported_by_its_field() {
    let told = |kind: &str, data: &str| Change::of(kind, data).unwrap_err();
    assert!(told("snapshot", "{").starts_with("snapshot: no JSON"));
    assert_eq!(told("snapshot", "{}"), "snapshot: missing field `at`");
    assert!(told("event", "3").starts_with("event: invalid type"));
    let mut wrong = snapshot();
    wrong["operations"][2]["circuit"]["state"] = 1.into();
    let told = told("snapshot", &wrong.to_string());
    assert!(told.starts_with("snapshot: operations[2].circuit.state: invalid type"), "{told}");
    assert!(matches!(Change::of("later", "{}"), Ok(Change::Unknown)), "of a newer server");
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

#[test]
fn a_breaker_that_does_not_act_refuses_nothing() {
    let one = |name: &str, state: &str, mode: &str| {
        let mut one = operation(name, state, 1.0, 0.0);
        one["circuit"]["mode"] = mode.into();
        one["circuit"]["broken_for_ms"] = 600_000.into();
        one
    };
    let mut view = View::new("http://here".into(), true);
    let now = with(&[
        one("a", "open", "shadow"),
        one("b", "closed", "off"),
        one("c", "half_open", "enforce"),
        bare(),
    ]);
    view.take(of("snapshot", &now));
    let text = drawn(&view);
    for words in ["1 of 3 circuits not closed", "open (shadow)", "off", "half open"] {
        assert!(text.contains(words), "{words}:\n{text}");
    }
    let names: Vec<&str> = view.rows().iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["c", "a", "b", "bare"]);
    press(&mut view, KeyCode::Down);
    assert!(drawn(&view).contains("c half open for 1 min 5 s (not closed for 10 min)"));
}
