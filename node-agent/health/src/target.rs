//! What is checked, and how.

use std::fmt;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

/// Shortest interval and timeout that is used: a probe without a pause would be a flood.
const SHORTEST: Duration = Duration::from_millis(10);
/// Longest interval and timeout that is used.
const LONGEST: Duration = Duration::from_hours(24);

/// One question put to a server. Equal probes with equal policies are asked once, however many
/// targets want the answer.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Probe {
    /// TCP connect, then optionally `send` and `expect`.
    Tcp {
        /// Address and port to connect to.
        to: SocketAddr,
        /// Bytes sent when the connection is open; empty = none. See [`crate::escape::parse`].
        send: Vec<u8>,
        /// Bytes that the first [`crate::probe::tcp::ANSWER_LIMIT_BYTES`] of the answer must
        /// contain; empty = any answer or none will do.
        expect: Vec<u8>,
    },
    /// ICMP echo (RFC 792) or `ICMPv6` echo (RFC 4443 section 4.1).
    Ping {
        /// Address to ping.
        to: IpAddr,
    },
}

/// Where the probe goes, as a person writes it: `192.168.1.130:80`, `[2001:db8::1]:80` or
/// `192.168.1.130`.
impl fmt::Display for Probe {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { to, .. } => to.fmt(formatter),
            Self::Ping { to } => to.fmt(formatter),
        }
    }
}

/// How often a probe runs and how many results in a row count.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Policy {
    /// From one run's start to the next while nothing fails, 10 ms to 24 h.
    pub interval: Duration,
    /// After this time without a result a run has failed, 10 ms to 24 h.
    pub timeout: Duration,
    /// Successes in a row that bring a server up, at least 1.
    pub rise: u32,
    /// Failures in a row that take a server down, at least 1.
    pub fall: u32,
    /// From a failed run's end to the next run, while the server is still up, 10 ms to 24 h.
    pub retry_interval: Duration,
}

impl Default for Policy {
    /// A server that falls silent is down within 6 s: at most 2 s until the next run starts, three
    /// runs of 1 s, and two pauses of 0.25 s between them, which leaves half a second.
    fn default() -> Self {
        Self {
            interval: Duration::from_secs(2),
            timeout: Duration::from_secs(1),
            rise: 1,
            fall: 3,
            retry_interval: Duration::from_millis(250),
        }
    }
}

impl Policy {
    /// The policy with every value brought into its range.
    #[must_use]
    pub fn clamped(self) -> Self {
        Self {
            interval: self.interval.clamp(SHORTEST, LONGEST),
            timeout: self.timeout.clamp(SHORTEST, LONGEST),
            rise: self.rise.max(1),
            fall: self.fall.max(1),
            retry_interval: self.retry_interval.clamp(SHORTEST, LONGEST),
        }
    }

    /// Longest time from the moment an up server falls silent until it is down, as long as probes
    /// start when they are due.
    #[must_use]
    pub fn detection_bound(self) -> Duration {
        let policy = self.clamped();
        policy
            .interval
            .max(policy.timeout)
            .saturating_add(policy.timeout.saturating_mul(policy.fall))
            .saturating_add(policy.retry_interval.saturating_mul(policy.fall - 1))
    }
}

/// A named probe of a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Check {
    /// Name, unique in the target; reasons begin with it.
    pub name: String,
    /// The probe. Shared, because many targets often have an equal one.
    pub probe: Arc<Probe>,
    /// Its policy.
    pub policy: Policy,
}

/// How the checks of one target combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mode {
    /// Up while every check is up.
    #[default]
    All,
    /// Up while at least one check is up.
    Any,
}

/// Something that is up or down, for example one real server of one virtual service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Target<K> {
    /// Identity: a target that keeps its key keeps its state when everything else changes.
    pub key: K,
    /// The checks; a target without any is up.
    pub checks: Vec<Check>,
    /// How they combine.
    pub mode: Mode,
    /// State until the first results, used only when the key is new. A caller that finds the
    /// server in the kernel says here what it finds, so that a restart changes nothing.
    pub initially_up: bool,
}
