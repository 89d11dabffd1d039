//! The configuration in force, how it came to be, and the way back: every change is a revision with who made it,
//! when, and what it changed.

use crate::{
    GatewayConfig, Inputs, Registry,
    access::Access,
    feed::Feed,
    gateway::Gateway,
    inputs::{Change, PROTECTED},
    journal::Journal,
    monitor::{Actor, MetricType, Monitor, Record},
    wall,
};
use arc_swap::ArcSwap;
use seawall_config::{LoadError, Loaded};
use seawall_store::Store;
use serde_json::{
    Map, Value,
    value::{RawValue, to_raw_value},
};
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Instant, SystemTime},
};

mod difference;
mod entry;
mod notes;

pub(crate) use difference::{Difference, differences};
pub(crate) use entry::{Applied, Ask, Cause, Entry, Refused, Revision};

/// The journal that revisions are kept in.
const JOURNAL: &str = "revisions";

/// The configuration that new operations start from, as it changes.
pub(crate) type Followed = Arc<ArcSwap<GatewayConfig>>;

/// The configuration in force, and everything that follows it.
pub(crate) struct Live {
    inputs: Inputs,
    pub(crate) registry: Registry,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) access: Arc<Access>,
    monitor: Arc<Monitor>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) store: Option<Arc<Store>>,
    follow: Followed,
    now: ArcSwap<Revision>,
    /// Held for a whole change, so that they come one after another.
    changing: Mutex<Watching>,
    history: Journal<Entry>,
    store_failure: Mutex<Option<String>>,
    left_out: Mutex<Option<String>>,
    /// Why the file as it is now is not in force.
    refused_file: Mutex<Option<String>>,
}

/// The files that were read, as they were then.
#[derive(Default)]
struct Watching {
    change: Option<Change>,
    files: Vec<(PathBuf, Option<(SystemTime, u64)>)>,
}

/// What a server needs beside its first revision.
pub(crate) struct Parts {
    pub(crate) registry: Registry,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) access: Arc<Access>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) store: Option<Arc<Store>>,
    /// What new operations start from.
    pub(crate) follow: Followed,
}

/// The configuration that a server starts with.
pub(crate) struct First {
    pub(crate) loaded: Loaded<GatewayConfig>,
    pub(crate) files: Vec<PathBuf>,
    pub(crate) change: Option<Change>,
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
            Err(error) => Self { left_out: Some(Refused::from(error).in_a_line()), ..self },
        }
    }
}

impl Live {
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
            (revision.number, revision.entry) = (last.revision, (**last).clone());
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
            changing: Mutex::new(Watching { change: first.change, files: stamps(first.files) }),
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

    pub(crate) fn monitor(&self) -> &Arc<Monitor> {
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
    pub(crate) fn change(&self) -> Option<Change> {
        self.changing().change.clone()
    }

    fn changing(&self) -> MutexGuard<'_, Watching> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What a change would come to, without making it.
    pub(crate) fn weigh(&self, ask: Ask, expected: Option<u64>) -> Result<Applied, Refused> {
        let changing = self.changing();
        self.expect(expected)?;
        let (applied, ..) = self.prepare(&ask, &changing, &Actor::default())?;
        Ok(applied)
    }

    /// Puts a change in force: all of it, or nothing. `expected` is the revision it was made for.
    pub(crate) fn apply(
        &self,
        ask: Ask,
        actor: &Actor,
        expected: Option<u64>,
    ) -> Result<Applied, Refused> {
        let began = Instant::now();
        let mut changing = self.changing();
        self.expect(expected)?;
        let present = self.now();
        let made = self.prepare(&ask, &changing, actor).and_then(|(applied, change, files)| {
            if applied.diff.is_empty() && change == changing.change {
                return Ok((Applied { revision: present, ..applied }, change, files));
            }
            let config = &applied.revision.config;
            self.gateway.apply(config, &self.registry).map_err(Refused::Failed)?;
            self.access.renew(config, self.inputs.variables());
            self.monitor.rebound(&config.monitoring);
            self.follow.store(config.clone());
            self.now.store(applied.revision.clone());
            *self.left_out.lock().unwrap_or_else(PoisonError::into_inner) = None;
            self.remember(&applied.revision);
            let took_ms = began.elapsed().as_secs_f64() * 1000.0;
            self.measured(&applied.revision, took_ms, actor, applied.revision.entry.cause);
            self.tell(&applied, actor);
            Ok((applied, change, files))
        });
        match made {
            Ok((applied, change, files)) => {
                self.note_file(None);
                *changing = Watching { change, files: stamps(files) };
                Ok(applied)
            }
            Err(refused) => {
                let preset = &self.now().config.preset.clone();
                // Who asked through the API was told; of a file nobody might be.
                let record = if let Ask::Reload(_) = ask {
                    changing.files.iter_mut().for_each(|(path, stamp)| *stamp = stamp_of(path));
                    self.note_file(Some(refused.in_a_line()));
                    Record::new(MetricType::ConfigError, preset, "load_config", 1.0)
                } else {
                    Record::new(MetricType::ValidationEvent, preset, "change_config", 0.0)
                };
                self.monitor.record(record.with("error", refused.in_a_line()), actor);
                Err(refused)
            }
        }
    }

    /// Whether the revision that a change was made for is in force still.
    fn expect(&self, expected: Option<u64>) -> Result<(), Refused> {
        let present = self.now().number;
        match expected {
            Some(expected) if expected != present => Err(Refused::Outdated(present)),
            _ => Ok(()),
        }
    }

    fn prepare(
        &self,
        ask: &Ask,
        changing: &Watching,
        actor: &Actor,
    ) -> Result<(Applied, Option<Change>, Vec<PathBuf>), Refused> {
        let present = self.now();
        let (change, cause) = match ask {
            Ask::Reload(cause) => (changing.change.clone(), *cause),
            Ask::Change(change) => {
                protected(&change.document)?;
                let nothing =
                    change.document.as_object().is_some_and(Map::is_empty) && !change.alone;
                ((!nothing).then(|| change.clone()), Cause::Api)
            }
            Ask::Rollback(number) => (Some(self.back_to(*number)?), Cause::Rollback),
        };
        let (loaded, files) = self.inputs.load_with(change.as_ref())?;
        if !Access::is_closed(&loaded.document, self.inputs.variables()) {
            return Err(Refused::Unprotected);
        }
        let place = (present.number + 1, Some(present.document.clone()));
        let revision = Arc::new(next(loaded, change.clone(), actor, cause, place));
        let diff = revision.entry.diff.clone();
        let needs_restart = needs_restart(&present.config, &revision.config);
        Ok((Applied { revision, diff, needs_restart }, change, files))
    }

    /// A former revision as a change: all of it, but for what the API may not change.
    fn back_to(&self, number: u64) -> Result<Change, Refused> {
        let history = self.history();
        let entry = history.iter().find(|entry| entry.revision == number);
        let entry = entry.ok_or(Refused::UnknownRevision(number))?;
        let mut document = parsed(&entry.document).unwrap_or_default();
        if let Some(fields) = document.as_object_mut() {
            fields.retain(|name, _| !PROTECTED.contains(&name.as_str()));
        }
        Ok(Change { document, alone: true })
    }

    /// Reads everything anew where a file is not as it was. None where nothing changed.
    pub(crate) fn reload_if_changed(&self) -> Option<Result<Applied, Refused>> {
        let changed = {
            let mut changing = self.changing();
            let moved = |(path, stamp): &(PathBuf, Option<_>)| stamp_of(path) != *stamp;
            let changed = changing.files.iter().any(moved);
            if changed {
                // Told once, whatever comes of it.
                changing.files.iter_mut().for_each(|(path, stamp)| *stamp = stamp_of(path));
            }
            changed
        };
        changed.then(|| self.apply(Ask::Reload(Cause::File), &Actor::named("file"), None))
    }
}

/// The revision that follows; `place` is its number and the document before it.
fn next(
    loaded: Loaded<GatewayConfig>,
    change: Option<Change>,
    actor: &Actor,
    cause: Cause,
    (number, before): (u64, Option<Value>),
) -> Revision {
    let Loaded { document: config, warnings, origins } = loaded;
    let document = serde_json::to_value(&config).unwrap_or_default();
    let diff = before.map(|before| differences(&before, &document, &origins)).unwrap_or_default();
    let raw = to_raw_value(&document).unwrap_or_default();
    let at = wall::now_ms();
    let who = actor.name.clone();
    let entry = Entry { revision: number, at, who, cause, change, document: raw, diff };
    Revision { number, entry, config: Arc::new(config), document, origins, warnings }
}

/// A document of the history, as values.
fn parsed(document: &RawValue) -> Option<Value> {
    serde_json::from_str(document.get()).ok()
}

/// The first field of a change that the API may not change.
fn protected(document: &Value) -> Result<(), Refused> {
    let Some(fields) = document.as_object() else { return Ok(()) };
    match fields.keys().find(|name| PROTECTED.contains(&name.as_str())) {
        Some(name) => Err(Refused::Protected(name.clone())),
        None => Ok(()),
    }
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

fn stamps(files: Vec<PathBuf>) -> Vec<(PathBuf, Option<(SystemTime, u64)>)> {
    files.into_iter().map(|path| (path.clone(), stamp_of(&path))).collect()
}

/// What tells one state of a file from another.
fn stamp_of(path: &std::path::Path) -> Option<(SystemTime, u64)> {
    let about = std::fs::metadata(path).ok()?;
    Some((about.modified().ok()?, about.len()))
}
