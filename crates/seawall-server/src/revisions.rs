//! The configuration in force, how it came to be, and the way back: every change is a revision with who made it,
//! when, and what it changed.

use crate::{
    GatewayConfig, Inputs, Registry,
    access::Access,
    actor::Actor,
    audit_trail::AuditTrail,
    feed::Feed,
    gateway::{Gateway, Plan},
    inputs::ApiLayer,
    journal::Journal,
    wall_clock,
};
use arc_swap::ArcSwap;
use seawall_config::{LoadError, Loaded};
use seawall_store::Store;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

mod difference;
mod edit;
mod entry;
mod notes;

pub use difference::Difference;
pub(crate) use difference::differences;
pub use entry::Cause;
pub(crate) use entry::{Applied, ChangeError, ConfigEdit, Entry, Revision};

/// The journal that revisions are kept in.
const JOURNAL: &str = "revisions";

/// The configuration that new operations start from, as it changes.
pub(crate) type Followed = Arc<ArcSwap<GatewayConfig>>;

/// The configuration in force, and everything that follows it.
pub(crate) struct ActiveConfig {
    inputs: Inputs,
    pub(crate) registry: Registry,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) access: Arc<Access>,
    monitor: Arc<AuditTrail>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) store: Option<Arc<Store>>,
    follow: Followed,
    now: ArcSwap<Revision>,
    /// Held for a whole change, so that they come one after another.
    changing: Mutex<Watched>,
    history: Journal<Entry>,
    store_failure: Mutex<Option<String>>,
    left_out: Mutex<Option<String>>,
    /// Why the file as it is now is not in force.
    refused_file: Mutex<Option<String>>,
}

/// The files that were read, as they were then.
type Watched = Vec<(PathBuf, Option<(SystemTime, u64)>)>;

/// A change that is worked out, and that nothing uses yet.
struct Prepared {
    applied: Applied,
    files: Vec<PathBuf>,
    plan: Plan,
}

/// What a server needs beside its first revision.
pub(crate) struct Parts {
    pub(crate) registry: Registry,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) access: Arc<Access>,
    pub(crate) monitor: Arc<AuditTrail>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) store: Option<Arc<Store>>,
    /// What new operations start from.
    pub(crate) follow: Followed,
}

/// The configuration that a server starts with.
pub(crate) struct First {
    pub(crate) loaded: Loaded<GatewayConfig>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) change: Option<ApiLayer>,
    /// Why the former change through the API does not count any more.
    pub(crate) left_out: Option<String>,
    pub(crate) took_ms: f64,
}

impl First {
    /// What the files and the variables say.
    pub(crate) fn read(inputs: &Inputs) -> Result<Self, LoadError> {
        let began = Instant::now();
        let (loaded, files) = inputs.load_with(None)?;
        let took_ms = began.elapsed().as_secs_f64() * 1000.0;
        Ok(Self { loaded, files, change: None, left_out: None, took_ms })
    }

    /// The same with the change through the API that the store has of a former run.
    pub(crate) fn with_change_of(self, store: Option<&Store>, inputs: &Inputs) -> Self {
        let latest = store.and_then(|store| store.last::<Entry>(JOURNAL, 1).ok());
        let change = latest.and_then(|(entries, _)| entries.into_iter().next_back()?.change);
        let Some(change) = change else { return self };
        let began = Instant::now();
        match inputs.load_with(Some(&change)) {
            Ok((loaded, files)) => {
                let took_ms = began.elapsed().as_secs_f64() * 1000.0;
                Self { loaded, files, change: Some(change), took_ms, ..self }
            }
            // The file may have changed while the server was down: a start must not fail of a change that was
            // right once.
            Err(error) => Self { left_out: Some(ChangeError::from(error).in_a_line()), ..self },
        }
    }
}

impl ActiveConfig {
    pub(crate) fn new(inputs: Inputs, first: First, parts: Parts) -> Self {
        let Parts { registry, gateway, access, monitor, feed, store, follow } = parts;
        let keep = first.loaded.document.monitoring.max_revisions;
        let history: Journal<Entry> = Journal::open(JOURNAL, keep, store.as_deref());
        let before = history.latest().first().cloned();
        let place =
            before.as_ref().map_or((1, None), |last| (last.revision + 1, parsed(&last.document)));
        let actor = Actor::named("start");
        let mut revision = next(first.loaded, first.change.clone(), &actor, Cause::Start, place);
        // A start that changes nothing is no revision of its own.
        let same = before.filter(|last| last.document.get() == revision.entry.document.get());
        if let Some(last) = &same {
            let change = first.change.clone();
            (revision.number, revision.entry) =
                (last.revision, Entry { change, ..Entry::clone(last) });
        }
        let live = Self {
            inputs,
            registry,
            gateway,
            access,
            monitor,
            feed,
            store,
            follow,
            now: ArcSwap::from_pointee(revision),
            changing: Mutex::new(stamps(first.files)),
            history,
            store_failure: Mutex::default(),
            left_out: Mutex::new(first.left_out),
            refused_file: Mutex::default(),
        };
        if let Some(told) = live.concern() {
            tracing::error!("{told}");
            live.feed.note("configuration", "", told);
        }
        let revision = live.now();
        if same.is_none() {
            live.remember(&revision);
        }
        live.measured(&revision, first.took_ms, &actor, Cause::Start);
        live
    }

    /// The revision in force.
    pub(crate) fn now(&self) -> Arc<Revision> {
        self.now.load_full()
    }

    pub(crate) fn trail(&self) -> &Arc<AuditTrail> {
        &self.monitor
    }

    pub(crate) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// Former revisions, the latest first.
    pub(crate) fn history(&self) -> Vec<Arc<Entry>> {
        self.history.latest()
    }

    /// The change through the API that is in force.
    pub(crate) fn change(&self) -> Option<ApiLayer> {
        self.now().entry.change.clone()
    }

    fn changing(&self) -> MutexGuard<'_, Watched> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a change would come to, without making it.
    pub(crate) fn dry_run(
        &self,
        edit: &ConfigEdit,
        expected: Option<u64>,
    ) -> Result<Applied, ChangeError> {
        let _one = self.changing();
        self.expect(expected)?;
        Ok(self.prepare(edit, &Actor::default())?.applied)
    }

    /// Puts a change in force: all of it, or nothing. `expected` is the revision it was made for. What it comes to is
    /// worked out under the lock that it is made under, so that of two changes at once none is lost.
    pub(crate) fn apply(
        &self,
        edit: &ConfigEdit,
        actor: &Actor,
        expected: Option<u64>,
    ) -> Result<Applied, ChangeError> {
        let began = Instant::now();
        let mut files = self.changing();
        self.expect(expected)?;
        let prepared = self.prepare(edit, actor);
        let made = prepared.and_then(|prepared| self.commit(prepared, actor, began));
        match made {
            Ok((applied, read)) => {
                self.note_good(edit);
                *files = stamps(read);
                Ok(applied)
            }
            Err(refused) => {
                if let ConfigEdit::Reload(_) = edit {
                    files.iter_mut().for_each(|(path, stamp)| *stamp = stamp_of(path));
                }
                self.note_refused(edit, &refused, actor);
                Err(refused)
            }
        }
    }

    /// Puts what is prepared in force. It is the registry that may have become full meanwhile; then nothing changes.
    fn commit(
        &self,
        prepared: Prepared,
        actor: &Actor,
        began: Instant,
    ) -> Result<(Applied, Vec<PathBuf>), ChangeError> {
        let Prepared { applied, files, plan } = prepared;
        let present = self.now();
        let (revision, before) = (applied.revision.clone(), present.entry.change.as_ref());
        if applied.diff.is_empty() && revision.entry.change.as_ref() == before {
            return Ok((Applied { revision: present, ..applied }, files));
        }
        self.gateway.commit(plan).map_err(ChangeError::NoRoom)?;
        // From here on nothing can fail.
        self.access.renew(&revision.config, self.inputs.variables());
        self.monitor.rebound(&revision.config.monitoring);
        self.follow.store(revision.config.clone());
        self.now.store(revision.clone());
        *self.left_out.lock().unwrap_or_else(PoisonError::into_inner) = None;
        self.remember(&revision);
        let took_ms = began.elapsed().as_secs_f64() * 1000.0;
        self.measured(&revision, took_ms, actor, revision.entry.cause);
        self.tell(&applied, actor);
        Ok((applied, files))
    }

    /// Whether the revision that a change was made for is in force still.
    fn expect(&self, expected: Option<u64>) -> Result<(), ChangeError> {
        let present = self.now().number;
        match expected {
            Some(expected) if expected != present => Err(ChangeError::Outdated(present)),
            _ => Ok(()),
        }
    }

    /// Works out what a change comes to, with everything it needs; touches nothing. Called under the lock.
    fn prepare(&self, edit: &ConfigEdit, actor: &Actor) -> Result<Prepared, ChangeError> {
        let present = self.now();
        let (change, cause) = self.resolve(edit, present.entry.change.clone())?;
        let (loaded, files) = self.inputs.load_with(change.as_ref())?;
        if !Access::is_closed(&loaded.document, self.inputs.variables()) {
            return Err(ChangeError::Unprotected);
        }
        let place = (present.number + 1, Some(present.document.clone()));
        let revision = Arc::new(next(loaded, change, actor, cause, place));
        let plan =
            self.gateway.plan(&revision.config, &self.registry).map_err(ChangeError::NoRoom)?;
        let diff = revision.entry.diff.clone();
        let needs_restart = needs_restart(&present.config, &revision.config);
        let applied = Applied { before: present.number, revision, diff, needs_restart };
        Ok(Prepared { applied, files, plan })
    }

    /// Reads everything anew where a file is not as it was. None where nothing changed.
    pub(crate) fn reload_if_changed(&self) -> Option<Result<Applied, ChangeError>> {
        let changed = {
            let mut files = self.changing();
            let changed = files.iter().any(|(path, stamp)| stamp_of(path) != *stamp);
            if changed {
                // Told once, whatever comes of it.
                files.iter_mut().for_each(|(path, stamp)| *stamp = stamp_of(path));
            }
            changed
        };
        changed.then(|| self.apply(&ConfigEdit::Reload(Cause::File), &Actor::named("file"), None))
    }
}

/// The revision that follows; `place` is its number and the document before it.
fn next(
    loaded: Loaded<GatewayConfig>,
    change: Option<ApiLayer>,
    actor: &Actor,
    cause: Cause,
    (number, before): (u64, Option<Value>),
) -> Revision {
    let Loaded { document: config, warnings, origins } = loaded;
    let document = serde_json::to_value(&config).unwrap_or_default();
    let diff = before.map(|before| differences(&before, &document, &origins)).unwrap_or_default();
    let raw = to_raw_value(&document).unwrap_or_default();
    let at = wall_clock::now_ms();
    let who = actor.name.clone();
    let entry = Entry { revision: number, at, who, cause, change, document: raw, diff };
    Revision { number, entry, config: Arc::new(config), document, origins, warnings }
}

/// A document of the history, as values.
fn parsed(document: &RawValue) -> Option<Value> {
    serde_json::from_str(document.get()).ok()
}

/// Fields that a running server does not heed.
fn needs_restart(old: &GatewayConfig, new: &GatewayConfig) -> Vec<&'static str> {
    let fields = [
        ("listen", old.listen != new.listen && new.listen.port() != 0),
        ("store.path", old.store != new.store),
        ("limits.max_connections", old.limits.max_connections != new.limits.max_connections),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}

fn stamps(files: Vec<PathBuf>) -> Watched {
    files.into_iter().map(|path| (path.clone(), stamp_of(&path))).collect()
}

/// What tells one state of a file from another.
fn stamp_of(path: &std::path::Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}
