//! Standard output: text, JSON, and colours on a terminal that shows them.

use crate::failure::Failure;
use seawall::{Mode, State};
use seawall_server::wire::Level;
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write, stdout};

/// Writes text; it is no error if the reader has left.
pub(crate) fn write(text: &str) -> Result<(), Failure> {
    let mut out = stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == ErrorKind::BrokenPipe => Err(Failure::NobodyReads),
        Err(error) => Err(Failure::Refused(format!("cannot write the output: {error}"))),
    }
}

/// Writes a value as indented JSON.
pub(crate) fn json(value: &impl Serialize) -> Result<(), Failure> {
    let text = serde_json::to_string_pretty(value);
    write(&(text.map_err(|error| Failure::Refused(error.to_string()))? + "\n"))
}

/// Text from elsewhere, without signs that a terminal would obey.
pub(crate) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// The meaning that a colour expresses.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Tone {
    #[default]
    Usual,
    Good,
    Warning,
    Bad,
    Quiet,
    Strong,
}

impl Tone {
    /// The tone of a circuit's state.
    pub(crate) fn of_state(state: State) -> Self {
        match state {
            State::Closed => Self::Good,
            State::Open | State::ForcedOpen => Self::Bad,
            State::HalfOpen | State::ForcedClosed | State::Disabled => Self::Warning,
        }
    }

    /// A circuit's state and mode in words, with their tone: `open`, `open (shadow)`, `off`. Only one that enforces
    /// refuses calls.
    pub(crate) fn of_circuit(state: State, mode: Mode) -> (Self, String) {
        let words = state.label().replace('_', " ");
        match (mode, state) {
            (Mode::Enforce, _) => (Self::of_state(state), words),
            (Mode::Off, State::Closed) => (Self::Warning, mode.label().to_owned()),
            (Mode::Shadow, State::Closed) => (Self::Quiet, format!("{words} ({})", mode.label())),
            _ => (Self::Warning, format!("{words} ({})", mode.label())),
        }
    }

    /// The tone of an alert's level.
    pub(crate) fn of_level(level: Level) -> Self {
        match level {
            Level::Critical | Level::Error => Self::Bad,
            Level::Warning => Self::Warning,
            Level::Info => Self::Usual,
        }
    }
}

/// Whether colours are shown.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Paint(bool);

impl Paint {
    /// No colours, for tests.
    #[cfg(test)]
    pub(crate) const NONE: Self = Self(false);

    /// Colours on a terminal that shows them, unless the environment asks for none.
    pub(crate) fn of_stdout() -> Self {
        Self(stdout().is_terminal() && wanted())
    }

    /// Text in the colour of a tone.
    pub(crate) fn tone(self, tone: Tone, text: &str) -> String {
        let code = match tone {
            Tone::Usual => return text.to_owned(),
            Tone::Good => "32",
            Tone::Warning => "33",
            Tone::Bad => "1;31",
            Tone::Quiet => "2",
            Tone::Strong => "1",
        };
        if self.0 { format!("\u{1b}[{code}m{text}\u{1b}[0m") } else { text.to_owned() }
    }
}

/// Whether the environment allows colours: `NO_COLOR`, set to anything, forbids them.
pub(crate) fn wanted() -> bool {
    let set = |name| std::env::var_os(name).is_some_and(|value| !value.is_empty());
    let dumb = std::env::var_os("TERM").is_some_and(|term| term == "dumb");
    !set("NO_COLOR") && !dumb
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn colours_are_there_only_where_they_are_shown() {
        assert_eq!(Paint(false).tone(Tone::Bad, "open"), "open");
        assert_eq!(Paint(true).tone(Tone::Bad, "open"), "\u{1b}[1;31mopen\u{1b}[0m");
        assert_eq!(Paint(true).tone(Tone::Usual, "open"), "open");
    }

    #[test]
    fn a_terminal_obeys_nothing_from_elsewhere() {
        assert_eq!(plain("a\u{1b}[31mb\nc"), "a\u{fffd}[31mb\u{fffd}c");
    }
}
