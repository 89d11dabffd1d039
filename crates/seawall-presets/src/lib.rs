//! Choosing a preset of policies and changing it in a few words: recommendation, detection, templates, the custom
//! configuration and its checks, and what the variables of older systems mean.

pub mod custom;
pub mod detect;
pub mod environment;
mod field;
pub mod legacy;
pub mod migrate;
pub mod recommend;
pub mod security;
pub mod templates;

/// Rounds to three digits: as many as a score or a confidence is good for.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
