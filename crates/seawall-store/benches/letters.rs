//! Puts of dead letters a second, each on disk when it returns, beside a plain append with `fsync`.
//!
//! `cargo bench -p seawall-store --bench letters`. The files are made in `SEAWALL_BENCH_DIR`, or the folder for temporary
//! files; in a file system in memory an `fsync` costs nothing, and the figures mean nothing.

use seawall_store::letters::{
    EmbeddedLetters, FailedWork, Header, Keys, Letter, Letters, Queues, Redaction,
};
use std::{
    fs::File,
    io::{self, Write},
    path::PathBuf,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

/// How long each figure is measured.
const LENGTH: Duration = Duration::from_secs(3);
/// Bytes of a payload.
const PAYLOAD: usize = 512;
/// A key for the bench alone.
const KEY: &str = "bench:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=";

/// How often all threads together do the work in a second.
fn per_second(threads: u64, work: impl Fn() + Sync) -> f64 {
    let done = AtomicU64::new(0);
    let started = Instant::now();
    thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while started.elapsed() < LENGTH {
                    work();
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    });
    done.into_inner() as f64 / started.elapsed().as_secs_f64()
}

fn letter(now: u64) -> Letter {
    let header =
        |name: &str, value: &str| Header { name: name.to_owned(), value: value.to_owned() };
    let work = FailedWork {
        queue: "orders".to_owned(),
        operation: "POST /orders".to_owned(),
        error_class: "timeout".to_owned(),
        error: format!("no answer after {now} ms"),
        headers: vec![header("content-type", "application/json"), header("authorization", "x")],
        payload: (0..PAYLOAD).map(|n| b'a' + u8::try_from(n * n % 26).unwrap_or(0)).collect(),
        ..FailedWork::default()
    };
    Letter::new(work, now, &Redaction::default())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = match std::env::var_os("SEAWALL_BENCH_DIR") {
        Some(folder) => tempfile::tempdir_in(PathBuf::from(folder))?,
        None => tempfile::tempdir()?,
    };
    let log = Mutex::new(File::create(folder.path().join("log"))?);
    let record = [b'x'; PAYLOAD + 400];
    let append = || -> io::Result<()> {
        let mut log = log.lock().expect("no writer panics");
        log.write_all(&record)?;
        log.sync_data()
    };
    for threads in [1, 64] {
        let figure = per_second(threads, || append().expect("the disk takes it"));
        println!("plain append and fsync, {threads:2} threads: {figure:8.0} a second");
    }
    for (name, keys) in [("", ""), (", encrypted", KEY)] {
        for threads in [1, 64, 256] {
            let path = folder.path().join(format!("{threads}{}.redb", name.len()));
            let letters = EmbeddedLetters::open(&path, Queues::default(), Keys::parse(keys)?)?;
            let time = AtomicU64::new(1);
            let figure = per_second(threads, || {
                let letter = letter(time.fetch_add(1, Ordering::Relaxed));
                letters.put(vec![letter]).expect("the disk takes it");
            });
            println!("letters put{name}, {threads:3} threads: {figure:8.0} a second");
        }
    }
    Ok(())
}
