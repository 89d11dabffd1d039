//! Percentiles of latency, as the API and the stream of snapshots say them.

use seawall::Latencies;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// Percentiles of latency in milliseconds, exact to a microsecond; `null` before the first call.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, ToSchema)]
pub struct LatencyView {
    /// The number of executions that were measured; rejected ones are not.
    pub count: u64,
    /// The median in milliseconds: half of the executions took no longer.
    pub p50: Option<f64>,
    /// The 95th percentile in milliseconds.
    pub p95: Option<f64>,
    /// The 99th percentile in milliseconds.
    pub p99: Option<f64>,
}

impl LatencyView {
    pub(crate) fn of(latencies: &Latencies) -> Self {
        let ms = |q| latencies.quantile(q).map(|time| (time.as_secs_f64() * 1e6).round() / 1e3);
        Self { count: latencies.count(), p50: ms(0.5), p95: ms(0.95), p99: ms(0.99) }
    }
}
