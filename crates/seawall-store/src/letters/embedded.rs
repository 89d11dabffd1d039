//! Letters in one file of this machine, by redb.

mod file;
mod reading;
mod tables;
mod writer;

use super::{
    Begun, Letters, Put, ReplayOutcome, Resealed,
    arrival::Arrival,
    config::Queues,
    content::Content,
    id::LetterId,
    job::Job,
    keys::Keys,
    letter::{Letter, State},
    lifecycle,
    query::{Groups, Page, Query},
    seal::{self, RESEALED},
    stats::Stats,
};
use crate::store::Result;
use file::File;
use reading::Reading;
use std::{
    fmt,
    path::Path,
    sync::{Arc, PoisonError, RwLock},
};
use tables::Worked;
use writer::Writer;

/// Letters of one step of what goes over many.
const STEP: usize = 1000;

/// A place for letters in one file, which its owner alone may read.
///
/// Changes of many threads share one `fsync`. Lists and groups are read from the file, not from memory, beside whoever
/// writes. Letters that were being replayed when the process ended have had a failed replay when it is opened again.
pub struct EmbeddedLetters {
    // Before the file, since it ends first.
    writer: Writer,
    file: Arc<File>,
    queues: RwLock<Arc<Queues>>,
    keys: Keys,
}

impl EmbeddedLetters {
    /// Opens the file, or makes it, with its folder. New letters are encrypted with the first key, where there is one.
    ///
    /// # Errors
    /// When another process has it open, it is no such file, or it cannot be read or made.
    pub fn open(path: &Path, queues: Queues, keys: Keys) -> Result<Self> {
        let file = Arc::new(File::open(path.to_owned())?);
        let writer = Writer::start(file.clone())?;
        let letters = Self { writer, file, queues: RwLock::new(Arc::new(queues)), keys };
        letters.end_interrupted_replays()?;
        Ok(letters)
    }

    fn queues(&self) -> Arc<Queues> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn end_interrupted_replays(&self) -> Result<()> {
        let queues = self.queues();
        let names = self.file.read(Reading::stats)?.queues;
        for queue in names.into_keys() {
            let queues = queues.clone();
            self.writer.write(move |tables| {
                while let Some(id) = tables.oldest(&queue, State::Replaying)? {
                    let config = queues.of(&queue);
                    let there =
                        tables.change(id, |envelope, _| lifecycle::interrupt(envelope, config))?;
                    if there.is_none() {
                        tables.forget_state(&queue, State::Replaying, id)?;
                    }
                }
                Ok(())
            })?;
        }
        Ok(())
    }

    /// Reads, and has set aside what was found to be damaged.
    fn read<T>(&self, work: impl Fn(&Reading) -> Worked<T>) -> Result<T> {
        let (done, damaged) = self.file.read(|tables| {
            let done = work(tables)?;
            Ok((done, tables.damaged()))
        })?;
        if !damaged.is_empty() {
            // Where that fails, it is found again.
            _ = self
                .writer
                .write(move |tables| damaged.iter().try_for_each(|id| tables.set_aside(*id)));
        }
        Ok(done)
    }

    /// Removes those of the letters that are wanted, in one step.
    fn remove(
        &self,
        ids: Vec<u128>,
        wanted: impl Fn(&super::Envelope) -> bool + Send + 'static,
    ) -> Result<u64> {
        self.writer.write(move |tables| {
            let mut removed = 0;
            for id in &ids {
                if tables.head(*id)?.is_some_and(|envelope| wanted(&envelope)) {
                    removed += u64::from(tables.remove(*id)?.is_some());
                }
            }
            Ok(removed)
        })
    }
}

impl fmt::Debug for EmbeddedLetters {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedLetters")
            .field("place", &self.place())
            .field("keys", &self.keys)
            .finish_non_exhaustive()
    }
}

impl Letters for EmbeddedLetters {
    fn configure(&self, queues: Queues) {
        *self.queues.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(queues);
    }

    fn put(&self, letters: Vec<Letter>) -> Result<Vec<Put>> {
        if letters.is_empty() {
            return Ok(Vec::new());
        }
        let queues = self.queues();
        let arrivals: Vec<_> =
            letters.into_iter().map(|letter| Arrival::new(letter, &queues, &self.keys)).collect();
        self.writer.write(move |tables| {
            arrivals.iter().map(|arrival| tables.put(arrival, &queues)).collect()
        })
    }

    fn get(&self, id: LetterId) -> Result<Option<Letter>> {
        self.read(|tables| tables.letter(id, |record| seal::open(id, record, &self.keys)))
    }

    fn page(&self, query: &Query, after: Option<LetterId>, most: usize) -> Result<Page> {
        self.read(|tables| tables.page(query, after, most))
    }

    fn groups(&self, query: &Query) -> Result<Groups> {
        self.read(|tables| tables.groups(query))
    }

    fn begin_replay(&self, id: LetterId) -> Result<Begun> {
        let Some(letter) = self.get(id)? else { return Ok(Begun::Missing) };
        if let Content::Unreadable(why) = letter.content {
            return Ok(Begun::Unreadable(why));
        }
        let begun = self.writer.write(move |tables| {
            tables.change(id.number(), |envelope, attempts| {
                lifecycle::begin(envelope).map(|()| (envelope.clone(), attempts.clone()))
            })
        })?;
        Ok(match begun {
            None => Begun::Missing,
            Some(Err(why)) => why,
            Some(Ok((envelope, attempts))) => {
                Begun::Ready(Box::new(Letter { envelope, attempts, content: letter.content }))
            }
        })
    }

    fn finish_replay(&self, id: LetterId, outcome: &ReplayOutcome) -> Result<Option<State>> {
        let (outcome, queues) = (outcome.clone(), self.queues());
        self.writer.write(move |tables| {
            tables.change(id.number(), |envelope, attempts| {
                if envelope.state == State::Replaying {
                    let config = queues.of(&envelope.queue);
                    lifecycle::finish(envelope, attempts, &outcome, config);
                }
                envelope.state
            })
        })
    }

    fn release(&self, ids: &[LetterId]) -> Result<u64> {
        let ids = ids.to_vec();
        self.writer.write(move |tables| {
            let mut released = 0;
            for id in &ids {
                let done =
                    tables.change(id.number(), |envelope, _| lifecycle::release(envelope))?;
                released += u64::from(done == Some(true));
            }
            Ok(released)
        })
    }

    fn delete(&self, ids: &[LetterId]) -> Result<u64> {
        self.remove(ids.iter().map(|id| id.number()).collect(), |_| true)
    }

    fn purge(&self, query: &Query) -> Result<u64> {
        let (mut removed, mut after) = (0, None);
        loop {
            let page = self.page(query, after, STEP)?;
            let ids = page.letters.iter().map(|letter| letter.id.number()).collect();
            let query = query.clone();
            removed += self.remove(ids, move |letter| query.matches(letter))?;
            after = page.next;
            if after.is_none() {
                return Ok(removed);
            }
        }
    }

    fn expire(&self, now: u64) -> Result<u64> {
        let (mut removed, mut after) = (0, (0, 0));
        loop {
            let ends = self.read(|tables| tables.ends(after, now, STEP))?;
            let Some(last) = ends.last() else { return Ok(removed) };
            after = *last;
            removed += self.writer.write(move |tables| {
                let mut removed = 0;
                for end in &ends {
                    let Some(envelope) = tables.head(end.1)? else {
                        tables.forget_end(*end)?;
                        continue;
                    };
                    if envelope.is_expired(now) && tables.remove(end.1)?.is_some() {
                        tables.counts(&envelope.queue)?.expired += 1;
                        removed += 1;
                    }
                }
                Ok(removed)
            })?;
        }
    }

    fn reseal(&self, after: Option<LetterId>) -> Result<Resealed> {
        let after = after.map_or(0, LetterId::number);
        let records = self.file.read(|tables| tables.contents(after, RESEALED))?;
        let (mut step, mut replaced) = (Resealed::default(), Vec::new());
        for (id, record) in records {
            let id = LetterId::from_number(id);
            step.next = Some(id);
            match seal::reseal(id, &record, &self.keys) {
                Ok(None) => {}
                Ok(Some(sealed)) => replaced.push((id.number(), record.len() as u64, sealed)),
                Err(_) => step.unreadable += 1,
            }
        }
        step.resealed = self.writer.write(move |tables| tables.replace_contents(&replaced))?;
        Ok(step)
    }

    fn stats(&self) -> Result<Stats> {
        self.read(Reading::stats)
    }

    fn save_job(&self, job: &Job) -> Result<()> {
        let job = job.clone();
        self.writer.write(move |tables| tables.save_job(&job))
    }

    fn jobs(&self) -> Result<Vec<Job>> {
        self.read(Reading::jobs)
    }

    fn place(&self) -> String {
        self.file.place()
    }
}

#[cfg(test)]
mod tests;
