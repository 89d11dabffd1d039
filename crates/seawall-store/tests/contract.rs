//! Every store of this crate keeps the contract.

use seawall_store::{Embedded, InMemory, Result, Store, contract};
use std::sync::Arc;

#[test]
fn in_memory() {
    let store: Arc<dyn Store> = Arc::new(InMemory::default());
    assert_eq!(contract::check(&store), Ok(()));
}

#[test]
fn embedded() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("deep/er/state.redb");
    let open = || -> Result<Arc<dyn Store>> { Ok(Arc::new(Embedded::open(&path)?)) };
    assert_eq!(contract::check_opened_again(open), Ok(()));
    assert_eq!(contract::check(&open().unwrap()), Ok(()));
}

/// A store that keeps one record too many, so that the contract is known to notice.
#[derive(Debug, Default)]
struct Careless(InMemory);

impl Store for Careless {
    fn append(&self, log: &str, records: &[Vec<u8>], keep: usize) -> Result<()> {
        self.0.append(log, records, keep + 1)
    }

    fn replace(&self, log: &str, records: &[Vec<u8>]) -> Result<()> {
        self.0.replace(log, records)
    }

    fn last(&self, log: &str, most: usize) -> Result<Vec<Vec<u8>>> {
        self.0.last(log, most)
    }

    fn put(&self, name: &str, value: &[u8]) -> Result<()> {
        self.0.put(name, value)
    }

    fn value(&self, name: &str) -> Result<Option<Vec<u8>>> {
        self.0.value(name)
    }

    fn place(&self) -> String {
        self.0.place()
    }
}

#[test]
fn a_store_that_breaks_it_is_found_out() {
    let store: Arc<dyn Store> = Arc::new(Careless::default());
    let broken = contract::check(&store).unwrap_err();
    assert!(broken.starts_with("the last `keep`"), "{broken}");
    let forgetful = || -> Result<Arc<dyn Store>> { Ok(Arc::new(InMemory::default())) };
    let broken = contract::check_opened_again(forgetful).unwrap_err();
    assert!(broken.starts_with("a log, opened again"), "{broken}");
}
