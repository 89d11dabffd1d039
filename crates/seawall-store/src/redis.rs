//! What instances share through Redis 6 or Valkey: standalone, a Cluster, or masters that Sentinels name.
//!
//! A process opens one [`Redis`] and hands it to all that shares something there, as [`share_limits`] and [`share_circuits`] do.

mod circuits;
mod connection;
mod discovery;
mod fleet;
mod letters;
mod limits;
mod script;
mod subscription;
mod tls;

pub use circuits::share_circuits;
use connection::Link;
pub use connection::{RedisAddress, RedisConfig, RedisConfigError};
pub use discovery::Sharing;
pub use fleet::{FleetError, FleetStore, Member, Pulse, Verdict};
pub use letters::{RedisLetters, RedisLettersConfig};
pub use limits::share_limits;
use seawall::fresh_seed;
use std::{fmt, sync::Arc};
pub use tls::{RedisIdentity, RedisTls, is_address, is_encrypted};
use tokio::task::JoinSet;

/// What a process shares with others through Redis goes over this connection; clones are the same connection. It is opened in the
/// background, opened again whenever it is lost, and closed with the last clone.
#[derive(Clone)]
pub struct Redis(Arc<Shared>);

struct Shared {
    link: Link,
    config: RedisConfig,
    instance: String,
    /// Ends what keeps the link up.
    _keep_up: JoinSet<()>,
}

impl Redis {
    /// Connects, in a task of the present tokio runtime. Redis need not be there, now or ever.
    ///
    /// # Errors
    /// When an address is none.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn open(config: RedisConfig) -> Result<Self, RedisConfigError> {
        let (link, keep_up) = Link::new(&config)?;
        let mut tasks = JoinSet::new();
        tasks.spawn(keep_up);
        let instance = format!("{:016x}-{:x}", fresh_seed(), std::process::id());
        Ok(Self(Arc::new(Shared { link, config, instance, _keep_up: tasks })))
    }

    /// A further connection to the same Redis, for what would hold up others on this one: long values, and waiting for replicas.
    fn further(&self) -> Result<Self, RedisConfigError> {
        Self::open(self.0.config.clone())
    }

    /// The name of this process among those that share something: another one at each start.
    pub fn instance(&self) -> &str {
        &self.0.instance
    }

    /// The present connection, to be asked for before each use.
    fn link(&self) -> &Link {
        &self.0.link
    }

    /// A key of this name. Those with one `tag` are in one slot of a Cluster, so that a script may use them together.
    fn key(&self, tag: &str, name: impl fmt::Display) -> String {
        format!("{}:{{{tag}}}:{name}", self.0.config.prefix)
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("config", &self.0.config).finish_non_exhaustive()
    }
}
