//! Choosing a preset of policies and changing it in a few words: recommendation, detection, templates, the custom
//! configuration and its checks, and what the variables of older systems mean.

mod custom;
mod detect;
mod field;
mod legacy;
mod migrate;
mod recommend;
mod security;
mod templates;

pub use custom::{Verdict, read, validate, validate_for, validate_text, worst_case_wait};
pub use detect::{Detection, Sign, Surroundings, detect};
pub use legacy::{Confidence, Found, Legacy, analyze, is_legacy, overrides, read_env_file};
pub use migrate::{Target, write};
pub use recommend::{Recommendation, recommend, recommend_from};
pub use security::{
    FieldReport, SecurityInfo, SecurityLimits, check, check_value, fields, limits, validate_secure,
};
pub use templates::{
    Template, TemplateAdvice, recommend_template, template, templates, validate_template,
};

/// Three digits are as many as a score or a confidence is good for.
fn rounded(number: f64) -> f64 {
    (number * 1000.0).round() / 1000.0
}
