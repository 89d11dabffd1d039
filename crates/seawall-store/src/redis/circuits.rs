//! Takes the reports of shared circuits to Redis, and brings the circuits of all instances back.

use super::{
    Redis,
    discovery::{Connectors, Sharing, follow, lock},
    script::{CIRCUIT, Call},
    subscription::subscribe,
};
use redis::{FromRedisValue, RedisResult, Value};
use seawall::{
    CircuitReport, FleetCircuit, Instant, Key, ProbeLease, Registry, ReportedState, SharedCircuits,
    Timer,
};
use std::{future::poll_fn, sync::Arc, time::Duration};
use tokio::task::{AbortHandle, JoinSet};

/// The most reports in one round trip.
const BATCH: usize = 64;
/// For how long an instance counts as alive, and its vote counts, after it was last heard of.
const ALIVE: Duration = Duration::from_secs(5);
/// The pause before Redis is tried again.
const PAUSE: Duration = Duration::from_millis(250);

/// Shares the circuits of a registry's operations through Redis: of those whose circuit breaker has a `shared` configuration,
/// now and in the future. Everything happens in tasks of the present tokio runtime. Redis need not be there, now or ever:
/// until it is, each circuit is this instance's own.
///
/// ```no_run
/// use seawall::{Registry, SharedCircuit, prelude::*};
/// use seawall_store::redis::{Redis, RedisAddress, RedisConfig, RedisTls, share_circuits};
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let registry = Registry::default();
/// registry.register("payments", policies![breaker().shared(SharedCircuit::default())])?;
/// let address = RedisAddress::Standalone("redis://127.0.0.1/".into());
/// let redis = Redis::open(RedisConfig { address, prefix: "seawall".into(), tls: RedisTls::default() })?;
/// let _sharing = share_circuits(&registry, &redis);
/// # Ok(()) }
/// ```
///
/// # Panics
/// Outside a tokio runtime.
pub fn share_circuits<Tm>(registry: &Registry<Tm>, redis: &Redis) -> Sharing
where
    Tm: Timer + Clone + Send + Sync + 'static,
    Tm::Sleep: Send,
{
    let known: Arc<Connectors<SharedCircuits>> = Arc::default();
    let mut tasks = JoinSet::new();
    let (through, clock) = (redis.clone(), registry.clone());
    let connect = move |circuits: SharedCircuits| {
        Connector { circuits, redis: through.clone(), clock: clock.clone() }.run()
    };
    tasks.spawn(follow(registry.clone(), known.clone(), connect));
    let (redis, registry) = (redis.clone(), registry.clone());
    tasks.spawn(async move {
        let instance = redis.instance().to_owned();
        let handle = move |message: &[u8]| {
            if let Some(message) = Message::read(message) {
                message.hand_in(&lock(&known), &instance, registry.now());
            }
        };
        subscribe(&redis.0.config, &channel(&redis), handle).await;
    });
    Sharing(tasks)
}

/// The channel on which changes are published.
fn channel(redis: &Redis) -> String {
    format!("{}:circuits", redis.0.config.prefix)
}

/// A change of a circuit, as the script publishes it.
struct Message<'a> {
    name: &'a str,
    member: &'a str,
    circuit: FleetCircuit,
}

impl<'a> Message<'a> {
    fn read(message: &'a [u8]) -> Option<Self> {
        let mut lines = str::from_utf8(message).ok()?.split('\n');
        let (name, member) = (lines.next()?, lines.next()?);
        let key = key_of(lines.next()?)?;
        let change = lines.next()?.parse().ok()?;
        let is_open = lines.next()? == "1";
        let left = Duration::from_millis(lines.next()?.parse().ok()?);
        let openings = lines.next()?.parse().ok()?;
        let open = is_open.then_some((left, openings));
        Some(Self {
            name,
            member,
            circuit: FleetCircuit { key, change, open, ..Default::default() },
        })
    }

    /// Tells all whom it concerns; who caused it knows it from the answer to its report.
    fn hand_in(&self, known: &[(SharedCircuits, AbortHandle)], instance: &str, now: Instant) {
        let concerns = |circuits: &SharedCircuits| {
            circuits.name() == self.name && member(instance, circuits) != self.member
        };
        for (circuits, _) in known.iter().filter(|(circuits, _)| concerns(circuits)) {
            circuits.learned(now, &self.circuit);
        }
    }
}

/// The name of one breaker among those that share its circuits.
fn member(instance: &str, circuits: &SharedCircuits) -> String {
    format!("{instance}/{}", circuits.member())
}

/// The name of a circuit in Redis.
fn name_of(key: Key) -> String {
    format!("{:016x}", key.hash())
}

fn key_of(name: &str) -> Option<Key> {
    u64::from_str_radix(name, 16).ok().map(Key::from_hash)
}

/// Takes the reports of one breaker to Redis.
struct Connector<C> {
    circuits: SharedCircuits,
    redis: Redis,
    clock: C,
}

/// Redis did not answer as it should.
struct Lost;

impl<Tm: Timer + Clone> Connector<Registry<Tm>> {
    async fn run(self) {
        loop {
            self.redis.link().wait().await;
            if self.circuits.takes_part() && self.beat().await.is_ok() {
                let circuit = self.circuits.name();
                tracing::info!(circuit, "the circuit is shared through Redis");
                if self.serve().await.is_err() && self.circuits.lost(self.clock.now()) {
                    tracing::warn!(circuit, "Redis does not answer: this instance goes on alone");
                }
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Carries reports until Redis does not answer, or the breaker does not take part any more.
    async fn serve(&self) -> Result<(), Lost> {
        let mut heartbeat = tokio::time::interval(self.circuits.lease() / 3);
        heartbeat.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        heartbeat.reset();
        while self.circuits.takes_part() {
            let reports = poll_fn(|cx| self.circuits.poll_reports(self.clock.now(), cx));
            tokio::select! {
                reports = reports => self.tell(reports).await?,
                _ = heartbeat.tick() => self.beat().await?,
            }
        }
        Ok(())
    }

    /// Says again what there is to say, and reads what others have said.
    async fn beat(&self) -> Result<(), Lost> {
        self.tell(self.circuits.reports(self.clock.now())).await
    }

    async fn tell(&self, reports: Vec<CircuitReport>) -> Result<(), Lost> {
        if reports.is_empty() {
            return self.ask(&[]).await;
        }
        for batch in reports.chunks(BATCH) {
            self.ask(batch).await?;
        }
        Ok(())
    }

    /// One round trip.
    async fn ask(&self, reports: &[CircuitReport]) -> Result<(), Lost> {
        let Some((number, mut connection)) = self.redis.link().connection() else {
            return Err(Lost);
        };
        let (asked, seen) = (self.clock.now(), self.circuits.seen());
        let call = self.call(reports, seen);
        let answer = CIRCUIT.run(&mut connection, &call);
        let answer = tokio::time::timeout(self.circuits.timeout(), answer).await;
        let circuit = self.circuits.name();
        let answer = match answer {
            Err(_) => {
                tracing::debug!(circuit, "Redis takes too long");
                return Err(Lost);
            }
            Ok(answer) => answer.and_then(Answer::read),
        };
        match answer {
            Ok(answer) => {
                self.hand_in(asked, reports, answer);
                Ok(())
            }
            Err(error) => {
                tracing::debug!(%error, circuit, "Redis is lost");
                self.redis.link().is_broken(number);
                Err(Lost)
            }
        }
    }

    fn hand_in(&self, asked: Instant, reports: &[CircuitReport], answer: Answer) {
        let now = self.clock.now();
        let (reported, further) =
            answer.circuits.split_at(reports.len().min(answer.circuits.len()));
        for (report, circuit) in reports.iter().zip(reported) {
            self.circuits.answered(now, report, circuit);
        }
        further.iter().for_each(|circuit| self.circuits.learned(now, circuit));
        self.circuits.connected(now, asked, answer.instances, answer.last);
    }

    fn call(&self, reports: &[CircuitReport], seen: u64) -> Call {
        let (circuits, redis) = (&self.circuits, &self.redis);
        let name = circuits.name();
        // All circuits of a name are in one slot of a Cluster.
        let keys = ["circuits", "votes", "members"].map(|key| redis.key(name, key));
        let head = [
            member(redis.instance(), circuits),
            ALIVE.as_millis().to_string(),
            channel(redis),
            name.to_owned(),
            seen.to_string(),
            circuits.open_by().label().to_owned(),
            circuits.lease().as_millis().to_string(),
        ];
        let reports = reports.iter().flat_map(arguments);
        Call { keys: keys.into(), arguments: head.into_iter().chain(reports).collect() }
    }
}

fn arguments(report: &CircuitReport) -> [String; 8] {
    let (state, left, openings) = match report.state {
        ReportedState::Unsaid => ("unsaid", Duration::ZERO, 0),
        ReportedState::Closed => ("closed", Duration::ZERO, 0),
        ReportedState::Reset => ("reset", Duration::ZERO, 0),
        ReportedState::Open { left, openings } => ("open", left, openings),
    };
    [
        name_of(report.key),
        report.known.to_string(),
        state.to_owned(),
        u8::from(report.is_own).to_string(),
        // Rounded up: what is left is more than nothing.
        left.as_micros().div_ceil(1_000).to_string(),
        openings.to_string(),
        report.lease.to_string(),
        u8::from(report.wants_lease).to_string(),
    ]
}

/// The answer of the script to one call.
struct Answer {
    last: u64,
    instances: u32,
    circuits: Vec<FleetCircuit>,
}

impl Answer {
    fn read(value: Value) -> RedisResult<Self> {
        let parts = Vec::<Value>::from_redis_value(value)?;
        let mut parts = parts.into_iter();
        let mut next = || parts.next().unwrap_or(Value::Nil);
        let (last, instances) = (u64::from_redis_value(next())?, u32::from_redis_value(next())?);
        Ok(Self { last, instances, circuits: parts.map(circuit).collect::<RedisResult<_>>()? })
    }
}

fn circuit(value: Value) -> RedisResult<FleetCircuit> {
    type Row = (String, u64, u8, u64, u32, u64, u64, u32, u64);
    let (name, change, is_open, left, openings, number, lasts, nth, taken): Row =
        FromRedisValue::from_redis_value(value)?;
    let millis = Duration::from_millis;
    Ok(FleetCircuit {
        // A name that is none belongs to no circuit here.
        key: key_of(&name).unwrap_or(Key::from_hash(u64::MAX)),
        change,
        open: (is_open == 1).then(|| (millis(left), openings)),
        lease: (number > 0).then(|| ProbeLease { number, left: millis(lasts), nth }),
        taken_for: (taken > 0).then(|| millis(taken)),
    })
}
