//! The instances of one fleet: who is alive, and the one revision of the configuration for all of them, which is changed in two
//! steps so that a change reaches all of them or is refused.

use super::{
    Redis,
    script::{Call, FLEET},
    subscription::subscribe,
};
use redis::FromRedisValue;
use std::{fmt, time::Duration};

/// The longest wait for an answer.
const CALL_TIMEOUT: Duration = Duration::from_secs(1);
/// The most instances of one fleet; those that are gone give way.
const MOST_INSTANCES: usize = 1000;
/// For how long after its last heartbeat an instance counts as alive.
const ALIVE: Duration = Duration::from_secs(4);

/// One instance's access to what the fleet shares: its heartbeats, and the revision for all.
///
/// A revision is a text that means nothing here. It is known by its hash, which is empty where there is none. A change is proposed,
/// every instance that is alive votes on it, and it is committed when all of them said yes: each step is one script, so that
/// of two changes for the same revision one is refused.
#[derive(Clone, Debug)]
pub struct FleetStore {
    redis: Redis,
    id: String,
}

/// The answer of the store to a heartbeat.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pulse {
    /// Whether the fleet has room for this instance; without it, it does not vote and is not shown.
    pub is_member: bool,
    /// How many instances are alive, this one among them.
    pub alive: u32,
    /// The hash of the fleet's revision; empty where there is none.
    pub hash: String,
    /// The text of the revision, where it is another one than the one that is known.
    pub text: Option<String>,
    /// The change that is proposed: its identifier, and its text.
    pub proposal: Option<(String, String)>,
}

/// An instance as the store knows it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Member {
    /// The name that was given to [`FleetStore::new`], and a part that is another one at each start.
    pub id: String,
    /// The time since its last heartbeat.
    pub age: Duration,
    /// What it reported with it.
    pub report: String,
}

/// What became of a proposal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It waits for votes. After [`FleetStore::propose`] there is nobody to name yet.
    Waiting(Vec<String>),
    /// It is the fleet's revision now, by this hash.
    Committed(String),
    /// An instance refused it, for this reason.
    Refused(String, String),
    /// It was made for another revision than this one, which is the fleet's.
    Outdated(String),
    /// Another change is proposed: this one.
    Busy(String),
    /// It is there no more: its time was over, or the store has lost it.
    Gone,
}

/// Why the store did not do what it was asked. The text contains no password.
#[derive(Debug)]
pub struct FleetError(String);

impl fmt::Display for FleetError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for FleetError {}

impl FleetStore {
    /// The access of the instance with this name.
    pub fn new(redis: &Redis, name: &str) -> Self {
        Self { redis: redis.clone(), id: format!("{name}~{}", redis.instance()) }
    }

    /// The identifier of this instance among all: its name, and a part that is another one at each start.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The name in an instance's identifier.
    pub fn name_of(id: &str) -> &str {
        id.rsplit_once('~').map_or(id, |(name, _)| name)
    }

    /// The key of the fleet's revision, for people who look at it or delete it.
    pub fn revision_key(&self) -> String {
        self.redis.key("fleet", "revision")
    }

    /// For how long after its last heartbeat an instance counts as alive.
    pub fn alive_for() -> Duration {
        ALIVE
    }

    /// The channel on which it is said that there is something new.
    fn channel(&self) -> String {
        self.redis.key("fleet", "news")
    }

    /// Calls `news` whenever an instance has changed something in the store, for ever. What is changed while there is no connection
    /// is seen by the next heartbeat only.
    pub async fn listen(&self, news: impl Fn() + Send + Sync + 'static) {
        subscribe(&self.redis.0.config, &self.channel(), move |_| news()).await;
    }

    /// Waits until there is a connection.
    pub async fn connected(&self) {
        self.redis.link().wait().await;
    }

    /// Says that this instance is alive, with its report, and learns what is new. An instance whose last heartbeat is older
    /// than `gone` is forgotten. `known` is the hash of the revision that this instance knows.
    ///
    /// # Errors
    /// When the store does not answer within a second, or answers with an error.
    pub async fn beat(
        &self,
        report: &str,
        gone: Duration,
        known: &str,
    ) -> Result<Pulse, FleetError> {
        let (gone, most) = (gone.as_millis().to_string(), MOST_INSTANCES.to_string());
        let within = ALIVE.as_millis().to_string();
        let answer = self.run(&["beat", &self.id, report, &within, &gone, &most, known]).await?;
        let (room, alive, hash, text, change, body): (u8, u32, String, String, String, String) =
            answer;
        Ok(Pulse {
            is_member: room == 1,
            alive,
            hash,
            text: (!text.is_empty()).then_some(text),
            proposal: (!change.is_empty()).then_some((change, body)),
        })
    }

    /// All instances that are not forgotten, those that were heard of longest ago first.
    ///
    /// # Errors
    /// When the store does not answer within a second, or answers with an error.
    pub async fn members(&self) -> Result<Vec<Member>, FleetError> {
        let found: Vec<(String, u64, String)> = self.run(&["members"]).await?;
        let member = |(id, age, report)| Member { id, age: Duration::from_millis(age), report };
        Ok(found.into_iter().map(member).collect())
    }

    /// Proposes a change that was made for the revision with the hash `base`. It is forgotten after `lasts`.
    ///
    /// # Errors
    /// When the store does not answer within a second, or answers with an error.
    pub async fn propose(
        &self,
        base: &str,
        id: &str,
        body: &str,
        lasts: Duration,
    ) -> Result<Verdict, FleetError> {
        let lasts = lasts.as_millis().max(1).to_string();
        verdict(self.run(&["propose", &self.channel(), base, id, body, &lasts]).await?)
    }

    /// Votes on a proposal: `None` for it, or a reason against it. A vote on one that is there no more does nothing.
    ///
    /// # Errors
    /// When the store does not answer within a second, or answers with an error.
    pub async fn vote(&self, id: &str, against: Option<&str>) -> Result<(), FleetError> {
        // A reason must not read as a yes.
        let word = against.map_or_else(|| "yes".to_owned(), |why| format!("no: {why}"));
        self.run(&["vote", &self.channel(), &self.id, id, &word]).await
    }

    /// Makes `text` the fleet's revision if every instance that is alive has voted for the proposal.
    ///
    /// # Errors
    /// When the store does not answer within a second, or answers with an error. Whether it was committed is not known then.
    pub async fn decide(&self, id: &str, base: &str, text: &str) -> Result<Verdict, FleetError> {
        let within = ALIVE.as_millis().to_string();
        let channel = self.channel();
        verdict(self.run(&["decide", &channel, &self.id, id, base, text, &within]).await?)
    }

    /// Takes a proposal back.
    ///
    /// # Errors
    /// When the store does not answer within a second, or answers with an error; then it ends when its time is over.
    pub async fn withdraw(&self, id: &str) -> Result<(), FleetError> {
        self.run(&["withdraw", id]).await
    }

    /// Puts a revision in place of the one with the hash `base`, for a store that has lost it. Says whether it did: not if
    /// another one is there by now.
    ///
    /// # Errors
    /// When the store does not answer within a second, or answers with an error.
    pub async fn restore(&self, base: &str, text: &str) -> Result<bool, FleetError> {
        self.run::<u8>(&["restore", &self.channel(), base, text]).await.map(|done| done == 1)
    }

    /// Says that this instance ends: it is forgotten at once, and no change waits for it.
    ///
    /// # Errors
    /// When the store does not answer within a second, or answers with an error.
    pub async fn leave(&self) -> Result<(), FleetError> {
        self.run(&["leave", &self.id]).await
    }

    async fn run<T: FromRedisValue>(&self, arguments: &[&str]) -> Result<T, FleetError> {
        let link = self.redis.link();
        let Some((number, mut connection)) = link.connection() else {
            return Err(FleetError("there is no connection to Redis".to_owned()));
        };
        let keys = ["members", "reports", "revision", "proposal", "votes"];
        let call = Call {
            keys: keys.iter().map(|name| self.redis.key("fleet", name)).collect(),
            arguments: arguments.iter().map(|&argument| argument.to_owned()).collect(),
        };
        let answer = FLEET.run(&mut connection, &call);
        match tokio::time::timeout(CALL_TIMEOUT, answer).await {
            Ok(Ok(value)) => T::from_redis_value(value).map_err(|error| {
                FleetError(format!("an answer of Redis is not readable: {error}"))
            }),
            Ok(Err(error)) => {
                link.is_broken(number);
                Err(FleetError(format!("Redis answers with an error: {error}")))
            }
            Err(_) => {
                link.is_broken(number);
                Err(FleetError(format!("Redis does not answer within {CALL_TIMEOUT:?}")))
            }
        }
    }
}

/// The verdict in an answer.
fn verdict(answer: Vec<String>) -> Result<Verdict, FleetError> {
    let mut words = answer.into_iter();
    let kind = words.next().unwrap_or_default();
    let mut next = || words.next().unwrap_or_default();
    Ok(match kind.as_str() {
        "proposed" => Verdict::Waiting(Vec::new()),
        "waiting" => Verdict::Waiting(words.collect()),
        "committed" => Verdict::Committed(next()),
        "refused" => Verdict::Refused(next(), next().trim_start_matches("no: ").to_owned()),
        "outdated" => Verdict::Outdated(next()),
        "busy" => Verdict::Busy(next()),
        "gone" => Verdict::Gone,
        other => return Err(FleetError(format!("Redis answers with {other:?}"))),
    })
}
