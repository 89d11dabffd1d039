//! The configuration in force. Changes come one after another, each whole or not at all; everything that acts by the
//! configuration is renewed with it.

use crate::{
    access::Access,
    actor::Actor,
    audit_trail::AuditTrail,
    config::GatewayConfig,
    dead_letters::DeadLetters,
    gateway::{Gateway, Plan},
    inputs::{ApiLayer, Inputs},
    revisions::{Cause, Entry, History, Revision},
    runtime::Registry,
    tenants::Tenants,
};
use arc_swap::ArcSwap;
use std::{
    path::PathBuf,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

mod edit;
mod files;
mod startup;

pub(crate) use edit::{Applied, ChangeError, ConfigEdit};
use files::WatchedFiles;
pub use startup::Startup;

/// The configuration in force, and the only way to change it.
pub(crate) struct ActiveConfig {
    inputs: Inputs,
    followers: Followers,
    history: History,
    current: ArcSwap<Revision>,
    /// Held for a whole change, so that they come one after another.
    changing: Mutex<WatchedFiles>,
}

/// Everything that acts by the configuration in force.
#[derive(Clone)]
pub(crate) struct Followers {
    pub(crate) registry: Registry,
    pub(crate) gateway: Arc<Gateway>,
    pub(crate) access: Arc<Access>,
    pub(crate) letters: Arc<DeadLetters>,
    pub(crate) tenants: Arc<Tenants>,
    /// The configuration from which operations start that code registers by name.
    pub(crate) defaults: Arc<ArcSwap<GatewayConfig>>,
}

/// A change that is worked out, and that nothing uses yet.
struct Prepared {
    applied: Applied,
    files: Vec<PathBuf>,
    plan: Plan,
}

impl ActiveConfig {
    /// Puts the configuration that a server starts with in force; the followers were made by it. If it is the last one
    /// of the former run, it keeps its revision number.
    pub(crate) fn new(startup: Startup, followers: Followers, history: History) -> Self {
        let took_ms = startup.took.as_secs_f64() * 1000.0;
        let changing = Mutex::new(WatchedFiles::new(startup.files()));
        let Startup { inputs, loaded, layer, api_left_out, .. } = startup;
        let former = history.latest().into_iter().next();
        let before = former.as_ref().map_or((0, None), |last| (last.revision, last.values()));
        let actor = Actor::named("start");
        let mut revision = Revision::after(before, loaded, layer.clone(), &actor, Cause::Start);
        let former = former.filter(|last| last.document.get() == revision.entry.document.get());
        if let Some(last) = &former {
            revision.number = last.revision;
            revision.entry = Entry { change: layer, ..Entry::clone(last) };
        }
        history.note_start(&revision, former.is_none(), api_left_out);
        let current = ArcSwap::from_pointee(revision);
        let active = Self { inputs, followers, history, current, changing };
        active.note_load(&active.now(), took_ms, &actor);
        active
    }

    /// The revision in force.
    pub(crate) fn now(&self) -> Arc<Revision> {
        self.current.load_full()
    }

    /// The change through the API that is in force.
    pub(crate) fn api_layer(&self) -> Option<ApiLayer> {
        self.now().entry.change.clone()
    }

    /// The history of the configuration: revisions, events, and what is not in force.
    pub(crate) fn history(&self) -> &History {
        &self.history
    }

    /// The audit trail that events of the configuration go to.
    pub(crate) fn trail(&self) -> &Arc<AuditTrail> {
        self.history.trail()
    }

    /// The inputs that the configuration is made from.
    pub(crate) fn inputs(&self) -> &Inputs {
        &self.inputs
    }

    /// The operations that are in force.
    pub(crate) fn registry(&self) -> &Registry {
        &self.followers.registry
    }

    /// The data path that is in force.
    pub(crate) fn gateway(&self) -> &Arc<Gateway> {
        &self.followers.gateway
    }

    fn changing(&self) -> MutexGuard<'_, WatchedFiles> {
        self.changing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Works out what an edit would change, and changes nothing.
    pub(crate) fn dry_run(
        &self,
        edit: &ConfigEdit,
        expected: Option<u64>,
    ) -> Result<Applied, ChangeError> {
        let _one_after_another = self.changing();
        self.expect(expected)?;
        Ok(self.prepare(edit, &Actor::default())?.applied)
    }

    /// Applies an edit whole, or changes nothing. `expected` is the revision that it was made for; `None` for any. Its
    /// result is worked out under the lock under which it is applied, so that of two edits at once none is lost.
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
        match prepared.and_then(|prepared| self.commit(prepared, actor, began)) {
            Ok((applied, read)) => {
                self.history.note_good_file(edit.is_reload());
                *files = WatchedFiles::new(&read);
                Ok(applied)
            }
            Err(error) if edit.is_reload() => {
                files.look_again();
                let preset = &self.now().config.preset;
                self.history.note_refused_file(error.in_a_line(), preset, actor);
                Err(error)
            }
            Err(error) => Err(self.refused(error, actor)),
        }
    }

    /// Notes that a change was refused.
    pub(crate) fn refused(&self, error: ChangeError, actor: &Actor) -> ChangeError {
        self.history.note_refused_change(error.in_a_line(), &self.now().config.preset, actor);
        error
    }

    /// Checks that the revision that an edit was made for is still in force.
    fn expect(&self, expected: Option<u64>) -> Result<(), ChangeError> {
        let present = self.now().number;
        match expected {
            Some(expected) if expected != present => Err(ChangeError::Outdated(present)),
            _ => Ok(()),
        }
    }

    /// Works out the result of an edit, with everything it needs, and changes nothing. Called under the lock.
    fn prepare(&self, edit: &ConfigEdit, actor: &Actor) -> Result<Prepared, ChangeError> {
        let present = self.now();
        let Followers { registry, gateway, .. } = &self.followers;
        let is_registered = |name: &str| registry.find(name).is_some();
        let standing = present.entry.change.clone();
        let (layer, cause) = edit.resolve(standing, &self.history, is_registered)?;
        let sources = self.inputs.read()?;
        let loaded = sources.load(layer.as_ref()).map_err(ChangeError::Mistakes)?;
        if !Access::is_closed(&loaded.document, self.inputs.variables()) {
            return Err(ChangeError::Unprotected);
        }
        let before = (present.number, Some(present.document.clone()));
        let revision = Arc::new(Revision::after(before, loaded, layer, actor, cause));
        let plan = gateway.plan(&revision.config, registry).map_err(ChangeError::NoRoom)?;
        let diff = revision.entry.diff.clone();
        let needs_restart = needs_restart(&present.config, &revision.config);
        let applied = Applied { before: present.number, revision, diff, needs_restart };
        Ok(Prepared { applied, files: sources.files().to_vec(), plan })
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
        self.followers.gateway.commit(plan).map_err(ChangeError::NoRoom)?;
        // From here on nothing can fail.
        self.followers.access.renew(&revision.config, self.inputs.variables());
        self.followers.letters.renew(&revision.config.dead_letters);
        self.followers.tenants.renew(&revision.config.tenants);
        self.followers.defaults.store(revision.config.clone());
        self.trail().set_bounds(&revision.config.monitoring);
        self.current.store(revision.clone());
        self.note_load(&revision, began.elapsed().as_secs_f64() * 1000.0, actor);
        self.history.note_change(&revision, actor);
        for field in &applied.needs_restart {
            tracing::warn!("{field} counts from the next start on");
        }
        Ok((applied, files))
    }

    fn note_load(&self, revision: &Revision, took_ms: f64, actor: &Actor) {
        let config = &revision.config;
        let kind = match () {
            () if self.inputs.is_legacy() => "legacy",
            () if !config.custom.is_empty() => "custom",
            () => "preset",
        };
        self.history.note_load(&config.preset, kind, took_ms, actor);
    }

    /// Reads everything again where a file is not as it was. `None` where nothing changed. A change is noticed once,
    /// whatever comes of it.
    pub(crate) fn reload_if_changed(&self) -> Option<Result<Applied, ChangeError>> {
        let changed = self.changing().look_again();
        changed.then(|| self.apply(&ConfigEdit::Reload(Cause::File), &Actor::named("file"), None))
    }
}

/// Fields of the configuration that a running server does not follow.
fn needs_restart(old: &GatewayConfig, new: &GatewayConfig) -> Vec<&'static str> {
    let file = |config: &GatewayConfig| config.dead_letters.file(config.store.path.as_deref());
    let keys = |config: &GatewayConfig| config.dead_letters.keys_file.clone();
    let in_redis = |config: &GatewayConfig| config.dead_letters.redis();
    let fields = [
        ("listen", old.listen != new.listen && new.listen.port() != 0),
        ("store.path", old.store != new.store),
        ("dead_letters.path", file(old) != file(new)),
        ("dead_letters.store", in_redis(old) != in_redis(new)),
        ("dead_letters.keys_file", keys(old) != keys(new)),
        ("fleet", old.fleet != new.fleet),
        ("limits.max_connections", old.limits.max_connections != new.limits.max_connections),
    ];
    fields.into_iter().filter(|(_, differs)| *differs).map(|(field, _)| field).collect()
}
