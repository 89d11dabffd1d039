//! How an adaptive limit moves: pure functions of the calls that ended.

use super::settings::{Adaptive, Aimd, BulkheadConfig, Gradient};
use crate::time::{Instant, is_due, nanos};
use std::{collections::VecDeque, time::Duration};

/// A call that ended, as a limit sees it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sample {
    pub(super) took: Duration,
    /// Whether the call was cut off or rate-limited, which means that the dependency could not take it.
    pub(super) dropped: bool,
    /// Calls in progress when it ended, itself included.
    pub(super) in_use: u32,
}

/// The algorithm that moves an adaptive limit, with its state.
#[derive(Debug)]
pub(super) enum Estimator {
    Aimd { config: Aimd, limit: f64, most: f64, cut_at: Instant },
    Gradient(Box<GradientState>),
}

#[derive(Debug)]
pub(super) struct GradientState {
    config: Gradient,
    limit: f64,
    most: f64,
    /// The latency of quiet times, in seconds; 0 before the first window.
    quiet: f64,
    /// The number of windows so far, up to `long_window`.
    windows: u32,
    window: Collected,
    /// Throughput and concurrency of the last windows.
    history: VecDeque<(f64, f64)>,
}

/// What was measured in the current window.
#[derive(Debug)]
struct Collected {
    since: Option<Instant>,
    calls: u32,
    /// The seconds that calls took which ended by themselves.
    took: f64,
    /// Of the calls, those that were cut off or rate-limited, and their seconds: they would have taken longer.
    dropped: u32,
    cut_off: f64,
    in_use: f64,
    most_in_use: u32,
}

const NOTHING: Collected = Collected {
    since: None,
    calls: 0,
    took: 0.0,
    dropped: 0,
    cut_off: 0.0,
    in_use: 0.0,
    most_in_use: 0,
};

/// Two cuts are at least this part of `max_latency` apart.
const COOL_DOWN: u32 = 10;
/// Windows over which concurrency and throughput are compared.
const COMPARED: usize = 20;
/// Below this correlation, more concurrency brings no more throughput.
const CORRELATED: f64 = 0.5;
/// Concurrency that varies less, by its standard deviation as a share of its mean, proves nothing.
const VARIED: f64 = 0.15;

impl Estimator {
    pub(super) fn new(config: &BulkheadConfig) -> Option<Self> {
        let most = f64::from(config.max_concurrent);
        let limit = f64::from(config.initial_limit());
        Some(match config.adaptive.clone()? {
            Adaptive::Aimd(config) => Self::Aimd { config, limit, most, cut_at: Instant::EPOCH },
            Adaptive::Gradient(config) => Self::Gradient(Box::new(GradientState {
                config,
                limit,
                most,
                quiet: 0.0,
                windows: 0,
                window: NOTHING,
                history: VecDeque::with_capacity(COMPARED),
            })),
        })
    }

    /// Records a call that ended; the limit from now on.
    pub(super) fn record(&mut self, now: Instant, sample: Sample) -> u32 {
        match self {
            Self::Aimd { config, limit, most, cut_at } => {
                if sample.dropped || sample.took > config.max_latency {
                    // Many late calls at once are one overload, and one cut.
                    let pause = config.max_latency / COOL_DOWN;
                    if is_due(now, cut_at.as_nanos().saturating_add(nanos(pause)), nanos(pause)) {
                        let cut = (*limit * config.backoff_ratio).floor();
                        *limit = cut.max(f64::from(config.min_limit));
                        *cut_at = now;
                    }
                } else if f64::from(sample.in_use) * 2.0 >= *limit {
                    *limit = (*limit + 1.0).min(*most);
                }
                *limit as u32
            }
            Self::Gradient(state) => {
                state.record(now, sample);
                state.limit as u32
            }
        }
    }
}

impl GradientState {
    fn record(&mut self, now: Instant, sample: Sample) {
        let window = &mut self.window;
        let since = *window.since.get_or_insert(now);
        if since > now && is_due(now, since.as_nanos(), 0) {
            // The clock was set back: the window begins now.
            window.since = Some(now);
        }
        window.calls += 1;
        if sample.dropped {
            window.dropped += 1;
            window.cut_off += sample.took.as_secs_f64();
        } else {
            window.took += sample.took.as_secs_f64();
        }
        window.in_use += f64::from(sample.in_use);
        window.most_in_use = window.most_in_use.max(sample.in_use);
        let length = now.since(since);
        if length >= self.config.window && window.calls >= self.config.minimum_calls {
            let window = std::mem::replace(&mut self.window, NOTHING);
            self.window.since = Some(now);
            self.turn(&window, length);
        }
    }

    /// Ends a window: the limit moves.
    fn turn(&mut self, window: &Collected, length: Duration) {
        let calls = f64::from(window.calls);
        let ended = window.calls - window.dropped;
        let (latency, in_use) = (window.took / f64::from(ended.max(1)), window.in_use / calls);
        if self.history.len() == COMPARED {
            self.history.pop_front();
        }
        self.history.push_back((calls / length.as_secs_f64(), in_use));
        // Where many calls are cut off, those that are left are the quick ones, and teach nothing.
        if ended > 0 && window.dropped * 10 <= window.calls {
            self.learn(latency, window.most_in_use);
        }
        // Capacity that is not used says nothing about how much there is.
        if f64::from(window.most_in_use) * 2.0 < self.limit {
            return;
        }
        let config = &self.config;
        let latency = latency.max((window.took + window.cut_off) / calls);
        let gradient = if self.quiet > 0.0 { config.tolerance * self.quiet / latency } else { 1.0 };
        let gradient = gradient.clamp(0.5, if window.dropped > 0 { 0.9 } else { 2.0 });
        let aim = self.limit * gradient + f64::from(config.queue_size);
        let moved = self.limit + (aim - self.limit) * config.smoothing;
        self.limit = moved.clamp(f64::from(config.min_limit), self.most);
    }

    /// Learns the latency of quiet times, unless the latency is of our own making.
    fn learn(&mut self, latency: f64, most_in_use: u32) {
        let full = f64::from(most_in_use) >= self.limit.floor();
        // The average of the first windows, a moving one later: it is of use from the start. Windows that teach
        // nothing count, too, or the few that do would weigh too much.
        self.windows = (self.windows + 1).min(self.config.long_window);
        if self.quiet == 0.0 {
            self.quiet = latency;
        } else if latency < self.quiet || !full || self.helps() {
            self.quiet += (latency - self.quiet) / f64::from(self.windows + 1);
        }
    }

    /// Whether more concurrency has recently brought more throughput.
    fn helps(&self) -> bool {
        self.history.len() == COMPARED && correlation(&self.history) > CORRELATED
    }
}

/// Pearson's correlation; 0 where one of the two hardly moves.
fn correlation(pairs: &VecDeque<(f64, f64)>) -> f64 {
    let n = pairs.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|pair| pair.0), mean(|pair| pair.1));
    let sum = |of: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(of).sum::<f64>();
    let both = sum(&|pair| (pair.0 - x) * (pair.1 - y));
    let (xs, ys) = (sum(&|pair| (pair.0 - x).powi(2)), sum(&|pair| (pair.1 - y).powi(2)));
    let varied = (ys / n).sqrt() > VARIED * y;
    if varied && xs > 0.0 { both / (xs * ys).sqrt() } else { 0.0 }
}
