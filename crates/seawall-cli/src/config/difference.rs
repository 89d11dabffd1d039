//! Changes of the configuration, as people read them.

use crate::{
    output::{Paint, Tone, plain},
    table::shown,
};
use serde_json::Value;

/// What a change did, or would do.
pub(super) fn changed(answer: &Value, dry_run: bool, paint: Paint) -> String {
    let revision = &answer["revision"];
    let mut text = lines(&answer["diff"], "", paint);
    text += &match (answer["applied"] == true, dry_run, text.is_empty()) {
        (_, _, true) => format!("nothing changes; revision {revision} is in force\n"),
        (true, ..) => format!("in force as revision {revision}\n"),
        (false, true, _) => "nothing was changed: this is what would be\n".to_owned(),
        (false, false, _) => format!("not applied; revision {revision} is in force\n"),
    };
    let restart = answer["needs_restart"].as_array().into_iter().flatten();
    let restart: Vec<String> = restart.map(|field| plain(&shown(field))).collect();
    if !restart.is_empty() {
        text += &format!("counts from the next start on: {}\n", restart.join(", "));
    }
    text + &warnings(answer)
}

/// The revisions, each with what it changed.
pub(super) fn history(answer: &Value, paint: Paint) -> String {
    let mut text = String::new();
    for revision in answer["revisions"].as_array().into_iter().flatten() {
        let field = |name: &str| plain(&shown(&revision[name]));
        let number = paint.tone(Tone::Strong, &format!("revision {}", field("revision")));
        let current = if revision["revision"] == answer["current"] { "  in force" } else { "" };
        let (at, cause, who) = (field("at"), field("cause"), field("who"));
        text += &format!("{number}  {at}  {cause}  {who}{current}\n");
        text += &lines(&revision["diff"], "  ", paint);
    }
    text
}

/// What works, and should still be looked at.
pub(super) fn warnings(answer: &Value) -> String {
    let mut text = String::new();
    for warning in answer["warnings"].as_array().into_iter().flatten() {
        let field = |name: &str| warning[name].as_str().filter(|text| !text.is_empty()).map(plain);
        let parts: Vec<String> = ["path", "message"].into_iter().filter_map(field).collect();
        let right = field("right").map(|right| format!("; {right}")).unwrap_or_default();
        text += &format!("warning: {}{right}\n", parts.join(": "));
    }
    text
}

fn lines(diff: &Value, indent: &str, paint: Paint) -> String {
    let mut text = String::new();
    for one in diff.as_array().into_iter().flatten() {
        let (path, origin) = (plain(&shown(&one["path"])), plain(&shown(&one["origin"])));
        let value = |name: &str| plain(&one[name].to_string());
        if one.get("old").is_some() {
            let line = format!("{indent}- {path}: {}", value("old"));
            text += &format!("{}\n", paint.tone(Tone::Bad, &line));
        }
        if one.get("new").is_some() {
            let line = format!("{indent}+ {path}: {}", value("new"));
            text += &format!(
                "{}  {}\n",
                paint.tone(Tone::Good, &line),
                paint.tone(Tone::Quiet, &format!("({origin})"))
            );
        }
    }
    text
}
