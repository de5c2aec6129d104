//! What became of requests, and the questions that tests ask about it. No clock, no sockets.

use std::collections::BTreeMap;
use std::fmt;
use std::io;
use std::time::{Duration, Instant};

/// Why a request or a connection failed.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
pub enum Failure {
    /// The connection was refused (RST to the SYN).
    #[error("refused")]
    Refused,
    /// The connection was reset after it stood.
    #[error("reset")]
    Reset,
    /// A router or the own host said that there is no way.
    #[error("unreachable")]
    Unreachable,
    /// The connection did not come to stand in time.
    #[error("connect timeout")]
    ConnectTimeout,
    /// The connection stood, but the answer did not come in time.
    #[error("answer timeout")]
    AnswerTimeout,
    /// The other side ended the connection before it had answered.
    #[error("closed early")]
    Closed,
    /// The answer was not what the protocol wants.
    #[error("malformed answer: {0}")]
    Malformed(String),
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl From<io::Error> for Failure {
    fn from(error: io::Error) -> Self {
        use io::ErrorKind as Kind;
        match error.kind() {
            Kind::ConnectionRefused => Self::Refused,
            Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe => Self::Reset,
            Kind::HostUnreachable | Kind::NetworkUnreachable => Self::Unreachable,
            Kind::TimedOut => Self::ConnectTimeout,
            Kind::UnexpectedEof => Self::Closed,
            _ => Self::Other(error.to_string()),
        }
    }
}

/// One request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// When it was begun, before the connection.
    pub started: Instant,
    /// From its beginning to its fate.
    pub latency: Duration,
    /// The name of the server that answered, or why none did.
    pub fate: Result<String, Failure>,
}

impl Request {
    /// When its fate was known.
    #[must_use]
    pub fn ended(&self) -> Instant {
        self.started + self.latency
    }
}

/// A time without a single answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Silence {
    /// The last answer before it.
    pub begin: Instant,
    /// Until the next answer.
    pub length: Duration,
}

/// What became of all requests of one run, in the order in which they were begun.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Report {
    /// The requests.
    pub requests: Vec<Request>,
}

impl Report {
    /// Requests that were begun at `since` or later.
    #[must_use]
    pub fn since(&self, since: Instant) -> Self {
        Self {
            requests: self
                .requests
                .iter()
                .filter(|request| request.started >= since)
                .cloned()
                .collect(),
        }
    }

    /// How many requests each server answered.
    #[must_use]
    pub fn per_server(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for server in self
            .requests
            .iter()
            .filter_map(|request| request.fate.as_ref().ok())
        {
            *counts.entry(server.as_str()).or_default() += 1;
        }
        counts
    }

    /// How many requests failed, for each reason.
    #[must_use]
    pub fn failures(&self) -> BTreeMap<&Failure, usize> {
        let mut counts = BTreeMap::new();
        for failure in self
            .requests
            .iter()
            .filter_map(|request| request.fate.as_ref().err())
        {
            *counts.entry(failure).or_default() += 1;
        }
        counts
    }

    /// How many requests failed.
    #[must_use]
    pub fn failed(&self) -> usize {
        self.requests
            .iter()
            .filter(|request| request.fate.is_err())
            .count()
    }

    /// The longest time between two answers that follow each other: the gap of a failover. None with fewer than
    /// two answers.
    #[must_use]
    pub fn longest_silence(&self) -> Option<Silence> {
        let mut answers: Vec<Instant> = self
            .requests
            .iter()
            .filter(|request| request.fate.is_ok())
            .map(Request::ended)
            .collect();
        answers.sort_unstable();
        answers
            .windows(2)
            .filter_map(|pair| match pair {
                [begin, end] => Some(Silence {
                    begin: *begin,
                    length: *end - *begin,
                }),
                _ => None,
            })
            .max_by_key(|silence| silence.length)
    }

    /// When the last request that this server answered was begun.
    #[must_use]
    pub fn last_answered_by(&self, server: &str) -> Option<Instant> {
        let answered = |request: &&Request| request.fate.as_deref() == Ok(server);
        self.requests
            .iter()
            .filter(answered)
            .map(|request| request.started)
            .max()
    }

    /// When the first answer of this server came.
    #[must_use]
    pub fn first_answer_of(&self, server: &str) -> Option<Instant> {
        let answered = |request: &&Request| request.fate.as_deref() == Ok(server);
        self.requests
            .iter()
            .filter(answered)
            .map(Request::ended)
            .min()
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:>8} requests", self.requests.len())?;
        for (server, count) in self.per_server() {
            writeln!(f, "{count:>8} answered by {server}")?;
        }
        for (failure, count) in self.failures() {
            writeln!(f, "{count:>8} failed: {failure}")?;
        }
        if let Some(silence) = self.longest_silence() {
            write!(
                f,
                "{:>8} ms longest time without an answer",
                silence.length.as_millis()
            )?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(start: Instant, requests: &[(u64, u64, Result<&str, Failure>)]) -> Report {
        let request = |(at, latency, fate): &(u64, u64, Result<&str, Failure>)| Request {
            started: start + Duration::from_millis(*at),
            latency: Duration::from_millis(*latency),
            fate: fate.clone().map(str::to_owned),
        };
        Report {
            requests: requests.iter().map(request).collect(),
        }
    }

    #[test]
    fn silence_is_measured_between_answers_not_beginnings() {
        let start = Instant::now();
        // The second request began in the outage and was answered late, by a repeated SYN.
        let report = report(
            start,
            &[
                (0, 2, Ok("a")),
                (10, 1000, Ok("b")),
                (20, 500, Err(Failure::ConnectTimeout)),
                (700, 2, Ok("b")),
            ],
        );
        let silence = report.longest_silence().unwrap();
        assert_eq!(silence.begin, start + Duration::from_millis(2));
        assert_eq!(silence.length, Duration::from_millis(700));
    }

    #[test]
    fn one_answer_makes_no_silence() {
        assert_eq!(
            report(Instant::now(), &[(0, 1, Ok("a"))]).longest_silence(),
            None
        );
        assert_eq!(Report::default().longest_silence(), None);
    }

    #[test]
    fn counts_by_server_and_by_reason() {
        let start = Instant::now();
        let report = report(
            start,
            &[
                (0, 1, Ok("a")),
                (1, 1, Ok("b")),
                (2, 1, Ok("a")),
                (3, 1, Err(Failure::Reset)),
                (9, 1, Ok("a")),
            ],
        );
        assert_eq!(report.per_server(), BTreeMap::from([("a", 3), ("b", 1)]));
        assert_eq!(report.failures(), BTreeMap::from([(&Failure::Reset, 1)]));
        assert_eq!(report.failed(), 1);
        assert_eq!(
            report.last_answered_by("a"),
            Some(start + Duration::from_millis(9))
        );
        assert_eq!(
            report.first_answer_of("b"),
            Some(start + Duration::from_millis(2))
        );
        assert_eq!(report.first_answer_of("c"), None);
        assert_eq!(
            report
                .since(start + Duration::from_millis(3))
                .requests
                .len(),
            2
        );
    }

    #[test]
    fn kernel_errors_become_reasons() {
        let failure = |kind: io::ErrorKind| Failure::from(io::Error::from(kind));
        assert_eq!(failure(io::ErrorKind::ConnectionRefused), Failure::Refused);
        assert_eq!(failure(io::ErrorKind::BrokenPipe), Failure::Reset);
        assert_eq!(
            failure(io::ErrorKind::HostUnreachable),
            Failure::Unreachable
        );
        assert_eq!(failure(io::ErrorKind::UnexpectedEof), Failure::Closed);
    }
}
