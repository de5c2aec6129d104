//! The probes: each asks one question of the network within a given time.

mod echo;
pub mod ping;
pub mod tcp;

use std::time::Duration;

use crate::probe::ping::Pinger;
use crate::{Failure, Probe};

/// Makes probes, and holds what they share.
#[derive(Debug, Default)]
pub struct Network {
    pinger: Pinger,
}

impl Network {
    /// Makes one probe.
    ///
    /// # Errors
    /// When the server did not answer as it should within `timeout`, or when the probe could not
    /// be made ([`Failure::is_local`]).
    pub async fn run(&self, probe: &Probe, timeout: Duration) -> Result<(), Failure> {
        match probe {
            Probe::Tcp { to, send, expect } => tcp::run(*to, send, expect, timeout).await,
            Probe::Ping { to } => self.pinger.run(*to, timeout).await,
        }
    }
}
