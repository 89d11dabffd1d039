//! Scenarios in virtual time: the policies that production runs, a dependency that fails on a time line, and no
//! clock, socket or thread. The same scenario gives the same report, to the letter.
//!
//! ```
//! use seawall_sim::{Phase, Scenario, run};
//! use std::time::Duration;
//!
//! let scenario = Scenario {
//!     duration: Duration::from_secs(20),
//!     policies: seawall::profile("aggressive").unwrap().policies(),
//!     dependency: vec![
//!         Phase { latency: Duration::from_millis(20), ..Phase::default() },
//!         Phase { at: Duration::from_secs(10), failures: 1.0, ..Phase::default() },
//!     ],
//!     ..Scenario::default()
//! };
//! let report = run(&scenario)?;
//! assert_eq!(report.transitions[0].why, "3 consecutive failures reached failure_threshold 3");
//! # Ok::<_, seawall::config::ConfigError>(())
//! ```

mod caller;
mod dependency;
mod expectation;
mod ledger;
mod report;
mod scenario;
mod world;

pub use expectation::{Checked, Expectation, Range};
pub use ledger::Transition;
pub use report::{Report, Second};
pub use scenario::{Arrivals, FailureKind, Load, Phase, Scenario};
pub use world::run;

#[cfg(doctest)]
#[doc = include_str!("../../../docs/simulate.md")]
struct SimulatePage;
