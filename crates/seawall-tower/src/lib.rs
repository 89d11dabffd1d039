//! Seawall on tokio, tower and HTTP: the timer, the classification of answers, and what an error of
//! Seawall's looks like as an HTTP response.

mod classify;
mod problem;
mod timer;

pub use classify::{HttpClassify, classify_status, retry_after};
pub use problem::{Problem, rejection_problem, timeout_problem};
pub use timer::TokioTimer;
