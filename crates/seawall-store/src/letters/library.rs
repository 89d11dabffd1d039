//! Dead letters of the library: calls that failed for good, written by a thread of their own.

use super::{
    LetterId, Letters, Put, Refusal,
    content::Header,
    letter::{Attempt, FailedWork, Letter},
    redact::Redaction,
};
use seawall::{DeadLetters, LetterAttempt, LetterDraft, Storing};
use std::{
    sync::{
        Arc,
        mpsc::{Receiver, SyncSender, TrySendError, sync_channel},
    },
    thread,
    time::{SystemTime, UNIX_EPOCH},
};
use tokio::sync::oneshot;

/// Letters that wait to be written at most; further ones are not taken.
const MOST_WAITING: usize = 10_000;
/// Letters that are written at once; they share one `fsync`.
const BATCH: usize = 256;

type Answer = Result<String, String>;
type Job = (Letter, oneshot::Sender<Answer>);

/// Writes the dead letters of a registry's operations into a place for [`Letters`]. A call waits until its letter is stored;
/// the writing itself is done by one thread, since it may wait for a disk or a network. The thread ends when the last
/// operation has gone, and has written by then what was given to it.
///
/// ```
/// use seawall::{Registry, prelude::*};
/// use seawall_store::letters::{InMemoryLetters, LetterWriter, Letters, Redaction};
/// use std::sync::Arc;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let letters = Arc::new(InMemoryLetters::default());
/// let writer = LetterWriter::start(letters.clone(), Redaction::default())?;
/// let registry = Registry::builder().dead_letters(Arc::new(writer)).build();
/// let orders = registry.register("orders", policies![dead_letter(), retry(2)])?;
/// let failed = orders
///     .run(|_| async { Err::<(), _>("no connection") })
///     .payload(|| r#"{"order": 7}"#)
///     .await
///     .unwrap_err();
/// let id = failed.letter_id().unwrap().parse()?;
/// assert_eq!(letters.get(id)?.unwrap().attempts.len(), 2);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct LetterWriter {
    redaction: Redaction,
    jobs: SyncSender<Job>,
}

impl LetterWriter {
    /// Begins to write into this place. What the redaction takes for secrets is replaced before a letter is made.
    ///
    /// # Errors
    /// When the system starts no thread.
    pub fn start(letters: Arc<dyn Letters>, redaction: Redaction) -> std::io::Result<Self> {
        let (jobs, waiting) = sync_channel(MOST_WAITING);
        let writer = thread::Builder::new().name("seawall-dead-letters".to_owned());
        writer.spawn(move || write_all(&*letters, &waiting))?;
        Ok(Self { redaction, jobs })
    }
}

impl DeadLetters for LetterWriter {
    fn keep(&self, draft: LetterDraft) -> Storing {
        let letter = letter_of(draft, now_ms(), &self.redaction);
        let (sender, answer) = oneshot::channel();
        let refused = match self.jobs.try_send((letter, sender)) {
            Ok(()) => None,
            Err(TrySendError::Full(_)) => {
                Some(format!("{MOST_WAITING} letters wait to be written already"))
            }
            Err(TrySendError::Disconnected(_)) => Some("the writer has ended".to_owned()),
        };
        Box::pin(async move {
            match refused {
                Some(why) => Err(why),
                None => answer.await.unwrap_or_else(|_| Err("the writer has ended".to_owned())),
            }
        })
    }
}

/// Writes letters, as many at once as there are, until nobody can give any more.
fn write_all(letters: &dyn Letters, waiting: &Receiver<Job>) {
    while let Ok(first) = waiting.recv() {
        let jobs = std::iter::once(first).chain(waiting.try_iter()).take(BATCH);
        let (batch, answers): (Vec<Letter>, Vec<_>) = jobs.unzip();
        let ids: Vec<LetterId> = batch.iter().map(|letter| letter.envelope.id).collect();
        match letters.put(batch) {
            Ok(puts) => {
                let ended = ids.into_iter().zip(puts).map(|(id, put)| answer_of(id, put));
                for (answer, ended) in answers.into_iter().zip(ended) {
                    // Nobody waits any more where the caller has gone.
                    let _ = answer.send(ended);
                }
            }
            Err(error) => {
                for answer in answers {
                    let _ = answer.send(Err(error.to_string()));
                }
            }
        }
    }
}

fn answer_of(id: LetterId, put: Put) -> Answer {
    match put {
        Put::Stored => Ok(id.to_string()),
        Put::Merged(earlier) => Ok(earlier.to_string()),
        Put::Refused(Refusal::TooLarge) => {
            Err("it is longer than max_message_size of its queue".to_owned())
        }
        Put::Refused(Refusal::Full) => Err("its queue is full".to_owned()),
        Put::Refused(Refusal::Invalid(why)) => Err(why),
    }
}

fn letter_of(draft: LetterDraft, now: u64, redaction: &Redaction) -> Letter {
    let LetterDraft { operation, queue, error_class, error, attempts, payload } = draft;
    let headers = payload.headers.into_iter().map(|(name, value)| Header { name, value });
    let work = FailedWork {
        queue,
        operation: operation.to_string(),
        tenant: payload.tenant,
        idempotency_key: payload.idempotency_key,
        error_class: error_class.to_owned(),
        error,
        attempts: attempts.into_iter().map(|attempt| attempt_of(attempt, now)).collect(),
        headers: headers.collect(),
        payload: payload.bytes,
    };
    Letter::new(work, now, redaction)
}

fn attempt_of(attempt: LetterAttempt, now: u64) -> Attempt {
    let LetterAttempt { number: _, ago, took, outcome, error } = attempt;
    Attempt {
        at: now.saturating_sub(u64::try_from(ago.as_millis()).unwrap_or(u64::MAX)),
        outcome: outcome.replace('_', " "),
        duration_ms: u64::try_from(took.as_millis()).unwrap_or(u64::MAX),
        errors: error.into_iter().collect(),
        ..Attempt::default()
    }
}

fn now_ms() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
