//! The contract of every [`Store`], as a test. An implementation calls [`check`] with a store that is empty, and, if
//! it outlives the process, [`check_opened_again`].

use crate::{
    log::{Log, MAX_RECORD, Value},
    store::{Result, Store},
};
use std::{fmt, sync::Arc, thread};

/// The promise that was broken, and how.
pub type Broken = String;

/// Checks what a store promises while it is open.
///
/// # Errors
/// With the first promise that it breaks.
pub fn check(store: &Arc<dyn Store>) -> std::result::Result<(), Broken> {
    logs_are_bounded_and_in_order(&**store).map_err(|error| error.to_string())??;
    logs_are_replaced_whole(&**store).map_err(|error| error.to_string())??;
    values_are_by_name(&**store).map_err(|error| error.to_string())??;
    types_do_not_mix(store).map_err(|error| error.to_string())??;
    calls_of_many_threads_stay_whole(&**store)
}

/// Checks that what was written is there after the store was closed and opened again. `open` opens the same place each
/// time, at first an empty one.
///
/// # Errors
/// The first promise that the store breaks.
pub fn check_opened_again(
    open: impl Fn() -> Result<Arc<dyn Store>>,
) -> std::result::Result<(), Broken> {
    let opened = || open().map_err(|error| format!("opening it again: {error}"));
    let text = |error: crate::store::StoreError| error.to_string();
    let store = opened()?;
    store.append("again", &records(["a", "b", "c"]), 10).map_err(text)?;
    store.put("again", b"value").map_err(text)?;
    drop(store);
    let store = opened()?;
    same("a log, opened again", store.last("again", 10).map_err(text)?, records(["a", "b", "c"]))?;
    same(
        "a value, opened again",
        store.value("again").map_err(text)?.as_deref(),
        Some(&b"value"[..]),
    )?;
    store.append("again", &records(["d"]), 3).map_err(text)?;
    drop(store);
    let store = opened()?;
    same("a log, written on", store.last("again", 10).map_err(text)?, records(["b", "c", "d"]))
}

type Checked = Result<std::result::Result<(), Broken>>;

fn same<T: PartialEq + fmt::Debug>(
    promise: &str,
    found: T,
    expected: T,
) -> std::result::Result<(), Broken> {
    if found == expected {
        return Ok(());
    }
    Err(format!("{promise}: {found:?} in place of {expected:?}"))
}

fn records<const N: usize>(texts: [&str; N]) -> Vec<Vec<u8>> {
    texts.map(|text| text.as_bytes().to_vec()).into()
}

fn logs_are_bounded_and_in_order(store: &dyn Store) -> Checked {
    let log = "bounded";
    let none = store.last(log, 10)?;
    store.append(log, &[], 0)?;
    store.append(log, &records(["1", "2", "3"]), 10)?;
    let all = store.last(log, 10)?;
    store.append(log, &[], 1)?;
    store.append(log, &records(["4", "5"]), 4)?;
    let bounded = store.last(log, 10)?;
    let latest = store.last(log, 2)?;
    let nothing = store.last(log, 0)?;
    store.append(log, &records(["6", "7", "8"]), 2)?;
    let fewer = store.last(log, 10)?;
    store.append(log, &records(["9"]), 0)?;
    let emptied = store.last(log, 10)?;
    let other = store.last("another", 10)?;
    Ok(same("a log that was never written", none, records([]))
        .and_then(|()| same("what was appended", all, records(["1", "2", "3"])))
        .and_then(|()| same("the last `keep`", bounded, records(["2", "3", "4", "5"])))
        .and_then(|()| same("the last two", latest, records(["4", "5"])))
        .and_then(|()| same("the last none", nothing, records([])))
        .and_then(|()| same("more records than `keep`", fewer, records(["7", "8"])))
        .and_then(|()| same("`keep` of 0", emptied, records([])))
        .and_then(|()| same("another log", other, records([]))))
}

fn logs_are_replaced_whole(store: &dyn Store) -> Checked {
    let log = "replaced";
    store.replace(log, &records(["1", "2"]))?;
    let new = store.last(log, 10)?;
    store.replace(log, &records(["", "\u{0}", "9"]))?;
    store.append(log, &records(["10"]), 10)?;
    let replaced = store.last(log, 10)?;
    store.replace(log, &[])?;
    let emptied = store.last(log, 10)?;
    Ok(same("a log that begins by `replace`", new, records(["1", "2"]))
        .and_then(|()| {
            same("`replace`, then `append`", replaced, records(["", "\u{0}", "9", "10"]))
        })
        .and_then(|()| same("`replace` by nothing", emptied, records([]))))
}

fn values_are_by_name(store: &dyn Store) -> Checked {
    let none = store.value("name")?;
    store.put("name", b"first")?;
    store.put("name", b"second")?;
    store.put("empty", b"")?;
    store.append("name", &records(["a record"]), 10)?;
    let (value, empty) = (store.value("name")?, store.value("empty")?);
    Ok(same("a value that was never written", none, None)
        .and_then(|()| same("a value, beside a log of its name", value, Some(b"second".to_vec())))
        .and_then(|()| same("an empty value", empty, Some(Vec::new()))))
}

fn types_do_not_mix(store: &Arc<dyn Store>) -> Checked {
    let (texts, numbers) =
        (Log::<String>::new(store.clone(), "typed"), Log::<u32>::new(store.clone(), "typed"));
    texts.append(&["one".to_owned()], 10)?;
    numbers.append(&[2, 3], 10)?;
    let read = numbers.last(10)?;
    let value = Value::<String>::new(store.clone(), "typed");
    value.put(&"text".to_owned())?;
    let (text, number) = (value.read()?, Value::<u32>::new(store.clone(), "typed").read()?);
    let long = "x".repeat(MAX_RECORD);
    let refused = [
        texts.append([&"short".to_owned(), &long], 10).is_err(),
        texts.replace([&long]).is_err(),
        value.put(&long).is_err(),
    ];
    let after = store.last("typed", 10)?.len();
    Ok(same("records of another type", read, (vec![2, 3], 1))
        .and_then(|()| same("a value", text.as_deref(), Some("text")))
        .and_then(|()| same("a value of another type", number, None))
        .and_then(|()| same("records that are too long", refused, [true; 3]))
        .and_then(|()| same("the log after that", after, 3)))
}

/// How many threads write at once, and how often each.
const THREADS: u8 = 4;
const CALLS: u8 = 8;

fn calls_of_many_threads_stay_whole(store: &dyn Store) -> std::result::Result<(), Broken> {
    let write = |thread: u8| {
        (0..CALLS).try_for_each(|call| {
            store.append("threads", &[vec![thread, call, 0], vec![thread, call, 1]], 1000)
        })
    };
    let written = thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS).map(|n| scope.spawn(move || write(n))).collect();
        threads.into_iter().all(|thread| matches!(thread.join(), Ok(Ok(()))))
    });
    same("writes of many threads", written, true)?;
    let all = store.last("threads", 1000).map_err(|error| error.to_string())?;
    same("records of many threads", all.len(), usize::from(THREADS) * usize::from(CALLS) * 2)?;
    let mut calls = [0; THREADS as usize];
    for pair in all.chunks(2) {
        let thread = pair[0][0];
        let call = calls[usize::from(thread)];
        let expected = vec![vec![thread, call, 0], vec![thread, call, 1]];
        same("the records of one call, in the order of its thread", pair.to_vec(), expected)?;
        calls[usize::from(thread)] += 1;
    }
    Ok(())
}
