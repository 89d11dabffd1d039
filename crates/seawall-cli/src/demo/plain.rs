//! The demo as lines: one a second, and one for each change of the circuit.

use super::stage::{Look, Stage};
use seawall_load::open_loop::Progress;

pub(super) struct Lines {
    second: u64,
    changes: usize,
    phase: String,
}

impl Lines {
    pub(super) fn begin(stage: &Stage) -> Self {
        println!("Two flaky upstreams, a steady one, and Seawall in front of them.");
        println!("Dashboard while it runs: http://{}/dashboard\n", stage.address);
        Self { second: 0, changes: 0, phase: String::new() }
    }

    /// Prints the state of the demo; it never asks to stop.
    pub(super) fn tell(&mut self, stage: &Stage) -> bool {
        for (at, change) in stage.changes().into_iter().skip(self.changes) {
            self.changes += 1;
            println!("{:6.2} s  circuit {change}", at.as_secs_f64());
        }
        let look = stage.look();
        if look.at.as_secs() > self.second {
            self.second = look.at.as_secs();
            if look.phase != self.phase {
                println!("{:6.2} s  ── {} ──", look.at.as_secs_f64(), look.phase);
                self.phase.clone_from(&look.phase);
            }
            line(&look);
        }
        false
    }
}

fn line(look: &Look) {
    println!(
        "{:6.2} s  straight {}   through Seawall {}   circuit {}",
        look.at.as_secs_f64(),
        side(&look.direct),
        side(&look.seawall),
        look.circuit.label(),
    );
}

/// The last second of one side.
fn side(progress: &Progress) -> String {
    let recent = &progress.recent;
    let ended = recent.successes + recent.errors;
    let share = if ended == 0 { 0.0 } else { recent.successes as f64 * 100.0 / ended as f64 };
    format!("{share:5.1} % ok, p99 {:4.0} ms", recent.p99_ms)
}
