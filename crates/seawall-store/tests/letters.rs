//! Every place for letters of this crate keeps the contract.

use seawall_store::letters::{EmbeddedLetters, InMemoryLetters, Keys, Queues, contract};
use std::cell::Cell;

#[test]
fn in_memory() {
    assert_eq!(contract::check(InMemoryLetters::new), Ok(()));
}

#[test]
fn embedded() {
    let folder = tempfile::tempdir().unwrap();
    let keys = Keys::parse("one:AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA=").unwrap();
    for keys in [Keys::default(), keys] {
        let number = Cell::new(0);
        let open = |name: &str, queues: Queues| {
            EmbeddedLetters::open(&folder.path().join(name), queues, keys.clone())
        };
        let name = if keys.is_empty() { "open" } else { "sealed" };
        let make = |queues: Queues| {
            number.set(number.get() + 1);
            open(&format!("{name}-{}.redb", number.get()), queues).unwrap()
        };
        assert_eq!(contract::check(make), Ok(()));
        let again = || open(&format!("deep/er/{name}.redb"), Queues::default());
        assert_eq!(contract::check_opened_again(again), Ok(()));
    }
}

#[test]
fn a_place_that_forgets_is_found_out() {
    let forgetful = || Ok(InMemoryLetters::default());
    let broken = contract::check_opened_again(forgetful).unwrap_err();
    assert!(broken.starts_with("a letter, opened again"), "{broken}");
}
