//! Several paused clocks in one process.

use super::{ms, operation};
use std::time::Duration;

/// A call that hangs is cut off after a second of its own runtime's time, whatever other runtimes did before.
fn cut_off_after_a_second(ahead: Duration) {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .start_paused(true)
        .build()
        .unwrap();
    // Whoever builds its runtime early begins in the past.
    std::thread::sleep(ms(20));
    runtime.block_on(async {
        let operation = operation(r#"[{"type": "timeout", "limit": "1s"}]"#);
        tokio::time::advance(ahead).await;
        for _ in 0..3 {
            let start = tokio::time::Instant::now();
            let answer = operation.call(std::future::pending::<Result<(), ()>>).await;
            assert!(answer.unwrap_err().is_timed_out());
            let took = start.elapsed();
            assert!((ms(1_000)..ms(1_100)).contains(&took), "{took:?}");
        }
    });
}

#[test]
fn paused_tests_in_one_process_leave_no_trace_in_each_other() {
    for hours in [0, 1, 0, 1_000, 0] {
        cut_off_after_a_second(Duration::from_secs(hours * 3600));
    }
}

#[test]
fn a_paused_clock_may_be_the_first_in_another_thread() {
    let threads: Vec<_> = (0..4)
        .map(|n| std::thread::spawn(move || cut_off_after_a_second(Duration::from_secs(n * 600))))
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}
