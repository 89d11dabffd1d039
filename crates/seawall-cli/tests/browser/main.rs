//! The dashboard in a real Chromium, before a server that really runs: an operator clicks through it.
//!
//! It needs chromium and chromedriver (Debian: chromium, chromium-driver). Screenshots of every view go to
//! `$SEAWALL_SCREENSHOTS`, or to `target/screenshots`.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod access;
mod browser;
mod configuration;
mod inspect;
mod letters;
mod looks;
mod many;
mod overview;
mod stage;
#[path = "../cli/support.rs"]
#[allow(dead_code, reason = "these tests need a part of it")]
mod support;

use browser::Browser;
use stage::Stage;
