//! What instances share through Redis 6 or Valkey: standalone, a Cluster, or masters that Sentinels name.
//!
//! [`share_limits`] is all that a program needs to call.

mod connection;
mod limits;
mod script;

pub use connection::{RedisAddress, RedisConfig, RedisConfigError};
pub use limits::{Sharing, share_limits};
