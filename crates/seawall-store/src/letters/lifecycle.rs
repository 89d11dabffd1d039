//! What becomes of a letter: pure transitions, which all places for letters share.

use super::{
    Begun, Refusal, ReplayOutcome,
    config::QueueConfig,
    content::Content,
    letter::{Attempt, Envelope, Letter, MAX_ATTEMPTS, State},
    redact::Redaction,
};

/// Bytes of the longest name: of a queue, an operation, a tenant, an error class or an idempotency key.
const MAX_NAME: usize = 512;
/// Bytes of an error's text that are kept.
const MAX_ERROR: usize = 4096;
/// Errors of an attempt that are kept.
const MAX_ERRORS: usize = 16;

/// Makes a letter ready to be stored: what it says of errors is cut to its bounds, and it gets the time of its end.
/// Names and payloads that are too long are refused, since a part of them would be something else.
pub(crate) fn prepare(letter: &mut Letter, config: &QueueConfig) -> Result<(), Refusal> {
    let envelope = &mut letter.envelope;
    let names = [&envelope.queue, &envelope.operation, &envelope.error_class];
    let names = names.into_iter().chain(&envelope.tenant).chain(&envelope.idempotency_key);
    if names.into_iter().any(|name| name.len() > MAX_NAME) {
        return Err(Refusal::Invalid(format!("a name in it is longer than {MAX_NAME} bytes")));
    }
    if envelope.queue.is_empty() {
        return Err(Refusal::Invalid("it names no queue".to_owned()));
    }
    let Content::Open { headers, payload } = &mut letter.content else {
        return Err(Refusal::Invalid("its content is not there".to_owned()));
    };
    // Those of a new letter are redacted already, with names of one's own; an imported one comes as it likes.
    Redaction::default().apply(headers);
    // Each takes room, be it empty.
    let of_headers: usize = headers.iter().map(|one| one.name.len() + one.value.len() + 32).sum();
    if payload.0.len() > config.max_message_size || of_headers > config.max_message_size {
        return Err(Refusal::TooLarge);
    }
    envelope.payload_bytes = payload.0.len() as u64;
    cut(&mut envelope.error);
    let retention = u64::try_from(config.retention.as_millis()).unwrap_or(u64::MAX);
    let end = envelope.first_failure.saturating_add(retention);
    envelope.expires = envelope.expires.or(Some(end));
    // An imported letter may be in the midst of a replay elsewhere.
    if envelope.state == State::Replaying {
        envelope.state = State::Waiting;
    }
    letter.attempts.iter_mut().for_each(bound);
    keep_latest(&mut letter.attempts);
    Ok(())
}

fn bound(attempt: &mut Attempt) {
    attempt.errors.truncate(MAX_ERRORS);
    let texts = attempt.errors.iter_mut().chain(&mut attempt.upstream).chain(&mut attempt.breaker);
    texts.for_each(cut);
    cut(&mut attempt.outcome);
}

fn cut(text: &mut String) {
    if text.len() > MAX_ERROR {
        let mut end = MAX_ERROR - '…'.len_utf8();
        while !text.is_char_boundary(end) {
            end -= 1;
        }
        text.truncate(end);
        text.push('…');
    }
}

/// Leaves the first attempt and the latest ones.
fn keep_latest(attempts: &mut Vec<Attempt>) {
    if attempts.len() > MAX_ATTEMPTS {
        attempts.drain(1..=attempts.len() - MAX_ATTEMPTS);
    }
}

/// The same work failed again: its attempts are added to those of the letter that is there, whose state and content stay.
pub(crate) fn merge(envelope: &mut Envelope, attempts: &mut Vec<Attempt>, later: &Letter) {
    envelope.deliveries = envelope.deliveries.saturating_add(later.envelope.deliveries);
    envelope.last_failure = envelope.last_failure.max(later.envelope.last_failure);
    attempts.extend_from_slice(&later.attempts);
    keep_latest(attempts);
}

/// Begins a replay. `Err` says why there is none.
pub(crate) fn begin(envelope: &mut Envelope) -> Result<(), Begun> {
    if envelope.state != State::Waiting {
        return Err(Begun::NotWaiting(envelope.state));
    }
    envelope.state = State::Replaying;
    envelope.replays = envelope.replays.saturating_add(1);
    Ok(())
}

/// Notes how a replay ended.
pub(crate) fn finish(
    envelope: &mut Envelope,
    attempts: &mut Vec<Attempt>,
    outcome: &ReplayOutcome,
    config: &QueueConfig,
) {
    let attempt = match outcome {
        ReplayOutcome::Succeeded(attempt) => {
            envelope.state = State::Replayed;
            attempt
        }
        ReplayOutcome::Failed(attempt) => {
            interrupt(envelope, config);
            envelope.last_failure = envelope.last_failure.max(attempt.at);
            attempt
        }
        ReplayOutcome::NotSent => {
            envelope.state = State::Waiting;
            envelope.replays = envelope.replays.saturating_sub(1);
            return;
        }
    };
    let mut attempt = Attempt { replay: true, ..attempt.clone() };
    bound(&mut attempt);
    attempts.push(attempt);
    keep_latest(attempts);
}

/// A replay failed, or its end was never noted, since the process ended before. Both count, so that a letter that brings
/// down the process is quarantined like any other.
pub(crate) fn interrupt(envelope: &mut Envelope, config: &QueueConfig) {
    let spent = envelope.replays >= config.max_retry_attempts;
    envelope.state = if spent { State::Quarantined } else { State::Waiting };
}

/// Lets a quarantined letter be replayed again. Returns whether it was quarantined.
pub(crate) fn release(envelope: &mut Envelope) -> bool {
    let quarantined = envelope.state == State::Quarantined;
    if quarantined {
        envelope.state = State::Waiting;
        envelope.replays = 0;
    }
    quarantined
}
