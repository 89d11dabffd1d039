//! `seawall events`: shows the latest events, and follows new ones.

use crate::{
    failure::{Ended, Failure},
    output,
    output::{Paint, Tone, plain},
    remote::{Client, Next, Remote, Reply, reading, run},
};
use clap::Args;
use seawall_server::wire::Line;
use std::{process::ExitCode, time::Duration};

/// Without `--follow`: the tail comes at once, so that this much silence is its end.
const SILENCE: Duration = Duration::from_secs(1);
/// A snapshot comes every second: this much silence is a cut.
const CUT: Duration = Duration::from_secs(15);

/// Arguments of `events`.
#[derive(Debug, Args)]
pub(crate) struct Events {
    /// Go on until interrupted, and connect again when the stream is cut
    #[arg(long)]
    follow: bool,
    /// Show only events of this operation
    #[arg(long)]
    operation: Option<String>,
    /// Show only events of this kind, such as `circuit_changed`, `rejected`, `retry_scheduled`
    #[arg(long)]
    kind: Option<String>,
    /// Print JSON, one event a line
    #[arg(long)]
    json: bool,
    #[command(flatten)]
    remote: Remote,
}

impl Events {
    pub(crate) fn run(self) -> Ended {
        run(async {
            let client = self.remote.client()?;
            if self.follow { self.follow(&client).await } else { self.tail(&client).await }
        })?;
        Ok(ExitCode::SUCCESS)
    }

    async fn tail(&self, client: &Client) -> Result<(), Failure> {
        let mut messages = client.events().await?;
        // A snapshot comes before the tail, where there is one by then; the next one comes after it.
        let mut patience = CUT;
        while let Next::Message(message) = messages.next(patience).await {
            match &*message.kind {
                "event" => self.tell(&line(client, &message.data)?)?,
                "snapshot" if patience == SILENCE => break,
                _ => {}
            }
            patience = SILENCE;
        }
        match patience {
            SILENCE => Ok(()),
            _ => Err(client.strange("no snapshot and no event")),
        }
    }

    async fn follow(&self, client: &Client) -> Result<(), Failure> {
        let mut pause = Pause::default();
        let mut latest = (String::new(), 0);
        // A server that cannot be reached at the start is an error; one that was there once is waited for.
        let mut messages = client.events().await?;
        loop {
            let cut = loop {
                match messages.next(CUT).await {
                    Next::Message(message) if message.kind == "event" => {
                        let event = line(client, &message.data)?;
                        let seen = (event.read.at.clone(), event.read.id);
                        // The tail comes again with each connection.
                        if seen > latest {
                            latest = seen;
                            self.tell(&event)?;
                        }
                    }
                    Next::Message(_) => pause = Pause::default(),
                    Next::Silence => break "nothing came any more".to_owned(),
                    Next::Over(why) => break why,
                }
            };
            eprintln!("seawall: the stream was cut ({}); connecting again", plain(&cut));
            messages = loop {
                tokio::time::sleep(pause.next()).await;
                match client.events().await {
                    Ok(again) => break again,
                    // A refusal is an answer: waiting does not change it.
                    Err(failure @ Failure::Refused(_)) => return Err(failure),
                    Err(_) => {}
                }
            };
        }
    }

    fn tell(&self, event: &Reply<Line>) -> Result<(), Failure> {
        let is = |field: &str, wanted: &Option<String>| {
            wanted.as_deref().is_none_or(|wanted| field == wanted)
        };
        let Line { operation, kind, .. } = &event.read;
        if !is(operation, &self.operation) || !is(kind, &self.kind) {
            return Ok(());
        }
        if self.json {
            return output::write(&format!("{}\n", event.json));
        }
        output::write(&shown(&event.read, Paint::of_stdout()))
    }
}

/// One event, as the server wrote it.
fn line(client: &Client, data: &str) -> Result<Reply<Line>, Failure> {
    reading(data).map_err(|told| client.strange(&format!("event: {told}")))
}

fn shown(event: &Line, paint: Paint) -> String {
    let (at, text, kind) = (plain(&event.at), plain(&event.text), plain(&event.kind));
    let kind = paint.tone(tone(&kind), &format!("{kind:15}"));
    let operation = paint.tone(Tone::Strong, &format!("{:16}", plain(&event.operation)));
    format!("{}  {operation}  {kind}  {text}\n", paint.tone(Tone::Quiet, &at))
}

/// The tone of an event's kind.
pub(crate) fn tone(kind: &str) -> Tone {
    match kind {
        "rejected" | "timed_out" | "alert_started" => Tone::Bad,
        "circuit_changed" | "forced" | "brake" | "mode" => Tone::Warning,
        "alert_ended" | "reset" => Tone::Good,
        _ => Tone::Usual,
    }
}

/// Growing pauses between attempts to connect, each by chance shorter, so that many do not come at once.
#[derive(Debug, Default)]
pub(crate) struct Pause(u32);

impl Pause {
    const FIRST: Duration = Duration::from_millis(500);
    const LONGEST: Duration = Duration::from_secs(10);

    /// The length of the next pause.
    pub(crate) fn next(&mut self) -> Duration {
        let whole = Self::FIRST.saturating_mul(1 << self.0.min(8)).min(Self::LONGEST);
        self.0 = self.0.saturating_add(1);
        whole.mul_f64(0.5 + 0.5 * seawall::Random::new(seawall::fresh_seed()).unit())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_are_bounded() {
        let mut pause = Pause::default();
        for expected in [500, 1000, 2000, 4000, 8000, 10_000, 10_000] {
            let length = pause.next();
            let whole = Duration::from_millis(expected);
            assert!(length >= whole / 2 && length <= whole, "{length:?} of {whole:?}");
        }
    }
}
