//! `seawall demo`: a real outage over real sockets, with and without Seawall.
//!
//! There are two flaky upstreams, one steady one, the gateway in front of them, and the same open-loop load twice:
//! straight to the flaky ones, and through the gateway. Nothing in it is simulated but the failures of the upstreams.
//! It exits with 0 only if Seawall did what it promises.

use clap::Args;
use std::{
    io::IsTerminal,
    process::ExitCode,
    time::{Duration, Instant},
};

mod outcome;
mod plain;
mod screen;
mod stage;

use outcome::Outcome;
use stage::{Ended, Stage};

/// Arguments of `demo`.
#[derive(Debug, Args)]
pub(crate) struct Demo {
    /// How long the load lasts, in seconds; the timeline of failures stretches with it
    #[arg(long, default_value_t = 25, value_parser = clap::value_parser!(u64).range(8..=600))]
    seconds: u64,
    /// The number of requests a second, straight and again through the gateway
    #[arg(long, default_value_t = 100, value_parser = clap::value_parser!(u32).range(20..=2000))]
    rate: u32,
    /// Print one JSON object and nothing else
    #[arg(long)]
    json: bool,
    /// Print lines instead of a live view, also on a terminal
    #[arg(long)]
    plain: bool,
}

impl Demo {
    pub(crate) fn run(self) -> ExitCode {
        let runtime = match tokio::runtime::Runtime::new() {
            Ok(runtime) => runtime,
            Err(error) => return failed(&error.to_string()),
        };
        let ended = runtime.block_on(self.play());
        // Upstreams that hang on purpose must not keep the command from ending.
        runtime.shutdown_background();
        match ended {
            Ok(Some(outcome)) => self.tell(&outcome),
            Ok(None) => ExitCode::from(130),
            Err(error) => failed(&error),
        }
    }

    /// Plays the demo; there is no outcome if the user stopped it.
    async fn play(&self) -> Result<Option<Outcome>, String> {
        let total = Duration::from_secs(self.seconds);
        // A little ahead, so that everything stands when the first request is due.
        let start = Instant::now() + Duration::from_millis(300);
        let stage = Stage::build(start, total, self.rate).await?;
        let ended = if self.json {
            stage.watch(|_| false).await
        } else if !self.plain && std::io::stdout().is_terminal() {
            screen::show(&stage).await?
        } else {
            let mut lines = plain::Lines::begin(&stage);
            stage.watch(|stage| lines.tell(stage)).await
        };
        match ended {
            Ended::Stopped => Ok(None),
            Ended::Over => Ok(Some(stage.finish().await)),
        }
    }

    fn tell(&self, outcome: &Outcome) -> ExitCode {
        if self.json {
            println!("{}", outcome.json());
        } else {
            print!("{}", outcome.table());
        }
        if outcome.passed() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
    }
}

fn failed(error: &str) -> ExitCode {
    eprintln!("seawall demo: {error}");
    ExitCode::FAILURE
}
