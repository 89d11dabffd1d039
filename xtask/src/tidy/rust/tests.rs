//! Files that break a rule for Rust, and files that look as if they did.

use super::*;

const INSIDE: &str = "crates/seawall/src/policies/retry.rs";

fn whats(file: &str, text: &str) -> Vec<String> {
    findings(file, text).iter().map(Finding::to_string).collect()
}

/// The findings in a file of the core with this body, without the header and without the reasons.
fn core(body: &str) -> Vec<String> {
    let whole = whats(INSIDE, &format!("//! Retries.\n{body}\n"));
    let short = |text: &String| {
        let text = text.strip_prefix(INSIDE).unwrap_or(text);
        let end = text.find("`: ").map_or(text.len(), |end| end + 1);
        text[..end].to_owned()
    };
    whole.iter().map(short).collect()
}

#[test]
fn crowded_files_are_found_and_crowded_tests_are_not() {
    let items =
        "pub struct A {\n    pub b: u8,\n}\nimpl A {\n    pub fn c() {}\n}\npub async fn d() {}\n";
    let crowded = format!("//! Many.\n{}", items.repeat(7));
    let told = [format!("{INSIDE}: 14 public items, at most 8: find what stands alone")];
    assert_eq!(whats(INSIDE, &crowded), told);
    for test in ["crates/a/tests/b.rs", "crates/a/src/b/tests.rs", "crates/a/benches/b.rs"] {
        assert_eq!(whats(test, &crowded), [""; 0], "{test}");
    }
    assert_eq!(whats("xtask/src/tests_of.rs", &crowded).len(), 1);
    let few = format!("//! Few.\n{}pub(crate) fn e() {{}}\npub use a::B;\n", items.repeat(4));
    assert_eq!(whats(INSIDE, &few), [""; 0]);
}

#[test]
fn a_file_says_first_what_it_is_for() {
    let told = "crates/a/tests/b.rs:1: does not open with `//!`: say what the file is for";
    assert_eq!(whats("crates/a/tests/b.rs", "// Only a comment.\n"), [told]);
    assert_eq!(whats("crates/a/tests/b.rs", "\n//! Too late.\n"), [told]);
}

#[test]
fn riddles_are_found() {
    assert_eq!(
        core("/// What.\nfn f() {}"),
        [":2: a riddle for documentation: say it in a sentence"]
    );
}

#[test]
fn tabs_and_trailing_space_are_found() {
    assert_eq!(core("fn f() {} "), [":2: white space at the end"]);
    assert_eq!(core("\tfn f() {}"), [":2: a tab"]);
    assert_eq!(core("fn f() {}\r"), [":2: white space at the end"]);
    assert_eq!(core("const TAB: &str = \"\\t\";"), [""; 0]);
}

#[test]
fn a_test_that_never_runs_is_found() {
    let ignored = "//! Tests.\n#[test]\n#[ignore = \"slow\"]\nfn f() {}\n";
    assert_eq!(
        whats("crates/a/tests/b.rs", ignored),
        ["crates/a/tests/b.rs:3: `#[ignore]`: a test that never runs"]
    );
}

#[test]
fn talk_of_one_is_not() {
    assert_eq!(core("// todo!() is not allowed, nor #[ignore]\nfn todo() {}"), [""; 0]);
    assert_eq!(core("const A: &str = \"todo!()\"; fn f() { todo() != ignore }"), [""; 0]);
}

#[test]
fn the_core_names_no_atomic() {
    for body in [
        "use std::sync::atomic::AtomicBool;",
        "use std::sync::atomic;",
        "use std::{fmt, sync::{Arc, atomic::{AtomicBool, Ordering}}};",
        "use core::sync::atomic::AtomicBool;",
        "use std::sync::*;",
        "use std::sync; static A: sync::atomic::AtomicBool = X;",
        "static A: ::std::sync::atomic::AtomicBool = X;",
    ] {
        let found = core(body);
        assert!(!found.is_empty(), "{body}");
        assert!(found.iter().all(|what| what == ":2: names `std::sync::atomic`"), "{found:?}");
    }
}

#[test]
fn the_core_names_no_clock_and_no_runtime() {
    for (body, path) in [
        ("fn f(at: std::time::Instant) {}", "std::time::Instant"),
        ("use std::{fmt, time::{Duration, Instant}};", "std::time::Instant"),
        ("use std::time::{self, Duration};\nfn f() { time::Instant::now() }", "std::time::Instant"),
        ("use std::time::SystemTime as Wall;", "std::time::SystemTime"),
        ("fn f() { std::thread::sleep(D) }", "std::thread::sleep"),
        ("use std::thread as t;\nfn f() { t::sleep(D) }", "std::thread::sleep"),
        ("#[tokio::test]\nasync fn f() {}", "tokio"),
        ("use tokio;", "tokio"),
    ] {
        let found = core(body);
        assert_eq!(found.len(), 1, "{body}: {found:?}");
        assert!(found[0].ends_with(&format!("names `{path}`")), "{body}: {found:?}");
    }
}

#[test]
fn an_import_is_reported_once_and_not_again_where_it_is_used() {
    let body = "use std::time::Instant;\nfn f() { Instant::now(); Instant::now(); }";
    assert_eq!(core(body), [":2: names `std::time::Instant`"]);
}

#[test]
fn names_that_only_look_like_a_crossing_are_none() {
    for body in [
        "/// As `std::time::Instant`, or tokio::time.\nuse crate::time::Instant;",
        "use std::time::Duration;\nfn f(now: Instant) { Instant::from_nanos(1) }",
        "use std::{sync::{Arc, Condvar}, thread};\nfn f() { thread::Builder::new() }",
        "use crate::sync::{AtomicU64, Ordering};",
        "struct SystemTimer; fn f() { SystemTimer::new(\"std::thread::sleep\") }",
        "fn f(tokio: bool) { g.tokio(tokio) }",
        "#[cfg(test)]\npub(crate) mod testing {\n    use tokio::time;\n}",
        "#[cfg(test)]\nmod tests {\n    #[tokio::test]\n    async fn f() { if true { () } }\n}",
    ] {
        assert_eq!(core(body), [""; 0], "{body}");
    }
}

#[test]
fn test_modules_end_where_their_brace_does() {
    let body = "#[cfg(test)]\nmod tests { fn f() {} }\nuse tokio::time;";
    assert_eq!(core(body), [":4: names `tokio`"]);
    assert_eq!(core("#[cfg(test)]\nmod tests;\nuse tokio::time;"), [":4: names `tokio`"]);
}

#[test]
fn boundaries_have_their_doors_and_their_ends() {
    let atomics = "//! A.\nuse std::sync::atomic::AtomicBool;\n";
    let clock = "//! A.\nuse std::time::Instant;\n";
    assert_eq!(whats("crates/seawall/src/sync.rs", atomics), [""; 0]);
    assert_eq!(whats("crates/seawall/src/time.rs", atomics).len(), 1);
    assert_eq!(whats("crates/seawall/src/timer.rs", clock), [""; 0]);
    assert_eq!(whats("crates/seawall/src/timer/tests.rs", clock), [""; 0]);
    assert_eq!(whats("crates/seawall/examples/a.rs", clock), [""; 0]);
    assert_eq!(whats("crates/seawall-tower/src/lib.rs", clock), [""; 0]);
}
