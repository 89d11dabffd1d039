//! The algorithm against its definition, and against a naive bucket.

use super::*;
use crate::random::Random;

mod settled;
mod windows;

const SECOND: Duration = Duration::from_secs(1);

fn limiter(rate: u32, per: Duration, burst: u32) -> RateLimiter {
    RateLimiter::new(RateLimiterConfig { rate, per, burst, ..Default::default() }).unwrap()
}

fn at(ms: u64) -> Instant {
    Instant::from_millis(1_000_000 + ms)
}

#[test]
fn burst_comes_on_top_of_rate() {
    let limiter = limiter(5, 10 * SECOND, 2);
    for _ in 0..7 {
        assert_eq!(limiter.try_acquire(at(0), Key::NONE, 1), Ok(()));
    }
    let refused = limiter.try_acquire(at(0), Key::NONE, 1).unwrap_err();
    assert_eq!(refused, Rejection::new(Reason::RateLimited, Some(2 * SECOND)));
    let quota = limiter.quota(at(0), Key::NONE);
    assert_eq!(quota, Quota { limit: 7, remaining: 0, reset_after: 14 * SECOND });
    assert!(limiter.try_acquire(at(1_999), Key::NONE, 1).is_err());
    assert!(limiter.try_acquire(at(2_000), Key::NONE, 1).is_ok());
    assert_eq!(limiter.quota(at(16_000), Key::NONE).remaining, 7);
}

#[test]
fn a_call_may_cost_more_than_one() {
    let limiter = limiter(4, SECOND, 0);
    assert!(limiter.try_acquire(at(0), Key::NONE, 3).is_ok());
    assert!(limiter.try_acquire(at(0), Key::NONE, 2).is_err());
    assert!(limiter.try_acquire(at(0), Key::NONE, 1).is_ok());
    // What never fits is told without a time to come back.
    let never = limiter.try_acquire(at(99_000), Key::NONE, 5).unwrap_err();
    assert_eq!(never.retry_after, None);
    assert!(limiter.try_acquire(at(99_000), Key::NONE, 4).is_ok());
    assert!(limiter.try_acquire(at(99_000), Key::NONE, 0).is_err(), "no call is free");
}

/// A bucket that counts in exact fractions of a call: `rate` parts flow in each nanosecond, and a call
/// takes as many parts as a period has nanoseconds.
struct Bucket {
    parts: u128,
    capacity: u128,
    price: u128,
    rate: u128,
    last: u64,
}

impl Bucket {
    fn new(rate: u32, per: Duration, burst: u32) -> Self {
        // The limiter rounds the time of one call up to whole nanoseconds; so does the model.
        let price = u128::from((per.as_nanos() as u64).div_ceil(u64::from(rate)));
        let capacity = price * u128::from(rate + burst);
        Self { parts: capacity, capacity, price, rate: 1, last: 0 }
    }

    fn take(&mut self, now: Instant, cost: u32) -> bool {
        let passed = u128::from(now.as_nanos().saturating_sub(self.last));
        self.last = self.last.max(now.as_nanos());
        self.parts = (self.parts + passed * self.rate).min(self.capacity);
        let price = self.price * u128::from(cost);
        let enough = self.parts >= price;
        if enough {
            self.parts -= price;
        }
        enough
    }
}

#[test]
fn it_decides_as_a_naive_bucket_does() {
    for seed in 0..400 {
        let mut random = Random::new(seed);
        let rate = 1 + random.below(50) as u32;
        let burst = random.below(20) as u32;
        let per = Duration::from_nanos(1_000 + random.below(5_000_000_000));
        let limiter = limiter(rate, per, burst);
        let mut bucket = Bucket::new(rate, per, burst);
        let mut now = at(0);
        for step in 0..400 {
            let gap = 2.0 * per.as_secs_f64() / f64::from(rate) * random.unit();
            now = now
                + Duration::from_secs_f64(if random.below(40) == 0 { gap * 100.0 } else { gap });
            let cost = 1 + random.below(3) as u32;
            let expected = bucket.take(now, cost);
            let remaining = limiter.quota(now, Key::NONE).remaining;
            let answer = limiter.try_acquire(now, Key::NONE, cost);
            assert_eq!(answer.is_ok(), expected, "seed {seed}, step {step}");
            assert_eq!(answer.is_ok(), remaining >= u64::from(cost), "seed {seed}, step {step}");
            if let Err(Rejection { retry_after: Some(wait), .. }) = answer {
                let gcra = Gcra::new(rate, per, burst);
                let Limiter::Word(_, State::One(tat)) = &limiter.limiter else {
                    panic!("it has no keys")
                };
                let tat = Instant::from_nanos(tat.load(Ordering::Relaxed));
                let early = now + (wait - Duration::from_nanos(1));
                assert!(gcra.decide(tat, early, cost).is_err(), "it could have come sooner");
                assert!(gcra.decide(tat, now + wait, cost).is_ok(), "it came as told");
            }
        }
    }
}

#[test]
fn never_more_than_the_bucket_and_the_rate_in_any_window() {
    let limiter = limiter(100, SECOND, 20);
    let mut random = Random::new(3);
    let (mut now, mut passed) = (at(0), Vec::new());
    for _ in 0..50_000 {
        now = now + Duration::from_micros(random.below(2_000));
        if limiter.try_acquire(now, Key::NONE, 1).is_ok() {
            passed.push(now);
        }
    }
    for window in [100, 1_000, 7_000] {
        let length = Duration::from_millis(window);
        let most = 120 + window as usize / 10;
        let mut first = 0;
        for (last, end) in passed.iter().enumerate() {
            while end.since(passed[first]) > length {
                first += 1;
            }
            assert!(last - first < most, "{} in {length:?}", last - first + 1);
        }
    }
    assert!(passed.len() > 4_900, "{} are fewer than the rate allows", passed.len());
}

#[test]
fn keys_are_independent_and_bounded() {
    let config = RateLimiterConfig { rate: 1, keyed: true, max_keys: 100, ..Default::default() };
    let limiter = RateLimiter::new(config).unwrap();
    let key = |n: u64| Key::from_hash(Random::new(n).bits());
    for n in 0..20 {
        assert!(limiter.try_acquire(at(0), key(n), 1).is_ok());
        assert!(limiter.try_acquire(at(0), key(n), 1).is_err());
        assert_eq!(limiter.quota(at(0), key(n)).remaining, 0);
    }
    assert_eq!(limiter.keys(), 20);
    let passed = (0..100_000).filter(|n| limiter.try_acquire(at(1), key(*n), 1).is_ok()).count();
    assert!(limiter.keys() <= 128, "{} keys are kept", limiter.keys());
    // At the bound further keys share one limit in each shard.
    assert!(passed <= 128 + 64, "{passed} of a flood of keys passed");
}

#[test]
fn bounds_are_named() {
    let wrong = RateLimiterConfig {
        rate: 0,
        per: Duration::ZERO,
        burst: 2_000_000_000,
        keyed: true,
        max_keys: 0,
        ..Default::default()
    };
    let told = RateLimiter::new(wrong).unwrap_err().to_string();
    for field in ["rate", "per", "burst", "max_keys"] {
        assert!(told.contains(&format!("{field}: ")), "{field} is not in: {told}");
    }
}

#[test]
fn extremes_do_not_overflow() {
    let month = Duration::from_secs(31 * 24 * 3600);
    let config = |burst| RateLimiterConfig { rate: 1, per: month, burst, ..Default::default() };
    let told = RateLimiter::new(config(1_000_000_000)).unwrap_err().to_string();
    assert!(told.starts_with("burst: ") && told.contains("100 years"), "{told}");
    let limiter = RateLimiter::new(config(1_000)).unwrap();
    for now in [Instant::EPOCH, at(0), Instant::from_nanos(u64::MAX - 1), Instant::FAR_FUTURE] {
        let _ = limiter.try_acquire(now, Key::NONE, 1_000);
        let _ = limiter.quota(now, Key::NONE);
    }
    assert!(
        limiter.try_acquire(at(0), Key::NONE, 1).is_err(),
        "what was taken in the future is taken"
    );
}
