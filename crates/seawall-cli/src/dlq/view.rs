//! Dead letters and replays as text.

use crate::{
    output,
    output::{Paint, Tone},
    table::{Cell, Table, shown},
};
use seawall_server::wire::{
    Envelope, Groups, ImportAnswer, Job, JobStatus, LetterPage, LetterState, LetterStats,
    LetterView, Resealed,
};
use serde::Serialize;

/// A field as the API writes it: times and words.
fn field(of: &impl Serialize, name: &str) -> String {
    let value = serde_json::to_value(of).unwrap_or_default();
    value.get(name).map_or_else(String::new, shown)
}

fn state(of: LetterState) -> Cell {
    let tone = match of {
        LetterState::Waiting | LetterState::Replaying => Tone::Usual,
        LetterState::Replayed => Tone::Quiet,
        LetterState::Quarantined => Tone::Warning,
    };
    let word = serde_json::to_value(of).unwrap_or_default();
    Cell::toned(tone, shown(&word))
}

pub(super) fn list(page: &LetterPage, paint: Paint) -> String {
    let mut table = Table::new(&["id", "queue", "state", "last failure", "operation", "error"]);
    for letter in &page.letters {
        table.row(vec![
            Cell::text(letter.id.to_string()),
            Cell::text(&letter.queue),
            state(letter.state),
            Cell::text(field(letter, "last_failure")),
            Cell::text(&letter.operation),
            Cell::text(&letter.error),
        ]);
    }
    let mut text = match (table.is_empty(), page.next) {
        (true, None) => "no letters\n".into(),
        (true, Some(_)) => "none on this page\n".into(),
        (false, _) => table.text(paint),
    };
    if let Some(next) = page.next {
        text += &format!("more: --after {next}\n");
    }
    text
}

pub(super) fn letter(letter: &LetterView, paint: Paint) -> String {
    let envelope = &letter.envelope;
    let mut text = format!("{}\n", paint.tone(Tone::Strong, &envelope.id.to_string()));
    text += &head(envelope).text(paint);
    text += "\nattempts, oldest first\n";
    let mut attempts = Table::new(&["at", "upstream", "outcome", "took", "circuit", "error"]);
    for attempt in &letter.attempts {
        let replay = if attempt.replay { " (replay)" } else { "" };
        attempts.row(vec![
            Cell::text(field(attempt, "at")),
            Cell::maybe(attempt.upstream.as_deref()),
            Cell::text(format!("{}{replay}", attempt.outcome)),
            Cell::number(format!("{} ms", attempt.duration_ms)),
            Cell::maybe(attempt.breaker.as_deref()),
            Cell::text(attempt.errors.join(": ")),
        ]);
    }
    text += &attempts.text(paint);
    text += "\nheaders\n";
    let mut headers = Table::new(&["", ""]);
    for header in &letter.headers {
        headers.row(vec![Cell::text(&header.name), Cell::text(&header.value)]);
    }
    text += &headers.text(paint);
    let payload = match (&letter.payload, &letter.unreadable) {
        (Some(payload), _) => String::from_utf8_lossy(&payload.0).into_owned(),
        (None, Some(why)) => format!("it cannot be read: {why}"),
        (None, None) => "the key may only read, so the payload is not shown".into(),
    };
    text + "\npayload\n" + &output::plain(&payload) + "\n"
}

fn head(envelope: &Envelope) -> Table {
    let mut table = Table::new(&["", ""]);
    table.row(vec![Cell::text("queue"), Cell::text(&envelope.queue)]);
    table.row(vec![Cell::text("state"), state(envelope.state)]);
    for (name, value) in [
        ("operation", Some(envelope.operation.clone())),
        ("error", Some(envelope.error.clone())),
        ("error class", Some(envelope.error_class.clone())),
        ("group", Some(envelope.fingerprint.to_string())),
        ("tenant", envelope.tenant.clone()),
        ("idempotency key", envelope.idempotency_key.clone()),
        ("first failure", Some(field(envelope, "first_failure"))),
        ("last failure", Some(field(envelope, "last_failure"))),
        ("expires", Some(field(envelope, "expires"))),
        ("deliveries", Some(envelope.deliveries.to_string())),
        ("replays", Some(envelope.replays.to_string())),
    ] {
        if let Some(value) = value {
            table.row(vec![Cell::text(name), Cell::text(value)]);
        }
    }
    table
}

pub(super) fn groups(groups: &Groups, paint: Paint) -> String {
    let head = ["group", "letters", "first failure", "last failure", "operation", "error"];
    let mut table = Table::new(&head);
    for group in &groups.groups {
        table.row(vec![
            Cell::text(group.fingerprint.to_string()),
            Cell::number(group.letters.to_string()),
            Cell::text(field(group, "first_failure")),
            Cell::text(field(group, "last_failure")),
            Cell::text(&group.example.operation),
            Cell::text(&group.example.error),
        ]);
    }
    let mut text = if table.is_empty() { "no letters\n".into() } else { table.text(paint) };
    if groups.others > 0 {
        text += &format!("and {} letters in further groups\n", groups.others);
    }
    text
}

pub(super) fn stats(all: &LetterStats, paint: Paint) -> String {
    let head = ["queue", "waiting", "replaying", "replayed", "quarantined", "dropped", "bytes"];
    let mut table = Table::new(&head);
    for (name, queue) in &all.stats.queues {
        let mut row = vec![Cell::text(name)];
        for number in [
            queue.waiting,
            queue.replaying,
            queue.replayed,
            queue.quarantined,
            queue.dropped,
            queue.bytes,
        ] {
            row.push(Cell::number(number.to_string()));
        }
        table.row(row);
    }
    let mut text = if table.is_empty() { "no letters\n".into() } else { table.text(paint) };
    text += &format!("in {}\n", output::plain(&all.place));
    if let Some(failure) = &all.failure {
        let told = format!("letters cannot be kept: {}", output::plain(failure));
        text += &format!("{}\n", paint.tone(Tone::Warning, &told));
    }
    if all.stats.corrupt > 0 {
        text += &format!("{} letters were damaged and are set aside\n", all.stats.corrupt);
    }
    text
}

pub(super) fn jobs(jobs: &[Job], paint: Paint) -> String {
    let head = ["id", "status", "started", "found", "of", "succeeded", "failed", "skipped"];
    let mut table = Table::new(&head);
    for job in jobs {
        let tone = match job.status {
            JobStatus::Running => Tone::Strong,
            JobStatus::Paused => Tone::Warning,
            JobStatus::Cancelled | JobStatus::Done => Tone::Quiet,
        };
        let progress = &job.progress;
        table.row(vec![
            Cell::text(job.id.to_string()),
            Cell::toned(tone, field(job, "status")),
            Cell::text(field(job, "started")),
            Cell::number(progress.found.to_string()),
            Cell::number(job.total.map_or_else(|| "-".into(), |total| total.to_string())),
            Cell::number(progress.succeeded.to_string()),
            Cell::number(progress.failed.to_string()),
            Cell::number(progress.skipped.to_string()),
        ]);
    }
    if table.is_empty() { "no replays\n".into() } else { table.text(paint) }
}

pub(super) fn job(job: &Job, paint: Paint) -> String {
    if job.order.dry_run && job.is_over() {
        return format!("{} letters would be replayed\n", job.progress.found);
    }
    jobs(std::slice::from_ref(job), paint)
}

pub(super) fn imported(answer: &ImportAnswer) -> String {
    let ImportAnswer { stored, merged, refused, errors } = answer;
    let mut text = format!("{stored} letters stored, {merged} merged, {refused} refused\n");
    for error in errors {
        text += &format!("line {}: {}\n", error.line, output::plain(&error.reason));
    }
    text
}

pub(super) fn resealed(all: &Resealed) -> String {
    let Resealed { resealed, unreadable, .. } = all;
    let mut text = format!("{resealed} letters encrypted with the newest key\n");
    if *unreadable > 0 {
        text +=
            &format!("{unreadable} letters cannot be opened with any key, and stay as they are\n");
    }
    text
}
