//! Traffic from a client, with the fate of every request.

mod connections;
mod exchange;
mod report;
mod requests;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use crate::serve::Protocol;

pub(crate) use connections::open;
pub use connections::{Connection, OpenConnections};
pub use report::{Failure, Report, Request, Silence};
pub(crate) use requests::start;
pub use requests::{RunningTraffic, from_here};

/// How requests follow each other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Load {
    /// So many new requests per second, whether earlier ones have been answered or not.
    Rate(f64),
    /// So many requests at any time: the next begins when one has ended.
    Concurrency(usize),
}

/// Requests to one target, each on a new connection or from a new port.
#[derive(Debug, Clone)]
pub struct Traffic {
    /// Address and port that are asked.
    pub target: SocketAddr,
    /// What is spoken.
    pub protocol: Protocol,
    /// How requests follow each other.
    pub load: Load,
    /// Ends by itself after so many requests; none: goes on until it is stopped.
    pub requests: Option<u64>,
    /// How long the connection may take.
    pub connect_timeout: Duration,
    /// How long the answer may take after the connection stands.
    pub answer_timeout: Duration,
    /// The client's address to send from; none: the system's choice.
    pub source: Option<IpAddr>,
    /// Sizes of request and answer; [`Protocol::Http`] and [`Protocol::Udp`] alone have them.
    pub sizes: Sizes,
}

/// Octets beside the protocol's own; 0 is the least that the protocol needs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sizes {
    /// Of the request's body.
    pub request: usize,
    /// Of the answer's body.
    pub answer: usize,
}

impl Traffic {
    /// 100 HTTP requests per second until stopped; connection and answer may take one second each.
    #[must_use]
    pub fn http(target: SocketAddr) -> Self {
        Self {
            target,
            protocol: Protocol::Http,
            load: Load::Rate(100.0),
            requests: None,
            connect_timeout: Duration::from_secs(1),
            answer_timeout: Duration::from_secs(1),
            source: None,
            sizes: Sizes::default(),
        }
    }

    /// Speaks another protocol.
    #[must_use]
    pub fn protocol(mut self, protocol: Protocol) -> Self {
        self.protocol = protocol;
        self
    }

    /// Sets how requests follow each other.
    #[must_use]
    pub fn load(mut self, load: Load) -> Self {
        self.load = load;
        self
    }

    /// Ends by itself after so many requests.
    #[must_use]
    pub fn requests(mut self, requests: u64) -> Self {
        self.requests = Some(requests);
        self
    }

    /// Sets the sizes of request and answer.
    #[must_use]
    pub fn sizes(mut self, request: usize, answer: usize) -> Self {
        self.sizes = Sizes { request, answer };
        self
    }

    /// Sends from this address of the client.
    #[must_use]
    pub fn source(mut self, source: IpAddr) -> Self {
        self.source = Some(source);
        self
    }
}

/// Connections to an echo server that stay open.
#[derive(Debug, Clone)]
pub struct Connections {
    /// Address and port of the echo service.
    pub target: SocketAddr,
    /// How many.
    pub count: usize,
    /// Pause between an answer and the next message on the same connection.
    pub interval: Duration,
    /// How long connecting may take, and how long an answer may stay out before the connection counts as dead.
    pub timeout: Duration,
}

impl Connections {
    /// `count` connections with ten messages a second each; one that is silent for 30 seconds is dead.
    #[must_use]
    pub fn new(target: SocketAddr, count: usize) -> Self {
        Self {
            target,
            count,
            interval: Duration::from_millis(100),
            timeout: Duration::from_secs(30),
        }
    }
}
