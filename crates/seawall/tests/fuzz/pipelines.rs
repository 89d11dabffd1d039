//! Pipelines with every policy in every order, and configurations small enough to reach their bounds.

use seawall::{
    Adaptive, Aimd, Algorithm, AwsBudget, Backoff, BulkheadConfig, ChaosConfig,
    CircuitBreakerConfig, ControlledDelay, CustomFrame, CustomPolicy, Cx, DeadLetterConfig,
    FallbackConfig, Gradient, Growth, GrpcBudget, HedgeConfig, Instant, Jitter, Limit, Outcome,
    Percentile, Policy, PolicyConfig, QueueOrder, Random, RateLimiterConfig, RetryBudget,
    RetryConfig, Schedule, ShareBudget, Step, ThrottleConfig, TimeoutConfig, Window,
};
use std::{sync::Arc, time::Duration};

pub(crate) fn ms(random: &mut Random, most: u64) -> Duration {
    Duration::from_millis(1 + random.below(most))
}

fn one_of<T: Copy>(random: &mut Random, values: &[T]) -> T {
    values[random.below(values.len() as u64) as usize]
}

/// A random policy of any kind.
pub(crate) fn policy(random: &mut Random) -> Policy {
    let config = match random.below(12) {
        0 => PolicyConfig::Timeout(TimeoutConfig {
            limit: ms(random, 400),
            adaptive: (random.below(3) == 0).then(|| percentile(random)),
            ..Default::default()
        }),
        1 => PolicyConfig::Retry(retry(random)),
        2 | 3 => PolicyConfig::CircuitBreaker(breaker(random)),
        4 => PolicyConfig::RateLimiter(rate_limiter(random)),
        5 => PolicyConfig::Bulkhead(BulkheadConfig {
            max_concurrent: 2 + random.below(3) as u32,
            max_queued: random.below(4) as u32,
            max_wait: ms(random, 300),
            order: one_of(random, &[QueueOrder::Fifo, QueueOrder::AdaptiveLifo]),
            controlled_delay: (random.below(3) == 0).then(|| ControlledDelay {
                target: ms(random, 10),
                interval: ms(random, 50) + Duration::from_millis(10),
            }),
            adaptive: adaptive(random),
            normal_share: one_of(random, &[1.0, 1.0, 0.5]),
            background_share: one_of(random, &[1.0, 0.5]),
            ..Default::default()
        }),
        6 => PolicyConfig::Fallback(FallbackConfig {
            max_fallbacks: 1 + random.below(3) as u32,
            on_permanent: random.below(2) == 0,
            ..Default::default()
        }),
        7 => PolicyConfig::Hedge(HedgeConfig {
            delay: ms(random, 60),
            max_hedges: 1 + random.below(3) as u32,
            adaptive: (random.below(3) == 0).then(|| percentile(random)),
            ..Default::default()
        }),
        8 => PolicyConfig::Throttle(ThrottleConfig {
            k: 1.0 + random.unit(),
            window: ms(random, 1_000) + Duration::from_millis(100),
            ..Default::default()
        }),
        9 => PolicyConfig::Chaos(ChaosConfig {
            enabled: true,
            error_share: random.unit() / 3.0,
            hang_share: random.unit() / 3.0,
            hang_for: ms(random, 200),
            latency_share: random.unit() / 2.0,
            min_latency: ms(random, 10),
            max_latency: ms(random, 50) + Duration::from_millis(10),
            schedule: (random.below(3) == 0).then(|| Schedule {
                after: ms(random, 200),
                lasts: ms(random, 100),
                every: None,
            }),
            ..Default::default()
        }),
        10 => PolicyConfig::DeadLetter(DeadLetterConfig {
            on_rejected: random.below(2) == 0,
            on_permanent: random.below(2) == 0,
            ..Default::default()
        }),
        _ => return Policy::Custom(Arc::new(Doubled { after: ms(random, 100) })),
    };
    config.build().expect("the fuzz keeps to the bounds")
}

fn percentile(random: &mut Random) -> Percentile {
    Percentile {
        share: 0.1 + random.unit() * 0.8,
        multiplier: 0.5 + random.unit() * 2.0,
        min: Duration::from_micros(1),
        window: ms(random, 500) + Duration::from_millis(100),
        minimum_calls: 1 + random.below(5) as u32,
    }
}

fn adaptive(random: &mut Random) -> Option<Adaptive> {
    match random.below(4) {
        0 => Some(Adaptive::Aimd(Aimd {
            initial_limit: 2,
            max_latency: ms(random, 50),
            backoff_ratio: 0.5,
            ..Aimd::default()
        })),
        1 => Some(Adaptive::Gradient(Gradient {
            initial_limit: 2,
            minimum_calls: 1 + random.below(3) as u32,
            window: ms(random, 50),
            ..Gradient::default()
        })),
        _ => None,
    }
}

fn limit(random: &mut Random) -> Limit {
    let algorithm = one_of(
        random,
        &[
            Algorithm::TokenBucket,
            Algorithm::FixedWindow,
            Algorithm::SlidingWindow,
            Algorithm::SlidingLog,
        ],
    );
    Limit { rate: 1 + random.below(20) as u32, per: ms(random, 500), algorithm, burst: 0 }
}

fn budget(random: &mut Random) -> RetryBudget {
    match random.below(3) {
        0 => RetryBudget::Share(ShareBudget::default()),
        1 => RetryBudget::Aws(AwsBudget { capacity: 20, ..AwsBudget::default() }),
        _ => RetryBudget::Grpc(GrpcBudget::default()),
    }
}

fn rate_limiter(random: &mut Random) -> RateLimiterConfig {
    let Limit { rate, per, algorithm, .. } = limit(random);
    let bucket = algorithm == Algorithm::TokenBucket;
    let also: Vec<Limit> = (0..random.below(3)).map(|_| limit(random)).collect();
    RateLimiterConfig {
        rate,
        per,
        burst: if bucket { random.below(5) as u32 } else { 0 },
        algorithm,
        max_wait: (bucket && also.is_empty() && random.below(2) == 0).then(|| ms(random, 100)),
        also,
        keyed: random.below(2) == 0,
        max_keys: 1 + random.below(8) as u32,
        ..Default::default()
    }
}

fn retry(random: &mut Random) -> RetryConfig {
    RetryConfig {
        budget: (random.below(3) > 0).then(|| budget(random)),
        max_attempts: 1 + random.below(4) as u32,
        backoff: Backoff {
            growth: one_of(random, &[Growth::Constant, Growth::Exponential, Growth::Fibonacci]),
            base_delay: ms(random, 50),
            max_delay: ms(random, 200) + Duration::from_millis(60),
            jitter: one_of(
                random,
                &[
                    Jitter::None,
                    Jitter::Full,
                    Jitter::Equal,
                    Jitter::Decorrelated,
                    Jitter::Additive,
                ],
            ),
            ..Backoff::default()
        },
        max_total_delay: (random.below(3) == 0).then(|| ms(random, 300)),
        retry_unknown: random.below(2) == 0,
        retry_timeouts: random.below(2) == 0,
        ..RetryConfig::default()
    }
}

fn breaker(random: &mut Random) -> CircuitBreakerConfig {
    let window = match random.below(3) {
        0 => None,
        1 => Some(Window::Calls(1 + random.below(8) as u32)),
        _ => Some(Window::Time(ms(random, 500))),
    };
    let counts = window.is_none() || random.below(2) == 0;
    CircuitBreakerConfig {
        failure_threshold: counts.then(|| 1 + random.below(4) as u32),
        failure_ratio: 0.1 + random.unit() * 0.9,
        minimum_calls: 1 + random.below(6) as u32,
        slow_call_duration: window.as_ref().map(|_| ms(random, 50)),
        slow_call_ratio: 1.0,
        window,
        recovery_timeout: ms(random, 200),
        half_open_max_calls: 1 + random.below(3) as u32,
        success_threshold: 1 + random.below(3) as u32,
        probe_lease: ms(random, 200),
        recovery_multiplier: 1.0 + random.unit() * 3.0,
        max_recovery_timeout: ms(random, 1_000),
        recovery_jitter: random.unit(),
        ramp_up: (random.below(3) == 0).then(|| ms(random, 200)),
        ramp_up_from: random.unit(),
        only_retries: random.below(4) == 0,
        keyed: random.below(3) == 0,
        max_keys: 1 + random.below(8) as u32,
        ..Default::default()
    }
}

/// A user-written policy that has two calls in progress when the first is slow; the first good one
/// wins. It exercises the tree that plain pipelines never grow.
#[derive(Debug)]
struct Doubled {
    after: Duration,
}

struct DoubledFrame {
    after: Duration,
    running: u32,
    second_at: Instant,
}

impl CustomPolicy for Doubled {
    fn frame(&self) -> Box<dyn CustomFrame> {
        Box::new(DoubledFrame { after: self.after, running: 1, second_at: Instant::FAR_FUTURE })
    }
}

impl CustomFrame for DoubledFrame {
    fn start(&mut self, cx: &mut Cx<'_>) -> Step {
        self.second_at = cx.now + self.after;
        cx.wake_at(self.second_at);
        Step::Call
    }

    fn inner_done(&mut self, _: &mut Cx<'_>, outcome: Outcome) -> Step {
        self.running -= 1;
        if outcome.is_success() || self.running == 0 {
            return Step::Finish(outcome);
        }
        Step::Wait
    }

    fn wake(&mut self, cx: &mut Cx<'_>) -> Step {
        if cx.now < self.second_at {
            return Step::Wait;
        }
        self.second_at = Instant::FAR_FUTURE;
        self.running += 1;
        Step::Call
    }
}
