//! Waiting for what does not announce itself.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long the API server and the nodes may take to become ready.
pub(crate) const READY_LIMIT: Duration = Duration::from_secs(180);

/// Asks `ready` again and again until it says yes.
pub(crate) fn poll(
    limit: Duration,
    pause: Duration,
    what: &str,
    mut ready: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let deadline = Instant::now() + limit;
    while !ready()? {
        if Instant::now() > deadline {
            bail!("{what} is not ready after {} s", limit.as_secs());
        }
        // Neither the API nor a kernel that boots tells us by itself.
        std::thread::sleep(pause);
    }
    Ok(())
}
