//! A server put together, and what runs beside it: the sampler, and who follows files and writes the store.

use super::{Server, Shared};
use crate::{
    GatewayConfig, Registry,
    alerts::Alerts,
    control::{Audit, Benchmarks, Control},
    revisions::{ActiveConfig, Followed},
    sampler::{self, Watch},
};
use arc_swap::ArcSwap;
use seawall::Observer;
use seawall_tower::TokioTimer;
use std::{
    net::SocketAddr,
    sync::{Arc, atomic::AtomicBool},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch, task::JoinSet};

/// A server around a configuration in force.
pub(super) fn assembled(live: ActiveConfig, listener: TcpListener, address: SocketAddr) -> Server {
    let live = Arc::new(live);
    let store = live.store.as_deref();
    let written = Written {
        live: live.clone(),
        alerts: Arc::new(Alerts::new(store)),
        audit: Arc::new(Audit::new(store)),
        benchmarks: Arc::new(Benchmarks::new(store)),
    };
    let draining = Arc::new(AtomicBool::new(false));
    let (publish, snapshots) = watch::channel(None);
    let started = live.registry.now();
    let control = Control {
        registry: live.registry.clone(),
        live: live.clone(),
        alerts: written.alerts.clone(),
        feed: live.feed.clone(),
        audit: written.audit.clone(),
        benchmarks: written.benchmarks.clone(),
        turns: Arc::default(),
        refusals: Arc::default(),
        snapshots,
        access: live.access.clone(),
        draining: draining.clone(),
        started,
    };
    let watch = Watch { started, live: live.clone(), alerts: written.alerts.clone() };
    let mut tasks = JoinSet::new();
    tasks.spawn(sampler::sample(watch, publish));
    tasks.spawn(keep(written.clone()));
    let shared = Arc::new(Shared { gateway: live.gateway.clone(), control: control.router() });
    Server {
        listener,
        address,
        shared,
        live,
        written,
        draining,
        stop: watch::channel(false),
        tasks,
    }
}

/// A registry whose operations that code asks for by name start from the configuration in force.
pub(super) fn registry(
    config: &Arc<GatewayConfig>,
    observers: Vec<Arc<dyn Observer>>,
) -> (Registry, Followed) {
    let follow: Followed = Arc::new(ArcSwap::new(config.clone()));
    let followed = follow.clone();
    let defaults = move |name: &str| followed.load().effective_policies(name);
    (Registry::with_defaults(TokioTimer, defaults, observers), follow)
}

/// How often files are looked at, and the store is written.
const KEEPING: Duration = Duration::from_secs(1);

/// What is written to the store.
#[derive(Clone)]
pub(super) struct Written {
    live: Arc<ActiveConfig>,
    alerts: Arc<Alerts>,
    audit: Arc<Audit>,
    benchmarks: Arc<Benchmarks>,
}

impl Written {
    /// Writes what is new.
    pub(super) fn save(&self) {
        let Some(store) = &self.live.store else { return };
        let all = [
            self.live.save(store),
            self.live.trail().save(store),
            self.alerts.save(store),
            self.audit.save(store),
            self.benchmarks.journal.save(store),
        ];
        self.live.stored(all.into_iter().collect());
    }
}

/// Follows changes of the files, and writes what is new to the store. It ends with the server.
async fn keep(written: Written) {
    loop {
        tokio::time::sleep(KEEPING).await;
        let written = written.clone();
        let work = move || {
            if let Some(Err(refused)) = written.live.reload_if_changed() {
                tracing::error!("the configuration stays as it is:\n{refused}");
            }
            written.save();
        };
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "files and store are not followed");
        }
    }
}
