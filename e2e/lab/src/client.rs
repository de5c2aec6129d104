//! A client: a host on a LAN that is no node of the cluster.

use std::net::Ipv4Addr;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result};

use crate::capture::Capture;
use crate::command::Output;
use crate::netns::Namespace;
use crate::topology::Machine;
use crate::traffic::{self, Connections, OpenConnections, RunningTraffic, Traffic};

/// A client of a lab.
#[derive(Debug, Clone)]
pub struct Client {
    machine: Machine,
    namespace: Namespace,
}

impl Client {
    pub(crate) fn new(machine: Machine, namespace: Namespace) -> Self {
        Self { machine, namespace }
    }

    /// The client's name in the lab.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.machine.name
    }

    /// The client's address on its first LAN.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.machine.address()
    }

    /// Runs a command in the client's network.
    ///
    /// # Errors
    /// When it cannot be started. An exit status other than 0 is not an error.
    pub fn exec(&self, command: &[&str]) -> Result<Output> {
        let (program, arguments) = command.split_first().context("no command")?;
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null());
        self.namespace
            .within(|| {
                command
                    .output()
                    .with_context(|| format!("cannot start {program}"))
            })
            .map(Output::from)
    }

    /// Begins to send requests, each on a connection of its own.
    ///
    /// # Errors
    /// When the client's namespace is gone.
    pub fn traffic(&self, traffic: Traffic) -> Result<RunningTraffic> {
        traffic::start(self.namespace.clone(), traffic)
    }

    /// Opens connections that stay open and carries small messages over them.
    ///
    /// # Errors
    /// When the client's namespace is gone.
    pub fn connections(&self, connections: Connections) -> Result<OpenConnections> {
        traffic::open(self.namespace.clone(), connections)
    }

    /// Captures packets on the client's network card; `filter` as in pcap-filter(7).
    ///
    /// # Errors
    /// When tcpdump cannot be started or refuses the filter.
    pub fn capture(&self, filter: &str) -> Result<Capture> {
        Capture::start(&self.namespace, "eth0", filter)
    }
}
