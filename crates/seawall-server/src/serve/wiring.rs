//! A start: everything is made here, in the order in which one thing needs another.

use super::{Persister, ServeError, Server, Shared};
use crate::{
    access::Access,
    active::{ActiveConfig, Followers, Startup},
    alerts::Alerts,
    audit_trail::AuditTrail,
    circuits::{CircuitChanges, SavedCircuits},
    config::{GatewayConfig, RedisStoreConfig},
    control::{Audit, Benchmarks, Control},
    dead_letters::DeadLetters,
    feed::Feed,
    fleet::{Fleet, FleetParts, FleetRevisionView, Load},
    gateway::Gateway,
    inputs::Inputs,
    journal::Journal,
    persistence::Persistence,
    replays::Replays,
    revisions::{Entry, History},
    runtime::Registry,
    sampler::{self, Sampler, Snapshot},
    tenants::Tenants,
};
use arc_swap::ArcSwap;
use seawall::Observer;
use seawall_store::redis::{Redis, share_circuits, share_limits};
use seawall_tower::TokioTimer;
use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
};
use tokio::{net::TcpListener, runtime::Handle, sync::watch, task::JoinSet};

impl Server {
    /// Opens the listener and builds everything, from a configuration made in code. `api_keys` is a list with
    /// commas; empty for none.
    ///
    /// # Errors
    /// When the address is taken or not protected, or the configuration does not make a server.
    pub async fn bind(config: &GatewayConfig, api_keys: &str) -> Result<Self, ServeError> {
        let keys = [("SEAWALL_API_KEYS".to_owned(), api_keys.to_owned())];
        let startup = Startup::read(Inputs::of(config).with_variables(keys)).map_err(unusable)?;
        Self::start(startup, Vec::new()).await
    }

    /// Opens the listener and builds everything, from a configuration that was read from files and variables. Every
    /// event of every call goes to the `observers`.
    ///
    /// # Errors
    /// When the address is taken or not protected, the store cannot be opened, or the configuration does not make a server.
    pub async fn start(
        startup: Startup,
        observers: Vec<Arc<dyn Observer>>,
    ) -> Result<Self, ServeError> {
        // The store may take its time.
        let wired = tokio::task::spawn_blocking(move || wire(startup, observers)).await;
        wired.map_err(unusable)?
    }
}

fn unusable(error: impl fmt::Display) -> ServeError {
    ServeError::Config(error.to_string())
}

/// A server in which everything has what it needs, and whose background tasks run.
fn wire(startup: Startup, observers: Vec<Arc<dyn Observer>>) -> Result<Server, ServeError> {
    let feed = Feed::new();
    let store = &startup.loaded().document.store;
    let persistence = Arc::new(Persistence::open(store, feed.clone()).map_err(unusable)?);
    let (startup, revisions) = resume(startup, &persistence);
    let config = Arc::new(startup.loaded().document.clone());
    let variables = startup.inputs().variables();
    let (listener, address) = listen(&config, variables)?;

    // The data path, and the one place where its configuration is changed.
    let redis = redis(&config)?;
    let letters = letters(&config, variables, redis.as_ref())?;
    let (followers, circuits) =
        data_path(&config, (variables, letters), observers, &feed, &persistence)?;
    let Followers { registry, gateway, access, letters, tenants, .. } = followers.clone();
    let replays = Replays::new(letters.clone(), gateway.clone());
    let trail = Arc::new(AuditTrail::new(&config.monitoring, persistence.log("monitoring")));
    let history = History::new(revisions, trail, feed.clone());
    let (started, draining) = (registry.now(), Arc::new(AtomicBool::new(false)));
    let live = Arc::new(ActiveConfig::new(startup, followers, history));
    circuits.restore();
    let mut tasks = sharing(redis.as_ref(), &registry);
    let (publish, snapshots) = watch::channel(None);
    let audit = Arc::new(Audit::new(&persistence));
    let parts = FleetParts {
        live: live.clone(),
        store: persistence.clone(),
        letters: letters.clone(),
        feed: feed.clone(),
        draining: draining.clone(),
        audit: noting(audit.clone()),
        load: load(snapshots.clone()),
    };
    let fleet = Fleet::new(&config, address, redis.as_ref(), parts);
    Handle::current().block_on(fleet.join());

    // Who looks at it, and who writes it down.
    let alerts = Arc::new(Alerts::new(persistence.log("alerts")));
    let benchmarks = Arc::new(Benchmarks::new(persistence.log("benchmarks")));
    let control = Control {
        registry,
        circuits,
        live: live.clone(),
        fleet: fleet.clone(),
        store: persistence,
        letters,
        tenants,
        replays: replays.clone(),
        alerts,
        feed: feed.clone(),
        audit,
        benchmarks,
        turns: Arc::default(),
        refusals: Arc::default(),
        snapshots,
        access,
        draining: draining.clone(),
        started,
    };
    let persister = background(&control, publish, &mut tasks);
    let shared = Arc::new(Shared { gateway, control: control.router() });
    Ok(Server {
        listener,
        address,
        shared,
        live,
        feed,
        persister,
        replays,
        fleet,
        draining,
        stop: watch::channel(false),
        tasks,
    })
}

/// The connection to the Redis by which instances share things, where one is configured.
fn redis(config: &GatewayConfig) -> Result<Option<Redis>, ServeError> {
    let connection = config.store.redis.as_ref().map(RedisStoreConfig::connection).transpose();
    let connection = connection.map_err(ServeError::Config)?.flatten();
    connection.map(Redis::open).transpose().map_err(unusable)
}

/// The place of the dead letters of this configuration.
fn letters(
    config: &GatewayConfig,
    variables: &BTreeMap<String, String>,
    redis: Option<&Redis>,
) -> Result<Arc<DeadLetters>, ServeError> {
    DeadLetters::open(config, variables, redis).map(Arc::new).map_err(ServeError::Config)
}

/// What the instances of a service share through Redis, where there is one: the tasks that do it.
fn sharing(redis: Option<&Redis>, registry: &Registry) -> JoinSet<()> {
    let mut tasks = JoinSet::new();
    if let Some(redis) = redis {
        tasks.spawn(share_limits(registry, redis).run());
        tasks.spawn(share_circuits(registry, redis).run());
    }
    tasks
}

/// Starts the tasks that look at what the control plane shows, and write it down; the last of them is the result, for the end.
fn background(
    control: &Control,
    publish: watch::Sender<Option<Arc<Snapshot>>>,
    tasks: &mut JoinSet<()>,
) -> Persister {
    let sampler = Sampler {
        started: control.started,
        live: control.live.clone(),
        alerts: control.alerts.clone(),
        feed: control.feed.clone(),
        store: control.store.clone(),
        letters: control.letters.clone(),
        tenants: control.tenants.clone(),
        fleet: control.fleet.clone(),
    };
    let persister = Persister {
        live: control.live.clone(),
        alerts: control.alerts.clone(),
        audit: control.audit.clone(),
        benchmarks: control.benchmarks.clone(),
        letters: control.letters.clone(),
        circuits: control.circuits.clone(),
        tenants: control.tenants.clone(),
    };
    tasks.spawn(sampler::sample(sampler, publish));
    tasks.spawn(control.circuits.clone().run());
    tasks.spawn(control.fleet.clone().run());
    tasks.spawn(persister.clone().run());
    persister
}

/// Writes changes of other instances into the audit log.
fn noting(audit: Arc<Audit>) -> Box<dyn Fn(&FleetRevisionView) + Send + Sync> {
    Box::new(move |made| audit.note_fleet(made))
}

/// Reads the load of this instance from the latest snapshot.
fn load(snapshots: watch::Receiver<Option<Arc<Snapshot>>>) -> Box<dyn Fn() -> Load + Send + Sync> {
    Box::new(move || snapshots.borrow().as_ref().map_or_else(Load::default, |one| one.load))
}

/// Everything that follows the configuration, and what saves the circuits.
fn data_path(
    config: &Arc<GatewayConfig>,
    (variables, letters): (&BTreeMap<String, String>, Arc<DeadLetters>),
    observers: Vec<Arc<dyn Observer>>,
    feed: &Arc<Feed>,
    persistence: &Persistence,
) -> Result<(Followers, Arc<SavedCircuits>), ServeError> {
    let defaults = Arc::new(ArcSwap::new(config.clone()));
    let (registry, circuits) = operations(defaults.clone(), observers, feed, persistence);
    let tenants = Arc::new(Tenants::new(&config.tenants, persistence));
    let gateway = Gateway::new(config, &registry, letters.clone(), tenants.clone());
    let gateway = Arc::new(gateway.map_err(ServeError::Config)?);
    let access = Arc::new(Access::new(config, variables));
    let followers = Followers { registry, gateway, access, letters, tenants, defaults };
    Ok((followers, circuits))
}

/// The revisions of former runs, and the configuration with the change through the API that was in force in the last one.
fn resume(startup: Startup, persistence: &Persistence) -> (Startup, Journal<Entry>) {
    let most = startup.loaded().document.monitoring.max_revisions;
    let revisions: Journal<Entry> = Journal::open(persistence.log("revisions"), most);
    let latest = revisions.latest().into_iter().next();
    let startup = startup.with_api_layer(latest.and_then(|entry| entry.change.clone()));
    startup.loaded().warnings.iter().for_each(|warning| tracing::warn!("{warning}"));
    (startup, revisions)
}

/// A listener on the configured address, unless other machines could reach the control plane there without a key.
fn listen(
    config: &GatewayConfig,
    variables: &BTreeMap<String, String>,
) -> Result<(TcpListener, SocketAddr), ServeError> {
    if !Access::is_closed(config, variables) {
        return Err(ServeError::Unprotected(config.listen));
    }
    let failed = |error| ServeError::Listen(config.listen, error);
    let listener = Handle::current().block_on(TcpListener::bind(config.listen)).map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok((listener, address))
}

/// The operations, whose events the feed and these observers get, with what saves their circuits. Those that code
/// registers by name start from the configuration in force.
fn operations(
    defaults: Arc<ArcSwap<GatewayConfig>>,
    mut observers: Vec<Arc<dyn Observer>>,
    feed: &Arc<Feed>,
    persistence: &Persistence,
) -> (Registry, Arc<SavedCircuits>) {
    let changes = Arc::new(CircuitChanges::default());
    observers.push(feed.clone());
    observers.push(changes.clone());
    let defaults = move |name: &str| defaults.load().effective_policies(name);
    let builder = seawall::Registry::builder().defaults(defaults).timer(TokioTimer);
    let registry = observers.into_iter().fold(builder, seawall::RegistryBuilder::observer).build();
    let circuits = SavedCircuits::new(registry.clone(), changes, persistence);
    (registry, Arc::new(circuits))
}
