//! What a person sees while a step takes its time.

use std::io::Write as _;
use std::time::Instant;

/// Prints one line per step on standard error, with the seconds since the start.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Progress {
    started: Instant,
}

impl Progress {
    pub(crate) fn start() -> Self {
        Self {
            started: Instant::now(),
        }
    }

    pub(crate) fn say(&self, text: &str) {
        // Nobody reads: nothing to do about it.
        drop(writeln!(
            std::io::stderr(),
            "lab: {:6.1} s  {text}",
            self.started.elapsed().as_secs_f64()
        ));
    }
}
