//! Calls that fail for good become dead letters, or an event says that they did not.

use crate::stage::{Hand, finish, ms, poll};
use seawall::{
    Attributes, Class, Counts, DeadLetterConfig, DeadLetters, Error, FailedCall, Instant,
    LetterDraft, LetterFate, LetterLoss, Metrics, Mode, Outcome, Payload, Pipeline, PolicyConfig,
    RateLimiterConfig, Storing, policies, prelude::*,
};
use std::{
    future::pending,
    pin::pin,
    sync::{Arc, Mutex},
};

/// A place for letters, and what it answers to each.
struct Desk {
    drafts: Mutex<Vec<LetterDraft>>,
    answer: Answer,
}

#[derive(Clone, Copy)]
enum Answer {
    Stores,
    Refuses,
    /// It is slower than anybody waits.
    Hangs,
}

impl DeadLetters for Desk {
    fn keep(&self, draft: LetterDraft) -> Storing {
        let mut drafts = self.drafts.lock().unwrap();
        drafts.push(draft);
        let id = format!("letter {}", drafts.len());
        match self.answer {
            Answer::Stores => Box::pin(async { Ok(id) }),
            Answer::Refuses => Box::pin(async { Err("the queue is full".to_owned()) }),
            Answer::Hangs => Box::pin(pending()),
        }
    }
}

struct Shop {
    hand: Hand,
    desk: Arc<Desk>,
    metrics: Arc<Metrics>,
    pipeline: Pipeline,
}

impl Shop {
    fn open(policies: &[PolicyConfig], answer: Answer) -> Self {
        let desk = Arc::new(Desk { drafts: Mutex::default(), answer });
        let metrics = Arc::new(Metrics::default());
        let pipeline = Pipeline::build("orders", policies)
            .unwrap()
            .with_observer(metrics.clone())
            .with_dead_letters(desk.clone());
        Self { hand: Hand::new(), desk, metrics, pipeline }
    }

    /// Makes a call that always ends like this.
    fn call(&self, result: Result<u32, &'static str>) -> Result<u32, FailedCall<&'static str>> {
        let run = self.pipeline.run(&self.hand, move |_| async move { result });
        finish(&self.hand, run.payload(|| "work"))
    }

    fn drafts(&self) -> Vec<LetterDraft> {
        self.desk.drafts.lock().unwrap().clone()
    }

    fn counted(&self) -> (u64, u64) {
        let Counts { dead_letters, dead_letters_lost, .. } = self.metrics.counts();
        (dead_letters, dead_letters_lost)
    }
}

fn quick(attempts: u32) -> PolicyConfig {
    let seawall::RetryConfig { backoff, .. } = retry(attempts);
    retry(attempts).backoff(backoff.base_delay(ms(10)).jitter(seawall::Jitter::None)).into()
}

#[test]
fn what_failed_for_good_is_kept_with_its_attempts_and_the_error_says_so() {
    let shop = Shop::open(&[dead_letter().queue("q".to_owned()).into(), quick(2)], Answer::Stores);
    assert_eq!(shop.call(Ok(7)), Ok(7));
    assert!(shop.drafts().is_empty());
    let failed = shop.call(Err("down")).unwrap_err();
    assert_eq!(failed.to_string(), "down; kept as dead letter letter 1");
    assert_eq!(
        (failed.error.clone(), failed.letter_id()),
        (Error::Inner("down"), Some("letter 1"))
    );
    let [LetterDraft { operation, queue, error_class, error, attempts, payload }] = &*shop.drafts()
    else {
        panic!("one letter")
    };
    assert_eq!((&**operation, queue.as_str(), *error_class), ("orders", "q", "unknown"));
    assert_eq!((error.as_str(), payload), ("down", &Payload::new("work")));
    let told: Vec<_> = attempts.iter().map(|one| (one.number, one.outcome, &one.error)).collect();
    let down = Some("down".to_owned());
    assert_eq!(told, [(1, "failure", &down), (2, "failure", &down)]);
    assert!(attempts[0].ago >= attempts[1].ago + ms(5), "{attempts:?}");
    assert_eq!(shop.counted(), (1, 0));
}

#[test]
fn a_call_that_succeeds_at_last_makes_no_letter_wherever_the_policy_stands() {
    for policies in [[dead_letter().into(), quick(2)], [quick(2), dead_letter().into()]] {
        let shop = Shop::open(&policies, Answer::Stores);
        let run = shop.pipeline.run(&shop.hand, |attempt| async move {
            if attempt.number == 2 { Ok(attempt.number) } else { Err("down") }
        });
        assert_eq!(finish(&shop.hand, run.payload(|| "work")), Ok(2));
        assert!(shop.drafts().is_empty());
    }
}

#[test]
fn callers_faults_and_calls_beyond_a_rate_limit_make_no_letter() {
    let none = RateLimiterConfig { rate: 1, ..Default::default() };
    let shop = Shop::open(&policies![dead_letter(), none], Answer::Stores);
    let permanent = |_: &Result<u32, &str>| Outcome::failure(Class::Permanent);
    let run = shop.pipeline.run(&shop.hand, |_| async { Err("wrong") }).classify(permanent);
    let failed = finish(&shop.hand, run.payload(|| "work")).unwrap_err();
    assert_eq!((failed.letter, failed.error), (LetterFate::NotDue, Error::Inner("wrong")));
    let refused = shop.call(Ok(1)).unwrap_err();
    assert!(refused.error.is_rejected() && refused.letter == LetterFate::NotDue, "{refused}");

    let shop = Shop::open(&policies![dead_letter()], Answer::Stores);
    let deadline = Instant::from_millis(1_000_005);
    let attributes = Attributes { deadline, ..Attributes::default() };
    let hangs = |_| pending::<Result<u32, &str>>();
    let run = shop.pipeline.run(&shop.hand, hangs).attributes(attributes);
    let late = finish(&shop.hand, run.payload(|| "work")).unwrap_err();
    assert!(late.error.is_timed_out() && late.letter == LetterFate::NotDue, "{late}");
    assert!(shop.drafts().is_empty());
    assert_eq!(shop.counted(), (0, 0));
}

#[test]
fn refusals_by_an_open_circuit_are_kept_unless_they_shall_not_be() {
    for (config, letters) in [(dead_letter(), 2), (dead_letter().on_rejected(false), 1)] {
        let policies = policies![config, breaker().failure_threshold(1)];
        let shop = Shop::open(&policies, Answer::Stores);
        assert!(shop.call(Err("down")).unwrap_err().letter_id().is_some());
        assert!(shop.call(Err("down")).unwrap_err().error.is_rejected());
        assert_eq!(shop.drafts().len(), letters);
    }
    // The call that was refused has made no attempt.
    let shop =
        Shop::open(&policies![dead_letter(), breaker().failure_threshold(1)], Answer::Stores);
    let _ = (shop.call(Err("down")), shop.call(Err("down")));
    let refused = &shop.drafts()[1];
    assert_eq!((refused.error_class, refused.attempts.len()), ("circuit_open", 0));
}

#[test]
fn a_timeout_inside_is_kept_and_one_outside_is_told() {
    let limit = || timeout(ms(20));
    let shop = Shop::open(&policies![dead_letter(), limit()], Answer::Stores);
    let hangs = |_| pending::<Result<u32, &str>>();
    let late = finish(&shop.hand, shop.pipeline.run(&shop.hand, hangs).payload(|| "work"));
    assert!(late.unwrap_err().letter_id().is_some());
    let draft = &shop.drafts()[0];
    assert_eq!((draft.error_class, draft.attempts[0].outcome), ("timed_out", "cut_off"));
    assert!(draft.attempts[0].took >= ms(19), "{draft:?}");

    let shop = Shop::open(&policies![limit(), dead_letter()], Answer::Stores);
    let late = finish(&shop.hand, shop.pipeline.run(&shop.hand, hangs).payload(|| "work"));
    assert_eq!(late.unwrap_err().letter, LetterFate::NotDue);
    assert_eq!((shop.drafts().len(), shop.counted()), (0, (0, 1)));
}

#[test]
fn a_fallback_outside_answers_and_the_letter_is_kept_all_the_same() {
    for (policies, letters) in [
        (policies![fallback(), dead_letter()], 1),
        (policies![dead_letter(), fallback()], 0),
        (policies![dead_letter()], 1),
    ] {
        let shop = Shop::open(&policies, Answer::Stores);
        let run = shop.pipeline.run(&shop.hand, |_| async { Err::<u32, _>("down") });
        let run = run.fallback(|_| async { Ok(9) }).payload(|| "work");
        assert_eq!(finish(&shop.hand, run), Ok(9));
        assert_eq!(shop.drafts().len(), letters, "{policies:?}");
    }
}

#[test]
fn what_is_not_kept_is_never_silent() {
    let policies = policies![dead_letter().max_wait(ms(50))];
    let shop = Shop::open(&policies, Answer::Refuses);
    let refused = shop.call(Err("down")).unwrap_err();
    assert_eq!(refused.to_string(), "down; not kept as a dead letter: the queue is full");
    assert!(matches!(refused.letter, LetterFate::Lost(LetterLoss::NotStored, _)));
    assert_eq!(shop.counted(), (0, 1));

    let shop = Shop::open(&policies, Answer::Hangs);
    let before = seawall::Clock::now(&shop.hand);
    let slow = shop.call(Err("down")).unwrap_err();
    assert!(matches!(slow.letter, LetterFate::Lost(LetterLoss::TooSlow, _)), "{slow}");
    let waited = seawall::Clock::now(&shop.hand).since(before);
    assert!(waited >= ms(50) && waited < ms(100), "{waited:?}");
    {
        // The caller goes away while its letter is being stored.
        let run = shop.pipeline.run(&shop.hand, |_| async { Err::<u32, _>("down") });
        let mut run = pin!(run.payload(|| "work").into_future());
        assert!(poll(run.as_mut()).is_pending());
    }
    assert_eq!((shop.drafts().len(), shop.counted()), (2, (0, 2)));

    // No payload was given.
    let plain = shop.pipeline.run(&shop.hand, |_| async { Err::<u32, _>("down") });
    assert_eq!(finish(&shop.hand, plain), Err(Error::Inner("down")));
    assert_eq!((shop.drafts().len(), shop.counted()), (2, (0, 3)));

    // Nobody gave the pipeline a place.
    let metrics = Arc::new(Metrics::default());
    let alone = Pipeline::build("alone", &policies).unwrap().with_observer(metrics.clone());
    let run = alone.run(&shop.hand, |_| async { Err::<u32, _>("down") }).payload(|| "work");
    let lost = finish(&shop.hand, run).unwrap_err();
    assert!(matches!(lost.letter, LetterFate::Lost(LetterLoss::NoPlace, _)), "{lost}");
    assert_eq!(metrics.counts().dead_letters_lost, 1);
}

#[test]
fn permits_are_back_before_the_letter_is_stored() {
    let shop = Shop::open(&policies![dead_letter(), bulkhead(1)], Answer::Hangs);
    let run = shop.pipeline.run(&shop.hand, |_| async { Err::<u32, _>("down") });
    let mut run = pin!(run.payload(|| "work").into_future());
    assert!(poll(run.as_mut()).is_pending());
    let other = finish(&shop.hand, shop.pipeline.run(&shop.hand, |_| async { Ok::<_, &str>(3) }));
    assert_eq!(other, Ok(3));
}

#[test]
fn a_policy_in_shadow_keeps_nothing_and_says_what_it_would() {
    let shop = Shop::open(&policies![dead_letter().mode(Mode::Shadow)], Answer::Stores);
    assert_eq!(shop.call(Err("down")).unwrap_err().letter, LetterFate::NotDue);
    assert_eq!((shop.drafts().len(), shop.counted()), (0, (0, 0)));
    assert_eq!(shop.metrics.counts().shadowed["dead_letter"], 1);
}

#[test]
fn a_plain_function_is_kept_too() {
    let letters: DeadLetterConfig = dead_letter().max_wait(ms(20));
    for (answer, said) in [
        (Answer::Stores, "down; kept as dead letter letter 1"),
        (Answer::Refuses, "down; not kept as a dead letter: the queue is full"),
        (
            Answer::Hangs,
            "down; not kept as a dead letter: it was not stored within 20ms; it may be yet",
        ),
    ] {
        let shop = Shop::open(&[letters.clone().into(), quick(2)], answer);
        let run = shop.pipeline.run(&seawall::SystemClock, |_| Err::<u32, _>("down"));
        let failed = run.payload(|| "work").blocking().unwrap_err();
        assert_eq!(failed.to_string(), said);
        assert_eq!(shop.drafts()[0].attempts.len(), 2);
    }
}
