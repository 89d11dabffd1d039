//! Functions under the attribute, called.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

use seawall::{
    Attributes, Backoff, CircuitBreakerConfig, Class, Error, FallbackConfig, Outcome, PolicyConfig,
    RateLimiterConfig, Registry, RetryConfig, resilient,
};
use std::{
    collections::HashMap,
    fmt::Display,
    sync::{
        LazyLock,
        atomic::{AtomicU32, Ordering::SeqCst},
    },
    time::Duration,
};

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let registry = Registry::default();
    let backoff = Backoff { base_delay: Duration::from_millis(1), ..Backoff::default() };
    let retry = PolicyConfig::Retry(RetryConfig { max_attempts: 3, backoff, ..Default::default() });
    let fallback = PolicyConfig::Fallback(FallbackConfig::default());
    for name in
        ["retried", "method", "generic", "plain", "once", "classified", "patterns", "aliased"]
    {
        registry.register(name, vec![fallback.clone(), retry.clone()]).unwrap();
    }
    let breaker = CircuitBreakerConfig { failure_threshold: Some(2), ..Default::default() };
    for name in ["broken", "broken, with a stand-in", "broken, with a plain stand-in"] {
        registry.register(name, vec![PolicyConfig::CircuitBreaker(breaker.clone())]).unwrap();
    }
    let limit = RateLimiterConfig { rate: 1, keyed: true, ..Default::default() };
    registry.register("keyed", vec![PolicyConfig::RateLimiter(limit)]).unwrap();
    let costly =
        RateLimiterConfig { rate: 5, per: Duration::from_secs(3600), ..Default::default() };
    registry.register("costly", vec![PolicyConfig::RateLimiter(costly)]).unwrap();
    registry
});

fn run<F: Future>(future: F) -> F::Output {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap().block_on(future)
}

/// Says it when asked for the n-th time.
fn good_at(n: u32, calls: &AtomicU32) -> Result<u32, String> {
    let call = calls.fetch_add(1, SeqCst) + 1;
    if call >= n { Ok(call) } else { Err(format!("call {call} failed")) }
}

#[resilient("retried", registry = REGISTRY)]
async fn retried(n: u32, calls: &AtomicU32) -> Result<u32, String> {
    let found = good_at(n, calls)?;
    tokio::task::yield_now().await;
    if found > 100 {
        return Err("too many".into());
    }
    Ok(found)
}

#[test]
fn failures_are_retried_and_the_last_error_is_inside() {
    assert_eq!(run(retried(3, &AtomicU32::new(0))), Ok(3));
    let calls = AtomicU32::new(0);
    assert_eq!(run(retried(9, &calls)), Err(Error::Inner("call 3 failed".into())));
    assert_eq!(calls.load(SeqCst), 3);
    assert_eq!(REGISTRY.find("retried").unwrap().counts().retries_executed, 4);
}

struct Service {
    calls: AtomicU32,
    name: String,
}

impl Service {
    /// A method, with an argument that is cloned for each attempt.
    #[resilient("method", registry = REGISTRY, fallback = |error: Error<String>| async move {
        let _ = text;
        Ok(format!("instead of: {error}"))
    })]
    pub(crate) async fn say(&self, text: String, n: u32) -> Result<String, String> {
        let call = good_at(n, &self.calls)?;
        let text = text + "!";
        Ok(format!("{}: {text} ({call})", self.name))
    }

    #[resilient("plain", registry = REGISTRY, fallback = |_| Ok(0))]
    fn count(&mut self, n: u32) -> Result<u32, String> {
        self.name.push('x');
        good_at(n, &self.calls)
    }
}

fn service() -> Service {
    Service { calls: AtomicU32::new(0), name: "service".into() }
}

#[test]
fn methods_have_their_fallback() {
    let good = run(service().say("hello".into(), 2));
    assert_eq!(good.unwrap(), "service: hello! (2)");
    let bad = run(service().say("hello".into(), 99));
    assert_eq!(bad.unwrap(), "instead of: call 3 failed");
}

#[test]
fn plain_functions_wait_on_their_thread() {
    let mut service = service();
    assert_eq!(service.count(3), Ok(3));
    assert_eq!(service.name, "servicexxx");
    service.calls.store(0, SeqCst);
    assert_eq!(service.count(99), Ok(0), "the fallback answers");
}

#[resilient("broken, with a stand-in", registry = REGISTRY, fallback = |error: Error<String>| async move {
    Ok(format!("instead of {error:?}"))
})]
async fn stood_in() -> Result<String, String> {
    Err("down".into())
}

#[resilient("broken, with a plain stand-in", registry = REGISTRY, fallback = |_| Ok(7))]
fn stood_in_plainly() -> Result<u32, String> {
    Err("down".into())
}

#[test]
fn a_fallback_that_is_handed_over_needs_no_policy() {
    for _ in 0..2 {
        assert_eq!(run(stood_in()).unwrap(), "instead of Inner(\"down\")");
        assert_eq!(stood_in_plainly(), Ok(7));
    }
    // The circuit is open now: a refusal is stood in for, too.
    let refused = run(stood_in()).unwrap();
    assert!(refused.contains("CircuitOpen"), "{refused}");
    assert_eq!(stood_in_plainly(), Ok(7));
}

#[resilient("generic", registry = REGISTRY)]
async fn generic<'a, T, const N: usize>(
    items: [T; N],
    prefix: &'a str,
    suffix: impl Display + Clone,
) -> Result<Vec<String>, std::io::Error>
where
    T: Display + Clone,
{
    Ok(items.iter().map(|item| format!("{prefix}{item}{suffix}")).collect())
}

#[test]
fn generics_lifetimes_and_bounds_stay() {
    let local = String::from("<");
    assert_eq!(run(generic([1, 2], &local, '>')).unwrap(), ["<1>", "<2>"]);
    assert_eq!(run(generic(["a"], &local, "!")).unwrap(), ["<a!"]);
}

#[resilient("patterns", registry = REGISTRY)]
async fn sum((a, b): (u32, u32), mut rest: Vec<u32>, _: u8) -> Result<u32, String> {
    rest.push(a + b);
    Ok(rest.iter().sum())
}

type Answer<T> = Result<T, String>;

#[resilient("aliased", registry = REGISTRY)]
async fn aliased(good: bool) -> Answer<u8> {
    if good { Ok(1) } else { Err("no".into()) }
}

#[test]
fn patterns_and_results_of_another_name_work() {
    assert_eq!(run(sum((1, 2), vec![3], 0)), Ok(6));
    assert_eq!(run(aliased(true)), Ok(1));
    assert_eq!(run(aliased(false)), Err(Error::Inner("no".into())));
}

#[resilient("once", registry = REGISTRY, repeatable = false)]
async fn once(calls: &AtomicU32) -> Result<u32, String> {
    good_at(2, calls)
}

fn by_text(result: &Result<u32, String>) -> Outcome {
    match result {
        Ok(_) => Outcome::Success,
        Err(_) => Outcome::failure(Class::Permanent),
    }
}

#[resilient("classified", registry = REGISTRY, classify = by_text)]
async fn classified(calls: &AtomicU32) -> Result<u32, String> {
    good_at(2, calls)
}

#[resilient("keyed", registry = REGISTRY, key = tenant)]
async fn of_tenant(tenant: &str) -> Result<(), String> {
    Ok(())
}

#[resilient("costly", registry = REGISTRY, cost = size * 2, priority = seawall::Priority::Critical)]
async fn costly(size: u32) -> Result<(), String> {
    if size < 99 { Ok(()) } else { Err("too much".into()) }
}

#[test]
fn attributes_of_the_macro_reach_the_policies() {
    for call in [AtomicU32::new(0), AtomicU32::new(0)] {
        assert!(run(once(&call)).is_err());
        assert_eq!(call.load(SeqCst), 1);
    }
    let calls = AtomicU32::new(0);
    assert!(run(classified(&calls)).is_err());
    assert_eq!(calls.load(SeqCst), 1, "a permanent failure is not retried");
    assert!(run(of_tenant("a")).is_ok() && run(of_tenant("b")).is_ok());
    assert!(run(of_tenant("a")).unwrap_err().is_rejected());
    assert!(run(costly(2)).is_ok());
    assert!(run(costly(1)).unwrap_err().is_rejected(), "4 of 5 are used");
    assert_ne!(Attributes::of_key("a").key, Attributes::of_key("b").key);
}

#[resilient("broken", registry = REGISTRY)]
fn broken() -> Result<(), String> {
    Err("down".into())
}

#[test]
fn a_circuit_opens() {
    assert_eq!(broken(), Err(Error::Inner("down".into())));
    assert_eq!(broken(), Err(Error::Inner("down".into())));
    assert!(broken().unwrap_err().is_rejected());
}

#[resilient("of_the_process")]
async fn of_the_process(map: &HashMap<u8, u8>, key: u8) -> Result<u8, String> {
    map.get(&key).copied().ok_or_else(|| "no such key".to_owned())
}

#[test]
fn without_a_registry_it_is_that_of_the_process_on_every_thread() {
    let map = HashMap::from([(1, 2)]);
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| assert_eq!(run(of_the_process(&map, 1)), Ok(2)));
        }
    });
    let counts = seawall::global().find("of_the_process").unwrap().counts();
    assert_eq!(counts.successful_calls, 4);
    // It is in use: no other one can take its place.
    assert!(Registry::default().install_global().is_err());
}

#[test]
fn wrong_uses_are_reported_where_they_are() {
    trybuild::TestCases::new().compile_fail("tests/ui/*.rs");
}

/// Functions on one line, which must give the user no warning about braces that are not theirs.
#[deny(warnings)]
mod on_one_line {
    use super::{REGISTRY, resilient};

    #[rustfmt::skip]
    #[resilient("one_line", registry = REGISTRY)]
    pub(super) async fn waiting() -> Result<u8, String> { Ok(1) }

    #[rustfmt::skip]
    #[resilient("one_line_blocking", registry = REGISTRY)]
    pub(super) fn blocking() -> Result<u8, String> { Ok(2) }
}

#[test]
fn functions_on_one_line_compile_without_a_warning() {
    assert_eq!((run(on_one_line::waiting()), on_one_line::blocking()), (Ok(1), Ok(2)));
}
