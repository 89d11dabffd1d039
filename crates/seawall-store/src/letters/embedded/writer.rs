//! Group commit: the changes of all threads go through one thread, which takes what has gathered and commits it at once.
//! While the disk is busy with one group, the next one gathers, so many callers share one `fsync`.

use super::{
    file::File,
    tables::{Worked, Writing},
};
use crate::store::{Result, StoreError};
use std::{
    sync::{
        Arc, Mutex, PoisonError,
        mpsc::{Receiver, SyncSender, sync_channel},
    },
    thread::{self, JoinHandle},
};

/// Changes that gather while a group is being written; further callers wait.
const GATHERED: usize = 1024;

/// A change, and who waits for it.
trait Change: Send {
    /// Makes the change, with others in one transaction. It may be done again when that failed.
    fn make(&mut self, tables: &mut Writing<'_>) -> Worked<()>;

    /// Answers the caller, after the transaction was committed or has failed.
    fn answer(&mut self, committed: std::result::Result<(), String>);
}

struct Waiting<T, W> {
    work: W,
    made: Option<T>,
    caller: SyncSender<std::result::Result<T, String>>,
}

impl<T: Send, W: FnMut(&mut Writing<'_>) -> Worked<T> + Send> Change for Waiting<T, W> {
    fn make(&mut self, tables: &mut Writing<'_>) -> Worked<()> {
        self.made = Some((self.work)(tables)?);
        Ok(())
    }

    fn answer(&mut self, committed: std::result::Result<(), String>) {
        let lost = || "the change was not made".to_owned();
        let answer = committed.and_then(|()| self.made.take().ok_or_else(lost));
        // The caller waits; were it gone, nobody would miss the answer.
        _ = self.caller.send(answer);
    }
}

/// The thread that writes. It ends, with all that was given to it written, when this is dropped.
pub(super) struct Writer {
    changes: Option<SyncSender<Box<dyn Change>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    place: String,
}

impl Writer {
    pub(super) fn start(file: Arc<File>) -> Result<Self> {
        let (changes, gathered) = sync_channel(GATHERED);
        let place = file.place();
        let thread = thread::Builder::new()
            .name("seawall-letters".to_owned())
            .spawn(move || write_all(&file, &gathered))
            .map_err(|error| StoreError::new(&*place, error))?;
        Ok(Self { changes: Some(changes), thread: Mutex::new(Some(thread)), place })
    }

    /// Makes a change, and returns when it is on disk.
    pub(super) fn write<T: Send + 'static>(
        &self,
        work: impl FnMut(&mut Writing<'_>) -> Worked<T> + Send + 'static,
    ) -> Result<T> {
        let (caller, answer) = sync_channel(1);
        let change = Box::new(Waiting { work, made: None, caller });
        let sent = self.changes.as_ref().is_some_and(|changes| changes.send(change).is_ok());
        let answer = sent.then(|| answer.recv().ok()).flatten();
        let ended = || Err("the thread that writes has ended; restart the process".to_owned());
        answer.unwrap_or_else(ended).map_err(|error| StoreError::new(&*self.place, error))
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.changes = None;
        let thread = self.thread.lock().unwrap_or_else(PoisonError::into_inner).take();
        // It does not panic; and if it did, all callers have been told.
        _ = thread.map(JoinHandle::join);
    }
}

fn write_all(file: &File, gathered: &Receiver<Box<dyn Change>>) {
    while let Ok(first) = gathered.recv() {
        let mut group = vec![first];
        group.extend(gathered.try_iter().take(GATHERED - 1));
        let committed = write(file, &mut group);
        if committed.is_err() && group.len() > 1 {
            // One of them may be what cannot be written, and the others do not suffer for it.
            for change in group.chunks_mut(1) {
                let committed = write(file, change);
                change[0].answer(committed);
            }
            continue;
        }
        for mut change in group {
            change.answer(committed.clone());
        }
    }
}

fn write(file: &File, group: &mut [Box<dyn Change>]) -> std::result::Result<(), String> {
    let written = file.write(|tables| group.iter_mut().try_for_each(|change| change.make(tables)));
    written.map_err(|error| error.cause.to_string())
}
