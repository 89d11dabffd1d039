//! Messages that other processes publish in Redis, on a connection of its own.

use super::{
    RedisConfig,
    connection::{CONNECT_TIMEOUT, FIRST_PAUSE, LONGEST_PAUSE, Source},
};
use redis::{
    AsyncConnectionConfig, Client, FromRedisValue, ProtocolVersion, PushInfo, PushKind,
    RedisResult, aio::MultiplexedConnection,
};
use std::{convert::Infallible, sync::Arc, time::Duration};
use tokio::{sync::Notify, time::timeout};

/// How often it is tried whether the server still answers: one whose machine is gone does not say so.
const PING: Duration = Duration::from_secs(2);

/// Hands every message of a channel to `handle`, for ever. Messages that are published while there is no connection are lost.
///
/// In a Cluster any node will do: they pass messages on to one another.
pub(super) async fn subscribe(
    config: &RedisConfig,
    channel: &str,
    handle: impl Fn(&[u8]) + Send + Sync + 'static,
) {
    let Ok(mut source) = Source::new(config) else { return };
    let (handle, closed) = (Arc::new(handle), Arc::new(Notify::new()));
    let (mut pause, mut random) = (FIRST_PAUSE, seawall::Random::new(seawall::fresh_seed()));
    for nth in 0.. {
        let handle = handle.clone();
        let at_push = push(closed.clone(), move |message| handle(message));
        let connected = timeout(CONNECT_TIMEOUT, async {
            let connection = connect(source.server(nth).await?, at_push).await?;
            listen(connection, channel).await
        });
        match connected.await {
            Ok(Ok(connection)) => {
                pause = FIRST_PAUSE;
                keep(connection, &closed).await;
            }
            Ok(Err(error)) => tracing::debug!(%error, "no messages from Redis"),
            Err(_) => tracing::debug!("no messages from Redis: it does not answer"),
        }
        tokio::time::sleep(pause.mul_f64(0.5 + random.unit())).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// What is done with what the server sends by itself.
fn push(
    closed: Arc<Notify>,
    handle: impl Fn(&[u8]) + Send + Sync + 'static,
) -> impl Fn(PushInfo) -> Result<(), Infallible> + Send + Sync + 'static {
    move |push| {
        match push.kind {
            // The channel, and the message.
            PushKind::Message => {
                let message = push.data.into_iter().nth(1);
                if let Some(Ok(message)) = message.map(Vec::<u8>::from_redis_value) {
                    handle(&message);
                }
            }
            PushKind::Disconnection => closed.notify_one(),
            _ => {}
        }
        Ok(())
    }
}

async fn connect(
    client: Client,
    at_push: impl Fn(PushInfo) -> Result<(), Infallible> + Send + Sync + 'static,
) -> RedisResult<MultiplexedConnection> {
    let info = client.get_connection_info().clone();
    let settings = info.redis_settings().clone().set_protocol(ProtocolVersion::RESP3);
    let client = Client::open(info.set_redis_settings(settings))?;
    let config = AsyncConnectionConfig::new()
        .set_connection_timeout(Some(CONNECT_TIMEOUT))
        .set_response_timeout(Some(CONNECT_TIMEOUT))
        .set_push_sender(at_push);
    client.get_multiplexed_async_connection_with_config(&config).await
}

async fn listen(
    mut connection: MultiplexedConnection,
    channel: &str,
) -> RedisResult<MultiplexedConnection> {
    connection.subscribe(channel).await?;
    Ok(connection)
}

/// Until the connection is no good any more.
async fn keep(mut connection: MultiplexedConnection, closed: &Notify) {
    loop {
        let ping = async {
            tokio::time::sleep(PING).await;
            redis::cmd("PING").query_async::<String>(&mut connection).await
        };
        tokio::select! {
            () = closed.notified() => return,
            answer = ping => if answer.is_err() { return },
        }
    }
}
