//! Group commit: the changes of all threads go through one task, which sends what has gathered in one round trip, and
//! waits for replicas once for all of them. While one group is on its way, the next one gathers.

use super::{
    RedisLettersConfig,
    place::{exchange, told},
};
use crate::redis::{
    Redis,
    script::{Call, LETTERS, is_unknown},
};
use redis::{FromRedisValue, Pipeline, RedisResult, Value};
use std::{iter::repeat_n, time::Duration};
use tokio::sync::{mpsc, oneshot};

/// Changes of one group.
const GROUP: usize = 64;

/// A change, and who waits for it.
struct Waiting {
    call: Call<Vec<u8>>,
    caller: oneshot::Sender<Committed>,
}

/// Whether a change was made. It was not where something was not as it had been seen; then nothing has changed.
type Committed = Result<bool, String>;

/// Takes changes to the task that sends them.
pub(super) struct Writer(mpsc::Sender<Waiting>);

impl Writer {
    /// A writer, and the task that it needs, which ends with it.
    pub(super) fn new(
        redis: Redis,
        config: &RedisLettersConfig,
    ) -> (Self, impl Future<Output = ()> + Send + use<>) {
        let (sender, receiver) = mpsc::channel(GROUP);
        let (replicas, longest) = (config.wait_replicas, config.timeout);
        let group = Group { redis, replicas, longest };
        (Self(sender), group.write_all(receiver))
    }

    /// Makes a change. It is where letters are safe, as far as is configured, when this returns.
    pub(super) async fn commit(&self, call: Call<Vec<u8>>) -> Committed {
        let (caller, answer) = oneshot::channel();
        let sent = self.0.send(Waiting { call, caller }).await.is_ok();
        let ended = || Err("the runtime that writes has ended".to_owned());
        if sent { answer.await.unwrap_or_else(|_| ended()) } else { ended() }
    }
}

struct Group {
    redis: Redis,
    replicas: u32,
    longest: Duration,
}

impl Group {
    async fn write_all(self, mut changes: mpsc::Receiver<Waiting>) {
        let mut gathered = Vec::with_capacity(GROUP);
        while changes.recv_many(&mut gathered, GROUP).await > 0 {
            let (calls, callers): (Vec<_>, Vec<_>) =
                gathered.drain(..).map(|waiting| (waiting.call, waiting.caller)).unzip();
            let committed = self.write(&calls).await;
            let committed =
                committed.unwrap_or_else(|error| repeat_n(Err(error), calls.len()).collect());
            for (caller, committed) in callers.into_iter().zip(committed) {
                // One that does not wait any more needs no answer.
                _ = caller.send(committed);
            }
        }
    }

    async fn write(&self, calls: &[Call<Vec<u8>>]) -> Result<Vec<Committed>, String> {
        let mut answers = self.send(false, calls).await?;
        // A server that does not know the script has made none of them.
        if answers.iter().any(|answer| answer.as_ref().is_err_and(is_unknown)) {
            answers = self.send(true, calls).await?;
        }
        let short = self.short_of_replicas(answers.split_off(calls.len().min(answers.len())));
        let committed = answers.into_iter().map(|answer| {
            let made = answer.and_then(|answer| Ok(u8::from_redis_value(answer)? == 1));
            match (made.map_err(|error| told(&error))?, &short) {
                (true, Some(short)) => Err(short.clone()),
                (made, _) => Ok(made),
            }
        });
        Ok(committed.collect())
    }

    /// Sends changes, and behind them, on the same connection, the command that waits for replicas.
    async fn send(
        &self,
        whole: bool,
        calls: &[Call<Vec<u8>>],
    ) -> Result<Vec<RedisResult<Value>>, String> {
        let mut commands = Pipeline::with_capacity(calls.len() + 1);
        for call in calls {
            commands.add_command(LETTERS.command(whole, call));
        }
        if self.replicas > 0 {
            commands.cmd("WAIT").arg(self.replicas).arg(self.replica_wait().as_millis() as u64);
        }
        exchange(&self.redis, &commands, self.longest).await
    }

    fn replica_wait(&self) -> Duration {
        self.longest / 2
    }

    /// Says that too few replicas have what was written; none if enough have.
    fn short_of_replicas(&self, waited: Vec<RedisResult<Value>>) -> Option<String> {
        let reached =
            waited.into_iter().next()?.and_then(|answer| Ok(u32::from_redis_value(answer)?));
        let reached = match reached {
            Ok(reached) if reached >= self.replicas => return None,
            Ok(reached) => reached.to_string(),
            Err(error) => told(&error),
        };
        let (wanted, wait) = (self.replicas, self.replica_wait());
        Some(format!(
            "it is written, and not safe: of the {wanted} replicas of `wait_replicas` {reached} have it after {wait:?}"
        ))
    }
}
