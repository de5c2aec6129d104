//! Command line and environment.

use std::net::SocketAddr;

use clap::{Parser, ValueEnum};

/// Form of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// One JSON object in each line.
    Json,
    /// For people.
    Text,
}

/// Compiles `DirectorPairs`, `VirtualServices` and `RealServers` into plans for the node agents.
#[derive(Clone, Debug, Parser)]
#[command(name = "lvs-operator", version)]
pub struct Args {
    /// Namespace of the operator, its agents, and the Secrets of VRRP.
    #[arg(long, env = "POD_NAMESPACE")]
    pub namespace: String,

    /// Name of this replica in the Lease.
    #[arg(long, env = "POD_NAME")]
    pub identity: String,

    /// `ConfigMap` with the agents' pod templates: keys director.yaml and real-server.yaml. It owns
    /// the agents' `DaemonSets`, so they go with it. Without it somebody else must run the agents.
    #[arg(long, env = "AGENT_TEMPLATES_CONFIGMAP")]
    pub agent_templates: Option<String>,

    /// Role that lets the directors' agents read Secrets; the operator writes its rules.
    #[arg(
        long,
        env = "DIRECTOR_SECRETS_ROLE",
        default_value = "lvs-director-secrets"
    )]
    pub secrets_role: String,

    /// Name of the Lease by which replicas choose the one that acts.
    #[arg(long, env = "LEASE_NAME", default_value = "lvs-operator")]
    pub lease: String,

    /// Address of the probes and metrics.
    #[arg(long, env = "ADMIN_ADDRESS", default_value = "[::]:9808")]
    pub admin_address: SocketAddr,

    /// Form of the log.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value = "json")]
    pub log_format: LogFormat,
}
