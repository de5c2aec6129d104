//! Why a probe did not succeed.

use std::io;
use std::time::Duration;

use crate::escape::Excerpt;

/// Why a probe did not succeed, in words that complete "192.168.1.130:80: …".
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Failure {
    /// A reset answered the SYN.
    #[error("connection refused")]
    Refused,
    /// A reset came later.
    #[error("connection reset")]
    Reset,
    /// Nothing came back in time.
    #[error("no answer in {} ms", .0.as_millis())]
    NoAnswer(Duration),
    /// The network said that there is no way to the server.
    #[error("{0}")]
    Unreachable(String),
    /// The connection opened, but the expected bytes did not come in time.
    #[error("connected, but no {expected} in {} ms; got {got}", .timeout.as_millis())]
    Silent {
        /// What should have come.
        expected: Excerpt,
        /// What came.
        got: Excerpt,
        /// How long the probe waited.
        timeout: Duration,
    },
    /// The server ended its answer, or sent as much as is looked at, without the expected bytes.
    #[error("answer does not contain {expected}; got {got}")]
    Unexpected {
        /// What should have come.
        expected: Excerpt,
        /// What came.
        got: Excerpt,
    },
    /// The probe could not be made, for a reason on this host. It says nothing about the server.
    #[error("could not be checked: {0}")]
    NotRun(String),
}

impl Failure {
    /// Classifies an error of a socket call.
    #[must_use]
    pub fn from_io(error: &io::Error) -> Self {
        use io::ErrorKind::{
            AddrNotAvailable, BrokenPipe, ConnectionAborted, ConnectionRefused, ConnectionReset,
            HostUnreachable, NetworkUnreachable, TimedOut,
        };
        match error.kind() {
            ConnectionRefused => Self::Refused,
            ConnectionReset | ConnectionAborted | BrokenPipe => Self::Reset,
            HostUnreachable => Self::Unreachable("no route to host".into()),
            NetworkUnreachable => Self::Unreachable("network is unreachable".into()),
            TimedOut => Self::Unreachable("connection timed out".into()),
            AddrNotAvailable => {
                Self::NotRun("no free local port, or no local address to connect from".into())
            }
            // Descriptors, memory, permission: this host's trouble, not the server's.
            _ => Self::NotRun(without_errno(error)),
        }
    }

    /// Whether the failure says nothing about the server. Such a result changes no state: a
    /// director that is out of descriptors must not take every server down.
    #[must_use]
    pub fn is_local(&self) -> bool {
        matches!(self, Self::NotRun(_))
    }

    /// Whether both failures tell a person the same.
    ///
    /// A host that is off makes the probes of this director time out or, once its neighbour entry
    /// has failed, end with "no route to host", in turn. That is one thing, and so is a wrong answer
    /// with another time of day in it.
    #[must_use]
    pub fn same_kind(&self, other: &Self) -> bool {
        self.kind() == other.kind()
    }

    fn kind(&self) -> Kind {
        match self {
            Self::NoAnswer(_) | Self::Unreachable(_) => Kind::Host,
            Self::Refused | Self::Reset => Kind::Port,
            Self::Silent { .. } | Self::Unexpected { .. } => Kind::Application,
            Self::NotRun(_) => Kind::Local,
        }
    }
}

/// What it is that does not work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Host,
    Port,
    Application,
    Local,
}

/// Text of an error without the "(os error 24)" that Rust appends.
fn without_errno(error: &io::Error) -> String {
    let text = error.to_string();
    text.split(" (os error")
        .next()
        .unwrap_or_default()
        .to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_hosts_trouble_is_local() {
        for (errno, local, text) in [
            (111, false, "connection refused"),
            (104, false, "connection reset"),
            (113, false, "no route to host"),
            (101, false, "network is unreachable"),
            (110, false, "connection timed out"),
            (24, true, "could not be checked: Too many open files"),
            (1, true, "could not be checked: Operation not permitted"),
            (105, true, "could not be checked: No buffer space available"),
        ] {
            let failure = Failure::from_io(&io::Error::from_raw_os_error(errno));
            assert_eq!(failure.is_local(), local, "errno {errno}");
            assert_eq!(failure.to_string(), text);
        }
    }

    #[test]
    fn reasons_read_as_a_person_writes_them() {
        let expected = Excerpt::of(b"220");
        let timeout = Duration::from_secs(1);
        for (failure, text) in [
            (Failure::NoAnswer(timeout), "no answer in 1000 ms"),
            (
                Failure::Silent {
                    expected: expected.clone(),
                    got: Excerpt::of(b""),
                    timeout,
                },
                "connected, but no \"220\" in 1000 ms; got nothing",
            ),
            (
                Failure::Unexpected {
                    expected,
                    got: Excerpt::of(b"554 go away\r\n"),
                },
                "answer does not contain \"220\"; got \"554 go away\\r\\n\"",
            ),
        ] {
            assert_eq!(failure.to_string(), text);
        }
    }
}
