//! What all calls of a place for letters share: the connections, the names, and how Redis is asked.

use super::{RedisLettersConfig, layout::Layout, writer::Writer};
use crate::{
    letters::{config::Queues, keys::Keys},
    redis::{
        Redis,
        script::{Call, Lua, is_unknown},
    },
    store::{Result, StoreError},
};
use redis::{ErrorKind, FromRedisValue, Pipeline, RedisError, RedisResult, ServerErrorKind, Value};
use std::{
    collections::BTreeSet,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock},
    time::Duration,
};

/// How long a call waits for a connection where there is none.
const CONNECTION_WAIT: Duration = Duration::from_millis(250);

pub(super) struct Place {
    pub(super) layout: Layout,
    pub(super) config: RedisLettersConfig,
    /// The name of this opening of the place among all others.
    pub(super) owner: String,
    pub(super) keys: Keys,
    pub(super) writer: Writer,
    pub(super) reads: Redis,
    pub(super) queues: RwLock<Arc<Queues>>,
    /// Letters whose replays have begun here and have not ended.
    held: Mutex<BTreeSet<u128>>,
    /// Jobs whose leases were taken here.
    leases: Mutex<BTreeSet<u128>>,
    /// The name of the place for people.
    name: String,
}

impl Place {
    pub(super) fn new(
        redis: Redis,
        writer: Writer,
        config: RedisLettersConfig,
        queues: Queues,
        keys: Keys,
    ) -> Self {
        Self {
            layout: Layout::new(&redis, &config.key_prefix),
            owner: format!("{:016x}-{}", seawall::fresh_seed(), redis.instance()),
            name: format!(
                "Redis ({:?}), under {}",
                redis.0.config.address,
                redis.key(&config.key_prefix, "*")
            ),
            config,
            keys,
            writer,
            reads: redis,
            queues: RwLock::new(Arc::new(queues)),
            held: Mutex::default(),
            leases: Mutex::default(),
        }
    }

    pub(super) fn name(&self) -> String {
        self.name.clone()
    }

    pub(super) fn queues(&self) -> Arc<Queues> {
        self.queues.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn held(&self) -> MutexGuard<'_, BTreeSet<u128>> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn leases(&self) -> MutexGuard<'_, BTreeSet<u128>> {
        self.leases.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn error(&self, cause: impl fmt::Display) -> StoreError {
        StoreError::new(self.name(), cause.to_string())
    }

    /// Asks Redis, in one round trip.
    pub(super) async fn ask(&self, commands: &Pipeline) -> Result<Vec<Value>> {
        if commands.is_empty() {
            return Ok(Vec::new());
        }
        let answers = exchange(&self.reads, commands, self.config.timeout).await;
        let answers = answers.map_err(|error| self.error(error))?;
        answers.into_iter().map(|answer| answer.map_err(|error| self.error(told(&error)))).collect()
    }

    /// Asks Redis one thing.
    pub(super) async fn ask_one<T: FromRedisValue>(&self, command: redis::Cmd) -> Result<T> {
        let mut commands = Pipeline::with_capacity(1);
        commands.add_command(command);
        let answer = self.ask(&commands).await?.pop().unwrap_or(Value::Nil);
        self.read(answer)
    }

    /// Runs a script that changes no letter.
    pub(super) async fn ask_script<T: FromRedisValue>(
        &self,
        script: &Lua,
        call: &Call,
    ) -> Result<T> {
        for whole in [false, true] {
            let mut commands = Pipeline::with_capacity(1);
            commands.add_command(script.command(whole, call));
            let answers = exchange(&self.reads, &commands, self.config.timeout).await;
            let answer =
                answers.map_err(|error| self.error(error))?.pop().unwrap_or(Ok(Value::Nil));
            match answer {
                Err(error) if !whole && is_unknown(&error) => {}
                Err(error) => return Err(self.error(told(&error))),
                Ok(answer) => return self.read(answer),
            }
        }
        Err(self.error("Redis forgets scripts as soon as it has them"))
    }

    /// Reads an answer as the type that it should have.
    pub(super) fn read<T: FromRedisValue>(&self, answer: Value) -> Result<T> {
        T::from_redis_value(answer).map_err(|error| self.error(error))
    }
}

/// Sends commands, and waits for their answers. A connection that is no good any more is replaced.
pub(super) async fn exchange(
    redis: &Redis,
    commands: &Pipeline,
    longest: Duration,
) -> std::result::Result<Vec<RedisResult<Value>>, String> {
    let unreachable =
        || "Redis cannot be reached; letters can be used again as soon as it can".to_owned();
    let link = redis.link();
    // It is there already, but at a start and after a loss.
    if tokio::time::timeout(CONNECTION_WAIT, link.wait()).await.is_err() {
        return Err(unreachable());
    }
    let (number, mut connection) = link.connection().ok_or_else(unreachable)?;
    let answers = tokio::time::timeout(longest, connection.send_all(commands)).await;
    let Ok(answers) = answers else {
        link.is_broken(number);
        return Err(format!("Redis has not answered within {longest:?}"));
    };
    let all = answers.as_ref();
    let lost = all
        .map_or_else(is_lost, |all| all.iter().filter_map(|one| one.as_ref().err()).any(is_lost));
    if lost {
        link.is_broken(number);
    }
    answers.map_err(|error| told(&error))
}

/// Whether another connection may fare better: this one is broken, or leads to a server that is no master.
fn is_lost(error: &RedisError) -> bool {
    use ServerErrorKind::{BusyLoading, ClusterDown, MasterDown, ReadOnly};
    let of_server = matches!(
        error.kind(),
        ErrorKind::Server(BusyLoading | ClusterDown | MasterDown | ReadOnly)
    );
    of_server || error.is_io_error() || error.is_unrecoverable_error()
}

/// An error for people, with what to do where that is known.
pub(super) fn told(error: &RedisError) -> String {
    match error.code() {
        Some("OOM") => {
            "Redis has no memory left: give it more (`maxmemory`), or delete letters".to_owned()
        }
        Some("NOREPLICAS") => format!("Redis takes nothing without its replicas: {error}"),
        _ => format!("Redis does not do it: {error}"),
    }
}
