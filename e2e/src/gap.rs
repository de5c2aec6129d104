//! The longest time without an answer.

use std::time::Duration;

use anyhow::{Context as _, Result};
use lvs_lab::traffic::Report;

/// The longest time between two answers that follow each other.
///
/// # Errors
/// When there were fewer than two answers.
pub fn gap(report: &Report) -> Result<Duration> {
    let silence = report.longest_silence();
    Ok(silence.context("there were no answers")?.length)
}
