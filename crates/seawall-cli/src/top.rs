//! `seawall top`: a running server live, worst first.
//!
//! A thread reads the stream and connects again where it is cut; the terminal belongs to the main one.

use crate::{
    events::Pause,
    failure::{Ended, Failure, Failure::Unusable},
    output,
    output::plain,
    remote::{Client, Next, Remote, run},
};
use clap::Args;
use crossterm::event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers};
use std::{
    io::IsTerminal,
    process::ExitCode,
    sync::mpsc::{Receiver, Sender, channel},
    thread,
    time::Duration,
};
use view::{Change, View};

mod draw;
mod view;

/// A snapshot comes every second: this much silence is a cut.
const CUT: Duration = Duration::from_secs(5);
/// How often keys and messages are looked for.
const TICK: Duration = Duration::from_millis(100);

/// Arguments of `top`.
#[derive(Debug, Args)]
#[command(after_help = "Keys: q quit, ↑ ↓ select, p pause, / filter by name, Esc no filter.")]
pub(crate) struct Top {
    #[command(flatten)]
    remote: Remote,
}

impl Top {
    pub(crate) fn run(self) -> Ended {
        if !std::io::stdout().is_terminal() {
            let told = "top draws on a terminal; `seawall operations --json` and `seawall events` go into a pipe";
            return Err(Unusable(told.into()));
        }
        let (sender, receiver) = channel();
        let where_it_is = self.remote.shown();
        let remote = self.remote;
        // It ends with the process: a stream need not be waited for.
        thread::spawn(move || {
            let ended = run(async { follow(&remote.client()?, &sender).await });
            if let Err(failure) = ended {
                let _ = sender.send(Change::Ended(failure));
            }
        });
        show(View::new(where_it_is, output::wanted()), &receiver)
    }
}

/// Reads the stream until the server refuses it, or the view is closed.
async fn follow(client: &Client, news: &Sender<Change>) -> Result<(), Failure> {
    let mut pause = Pause::default();
    let mut reached = false;
    loop {
        let why = match client.events().await {
            Ok(mut messages) => loop {
                match messages.next(CUT).await {
                    Next::Message(message) => {
                        (reached, pause) = (true, Pause::default());
                        let change = Change::of(&message.kind, &message.data);
                        let change = change.map_err(|told| client.strange(&told))?;
                        if news.send(change).is_err() {
                            return Ok(());
                        }
                    }
                    Next::Silence => break "nothing comes any more".to_owned(),
                    Next::Over(why) => break why,
                }
            },
            // A refusal is an answer; and who was never there is not waited for.
            Err(failure @ Failure::Refused(_)) => return Err(failure),
            Err(failure) if !reached => return Err(failure),
            Err(Unusable(why)) => why,
            Err(Failure::NobodyReads) => return Ok(()),
        };
        let length = pause.next();
        let cut = Change::Cut { why: plain(&why), again_in: length };
        if news.send(cut).is_err() {
            return Ok(());
        }
        tokio::time::sleep(length).await;
    }
}

fn show(mut view: View, news: &Receiver<Change>) -> Ended {
    let terminal = ratatui::try_init();
    let mut terminal = terminal.map_err(|error| Unusable(format!("no terminal: {error}")))?;
    let ended = loop {
        while let Ok(change) = news.try_recv() {
            view.take(change);
        }
        if let Some(failure) = view.failure.take() {
            break Err(failure);
        }
        if let Err(error) = terminal.draw(|frame| draw::draw(frame, &view)) {
            break Err(Unusable(format!("the terminal is gone: {error}")));
        }
        match event::poll(TICK) {
            Ok(true) => match event::read() {
                Ok(Event::Key(key)) if handle_key(&mut view, key) => break Ok(ExitCode::SUCCESS),
                Ok(_) => {}
                Err(error) => break Err(Unusable(format!("the terminal is gone: {error}"))),
            },
            Ok(false) => {}
            Err(error) => break Err(Unusable(format!("the terminal is gone: {error}"))),
        }
    };
    ratatui::restore();
    ended
}

/// Handles a key; true if it ends the view.
fn handle_key(view: &mut View, key: KeyEvent) -> bool {
    if key.kind == KeyEventKind::Release {
        return false;
    }
    if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
        return true;
    }
    if view.typing {
        match key.code {
            KeyCode::Char(c) => view.filter.push(c),
            KeyCode::Backspace => {
                view.filter.pop();
            }
            KeyCode::Esc => view.clear_filter(),
            KeyCode::Enter => view.typing = false,
            _ => {}
        }
        return false;
    }
    match key.code {
        KeyCode::Char('q') => return true,
        KeyCode::Char('p') => view.toggle_pause(),
        KeyCode::Char('/') => view.typing = true,
        KeyCode::Esc => view.clear_filter(),
        KeyCode::Up => view.select(-1),
        KeyCode::Down => view.select(1),
        KeyCode::PageUp => view.select(-10),
        KeyCode::PageDown => view.select(10),
        _ => {}
    }
    false
}

#[cfg(test)]
mod tests;
