//! Takes the questions of shared limits to Redis, and brings its answers back.

use super::{
    Redis,
    discovery::{Connectors, Sharing, follow, lock},
    script::{Call, INSTANCE, LIMIT},
};
use redis::{FromRedisValue, RedisResult, Value};
use seawall::{
    Algorithm, Key, Limit, LimitAsk, LimitGrant, LimitSettlement, Random, Registry, SharedLimits,
    Timer, Unit, fresh_seed,
};
use std::{
    future::poll_fn,
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::task::JoinSet;

/// The most questions in one round trip.
const BATCH: usize = 256;
/// How often an instance says that it is alive, and for how long it counts as such.
const HEARTBEAT: Duration = Duration::from_secs(2);
const ALIVE: Duration = Duration::from_secs(10);
/// The pause between two looks whether Redis answers again, and before a key whose node has failed is asked for again.
const PROBE_PAUSE: Duration = Duration::from_millis(250);
/// The longest time that a look may take: longer than an answer may, so that a server that is busy is found again.
const PROBE_TIMEOUT: Duration = Duration::from_secs(1);
/// By how much more than the store said a refused call is kept from it, at most.
const LONGEST_JITTER: Duration = Duration::from_millis(50);

/// Shares the limits of a registry's operations through Redis: of those whose rate limiter has a `shared` configuration, now
/// and in the future. Everything happens in tasks of the present tokio runtime; Redis need not be there, now or ever: until it
/// is, each limit is decided as its `degraded` says.
///
/// ```no_run
/// use seawall::{Registry, SharedLimit, prelude::*};
/// use seawall_store::redis::{Redis, RedisAddress, RedisConfig, RedisTls, share_limits};
/// use std::time::Duration;
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::default();
/// let limit = rate_limit(100, Duration::from_secs(1)).shared(SharedLimit::default().lease(10));
/// registry.register("search", policies![limit])?;
/// let address = RedisAddress::Standalone("redis://127.0.0.1/".into());
/// let redis = Redis::open(RedisConfig { address, prefix: "seawall".into(), tls: RedisTls::default() })?;
/// let _sharing = share_limits(&registry, &redis);
/// # Ok(()) }
/// ```
///
/// # Panics
/// Outside a tokio runtime.
pub fn share_limits<Tm>(registry: &Registry<Tm>, redis: &Redis) -> Sharing
where
    Tm: Timer + Clone + Send + Sync + 'static,
    Tm::Sleep: Send,
{
    let mut tasks = JoinSet::new();
    let (redis, clock) = (redis.clone(), registry.clone());
    let connect = move |limits: SharedLimits| {
        let connector = Connector {
            rows: rows_of(&limits),
            limits,
            redis: redis.clone(),
            clock: clock.clone(),
            random: Mutex::new(Random::new(fresh_seed())),
        };
        connector.run()
    };
    let known: Arc<Connectors<SharedLimits>> = Arc::default();
    tasks.spawn(follow(registry.clone(), known, connect));
    Sharing(tasks)
}

/// A limit as the script reads it.
struct Row {
    /// What its keys end with: states that do not mean the same do not meet.
    suffix: String,
    arguments: [String; 4],
}

fn rows_of(limits: &SharedLimits) -> Vec<Row> {
    limits.limits().iter().enumerate().map(|(at, limit)| row(limits.unit(), at, limit)).collect()
}

fn row(unit: Unit, at: usize, limit: &Limit) -> Row {
    let kind = match limit.algorithm {
        Algorithm::TokenBucket => "token_bucket",
        Algorithm::FixedWindow => "fixed_window",
        Algorithm::SlidingWindow => "sliding_window",
        Algorithm::SlidingLog => "sliding_log",
    };
    let per = limit.per.as_micros().max(1);
    let interval = limit.per.as_secs_f64() * 1e6 / f64::from(limit.rate.max(1));
    let numbers = [per.to_string(), limit.capacity().to_string(), format!("{interval:.6}")];
    let [per, capacity, interval] = numbers;
    let unit = if unit == Unit::Tokens { ":tokens" } else { "" };
    let suffix = format!("{at}:{kind}:{per}{unit}");
    Row { suffix, arguments: [kind.to_owned(), per, capacity, interval] }
}

/// Takes the questions of one limit to Redis.
struct Connector<C> {
    limits: SharedLimits,
    rows: Vec<Row>,
    redis: Redis,
    clock: C,
    random: Mutex<Random>,
}

/// Redis did not answer as it should.
struct Lost;

impl<Tm: Timer + Clone> Connector<Registry<Tm>> {
    async fn run(self) {
        loop {
            self.redis.link().wait().await;
            if self.probe().await.is_ok() {
                self.serve().await;
                self.limits.lost(self.clock.now());
            }
            tokio::time::sleep(PROBE_PAUSE).await;
        }
    }

    /// Carries questions until Redis does not answer.
    async fn serve(&self) {
        let mut heartbeat = tokio::time::interval(HEARTBEAT);
        heartbeat.reset();
        loop {
            let asks = poll_fn(|cx| self.limits.poll_asks(self.clock.now(), BATCH, cx));
            let answered = tokio::select! {
                asks = asks => match asks {
                    // Calls gave up waiting.
                    asks if asks.is_empty() => Err(Lost),
                    asks => self.ask(asks).await,
                },
                _ = heartbeat.tick() => self.probe().await,
            };
            if answered.is_err() {
                return;
            }
        }
    }

    /// One round trip.
    async fn ask(&self, asks: Vec<LimitAsk>) -> Result<(), Lost> {
        let Some((number, mut connection)) = self.redis.link().connection() else {
            return Err(Lost);
        };
        let calls = asks.iter().map(|ask| self.call(ask)).collect();
        let asked_at = self.clock.now();
        let answers = LIMIT.run_all(&mut connection, calls);
        let answers = match tokio::time::timeout(self.limits.timeout(), answers).await {
            Err(_) => return Err(Lost),
            Ok(Err(error)) => {
                tracing::debug!(%error, limit = self.limits.name(), "Redis is lost");
                self.redis.link().is_broken(number);
                return Err(Lost);
            }
            Ok(Ok(answers)) => answers,
        };
        let now = self.clock.now();
        self.limits.round_trip(now, asks.len() as u32, now.since(asked_at));
        let mut failed = 0;
        for (ask, answer) in asks.iter().zip(answers) {
            match answer.and_then(grant) {
                Ok(mut grant) => {
                    grant.retry_after = grant.retry_after.map(|wait| self.jittered(wait));
                    self.limits.granted(now, ask, &grant);
                }
                Err(error) => {
                    tracing::debug!(%error, limit = self.limits.name(), "Redis refuses");
                    self.limits.failed(ask, now + PROBE_PAUSE);
                    failed += 1;
                }
            }
        }
        if failed == asks.len() {
            // A master that is one no more, a server that loads, a cluster that is down.
            self.redis.link().is_broken(number);
            return Err(Lost);
        }
        Ok(())
    }

    /// Says that this instance is alive, which tells whether Redis is.
    async fn probe(&self) -> Result<(), Lost> {
        let Some((number, mut connection)) = self.redis.link().connection() else {
            return Err(Lost);
        };
        let instance = self.redis.instance().to_owned();
        let call = Call {
            keys: vec![self.redis.key(self.limits.name(), "instances")],
            arguments: vec![instance, ALIVE.as_millis().to_string()],
        };
        let began = self.clock.now();
        let answer = INSTANCE.run(&mut connection, &call);
        let answer = tokio::time::timeout(PROBE_TIMEOUT, answer).await;
        let instances = answer.ok().and_then(Result::ok).map(u32::from_redis_value);
        let Some(Ok(instances)) = instances else {
            self.redis.link().is_broken(number);
            return Err(Lost);
        };
        let now = self.clock.now();
        if now.since(began) > self.limits.timeout() {
            return Err(Lost);
        }
        self.limits.connected(now, Some(instances));
        Ok(())
    }

    /// A little later than the store said, where calls flow into a bucket one by one: instances that all came back for each
    /// would leave them to the one with the fastest machine. A window that opens has enough for all, at once.
    fn jittered(&self, wait: Duration) -> Duration {
        let flows = [Algorithm::TokenBucket, Algorithm::SlidingWindow];
        if !self.limits.limits().iter().any(|limit| flows.contains(&limit.algorithm)) {
            return wait;
        }
        let mut random = lock(&self.random);
        wait + wait.min(LONGEST_JITTER).mul_f64(random.unit())
    }

    fn call(&self, ask: &LimitAsk) -> Call {
        let name = self.limits.name();
        // All limits of one key are in one slot of a Cluster.
        let tag = if ask.key == Key::NONE {
            name.to_owned()
        } else {
            format!("{name}:{:016x}", ask.key.hash())
        };
        let keys = self.rows.iter().map(|row| self.redis.key(&tag, &row.suffix));
        let LimitSettlement { beyond, left, left_since } = ask.settlement;
        let numbers = [ask.first, ask.needed, ask.ahead, beyond, left];
        let numbers = numbers.map(|number| number.to_string()).into_iter();
        let numbers = numbers.chain([left_since.as_micros().to_string()]);
        let limits = self.rows.iter().flat_map(|row| row.arguments.clone());
        Call { keys: keys.collect(), arguments: numbers.chain(limits).collect() }
    }
}

fn grant(value: Value) -> RedisResult<LimitGrant> {
    let (calls, wait, remaining, reset): (u32, i64, u32, u64) =
        FromRedisValue::from_redis_value(value)?;
    Ok(LimitGrant {
        calls,
        retry_after: u64::try_from(wait).ok().map(Duration::from_micros),
        remaining,
        reset_after: Duration::from_micros(reset),
    })
}
