//! The dead letters of a server: the place where they are kept, what is counted of them, and whether they can be written.

use crate::{
    config::{DeadLettersConfig, GatewayConfig},
    wall_clock,
};
use arc_swap::ArcSwap;
use counters::Counters;
use seawall_store::{
    StoreError,
    letters::{
        EmbeddedLetters, FailedWork, InMemoryLetters, Keys, Letter, LetterId, Letters, Put,
        Redaction, Refusal, Stats,
    },
    redis::{Redis, RedisLetters},
};
use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};
use tokio::sync::Semaphore;

mod counters;

pub(crate) use counters::ReplayEnd;

/// The variable with the keys that letters are encrypted with.
const KEYS: &str = "SEAWALL_DEAD_LETTER_KEYS";
/// How long a client waits for its request to be kept.
const LONGEST_PUT: Duration = Duration::from_secs(5);
/// Letters that are written at once; they share their `fsync`.
const WRITERS: usize = 64;

/// Owns the place of the letters. Each call of it that fails is noted here, so that the health and an alert show it.
pub(crate) struct DeadLetters {
    letters: Arc<dyn Letters>,
    config: ArcSwap<DeadLettersConfig>,
    redaction: ArcSwap<Redaction>,
    /// The latest numbers of the queues; read once a second.
    stats: ArcSwap<Stats>,
    failure: Mutex<Option<String>>,
    writers: Arc<Semaphore>,
    encrypts: bool,
    pub(crate) counters: Counters,
}

/// The reason why a request did not become a letter.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum NotKept {
    /// The body was too long to be kept by the gateway.
    BodyTooLong,
    /// The store did not take the letter.
    Refused(Refusal),
    /// The store could not be written.
    Failed(String),
    /// The store did not answer in time. The letter may still be written.
    TooSlow,
}

impl NotKept {
    /// The value of the metric's label.
    fn label(&self) -> &'static str {
        match self {
            Self::BodyTooLong | Self::Refused(Refusal::TooLarge) => "too_large",
            Self::Refused(Refusal::Full) => "full",
            Self::Refused(Refusal::Invalid(_)) => "invalid",
            Self::Failed(_) => "store_failed",
            Self::TooSlow => "store_slow",
        }
    }
}

impl fmt::Display for NotKept {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::BodyTooLong => f.write_str("its body is longer than limits.max_replay_bytes"),
            Self::Refused(Refusal::TooLarge) => {
                f.write_str("its body is longer than max_message_size of the queue")
            }
            Self::Refused(Refusal::Full) => f.write_str("the queue of dead letters is full"),
            Self::Refused(Refusal::Invalid(why)) => f.write_str(why),
            // Where the store is and what is wrong with it is for the operator.
            Self::Failed(_) => f.write_str("the store of dead letters cannot be written"),
            Self::TooSlow => {
                f.write_str("the store of dead letters did not answer in time; it may be kept yet")
            }
        }
    }
}

impl DeadLetters {
    /// Opens the place that is configured.
    ///
    /// # Errors
    /// When it cannot be opened, another process has it open, or a key is not one. A Redis that cannot be reached is none: it is
    /// waited for by every call.
    pub(crate) fn open(
        config: &GatewayConfig,
        variables: &BTreeMap<String, String>,
        redis: Option<&Redis>,
    ) -> Result<Self, String> {
        let letters = &config.dead_letters;
        let bounds = letters.bounds();
        let file = letters.file(config.store.path.as_deref());
        let keys = keys(letters, variables)?;
        let encrypts = !keys.is_empty();
        let place: Arc<dyn Letters> = match (letters.redis(), file) {
            (Some(in_redis), _) => {
                let redis =
                    redis.ok_or("dead_letters.store is redis, and store.redis is not set")?;
                let opened = RedisLetters::open(redis, in_redis, bounds, keys);
                Arc::new(opened.map_err(|error| error.to_string())?)
            }
            (None, Some(path)) => {
                let opened = EmbeddedLetters::open(&path, bounds, keys);
                Arc::new(opened.map_err(|error| error.to_string())?)
            }
            (None, None) => {
                let place = Arc::new(InMemoryLetters::new(bounds));
                return Ok(Self::new(place, letters));
            }
        };
        Ok(Self { encrypts, ..Self::new(place, letters) })
    }

    /// No letters, in memory, with the defaults of everything.
    pub(crate) fn in_memory() -> Self {
        Self::new(Arc::new(InMemoryLetters::default()), &DeadLettersConfig::default())
    }

    /// The dead letters in this place.
    fn new(letters: Arc<dyn Letters>, config: &DeadLettersConfig) -> Self {
        let this = Self {
            letters,
            config: ArcSwap::default(),
            redaction: ArcSwap::default(),
            stats: ArcSwap::default(),
            failure: Mutex::default(),
            writers: Arc::new(Semaphore::new(WRITERS)),
            encrypts: false,
            counters: Counters::default(),
        };
        this.renew(config);
        this.refresh();
        this
    }

    /// Follows another configuration from now on; the place stays.
    pub(crate) fn renew(&self, config: &DeadLettersConfig) {
        self.letters.configure(config.bounds());
        self.redaction.store(Arc::new(Redaction::new(&config.redact)));
        self.config.store(Arc::new(config.clone()));
    }

    /// The configuration in force.
    pub(crate) fn config(&self) -> Arc<DeadLettersConfig> {
        self.config.load_full()
    }

    /// What counts as a secret.
    pub(crate) fn redaction(&self) -> Arc<Redaction> {
        self.redaction.load_full()
    }

    /// Where the letters are, for people.
    pub(crate) fn place(&self) -> String {
        self.letters.place()
    }

    /// Whether letters are encrypted.
    pub(crate) fn encrypts(&self) -> bool {
        self.encrypts
    }

    /// Whether other instances have the same letters.
    pub(crate) fn is_shared(&self) -> bool {
        self.letters.is_shared()
    }

    /// The numbers of the queues, at most about a second old.
    pub(crate) fn stats(&self) -> Arc<Stats> {
        self.stats.load_full()
    }

    /// The reason why letters cannot be read or written; none if they can.
    pub(crate) fn failure(&self) -> Option<String> {
        self.lock().clone()
    }

    fn lock(&self) -> MutexGuard<'_, Option<String>> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn note_failure(&self, error: String) {
        let mut failure = self.lock();
        if failure.is_none() {
            tracing::error!("dead letters cannot be read or written: {error}");
        }
        *failure = Some(error);
    }

    /// Reads on this thread, which may wait, and notes a failure. That something can be read says nothing about writing, so
    /// it ends no failure.
    ///
    /// # Errors
    /// Those of the call.
    pub(crate) fn read_here<T>(
        &self,
        work: impl FnOnce(&dyn Letters) -> Result<T, StoreError>,
    ) -> Result<T, StoreError> {
        work(&*self.letters).inspect_err(|error| self.note_failure(error.to_string()))
    }

    /// Reads off the threads that serve.
    ///
    /// # Errors
    /// Those of the call.
    pub(crate) async fn read<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&dyn Letters) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let this = self.clone();
        let done = tokio::task::spawn_blocking(move || this.read_here(work)).await;
        done.unwrap_or_else(|error| Err(StoreError::new(self.place(), error)))
    }

    /// Makes a change off the threads that serve, and notes how it fared: once one is written, a failure is over.
    ///
    /// # Errors
    /// Those of the call.
    pub(crate) async fn change<T: Send + 'static>(
        self: &Arc<Self>,
        work: impl FnOnce(&dyn Letters) -> Result<T, StoreError> + Send + 'static,
    ) -> Result<T, StoreError> {
        let this = self.clone();
        self.read(move |letters| {
            let done = work(letters)?;
            if this.lock().take().is_some() {
                tracing::info!("dead letters can be kept again");
            }
            Ok(done)
        })
        .await
    }

    /// Keeps a request that failed for good. When it returns, the letter is where it outlives the process, as far as the
    /// place of the letters promises that.
    ///
    /// # Errors
    /// When it is not kept; that is counted.
    pub(crate) async fn keep(self: &Arc<Self>, work: FailedWork) -> Result<LetterId, NotKept> {
        let class = work.error_class.clone();
        let kept = tokio::time::timeout(LONGEST_PUT, self.put(work)).await;
        let kept = kept.unwrap_or_else(|_| {
            self.note_failure(format!("{}: a letter was not written within 5 s", self.place()));
            Err(NotKept::TooSlow)
        });
        match &kept {
            Ok(_) => self.counters.count_enqueued(&class),
            Err(why) => self.count_lost(why),
        }
        kept
    }

    /// Counts a request that failed for good and did not become a letter.
    pub(crate) fn count_lost(&self, why: &NotKept) {
        self.counters.count_lost(why.label());
        tracing::warn!("a request that failed for good is not kept: {why}");
    }

    async fn put(self: &Arc<Self>, work: FailedWork) -> Result<LetterId, NotKept> {
        let slow = |_| NotKept::TooSlow;
        let writer = self.writers.clone().acquire_owned().await.map_err(slow)?;
        let letter = Letter::new(work, wall_clock::now_ms(), &self.redaction());
        let id = letter.envelope.id;
        let put = move |letters: &dyn Letters| {
            // A put that takes longer than its client waits holds its place until it is done.
            let _writer = writer;
            letters.put(vec![letter])
        };
        let put = self.change(put).await.map_err(|error| NotKept::Failed(error.to_string()))?;
        match put.into_iter().next() {
            Some(Put::Stored) => Ok(id),
            Some(Put::Merged(earlier)) => Ok(earlier),
            Some(Put::Refused(why)) => Err(NotKept::Refused(why)),
            None => Err(NotKept::Failed("the store gave no answer".into())),
        }
    }

    /// Reads the numbers of the queues. Called on a thread that may wait.
    pub(crate) fn refresh(&self) {
        if let Ok(stats) = self.read_here(|letters| letters.stats()) {
            self.stats.store(Arc::new(stats));
        }
    }

    /// Removes the letters whose time is over. Called on a thread that may wait.
    pub(crate) fn expire(&self) {
        // What fails is noted, and tried again the next time.
        let _ = self.read_here(|letters| letters.expire(wall_clock::now_ms()));
    }
}

/// The keys of the variable, or of the file.
fn keys(config: &DeadLettersConfig, variables: &BTreeMap<String, String>) -> Result<Keys, String> {
    match (variables.get(KEYS), &config.keys_file) {
        (Some(text), _) => Keys::parse(text).map_err(|error| format!("{KEYS}: {error}")),
        (None, Some(path)) => Keys::read(path),
        (None, None) => Ok(Keys::default()),
    }
}
