//! Lua scripts, called by their hash; sent whole where the server does not know them yet.

use super::connection::Connection;
use redis::{
    Cmd, ErrorKind, Pipeline, RedisError, RedisResult, Script, ServerErrorKind, ToRedisArgs, Value,
    aio::ConnectionLike,
};
use std::sync::LazyLock;
use tokio::task::JoinSet;

/// A script, known to servers by the hash of its text.
pub(super) struct Lua {
    text: &'static str,
    hash: LazyLock<String>,
}

/// Takes calls from limits.
pub(super) static LIMIT: Lua = Lua {
    text: include_str!("limit.lua"),
    hash: LazyLock::new(|| Script::new(include_str!("limit.lua")).get_hash().to_owned()),
};

/// Counts instances.
pub(super) static INSTANCE: Lua = Lua {
    text: include_str!("instance.lua"),
    hash: LazyLock::new(|| Script::new(include_str!("instance.lua")).get_hash().to_owned()),
};

/// Changes dead letters, where they are as they were seen.
pub(super) static LETTERS: Lua = Lua {
    text: include_str!("letters/commit.lua"),
    hash: LazyLock::new(|| Script::new(include_str!("letters/commit.lua")).get_hash().to_owned()),
};

/// Takes or renews the lease of a replay of many letters.
pub(super) static LEASE: Lua = Lua {
    text: include_str!("letters/lease.lua"),
    hash: LazyLock::new(|| Script::new(include_str!("letters/lease.lua")).get_hash().to_owned()),
};

/// Carries circuits.
pub(super) static CIRCUIT: Lua = Lua {
    text: include_str!("circuit.lua"),
    hash: LazyLock::new(|| Script::new(include_str!("circuit.lua")).get_hash().to_owned()),
};

/// What the instances of a fleet know of one another.
pub(super) static FLEET: Lua = Lua {
    text: include_str!("fleet.lua"),
    hash: LazyLock::new(|| Script::new(include_str!("fleet.lua")).get_hash().to_owned()),
};

/// The keys and arguments of one call.
#[derive(Clone)]
pub(super) struct Call<A = String> {
    pub(super) keys: Vec<String>,
    pub(super) arguments: Vec<A>,
}

impl Lua {
    /// The command of one call: by the script's hash, or with the whole script for a server that does not know it yet.
    pub(super) fn command<A: ToRedisArgs>(&self, whole: bool, call: &Call<A>) -> Cmd {
        let mut command = if whole { redis::cmd("EVAL") } else { redis::cmd("EVALSHA") };
        if whole {
            command.arg(self.text)
        } else {
            command.arg(&*self.hash)
        };
        command.arg(call.keys.len()).arg(&call.keys).arg(&call.arguments);
        command
    }

    /// Runs the script once.
    pub(super) async fn run(&self, connection: &mut Connection, call: &Call) -> RedisResult<Value> {
        match connection.send(&self.command(false, call)).await {
            Err(error) if is_unknown(&error) => connection.send(&self.command(true, call)).await,
            answer => answer,
        }
    }

    /// Runs the script for several calls in one round trip; in a Cluster each node has its own. An error is that of the whole.
    pub(super) async fn run_all(
        &'static self,
        connection: &mut Connection,
        calls: Vec<Call>,
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        match connection {
            Connection::Single(connection) => {
                let mut answers = self.pipeline(connection, false, &calls).await?;
                // A server that does not know the script has run none of them.
                if answers.iter().any(|answer| answer.as_ref().is_err_and(is_unknown)) {
                    answers = self.pipeline(connection, true, &calls).await?;
                }
                Ok(answers)
            }
            Connection::Cluster(_) => {
                let mut tasks = JoinSet::new();
                for (at, call) in calls.into_iter().enumerate() {
                    let mut connection = connection.clone();
                    tasks.spawn(async move { (at, self.run(&mut connection, &call).await) });
                }
                let mut answers = tasks.join_all().await;
                answers.sort_by_key(|(at, _)| *at);
                Ok(answers.into_iter().map(|(_, answer)| answer).collect())
            }
        }
    }

    async fn pipeline(
        &self,
        connection: &mut impl ConnectionLike,
        whole: bool,
        calls: &[Call],
    ) -> RedisResult<Vec<RedisResult<Value>>> {
        let mut pipeline = Pipeline::with_capacity(calls.len());
        calls.iter().for_each(|call| {
            pipeline.add_command(self.command(whole, call));
        });
        let answers = connection.req_packed_commands(&pipeline, 0, calls.len()).await?;
        Ok(answers.into_iter().map(Value::extract_error).collect())
    }
}

/// Whether this server does not know the script yet. Then it has not run.
pub(super) fn is_unknown(error: &RedisError) -> bool {
    error.kind() == ErrorKind::Server(ServerErrorKind::NoScript)
}
