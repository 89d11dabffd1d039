//! A server put together, and what runs beside it: the sampler, and who follows files and writes the store.

use super::{Server, Shared};
use crate::{
    GatewayConfig, Registry,
    access::Access,
    alerts::Alerts,
    control::{Audit, Benchmarks, Control},
    feed::Feed,
    gateway::Gateway,
    revisions::{Followed, Live},
    sampler::{self, Watch},
};
use arc_swap::ArcSwap;
use seawall::Observer;
use seawall_store::Store;
use seawall_tower::TokioTimer;
use std::{
    net::SocketAddr,
    sync::{Arc, Weak, atomic::AtomicBool},
    time::Duration,
};
use tokio::{net::TcpListener, sync::watch};

/// What a server is put together from, once its configuration is known.
pub(super) struct Plane {
    pub(super) registry: Registry,
    pub(super) live: Arc<Live>,
    pub(super) access: Arc<Access>,
    pub(super) feed: Arc<Feed>,
    pub(super) store: Option<Arc<Store>>,
    pub(super) draining: Arc<AtomicBool>,
}

impl Plane {
    pub(super) fn server(
        self,
        listener: TcpListener,
        address: SocketAddr,
        gateway: Arc<Gateway>,
    ) -> Server {
        let Self { registry, live, access, feed, store, draining } = self;
        let alerts = Arc::new(Alerts::new(store.as_deref()));
        let audit = Arc::new(Audit::new(store.as_deref()));
        let (publish, snapshots) = watch::channel(None);
        let started = registry.now();
        let control = Control {
            registry: registry.clone(),
            live: live.clone(),
            alerts: alerts.clone(),
            feed: feed.clone(),
            audit: audit.clone(),
            benchmarks: Arc::new(Benchmarks::new(store.as_deref())),
            turns: Arc::default(),
            snapshots,
            access,
            draining: draining.clone(),
            started,
        };
        let watch = Watch {
            registry: registry.clone(),
            started,
            live: live.clone(),
            alerts: alerts.clone(),
            feed: feed.clone(),
        };
        let tasks = [
            tokio::spawn(sampler::sample(watch, publish)),
            tokio::spawn(keep(
                Arc::downgrade(&live),
                Arc::downgrade(&alerts),
                Arc::downgrade(&audit),
            )),
        ];
        let shared = Arc::new(Shared { gateway, control: control.router() });
        let stop = watch::channel(false);
        Server {
            listener,
            address,
            shared,
            registry,
            live,
            alerts,
            audit,
            feed,
            draining,
            stop,
            tasks,
        }
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

/// Follows changes of the files, and writes what is new to the store, until the server is gone.
async fn keep(live: Weak<Live>, alerts: Weak<Alerts>, audit: Weak<Audit>) {
    loop {
        tokio::time::sleep(KEEPING).await;
        let (Some(live), Some(alerts), Some(audit)) =
            (live.upgrade(), alerts.upgrade(), audit.upgrade())
        else {
            return;
        };
        let work = move || {
            if let Some(Err(refused)) = live.reload_if_changed() {
                tracing::error!("the configuration stays as it is:\n{refused}");
            }
            save(&live, &alerts, &audit);
        };
        if let Err(error) = tokio::task::spawn_blocking(work).await {
            tracing::error!(%error, "files and store are not followed");
        }
    }
}

pub(super) fn save(live: &Live, alerts: &Alerts, audit: &Audit) {
    if let Some(store) = &live.store {
        let written = live.save(store);
        let written = written.and_then(|()| live.monitor().save(store));
        live.stored(written.and_then(|()| alerts.save(store)).and_then(|()| audit.save(store)));
    }
}
