//! Statistics of configuration events: use of presets, times of loads, hour by hour.

use super::{MetricType, Record};
use crate::wall_clock;
use serde::Serialize;
use std::collections::BTreeMap;
use utoipa::ToSchema;

/// Statistics of the use of configurations.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct UsageStatistics {
    /// The number of loads that succeeded.
    pub(crate) total_loads: usize,
    /// How often each preset was put in force.
    pub(crate) preset_usage_count: BTreeMap<String, usize>,
    /// The share of loads that failed, from 0 to 1.
    pub(crate) error_rate: f64,
    pub(crate) avg_load_time_ms: f64,
    pub(crate) most_used_preset: Option<String>,
    pub(crate) least_used_preset: Option<String>,
    /// Share of the uses with a change of the preset.
    pub(crate) custom_config_usage_rate: f64,
    /// Share of the uses by variables of the older kind.
    pub(crate) legacy_config_usage_rate: f64,
}

/// The part of a whole, from 0 to 1; 0 where the whole is 0.
pub(crate) fn share(part: usize, whole: usize) -> f64 {
    if whole == 0 { 0.0 } else { part as f64 / whole as f64 }
}

impl UsageStatistics {
    /// Computes the statistics of these events.
    pub(crate) fn of<'r>(records: impl Iterator<Item = &'r Record>) -> Self {
        let mut found = Self::default();
        let (mut errors, mut time, mut custom, mut legacy, mut uses) = (0, 0.0, 0, 0, 0);
        for record in records {
            match record.metric_type {
                MetricType::ConfigLoad => {
                    found.total_loads += 1;
                    time += record.value;
                }
                MetricType::ConfigError => errors += 1,
                MetricType::PresetUsage => {
                    uses += 1;
                    *found.preset_usage_count.entry(record.preset_name.clone()).or_default() += 1;
                    match record.metadata.get("config_type").map(String::as_str) {
                        Some("custom") => custom += 1,
                        Some("legacy") => legacy += 1,
                        _ => {}
                    }
                }
                _ => {}
            }
        }
        found.error_rate = share(errors, errors + found.total_loads);
        found.avg_load_time_ms =
            if found.total_loads == 0 { 0.0 } else { time / found.total_loads as f64 };
        let by_use = |(name, count): (&String, &usize)| (*count, name.clone());
        let counts = &found.preset_usage_count;
        found.most_used_preset =
            counts.iter().map(by_use).max_by_key(|(count, _)| *count).map(|(_, name)| name);
        found.least_used_preset =
            counts.iter().map(by_use).min_by_key(|(count, _)| *count).map(|(_, name)| name);
        found.custom_config_usage_rate = share(custom, uses);
        found.legacy_config_usage_rate = share(legacy, uses);
        found
    }
}

/// The use of a preset in one hour.
#[derive(Clone, Debug, PartialEq, Serialize, ToSchema)]
pub(crate) struct Trend {
    /// The beginning of the hour.
    #[serde(with = "wall_clock")]
    #[schema(value_type = String, format = DateTime)]
    pub(crate) timestamp: u64,
    pub(crate) usage_count: usize,
    pub(crate) loads: usize,
    pub(crate) errors: usize,
    pub(crate) avg_load_time_ms: Option<f64>,
}

const HOUR: u64 = 3_600_000;

impl Trend {
    /// The last `hours` hours up to `now`, the present one last, also those in which nothing happened.
    pub(crate) fn hourly<'r>(
        records: impl Iterator<Item = &'r Record>,
        preset: &str,
        hours: u64,
        now: u64,
    ) -> Vec<Self> {
        let last = now / HOUR;
        let first = last.saturating_sub(hours.saturating_sub(1));
        let mut buckets: Vec<(Self, f64)> = (first..=last)
            .map(|hour| {
                let timestamp = hour * HOUR;
                let empty =
                    Self { timestamp, usage_count: 0, loads: 0, errors: 0, avg_load_time_ms: None };
                (empty, 0.0)
            })
            .collect();
        for record in records.filter(|record| record.preset_name == preset) {
            let at = (record.timestamp / HOUR).checked_sub(first).map(|at| at as usize);
            let Some((bucket, time)) = at.and_then(|at| buckets.get_mut(at)) else { continue };
            match record.metric_type {
                MetricType::PresetUsage => bucket.usage_count += 1,
                MetricType::ConfigLoad => {
                    bucket.loads += 1;
                    *time += record.value;
                }
                MetricType::ConfigError => bucket.errors += 1,
                _ => {}
            }
        }
        let averaged = buckets.into_iter().map(|(mut bucket, time)| {
            bucket.avg_load_time_ms = (bucket.loads > 0).then(|| time / bucket.loads as f64);
            bucket
        });
        averaged.collect()
    }
}

/// Times of loads, in milliseconds; none without a load.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct LoadTimes {
    pub(crate) avg_load_time_ms: Option<f64>,
    pub(crate) min_load_time_ms: Option<f64>,
    pub(crate) max_load_time_ms: Option<f64>,
    pub(crate) p50_load_time_ms: Option<f64>,
    pub(crate) p95_load_time_ms: Option<f64>,
    pub(crate) p99_load_time_ms: Option<f64>,
    pub(crate) sample_count: usize,
}

impl LoadTimes {
    fn of(mut times: Vec<f64>) -> Self {
        times.sort_by(f64::total_cmp);
        let average = (!times.is_empty()).then(|| times.iter().sum::<f64>() / times.len() as f64);
        Self {
            avg_load_time_ms: average,
            min_load_time_ms: times.first().copied(),
            max_load_time_ms: times.last().copied(),
            p50_load_time_ms: percentile(&times, 0.5),
            p95_load_time_ms: percentile(&times, 0.95),
            p99_load_time_ms: percentile(&times, 0.99),
            sample_count: times.len(),
        }
    }
}

/// The smallest of sorted values that at least a share `q` of them does not exceed (nearest rank).
pub(crate) fn percentile(sorted: &[f64], q: f64) -> Option<f64> {
    let rank = (q * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

/// How long loads of the configuration took.
#[derive(Clone, Debug, Default, PartialEq, Serialize, ToSchema)]
pub(crate) struct PerformanceMetrics {
    #[serde(flatten)]
    pub(crate) all: LoadTimes,
    pub(crate) error_count: usize,
    pub(crate) total_samples: usize,
    /// The times of loads by preset.
    pub(crate) preset_performance: BTreeMap<String, LoadTimes>,
    /// The times of loads by action.
    pub(crate) operation_performance: BTreeMap<String, LoadTimes>,
}

impl PerformanceMetrics {
    pub(crate) fn of<'r>(records: impl Iterator<Item = &'r Record>) -> Self {
        let mut found = Self::default();
        let mut all = Vec::new();
        let mut presets: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        let mut operations: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for record in records {
            match record.metric_type {
                MetricType::ConfigError => found.error_count += 1,
                MetricType::ConfigLoad => {
                    all.push(record.value);
                    presets.entry(record.preset_name.clone()).or_default().push(record.value);
                    operations.entry(record.operation.clone()).or_default().push(record.value);
                }
                MetricType::PerformanceEvent => {
                    operations.entry(record.operation.clone()).or_default().push(record.value);
                }
                _ => {}
            }
        }
        let each = |times: BTreeMap<String, Vec<f64>>| {
            times.into_iter().map(|(name, times)| (name, LoadTimes::of(times))).collect()
        };
        found.total_samples = all.len();
        found.all = LoadTimes::of(all);
        found.preset_performance = each(presets);
        found.operation_performance = each(operations);
        found
    }
}
