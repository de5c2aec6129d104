//! Waiting for something that can only be looked at.

use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, anyhow};

/// Pause between two looks. A look is usually a command on a node, which takes as long itself.
const PAUSE: Duration = Duration::from_millis(20);

/// Looks until the answer is there, and returns it and how long that took.
///
/// # Errors
/// When it is not there within the time: the message names `what` and the last reason why not.
pub fn eventually<T>(
    what: &str,
    within: Duration,
    mut look: impl FnMut() -> Result<T>,
) -> Result<(T, Duration)> {
    let start = Instant::now();
    loop {
        match look() {
            Ok(answer) => return Ok((answer, start.elapsed())),
            Err(reason) if start.elapsed() >= within => {
                return Err(anyhow!("{what}: not within {within:?}: {reason:#}"));
            }
            Err(_) => thread::sleep(PAUSE),
        }
    }
}

/// Looks for the whole time; the answer must never fail.
///
/// # Errors
/// The first failure.
pub fn throughout(
    what: &str,
    period: Duration,
    mut look: impl FnMut() -> Result<()>,
) -> Result<()> {
    let start = Instant::now();
    while start.elapsed() < period {
        look().map_err(|reason| anyhow!("{what}: after {:?}: {reason:#}", start.elapsed()))?;
        thread::sleep(PAUSE);
    }
    Ok(())
}
