//! The bridges to `tracing` and `metrics`, each against what Seawall counts and says itself.

#![allow(clippy::unwrap_used, reason = "a test may panic")]
#![cfg(any(feature = "metrics", feature = "tracing"))]

use seawall::{Error, Observer, Operation, PolicyConfig, Registry};
use std::{
    future::{Future, ready},
    sync::Arc,
};

/// An operation whose events an observer hears.
fn operation(observer: impl Observer + 'static, policies: &str) -> Operation {
    let policies: Vec<PolicyConfig> = serde_json::from_str(policies).unwrap();
    let registry = Registry::builder().observer(Arc::new(observer)).build();
    registry.register("prices", policies).unwrap()
}

/// Runs a future on a clock of its own, which stands still but for sleeps.
fn run<T>(future: impl IntoFuture<Output = T>) -> T {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    runtime.enable_time().start_paused(true).build().unwrap().block_on(future.into_future())
}

async fn fail(operation: &Operation) -> Result<u32, Error<&'static str>> {
    operation.call(|| ready(Err("down"))).await
}

#[cfg(feature = "metrics")]
mod metrics {
    use super::*;
    use ::metrics::{
        Counter, Gauge, Histogram, HistogramFn, Key, KeyName, Metadata, Recorder, SharedString,
        Unit,
    };
    use seawall::{Counts, MetricsObserver};
    use std::{
        collections::BTreeMap,
        future::pending,
        pin::pin,
        sync::{
            Mutex,
            atomic::{AtomicU64, Ordering::SeqCst},
        },
        task::Poll,
    };

    const POLICIES: &str = r#"[
        {"type": "rate_limiter", "rate": 1, "per": "1h", "mode": "shadow"},
        {"type": "fallback", "on_permanent": false},
        {"type": "circuit_breaker", "failure_threshold": 3},
        {"type": "bulkhead", "max_concurrent": 1, "max_queued": 1},
        {"type": "retry", "max_attempts": 2, "budget": null},
        {"type": "timeout", "limit": "1s"}
    ]"#;

    /// Every series as text with its value; of a histogram, the number of its values.
    #[derive(Default)]
    struct Series(Mutex<BTreeMap<String, (Arc<AtomicU64>, bool)>>);

    struct Values(Arc<AtomicU64>);

    impl HistogramFn for Values {
        fn record(&self, _: f64) {
            self.0.fetch_add(1, SeqCst);
        }
    }

    impl Series {
        fn of(&self, key: &Key, is_gauge: bool) -> Arc<AtomicU64> {
            let labels = key.labels().map(|label| format!("{}={}", label.key(), label.value()));
            let labels: Vec<_> = labels.collect();
            let name = format!("{}{{{}}}", key.name(), labels.join(","));
            let fresh = || (Arc::default(), is_gauge);
            self.0.lock().unwrap().entry(name).or_insert_with(fresh).0.clone()
        }

        fn values(&self) -> BTreeMap<String, u64> {
            let value = |(word, is_gauge): &(Arc<AtomicU64>, bool)| match word.load(SeqCst) {
                bits if *is_gauge => f64::from_bits(bits) as u64,
                count => count,
            };
            let series = self.0.lock().unwrap();
            series.iter().map(|(name, of)| (name.clone(), value(of))).collect()
        }
    }

    impl Recorder for Series {
        fn describe_counter(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_gauge(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn describe_histogram(&self, _: KeyName, _: Option<Unit>, _: SharedString) {}
        fn register_counter(&self, key: &Key, _: &Metadata<'_>) -> Counter {
            Counter::from_arc(self.of(key, false))
        }
        fn register_gauge(&self, key: &Key, _: &Metadata<'_>) -> Gauge {
            Gauge::from_arc(self.of(key, true))
        }
        fn register_histogram(&self, key: &Key, _: &Metadata<'_>) -> Histogram {
            Histogram::from_arc(Arc::new(Values(self.of(key, false))))
        }
    }

    /// A success, a timeout, failures until the circuit opens, a refusal, an alternative and a caller who leaves.
    async fn live(operation: &Operation) {
        assert_eq!(operation.call(|| ready(Ok::<_, ()>(1))).await, Ok(1));
        let hangs = || pending::<Result<u32, &str>>();
        assert!(operation.call(hangs).await.unwrap_err().is_timed_out());
        {
            let mut left = pin!(operation.call(hangs));
            let mut queued = pin!(operation.call(hangs));
            let polled = std::future::poll_fn(|cx| {
                let pending = left.as_mut().poll(cx).is_pending();
                Poll::Ready(pending && queued.as_mut().poll(cx).is_pending())
            });
            assert!(polled.await);
        }
        let other = operation.run(|_| ready(Err("down"))).fallback(|_| ready(Ok(2))).await;
        assert_eq!(other, Ok(2));
        assert_eq!(fail(operation).await, Err(Error::Inner("down")));
        assert!(fail(operation).await.unwrap_err().is_rejected());
    }

    #[test]
    fn every_series_is_what_the_operation_counts() {
        let series = Series::default();
        let operation = operation(MetricsObserver, POLICIES);
        ::metrics::with_local_recorder(&series, || run(live(&operation)));
        let counts: Counts = operation.counts();
        let mut expected = BTreeMap::new();
        for (name, value) in [
            ("seawall_calls_total{operation=prices,outcome=success}", counts.successful_calls),
            ("seawall_calls_total{operation=prices,outcome=failure}", counts.failed_calls),
            ("seawall_calls_total{operation=prices,outcome=timed_out}", counts.timed_out_calls),
            ("seawall_calls_total{operation=prices,outcome=rejected}", counts.rejected_calls),
            ("seawall_attempts_total{operation=prices}", counts.attempts),
            ("seawall_failed_attempts_total{operation=prices}", counts.failed_attempts),
            ("seawall_retries_total{operation=prices}", counts.retries_executed),
            ("seawall_timeouts_total{operation=prices}", counts.timeouts),
            ("seawall_fallbacks_total{operation=prices}", counts.fallbacks),
            ("seawall_queued_total{operation=prices}", counts.queued),
            ("seawall_abandoned_total{operation=prices}", counts.abandoned_calls),
            ("seawall_latency_seconds{operation=prices}", operation.metrics().latencies().count()),
        ] {
            assert!(value > 0, "{name} is not tested");
            expected.insert(name.to_owned(), value);
        }
        for (reason, count) in &counts.rejections {
            let name = format!("seawall_rejections_total{{operation=prices,reason={reason}}}");
            expected.insert(name, *count);
        }
        for (policy, count) in &counts.shadowed {
            let name =
                format!("seawall_shadow_decisions_total{{operation=prices,policy={policy}}}");
            expected.insert(name, *count);
        }
        expected.retain(|_, count| *count > 0);
        expected.insert("seawall_in_flight{operation=prices}".to_owned(), counts.in_flight);
        expected.insert("circuit_breaker_state{name=prices}".to_owned(), 1);
        assert_eq!(series.values(), expected);
    }
}

#[cfg(feature = "tracing")]
mod tracing {
    use super::*;
    use ::tracing::Level;
    use seawall::TracingObserver;
    use std::{
        io,
        sync::{Mutex, PoisonError},
    };
    use tracing_subscriber::fmt::MakeWriter;

    /// The output of a subscriber.
    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Written {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0.lock().unwrap_or_else(PoisonError::into_inner).write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    impl<'a> MakeWriter<'a> for Written {
        type Writer = Self;
        fn make_writer(&'a self) -> Self {
            self.clone()
        }
    }

    /// The lines that a subscriber of this level writes while two calls fail and a third is refused.
    fn lines(level: Level, mode: &str) -> Vec<String> {
        let written = Written::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .without_time()
            .with_writer(written.clone())
            .finish();
        let policies = format!(
            r#"[{{"type": "circuit_breaker", "failure_threshold": 2, "mode": "{mode}"}},
                {{"type": "retry", "max_attempts": 2, "backoff": {{"base_delay": "100ms", "jitter": "none"}}, "budget": null}}]"#
        );
        let operation = operation(TracingObserver, &policies);
        ::tracing::subscriber::with_default(subscriber, || {
            run(async {
                for _ in 0..3 {
                    fail(&operation).await.unwrap_err();
                }
            });
        });
        let text = String::from_utf8(written.0.lock().unwrap().clone()).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    #[test]
    fn a_level_hears_what_it_asked_for() {
        let seen = |level| lines(level, "enforce").len();
        assert_eq!(seen(Level::WARN), 1, "the circuit opens");
        assert_eq!(seen(Level::INFO), 1);
        assert_eq!(seen(Level::DEBUG), 4, "and two retries, and a refusal");
        assert!(seen(Level::TRACE) > 12);
    }

    #[test]
    fn an_event_says_who_what_and_why() {
        let all = lines(Level::DEBUG, "enforce");
        for (line, (level, words)) in
            all.iter().zip([
                (
                    "DEBUG",
                    &[
                        "attempt 2 follows in 100ms",
                        "event=\"retry_scheduled\"",
                        "policy=\"retry\"",
                    ][..],
                ),
                ("DEBUG", &["attempt 2 follows in 100ms"]),
                ("WARN", &["2 consecutive failures", "event=\"circuit_changed\"", "shadow=false"]),
                (
                    "DEBUG",
                    &["the circuit is open", "event=\"rejected\"", "policy=\"circuit_breaker\""],
                ),
            ])
        {
            assert!(line.trim_start().starts_with(&format!("{level} seawall: ")), "{line}");
            assert!(line.contains("operation=prices"), "{line}");
            assert!(words.iter().all(|word| line.contains(word)), "{line}");
        }
    }

    #[test]
    fn a_circuit_in_shadow_raises_no_alert() {
        assert!(lines(Level::WARN, "shadow").is_empty());
        let told = lines(Level::INFO, "shadow");
        assert!(told.iter().all(|line| line.contains("shadow=true")), "{told:?}");
        assert_eq!(told.len(), 1);
    }
}
