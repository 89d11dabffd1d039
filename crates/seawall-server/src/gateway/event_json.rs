//! Reads the few members of an event's JSON by which protocols report; the rest is skipped, not built.

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, IgnoredAny, MapAccess, Visitor},
};
use serde_json::value::RawValue;
use std::{borrow::Cow, collections::BTreeMap, fmt};

/// Members of the outermost object. Data that is cut off or is no JSON has those that came before.
#[derive(Default)]
pub(super) struct EventJson<'a> {
    /// The member `type`.
    pub(super) kind: Cow<'a, str>,
    pub(super) object: Cow<'a, str>,
    /// The member `error`, where it says that there is one.
    pub(super) error: Option<&'a RawValue>,
    pub(super) choices: Option<&'a RawValue>,
    pub(super) code: Option<&'a RawValue>,
    pub(super) last_error: Option<&'a RawValue>,
    pub(super) response: Option<&'a RawValue>,
    pub(super) content_block: Option<&'a RawValue>,
    /// Google's member `candidates`, its counterpart of `choices`.
    pub(super) candidates: Option<&'a RawValue>,
    /// The member `promptFeedback`.
    pub(super) prompt_feedback: Option<&'a RawValue>,
    pub(super) sequence_number: Option<u64>,
    /// The tokens used so far: `usage`, or Google's `usageMetadata`.
    pub(super) usage: Option<&'a RawValue>,
    /// The message that Anthropic's first event has.
    pub(super) message: Option<&'a RawValue>,
}

impl<'a> EventJson<'a> {
    pub(super) fn read(data: &'a [u8]) -> Self {
        let mut members = Self::default();
        // What was read before a mistake still counts.
        let _ = Fill(&mut members).deserialize(&mut serde_json::Deserializer::from_slice(data));
        members
    }

    fn take<A: MapAccess<'a>>(&mut self, name: &str, map: &mut A) -> Result<(), A::Error> {
        let place = match name {
            "type" => {
                self.kind = text(map.next_value()?);
                return Ok(());
            }
            "object" => {
                self.object = text(map.next_value()?);
                return Ok(());
            }
            "sequence_number" => {
                self.sequence_number = map.next_value::<&RawValue>()?.get().parse().ok();
                return Ok(());
            }
            "choices" => {
                self.choices = Some(map.next_value()?);
                return Ok(());
            }
            "error" => {
                let value: &'a RawValue = map.next_value()?;
                self.error = Some(value).filter(|value| is_error(value)).or(self.error);
                return Ok(());
            }
            "code" => &mut self.code,
            "last_error" => &mut self.last_error,
            "response" => &mut self.response,
            "content_block" => &mut self.content_block,
            "candidates" => &mut self.candidates,
            "usage" | "usageMetadata" => &mut self.usage,
            "message" => &mut self.message,
            "promptFeedback" => &mut self.prompt_feedback,
            _ => return map.next_value::<IgnoredAny>().map(drop),
        };
        let value: &'a RawValue = map.next_value()?;
        *place = Some(value).filter(|value| says_something(value));
        Ok(())
    }
}

/// Fills in the members while the JSON is read.
struct Fill<'m, 'a>(&'m mut EventJson<'a>);

impl<'a> DeserializeSeed<'a> for Fill<'_, 'a> {
    type Value = ();
    fn deserialize<D: Deserializer<'a>>(self, data: D) -> Result<(), D::Error> {
        data.deserialize_map(self)
    }
}

impl<'a> Visitor<'a> for Fill<'_, 'a> {
    type Value = ();
    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an object")
    }
    fn visit_map<A: MapAccess<'a>>(self, mut map: A) -> Result<(), A::Error> {
        while let Some(Name(name)) = map.next_key()? {
            self.0.take(&name, &mut map)?;
        }
        Ok(())
    }
}

/// A string, such as a member's name, borrowed where nothing in it is escaped.
#[derive(PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);

/// One of a chunk's `choices`, or of Google's `candidates`.
#[derive(Deserialize)]
pub(super) struct Choice<'a> {
    #[serde(borrow, default)]
    index: Option<&'a RawValue>,
    #[serde(borrow, default)]
    finish_reason: Option<&'a RawValue>,
    #[serde(borrow, default)]
    delta: Option<&'a RawValue>,
    #[serde(borrow, default)]
    text: Option<&'a RawValue>,
    #[serde(borrow, default)]
    message: Option<&'a RawValue>,
    #[serde(borrow, default)]
    error: Option<&'a RawValue>,
    /// The member `finishReason` of a candidate, its counterpart of `finish_reason`.
    #[serde(borrow, default, rename = "finishReason")]
    candidate_finish_reason: Option<&'a RawValue>,
    /// The member `content` of a candidate, its counterpart of `delta`.
    #[serde(borrow, default)]
    content: Option<&'a RawValue>,
}

impl<'a> Choice<'a> {
    /// Reads all choices; `None` where the value is no list of them.
    pub(super) fn all(choices: &'a RawValue) -> Option<Vec<Self>> {
        serde_json::from_str(choices.get()).ok()
    }

    pub(super) fn index(&self) -> u32 {
        self.index.and_then(|index| index.get().parse().ok()).unwrap_or(0)
    }

    /// The reason why the choice is finished; empty while it is not.
    pub(super) fn finish_reason(&self) -> Cow<'a, str> {
        let reason = self.finish_reason.or(self.candidate_finish_reason);
        reason.map(text).filter(|reason| reason != "FINISH_REASON_UNSPECIFIED").unwrap_or_default()
    }

    pub(super) fn error(&self) -> Option<&'a RawValue> {
        self.error.filter(|error| is_error(error))
    }

    /// Whether the choice has content for a person or a tool; a role is no such content.
    pub(super) fn has_content(&self) -> bool {
        let delta = self.delta.or(self.message).map(members).unwrap_or_default();
        let brings =
            |(name, value): (&Cow<'_, str>, &&RawValue)| name != "role" && says_something(value);
        self.text.is_some_and(says_something)
            || delta.iter().any(brings)
            || self.content.is_some_and(candidate_has_content)
    }
}

/// Whether the content of a candidate has a part that is more than an empty text.
fn candidate_has_content(content: &RawValue) -> bool {
    let members = members(content);
    let parts = members.get("parts").and_then(|parts| serde_json::from_str(parts.get()).ok());
    let parts: Vec<&RawValue> = parts.unwrap_or_default();
    parts.into_iter().any(|part| self::members(part).into_values().any(says_something))
}

/// Reads the members of a value; there are none where it is no object.
pub(super) fn members(value: &RawValue) -> BTreeMap<Cow<'_, str>, &RawValue> {
    let members: Result<BTreeMap<Name<'_>, &RawValue>, _> = serde_json::from_str(value.get());
    members.unwrap_or_default().into_iter().map(|(Name(name), value)| (name, value)).collect()
}

/// Reads the text that a value is; it is empty where the value is none.
pub(super) fn text(value: &RawValue) -> Cow<'_, str> {
    serde_json::from_str(value.get()).map(|Name(text)| text).unwrap_or_default()
}

/// The words that name an error: its `type`, `code` and `status`, or all of it where it has no members.
pub(super) fn words_of(error: &RawValue) -> Vec<String> {
    let word = |value: &RawValue| match text(value) {
        text if text.is_empty() => value.get().to_owned(),
        text => text.into_owned(),
    };
    let members = members(error);
    if members.is_empty() {
        return vec![word(error)];
    }
    let named = ["type", "code", "status"].into_iter().filter_map(|name| members.get(name));
    named.map(|value| word(value)).collect()
}

/// Whether the data is one whole JSON text.
pub(super) fn is_whole(data: &[u8]) -> bool {
    serde_json::from_slice::<IgnoredAny>(data).is_ok()
}

/// Whether the value of `error` is an error. Some upstreams send the member with each event, to say that there is
/// none.
fn is_error(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "false" | "\"\"")
}

/// Whether a value is more than null or empty.
fn says_something(value: &RawValue) -> bool {
    !matches!(value.get(), "null" | "false" | "\"\"" | "[]" | "{}")
}
