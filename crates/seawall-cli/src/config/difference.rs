//! Prints changes of the configuration for people.

use crate::output::{Paint, Tone, plain};
use seawall_server::wire::{Cause, ConfigChanged, Difference, MistakeView, RevisionHistory};
use serde_json::Value;

/// The text for a change that was made, or of a dry run.
pub(super) fn changed(answer: &ConfigChanged, dry_run: bool, paint: Paint) -> String {
    let revision = answer.revision;
    let mut text = lines(&answer.diff, "", paint);
    text += &match (answer.applied, dry_run, text.is_empty()) {
        (_, _, true) => format!("nothing changes; revision {revision} is in force\n"),
        (true, ..) => format!("in force as revision {revision}\n"),
        (false, true, _) => "nothing was changed: this is what would be\n".to_owned(),
        (false, false, _) => format!("not applied; revision {revision} is in force\n"),
    };
    if !answer.needs_restart.is_empty() {
        let fields = plain(&answer.needs_restart.join(", "));
        text += &format!("counts from the next start on: {fields}\n");
    }
    text + &warnings(&answer.warnings)
}

/// The revisions, each with what it changed.
pub(super) fn history(answer: &RevisionHistory, paint: Paint) -> String {
    let mut text = String::new();
    for revision in &answer.revisions {
        let number = paint.tone(Tone::Strong, &format!("revision {}", revision.revision));
        let current = if revision.revision == answer.current { "  in force" } else { "" };
        let (at, who) = (plain(&revision.at), plain(&revision.who));
        text += &format!("{number}  {at}  {}  {who}{current}\n", word(revision.cause));
        text += &lines(&revision.diff, "  ", paint);
    }
    text
}

fn word(cause: Cause) -> &'static str {
    match cause {
        Cause::Start => "start",
        Cause::File => "file",
        Cause::Signal => "signal",
        Cause::Api => "api",
        Cause::Rollback => "rollback",
        Cause::Fleet => "fleet",
    }
}

/// The text for the warnings of a configuration.
pub(super) fn warnings(all: &[MistakeView]) -> String {
    let mut text = String::new();
    for warning in all {
        let parts = [&warning.path, &warning.message].into_iter().filter(|part| !part.is_empty());
        let parts: Vec<String> = parts.map(|part| plain(part)).collect();
        let right = warning.right.as_deref().filter(|right| !right.is_empty());
        let right = right.map(|right| format!("; {}", plain(right))).unwrap_or_default();
        text += &format!("warning: {}{right}\n", parts.join(": "));
    }
    text
}

fn lines(diff: &[Difference], indent: &str, paint: Paint) -> String {
    let mut text = String::new();
    for one in diff {
        let (path, origin) = (plain(&one.path), plain(&one.origin));
        let line = |sign: &str, value: &Value| {
            format!("{indent}{sign} {path}: {}", plain(&value.to_string()))
        };
        if let Some(old) = &one.old {
            text += &format!("{}\n", paint.tone(Tone::Bad, &line("-", old)));
        }
        if let Some(new) = &one.new {
            text += &format!(
                "{}  {}\n",
                paint.tone(Tone::Good, &line("+", new)),
                paint.tone(Tone::Quiet, &format!("({origin})"))
            );
        }
    }
    text
}
