//! The commands that ask a running server: what they show, and what they say when it refuses or is not there.

use crate::support::{Serving, answer, answering, ended, get, run, seawall, upstream};
use serde_json::{Value, json};
use std::{
    io::Write,
    net::{SocketAddr, TcpListener},
    thread,
    time::{Duration, Instant},
};

/// A gateway with two upstreams: one answers, and one address has no listener.
pub(crate) fn gateway() -> String {
    let (well, gone) = (upstream("well"), nobody());
    format!(
        "upstreams:\n  \
           well: {{ endpoints: ['http://{well}'], policies: [{{ type: retry, max_attempts: 2 }}] }}\n  \
           gone: {{ endpoints: ['http://{gone}'], policies: [{{ type: circuit_breaker, failure_threshold: 2 }}] }}\n\
         operations: {{ mail: {{}} }}\n\
         routes: [{{ path: /gone/*, upstream: gone }}, {{ path: /*, upstream: well }}]\n\
         monitoring: {{ alerts: {{ circuit_open: 1ms }} }}\n"
    )
}

fn nobody() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap()
}

/// Makes calls that fail until the circuit opens.
pub(crate) fn trip(serving: &Serving) {
    for _ in 0..2 {
        get(&serving.address, "/gone/x");
    }
}

fn refused(serving: &Serving, arguments: &[&str], words: &str) {
    let (code, out, told) = serving.run(arguments);
    assert_eq!((code, out.as_str()), (Some(1), ""), "{arguments:?}: {told}");
    assert!(told.contains(words), "{words}: {told}");
}

#[test]
fn breakers_are_listed_shown_forced_and_reset() {
    let serving = Serving::start(&gateway(), &[]);
    trip(&serving);
    let (code, text, told) = serving.run(&["breakers", "list"]);
    assert_eq!(code, Some(0), "{told}");
    let lines: Vec<&str> = text.lines().collect();
    assert!(lines[1].starts_with("gone  open         2/2  2"), "the open one first: {text}");
    assert!(lines[1].ends_with("2 consecutive failures reached failure_threshold 2"), "{text}");
    assert_eq!(lines[3], "2 circuit breakers: 1 closed, 1 open");
    assert_eq!(serving.json(&["breakers", "list"])["circuit_breakers"]["gone"]["state"], "open");
    let gone = serving.json(&["breakers", "show", "gone"]);
    assert_eq!((&gone["metrics"]["opens"], &gone["threshold"]), (&json!(1), &json!(2)));
    let (_, text, _) = serving.run(&["breakers", "show", "gone"]);
    assert!(text.contains("metrics.opens                           1"), "{text}");

    let (code, text, _) = serving.run(&["breakers", "reset", "gone"]);
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "gone: open → closed: circuit breaker gone is reset\n")
    );
    let force = ["breakers", "force", "gone", "open", "--reason", "a drill", "--for", "10m"];
    assert_eq!(serving.json(&force)["new_state"], "forced_open");
    let forced = &serving.json(&["breakers", "show", "gone"])["forced"];
    assert!(forced["reason"].as_str().unwrap().starts_with("a drill"), "{forced}");
    assert!(forced["until"].is_string(), "{forced}");
    let (code, text, _) = serving.run(&["breakers", "force", "gone", "auto"]);
    assert_eq!(code, Some(0));
    assert!(text.starts_with("gone: forced_open → closed: "), "{text}");

    refused(
        &serving,
        &["breakers", "show", "nope"],
        "Unknown circuit breaker (404): no circuit breaker is called \"nope\"; there are: gone, mail",
    );
    refused(&serving, &["breakers", "reset", "well"], "(404)");
    refused(&serving, &["breakers", "reset", "../../health"], "(404)");
    refused(&serving, &["breakers", "force", "gone", "open", "--reason", "  "], "say why");
    for bad in [
        &["breakers", "force", "gone", "open"][..],
        &["breakers", "force", "gone", "ajar", "--reason", "x"],
        &["breakers", "force", "gone", "open", "--reason", "x", "--for", "soon"],
        &["breakers", "show"],
    ] {
        assert_eq!(serving.run(bad).0, Some(2), "{bad:?}");
    }
}

#[test]
fn operations_are_shown_with_origins_and_their_modes_are_set() {
    let serving = Serving::start(&gateway(), &[]);
    trip(&serving);
    let (code, text, told) = serving.run(&["operations"]);
    assert_eq!(code, Some(0), "{told}");
    assert!(
        text.lines()
            .any(|line| line.starts_with("gone") && line.contains("circuit_breaker → timeout")),
        "{text}"
    );
    assert_eq!(serving.json(&["operations"])[0]["name"], "gone");
    let route = serving.json(&["operations", "route /gone/*"]);
    assert_eq!(route["metrics"]["total_calls"], 2);
    let (_, text, _) = serving.run(&["operations", "gone"]);
    let value = text.lines().find(|line| line.contains("failure_threshold")).unwrap();
    assert!(value.contains(" 2 ") && value.contains("seawall.yaml:3)"), "{text}");
    assert!(text.contains("0 circuit_breaker (enforce)\n"), "{text}");

    let (code, text, _) = serving.run(&["operations", "mode", "gone", "circuit_breaker", "shadow"]);
    assert_eq!(
        (code, text.as_str()),
        (Some(0), "gone: circuit_breaker is on shadow now (1 changed)\n")
    );
    assert_eq!(serving.json(&["operations", "gone"])["policies"][0]["mode"], "shadow");
    refused(
        &serving,
        &["operations", "mode", "gone", "retry", "off"],
        "gone has no policy \"retry\"; it has circuit_breaker, timeout",
    );
    refused(&serving, &["operations", "nope"], "(404)");
    assert_eq!(serving.run(&["operations", "mode", "gone", "circuit_breaker", "on"]).0, Some(2));
}

#[test]
fn retries_are_paused_and_released() {
    let serving = Serving::start(&gateway(), &[]);
    let paused = |name: &str| serving.json(&["operations", name])["repeats_paused"].clone();
    let (code, text, _) = serving.run(&["retries", "pause", "well"]);
    assert_eq!((code, text.as_str()), (Some(0), "retries and hedges paused: well\n"));
    assert_eq!((paused("well"), paused("gone")), (true.into(), false.into()));
    assert_eq!(serving.json(&["retries", "pause"])["operations"].as_array().unwrap().len(), 5);
    assert_eq!(paused("gone"), true);
    let (_, text, _) = serving.run(&["retries", "release"]);
    assert!(text.starts_with("retries and hedges released: gone, mail, "), "{text}");
    refused(&serving, &["retries", "pause", "nope"], "(404)");
    assert_eq!(serving.run(&["retries"]).0, Some(2));
}

#[test]
fn alerts_are_listed_by_level_and_acknowledged() {
    let serving = Serving::start(&gateway(), &[]);
    assert_eq!(serving.run(&["alerts", "--level", "info"]).1, "no alerts\n");
    trip(&serving);
    let start = Instant::now();
    let alert = loop {
        let alerts = serving.json(&["alerts", "--level", "critical"])["alerts"].clone();
        if let Some(alert) =
            alerts.as_array().unwrap().iter().find(|one| one["category"] == "circuit_breaker")
        {
            break alert.clone();
        }
        assert!(start.elapsed() < Duration::from_secs(20), "no alert: {}", serving.log());
        thread::sleep(Duration::from_millis(50));
    };
    assert_eq!(alert["operation"], "gone");
    let id = alert["id"].to_string();
    let (_, text, _) = serving.run(&["alerts"]);
    assert!(
        text.contains("critical") && text.contains("it lasts") && text.contains("gone"),
        "{text}"
    );
    let (code, text, _) = serving.run(&["alerts", "acknowledge", &id]);
    assert_eq!(code, Some(0));
    assert!(
        text.starts_with(&format!("alert {id} (")) && text.ends_with("is taken by local\n"),
        "{text}"
    );
    assert!(serving.json(&["alerts"])["alerts"][0]["acknowledged_by"].is_string());
    refused(&serving, &["alerts", "acknowledge", "4711"], "there is no alert 4711");
    for bad in [
        &["alerts", "--level", "loud"][..],
        &["alerts", "acknowledge", "x"],
        &["alerts", "--limit", "0"],
    ] {
        assert_eq!(serving.run(bad).0, Some(2), "{bad:?}");
    }
}

#[test]
fn a_benchmark_is_run_and_shown() {
    let serving = Serving::start(&gateway(), &[]);
    let arguments = ["bench", "--iterations", "7", "--operations", "preset_access,validation"];
    let answer = serving.json(&arguments);
    let results = answer["suite"]["results"].as_array().unwrap();
    let told: Vec<(&Value, &Value)> =
        results.iter().map(|one| (&one["operation"], &one["iterations"])).collect();
    assert_eq!(told, [(&json!("preset_access"), &json!(7)), (&json!("validation"), &json!(7))]);
    let (code, text, _) = serving.run(&arguments);
    assert_eq!(code, Some(0), "{text}");
    let line = text.lines().find(|line| line.starts_with("preset_access")).unwrap();
    assert!(line.contains(" 7 ") && line.ends_with("passed"), "{text}");
    refused(&serving, &["bench", "--operations", "nope"], "expected one of `preset_access`");
    for bad in [&["bench", "--iterations", "0"][..], &["bench", "--concurrency", "257"]] {
        assert_eq!(serving.run(bad).0, Some(2), "{bad:?}");
    }
}

/// A server that only pretends, and always answers this.
fn pretending(status: &'static str, kind: &'static str, body: &'static str) -> String {
    let address = answering(move |stream| write!(stream, "{}", answer(status, kind, body)));
    format!("http://{address}")
}

#[test]
fn a_benchmark_that_is_too_slow_is_no_success() {
    let body = r#"{"benchmark_id":"x","requests_per_second":1,"suite":{"benchmark_id":"x","timestamp":"now",
        "total_duration_ms":37.5,"pass_rate":0,"failed_benchmarks":["pipeline"],"results":[
        {"operation":"pipeline","duration_ms":37.5,"iterations":3,"avg_ms":12.5,"min_ms":1,"max_ms":20,"std_dev_ms":1,
         "p50_ms":12,"p95_ms":20,"p99_ms":20,"success_rate":1,"passed":false,"requests_per_second":1,
         "memory_peak":null}]}}"#;
    let url = pretending("200 OK", "application/json", body);
    let (code, text, _) = run(&["bench", "--url", &url]);
    assert_eq!(code, Some(1));
    let pipeline = text.lines().find(|line| line.starts_with("pipeline")).unwrap();
    assert!(pipeline.contains("12.50 ms") && pipeline.ends_with("too slow"), "{text}");
}

#[test]
fn no_command_takes_another_server_for_ours() {
    let commands: [(&[&str], &str); 15] = [
        (&["retries", "pause"], "paused"),
        (&["retries", "release", "a"], "paused"),
        (&["breakers", "list"], "circuit_breakers"),
        (&["breakers", "show", "a"], "name"),
        (&["breakers", "reset", "a"], "name"),
        (&["breakers", "force", "a", "auto"], "name"),
        (&["operations"], "operations"),
        (&["operations", "a"], "name"),
        (&["operations", "mode", "a", "retry", "off"], "name"),
        (&["alerts"], "alerts"),
        (&["alerts", "acknowledge", "1"], "id"),
        (&["bench"], "benchmark_id"),
        (&["config", "show"], "revision"),
        (&["config", "history"], "revisions"),
        (&["config", "rollback", "1"], "revision"),
    ];
    let empty = pretending("200 OK", "application/json", "{}");
    let list = pretending("200 OK", "application/json", "[]");
    for (command, field) in commands {
        for json in [&[][..], &["--json"]] {
            let (code, out, told) = run(&[command, json, &["--url", &empty]].concat());
            assert_eq!((code, out.as_str()), (Some(2), ""), "{command:?}: {told}");
            let named = told.contains(&format!("missing field `{field}`"));
            assert!(named && told.contains("is this a Seawall server"), "{command:?}: {told}");
        }
        let (code, out, _) = run(&[command, &["--url", &list]].concat());
        assert_eq!((code, out.as_str()), (Some(2), ""), "{command:?} of a list");
    }
    let wrong = r#"{"paused":false,"operations":["a"]}"#;
    let wrong = pretending("200 OK", "application/json", wrong);
    let (code, out, told) = run(&["retries", "pause", "--url", &wrong]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "it says the opposite: {told}");
    let endless = r#"{"operations":[],"total_count":1,"next":"a"}"#;
    let endless = pretending("200 OK", "application/json", endless);
    assert_eq!(run(&["operations", "--url", &endless]).0, Some(2), "it would never end");
    let stream = "event: event\ndata: {\"id\":1}\n\n";
    let stream = pretending("200 OK", "text/event-stream", stream);
    let (code, out, told) = run(&["events", "--url", &stream]);
    assert_eq!((code, out.as_str()), (Some(2), ""), "{told}");
    assert!(told.contains("event: missing field `at`"), "{told}");
    let silent = pretending("200 OK", "text/event-stream", "");
    let (code, _, told) = run(&["events", "--url", &silent]);
    assert_eq!(code, Some(2), "{told}");
}

#[test]
fn keys_are_needed_where_they_are() {
    let keys = [("SEAWALL_API_KEYS", "right"), ("SEAWALL_READ_API_KEYS", "reading")];
    let serving = Serving::start_with("127.0.0.1:0", &gateway(), &[], &keys);
    refused(&serving, &["operations"], "give a key: --key, or SEAWALL_API_KEY");
    refused(&serving, &["operations", "--key", "wrong"], "the key is not one of the server's");
    refused(&serving, &["retries", "pause", "--key", "reading"], "(403)");
    assert_eq!(serving.run(&["operations", "--key", "reading"]).0, Some(0));
    let (code, _, told) =
        ended(serving.command(&["retries", "pause"]).env("SEAWALL_API_KEY", "right"));
    assert_eq!(code, Some(0), "{told}");
    let (_, help, _) =
        ended(seawall().args(["operations", "--help"]).env("SEAWALL_API_KEY", "right"));
    assert!(!help.contains("right"), "help shows the key: {help}");
    let (code, _, told) = serving.run(&["operations", "--key", "a\nb"]);
    assert_eq!(code, Some(2));
    assert!(told.contains("no header can carry") && !told.contains("a\nb"), "{told}");
}

#[test]
fn a_missing_or_foreign_server_is_reported() {
    let nobody = format!("http://{}", nobody());
    let html = pretending("200 OK", "text/html", "<html>");
    let missing = pretending("404 Not Found", "text/html", "<html>");
    let broken = pretending(
        "500 Internal Server Error",
        "application/problem+json",
        r#"{"title":"Failed","detail":"a \u001b[31mdisk"}"#,
    );
    let silent = format!(
        "http://{}",
        answering(|_| {
            thread::sleep(Duration::from_secs(30));
            Ok(())
        })
    );
    let secure = nobody.replace("http:", "https:");
    for (url, code, words) in [
        (&nobody, 2, "is `seawall serve` running there? --url or SEAWALL_URL says where it is"),
        (&secure, 2, "cannot reach https://127.0.0.1:"),
        (&html, 2, "answered no JSON"),
        (&missing, 1, "the server answered 404, Not Found; is it a Seawall server?"),
        (&broken, 1, "Failed (500): a \u{fffd}[31mdisk"),
        (&silent, 2, "did not answer within 2 s; --timeout waits longer"),
    ] {
        let (ended, out, told) = run(&["operations", "--timeout", "2s", "--url", url]);
        assert_eq!((ended, out.as_str()), (Some(code), ""), "{url}: {told}");
        assert!(told.contains(words), "{words}: {told}");
    }
    for url in ["", "host", "ftp://a", "http://a?b", "http://u:p@a"] {
        assert_eq!(run(&["operations", "--url", url]).0, Some(2), "{url}");
    }
    assert_eq!(run(&["operations", "--timeout", "0"]).0, Some(2));
    let (code, _, told) = run(&["events", "--url", &html]);
    assert_eq!(code, Some(2));
    assert!(told.contains("answered no stream of events"), "{told}");
}

#[test]
fn limits_are_listed_shown_for_a_key_and_reset() {
    let up = upstream("up");
    let serving = Serving::start(
        &format!(
            "upstreams: {{ up: {{ endpoints: ['http://{up}'] }} }}\n\
             routes: [{{ path: /*, upstream: up, rate_limit: {{ rate: 1, per: 1h, key: peer }} }}]\n"
        ),
        &[],
    );
    get(&serving.address, "/x");
    get(&serving.address, "/x");
    let (code, text, told) = serving.run(&["limits", "list"]);
    assert_eq!(code, Some(0), "{told}");
    let line = text.lines().find(|line| line.starts_with("route /*")).expect("the route");
    assert!(line.contains("1 in 1 h"), "{text}{told}");
    assert!(line.trim_end().ends_with('1'), "one was refused: {text}");
    let (_, text, told) = serving.run(&["limits", "show", "route /*"]);
    assert!(text.contains("say which behind the name"), "{text}{told}");
    let (_, text, told) = serving.run(&["limits", "show", "route /*", "127.0.0.1"]);
    assert!(text.contains("0/1"), "{text}{told}");
    let (_, text, told) = serving.run(&["limits", "reset", "route /*", "127.0.0.1"]);
    assert!(text.contains("1/1"), "{text}{told}");
    refused(&serving, &["limits", "reset", "route /*", "acme"], "addresses of clients");
}
