//! A connection to Redis that all of a process share. It comes back by itself.

use super::tls::{RedisTls, is_encrypted};
use redis::{
    AsyncConnectionConfig, Client, ConnectionInfo, ErrorKind, IntoConnectionInfo, RedisError,
    RedisResult, TlsMode,
    aio::{ConnectionLike, MultiplexedConnection},
    cluster::ClusterClient,
    cluster_async::ClusterConnection,
    sentinel::{SentinelClient, SentinelClientBuilder, SentinelServerType},
};
use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use tokio::sync::{Notify, watch};

/// How long reaching the store may take: names are looked up, and Sentinels asked.
pub(super) const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);
/// The pause before it is tried again, at first and at most; with jitter.
pub(super) const FIRST_PAUSE: Duration = Duration::from_millis(50);
pub(super) const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// Which Redis, and under which names.
#[derive(Clone)]
pub struct RedisConfig {
    /// How it is reached: one server, a Cluster, or Sentinels.
    pub address: RedisAddress,
    /// What all keys in it begin with, so that it can be used for other things, too.
    pub prefix: String,
    /// The certificates of encrypted connections.
    pub tls: RedisTls,
}

/// Where Redis is. Addresses are URLs, `redis://[user:password@]host[:port][/database]`; connections to `rediss://…` are
/// encrypted.
#[derive(Clone)]
pub enum RedisAddress {
    /// One server.
    Standalone(String),
    /// Some nodes of a Cluster; it names the others.
    Cluster(Vec<String>),
    /// Sentinels, and the name of the master that they watch. User and password of the first Sentinel are those of all.
    /// User, password and database of the master stand in `master_url`, whose host means nothing.
    Sentinel {
        /// The Sentinels.
        sentinels: Vec<String>,
        /// The name of the master.
        master: String,
        /// How to log in at the master, encrypted where it begins with `rediss://`; left out: without a password, in
        /// database 0.
        master_url: Option<String>,
    },
}

/// Why an address is none. It does not contain the address, which may hold a password.
#[derive(Debug)]
pub struct RedisConfigError(String);

impl fmt::Display for RedisConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the address of Redis is not right: {}", self.0)
    }
}

impl std::error::Error for RedisConfigError {}

impl fmt::Debug for RedisConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RedisConfig")
            .field("address", &self.address)
            .field("prefix", &self.prefix)
            .finish()
    }
}

/// Says which kind it is, and nothing of the URLs, which may hold passwords.
impl fmt::Debug for RedisAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Standalone(_) => f.write_str("standalone"),
            Self::Cluster(nodes) => write!(f, "a cluster, by {} nodes", nodes.len()),
            Self::Sentinel { sentinels, master, .. } => {
                write!(f, "the master {master} of {} sentinels", sentinels.len())
            }
        }
    }
}

/// A connection that commands can be sent on; clones share it.
#[derive(Clone)]
pub(super) enum Connection {
    Single(MultiplexedConnection),
    Cluster(ClusterConnection),
}

impl Connection {
    /// Sends one command.
    pub(super) async fn send(&mut self, command: &redis::Cmd) -> RedisResult<redis::Value> {
        let answer = match self {
            Self::Single(connection) => connection.req_packed_command(command).await,
            Self::Cluster(connection) => connection.req_packed_command(command).await,
        };
        answer.and_then(redis::Value::extract_error)
    }

    /// Sends several commands in one round trip, and returns the answer to each. In a Cluster their keys are in one slot. An
    /// error is that of the whole.
    pub(super) async fn send_all(
        &mut self,
        commands: &redis::Pipeline,
    ) -> RedisResult<Vec<RedisResult<redis::Value>>> {
        let answers = match self {
            Self::Single(connection) => {
                connection.req_packed_commands(commands, 0, commands.len()).await?
            }
            Self::Cluster(connection) => {
                connection.req_packed_commands(commands, 0, commands.len()).await?
            }
        };
        Ok(answers.into_iter().map(redis::Value::extract_error).collect())
    }
}

/// Makes connections.
pub(super) enum Source {
    Standalone(Box<Client>),
    /// With some of its nodes.
    Cluster(Box<ClusterClient>, Vec<Client>),
    Sentinel(Box<SentinelClient>),
}

impl Source {
    pub(super) fn new(config: &RedisConfig) -> RedisResult<Self> {
        let tls = &config.tls;
        Ok(match &config.address {
            RedisAddress::Standalone(url) => Self::Standalone(tls.client(url)?.into()),
            RedisAddress::Cluster(nodes) => {
                let builder = ClusterClient::builder(nodes.iter().map(String::as_str))
                    .connection_timeout(CONNECT_TIMEOUT)
                    .response_timeout(CONNECT_TIMEOUT)
                    .retries(2);
                let encrypted = nodes.iter().any(|node| is_encrypted(node));
                let builder = if encrypted { builder.certs(tls.certificates()) } else { builder };
                let nodes = nodes.iter().map(|url| tls.client(url)).collect::<RedisResult<_>>()?;
                Self::Cluster(builder.build()?.into(), nodes)
            }
            RedisAddress::Sentinel { sentinels, master, master_url } => {
                Self::Sentinel(sentinel(tls, sentinels, master, master_url.as_deref())?.into())
            }
        })
    }

    /// A client of one server: of a Cluster that of node number `nth`, modulo the number of those that are named; under
    /// Sentinels that of the master.
    pub(super) async fn server(&mut self, nth: usize) -> RedisResult<Client> {
        match self {
            Self::Standalone(client) => Ok(Client::clone(client)),
            Self::Cluster(_, nodes) => nodes
                .get(nth % nodes.len().max(1))
                .cloned()
                .ok_or_else(|| (ErrorKind::Client, "no node is named").into()),
            Self::Sentinel(client) => client.async_get_client().await,
        }
    }

    async fn connect(&mut self) -> RedisResult<Connection> {
        let config = AsyncConnectionConfig::new()
            .set_connection_timeout(Some(CONNECT_TIMEOUT))
            .set_response_timeout(Some(CONNECT_TIMEOUT));
        Ok(match self {
            Self::Standalone(client) => Connection::Single(
                client.get_multiplexed_async_connection_with_config(&config).await?,
            ),
            Self::Cluster(client, _) => Connection::Cluster(client.get_async_connection().await?),
            Self::Sentinel(client) => {
                Connection::Single(client.get_async_connection_with_config(&config).await?)
            }
        })
    }
}

/// What finds the master of this name.
fn sentinel(
    tls: &RedisTls,
    sentinels: &[String],
    master: &str,
    master_url: Option<&str>,
) -> RedisResult<SentinelClient> {
    let known = |url: &String| Ok(tls.client(url)?.get_connection_info().clone());
    let known = sentinels.iter().map(known).collect::<RedisResult<Vec<ConnectionInfo>>>()?;
    let addresses = known.iter().map(|info| info.addr().clone());
    let mut builder = SentinelClientBuilder::new(addresses, master, SentinelServerType::Master)?;
    if let Some(settings) = known.first().map(ConnectionInfo::redis_settings) {
        if let Some(user) = settings.username() {
            builder = builder.set_client_to_sentinel_username(user);
        }
        if let Some(password) = settings.password() {
            builder = builder.set_client_to_sentinel_password(password);
        }
    }
    let Some(url) = master_url else { return builder.build() };
    if is_encrypted(url) {
        builder = builder
            .set_client_to_redis_tls_mode(TlsMode::Secure)
            .set_client_to_redis_certificates(tls.certificates());
    }
    let info = url.into_connection_info()?;
    let settings = info.redis_settings();
    builder = builder.set_client_to_redis_db(settings.db());
    if let Some(user) = settings.username() {
        builder = builder.set_client_to_redis_username(user);
    }
    if let Some(password) = settings.password() {
        builder = builder.set_client_to_redis_password(password);
    }
    builder.build()
}

/// The connection of a process, and its number: it grows with each new one.
#[derive(Clone)]
pub(super) struct Link {
    present: watch::Receiver<Option<(u64, Connection)>>,
    broken: Arc<Broken>,
}

/// Which connection is no good any more.
#[derive(Default)]
struct Broken {
    number: Mutex<u64>,
    notify: Notify,
}

impl Link {
    /// A link, and what keeps it up as long as it runs.
    pub(super) fn new(
        config: &RedisConfig,
    ) -> Result<(Self, impl Future<Output = ()> + Send + use<>), RedisConfigError> {
        let wrong = |error: RedisError| RedisConfigError(error.to_string());
        let source = Source::new(config).map_err(wrong)?;
        let (publish, present) = watch::channel(None);
        let broken = Arc::new(Broken::default());
        let link = Self { present, broken: broken.clone() };
        Ok((link, keep_up(source, publish, broken)))
    }

    /// The connection, if there is one now.
    pub(super) fn connection(&self) -> Option<(u64, Connection)> {
        self.present.borrow().clone()
    }

    /// Waits for a connection where there is none.
    pub(super) async fn wait(&self) {
        let mut present = self.present.clone();
        // Without a sender nobody connects any more.
        if present.wait_for(Option::is_some).await.is_err() {
            std::future::pending().await
        }
    }

    /// The connection of this number is no good any more.
    pub(super) fn is_broken(&self, number: u64) {
        *self.broken.number.lock().unwrap_or_else(PoisonError::into_inner) = number;
        self.broken.notify.notify_one();
    }
}

async fn keep_up(
    mut source: Source,
    publish: watch::Sender<Option<(u64, Connection)>>,
    broken: Arc<Broken>,
) {
    let (mut number, mut pause) = (0, FIRST_PAUSE);
    let mut random = seawall::Random::new(seawall::fresh_seed());
    loop {
        let connected = match tokio::time::timeout(CONNECT_TIMEOUT, source.connect()).await {
            Ok(connected) => connected,
            Err(_) => Err((ErrorKind::Io, "no answer within 2 s").into()),
        };
        match connected {
            Ok(connection) => {
                number += 1;
                tracing::debug!("connected to Redis");
                publish.send_replace(Some((number, connection)));
                // Only one that answers is worth trying again at once.
                let since = tokio::time::Instant::now();
                loop {
                    broken.notify.notified().await;
                    let of = *broken.number.lock().unwrap_or_else(PoisonError::into_inner);
                    if of == number {
                        break;
                    }
                }
                publish.send_replace(None);
                if since.elapsed() > LONGEST_PAUSE {
                    pause = FIRST_PAUSE;
                }
            }
            // What the client says contains no password.
            Err(error) => tracing::debug!(%error, "Redis cannot be reached"),
        }
        tokio::time::sleep(pause.mul_f64(0.5 + random.unit())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
