//! The fleet that this instance belongs to: who is alive, and one revision of the configuration for all.
//!
//! Nothing of it is on the path of requests. Where it fails, requests go on, and changes through the API are refused.

use crate::{
    active::ActiveConfig,
    config::{FleetConfig, GatewayConfig},
    dead_letters::DeadLetters,
    feed::Feed,
    inputs::PROTECTED,
    persistence::Persistence,
    wall_clock,
};
use serde_json::Value;
use sha2::{Digest, Sha256};
use std::{
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};
use tokio::sync::Notify;

mod change;
mod follow;
mod peers;
mod report;

use peers::Peers;
pub(crate) use report::FleetRevision;
pub use report::{
    FleetInstance, FleetKind, FleetRevisionView, FleetView, InstanceReport, InstanceState,
};
use seawall_store::redis::{FleetStore, Member, Redis};

/// What an instance did in the last minute, and how it is.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Load {
    pub(crate) calls_per_second: f64,
    pub(crate) error_share: f64,
    pub(crate) open_circuits: usize,
}

/// This instance among the others.
pub(crate) struct Fleet {
    parts: FleetParts,
    name: String,
    id: String,
    address: String,
    started_at: String,
    config: FleetConfig,
    others: Others,
    standing: Mutex<Standing>,
    /// Held while a revision of the fleet is put in force, off the threads that serve.
    applying: Mutex<()>,
    /// The changes that this instance has proposed and not put in force yet.
    changing: AtomicUsize,
    /// There is something new in the store.
    news: Notify,
    configuration: Mutex<(u64, String)>,
}

/// The parts of a server that its place in a fleet depends on.
pub(crate) struct FleetParts {
    pub(crate) live: Arc<ActiveConfig>,
    pub(crate) store: Arc<Persistence>,
    pub(crate) letters: Arc<DeadLetters>,
    pub(crate) feed: Arc<Feed>,
    pub(crate) draining: Arc<AtomicBool>,
    /// Writes a change of another instance into the audit log.
    pub(crate) audit: Box<dyn Fn(&FleetRevisionView) + Send + Sync>,
    /// The load at the last sample.
    pub(crate) load: Box<dyn Fn() -> Load + Send + Sync>,
}

/// How the others are known.
enum Others {
    None,
    Listed(Peers),
    Shared(FleetStore),
}

/// Where this instance stands with the revision for all.
#[derive(Default)]
struct Standing {
    in_force: Option<InForce>,
    /// The reason why the fleet's revision is not in force here.
    refused: Option<String>,
    /// The reason why the store does not answer, and since when.
    lost: Option<(String, Instant)>,
    changed_alone: bool,
    alive: u32,
    /// The proposal that this instance has voted on.
    voted: String,
}

/// The fleet's revision that is in force here, as the store has it.
#[derive(Clone)]
struct InForce {
    revision: FleetRevision,
    text: String,
    hash: String,
}

/// What is known of the fleet without asking anybody.
#[derive(Debug)]
pub(crate) struct FleetHealth {
    pub(crate) alive: u32,
    pub(crate) revision: u64,
    /// The reason why the store does not answer, and for how long it has not.
    pub(crate) lost: Option<(String, Duration)>,
    /// The reason why the fleet's revision is not in force here.
    pub(crate) refused: Option<String>,
}

impl Default for FleetHealth {
    /// That of an instance on its own.
    fn default() -> Self {
        Self { alive: 1, revision: 0, lost: None, refused: None }
    }
}

impl Fleet {
    /// The place of a server that listens on this address.
    pub(crate) fn new(
        config: &GatewayConfig,
        listening: SocketAddr,
        redis: Option<&Redis>,
        parts: FleetParts,
    ) -> Arc<Self> {
        let fleet = config.fleet.clone();
        let host =
            if listening.ip().is_unspecified() { host_name() } else { listening.ip().to_string() };
        let host = if host.contains(':') { format!("[{host}]") } else { host };
        let port = listening.port();
        let settings = fleet.clone().unwrap_or_default();
        let name = settings.name.clone().unwrap_or_else(|| format!("{}:{port}", host_name()));
        let address = settings.address.clone().unwrap_or_else(|| format!("http://{host}:{port}"));
        let others = match (&fleet, redis) {
            (Some(_), Some(redis)) => Others::Shared(FleetStore::new(redis, &name)),
            (Some(fleet), None) if !fleet.instances.is_empty() => Others::Listed(Peers::new(fleet)),
            _ => Others::None,
        };
        let id = match &others {
            Others::Shared(store) => store.id().to_owned(),
            _ => format!("{name}~{:016x}", seawall::fresh_seed()),
        };
        let lost = matches!(others, Others::Shared(_))
            .then(|| ("it has not answered since the start".to_owned(), Instant::now()));
        Arc::new(Self {
            parts,
            name,
            id,
            address,
            started_at: wall_clock::now(),
            config: settings,
            others,
            standing: Mutex::new(Standing { lost, ..Standing::default() }),
            applying: Mutex::default(),
            changing: AtomicUsize::new(0),
            news: Notify::new(),
            configuration: Mutex::default(),
        })
    }

    fn standing(&self) -> MutexGuard<'_, Standing> {
        self.standing.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the fleet without asking anybody; `None` where the instances share no store.
    pub(crate) fn health(&self) -> Option<FleetHealth> {
        let Others::Shared(_) = &self.others else { return None };
        let standing = self.standing();
        let revision = standing.in_force.as_ref().map_or(0, |present| present.revision.number);
        let lost = standing.lost.as_ref().map(|(why, since)| (why.clone(), since.elapsed()));
        Some(FleetHealth {
            alive: standing.alive,
            revision,
            lost,
            refused: standing.refused.clone(),
        })
    }

    /// Keeps up what this instance knows of the others and they of it, for ever.
    pub(crate) async fn run(self: Arc<Self>) {
        match &self.others {
            Others::None => {}
            Others::Listed(peers) => peers.poll().await,
            Others::Shared(store) => self.follow(store).await,
        }
    }

    /// Takes over the fleet's present revision, before requests are accepted. Where the store does not answer soon, the instance
    /// starts with what it has, and takes it over later.
    pub(crate) async fn join(self: &Arc<Self>) {
        const BOUND: Duration = Duration::from_secs(2);
        let Others::Shared(store) = &self.others else { return };
        let joined = async {
            store.connected().await;
            self.beat(store).await;
        };
        if tokio::time::timeout(BOUND, joined).await.is_err() || self.standing().lost.is_some() {
            tracing::warn!(
                "the store of the fleet does not answer: this instance starts with its own configuration, \
                 and takes the fleet's over when it does"
            );
        }
    }

    /// Tells the others that this instance ends, so that none waits for it.
    pub(crate) async fn leave(&self) {
        if let Others::Shared(store) = &self.others
            && let Err(error) = store.leave().await
        {
            tracing::debug!(%error, "the fleet does not know that this instance ends");
        }
    }

    /// What this instance says of itself.
    pub(crate) fn report(&self) -> InstanceReport {
        let (load, live) = ((self.parts.load)(), &self.parts.live);
        let (standing, now) = (self.standing(), live.now());
        let lost = standing.lost.as_ref().map(|(why, _)| format!("the store of the fleet: {why}"));
        let state = match () {
            () if self.parts.draining.load(Ordering::Relaxed) => InstanceState::Draining,
            () if standing.refused.is_some() => InstanceState::Refused,
            () => InstanceState::Ready,
        };
        InstanceReport {
            name: self.name.clone(),
            id: self.id.clone(),
            address: self.address.clone(),
            version: env!("CARGO_PKG_VERSION").into(),
            started_at: self.started_at.clone(),
            state,
            reason: standing.refused.clone().or_else(|| lost.clone()),
            revision: now.number,
            fleet_revision: standing.in_force.as_ref().map(|present| present.revision.number),
            changed_alone: standing.changed_alone,
            configuration: self.configuration(now.number, &now.document),
            open_circuits: load.open_circuits,
            calls_per_second: load.calls_per_second,
            error_share: load.error_share,
            degraded: self.degraded(lost.is_some()),
        }
    }

    /// The stores that do not answer or cannot be written.
    fn degraded(&self, fleet: bool) -> Vec<String> {
        let FleetParts { live, store, letters, .. } = &self.parts;
        let operations = live.registry().operations();
        let limits = operations.iter().any(|operation| operation.pipeline().is_degraded());
        let parts = [
            ("store", store.failure().is_some()),
            ("dead_letters", letters.failure().is_some()),
            ("shared_limits", limits),
            ("fleet", fleet),
        ];
        parts.into_iter().filter(|(_, is)| *is).map(|(name, _)| name.to_owned()).collect()
    }

    /// A short hash of a revision's document, without what each instance may have of its own.
    fn configuration(&self, number: u64, document: &Value) -> String {
        let mut known = self.configuration.lock().unwrap_or_else(PoisonError::into_inner);
        if known.0 != number || known.1.is_empty() {
            let mut document = document.clone();
            if let Some(fields) = document.as_object_mut() {
                fields.retain(|name, _| !PROTECTED.contains(&name.as_str()));
            }
            let hash = Sha256::digest(document.to_string().as_bytes());
            let short = hash.iter().take(6).map(|byte| format!("{byte:02x}")).collect();
            *known = (number, short);
        }
        known.1.clone()
    }

    /// All instances that are known.
    pub(crate) async fn view(&self) -> FleetView {
        let own = self.report();
        let mut degraded = None;
        let (kind, others) = match &self.others {
            Others::None => (FleetKind::Alone, Vec::new()),
            Others::Listed(peers) => (FleetKind::Listed, peers.known()),
            Others::Shared(store) => match store.members().await {
                Ok(members) => (FleetKind::Shared, members.iter().map(seen).collect()),
                Err(error) => {
                    degraded = Some(error.to_string());
                    (FleetKind::Shared, Vec::new())
                }
            },
        };
        let standing = self.standing();
        let lost = standing.lost.as_ref().map(|(why, _)| why.clone());
        let revision = standing.in_force.as_ref().map(|present| present.revision.view());
        drop(standing);
        let instances = with_own(others, own);
        FleetView { kind, revision, degraded: degraded.or(lost), instances }
    }
}

/// An instance as the store knows it. One whose report cannot be read is of another version, and shown as far as possible.
fn seen(member: &Member) -> (InstanceReport, Option<Duration>) {
    let report = serde_json::from_str(&member.report).unwrap_or_else(|_| {
        let mut report = peers::unknown(FleetStore::name_of(&member.id), "");
        report.id.clone_from(&member.id);
        report.reason = Some("its report cannot be read; is it of another version?".to_owned());
        report
    });
    (report, Some(member.age))
}

/// The instances by name, with the one that is asked. Of two with one name, one that is gone was the same before a restart.
fn with_own(
    others: Vec<(InstanceReport, Option<Duration>)>,
    own: InstanceReport,
) -> Vec<FleetInstance> {
    let mut instances: Vec<FleetInstance> = others
        .into_iter()
        .filter(|(report, _)| report.id != own.id)
        .map(|(mut report, age)| {
            if age.is_none_or(|age| age > FleetStore::alive_for()) {
                report.state = InstanceState::Gone;
            }
            let differs = report.state != InstanceState::Gone
                && (report.fleet_revision != own.fleet_revision
                    || report.configuration != own.configuration);
            let heartbeat_age_seconds = age.map(|age| (age.as_secs_f64() * 10.0).round() / 10.0);
            FleetInstance { report, heartbeat_age_seconds, differs, is_asked: false }
        })
        .collect();
    instances.push(FleetInstance {
        report: own,
        heartbeat_age_seconds: Some(0.0),
        differs: false,
        is_asked: true,
    });
    let is_gone = |one: &FleetInstance| one.report.state == InstanceState::Gone;
    let living: Vec<String> =
        instances.iter().filter(|one| !is_gone(one)).map(|one| one.report.name.clone()).collect();
    instances.retain(|one| !is_gone(one) || !living.contains(&one.report.name));
    instances.sort_by(|one, other| one.report.name.cmp(&other.report.name));
    instances
}

/// The name of this machine.
fn host_name() -> String {
    let read = std::fs::read_to_string("/proc/sys/kernel/hostname").ok();
    let name = read.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
    name.or_else(|| std::env::var("HOSTNAME").ok()).unwrap_or_else(|| "localhost".to_owned())
}
