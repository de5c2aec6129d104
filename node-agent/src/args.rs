//! Command line of the agent.

use std::net::SocketAddr;
use std::path::PathBuf;

use clap::{Parser, ValueEnum};

use crate::statistics::Level;

/// Makes this node's kernel equal to its plan: IPVS, VIPs, VRRP, health checks.
#[derive(Clone, Debug, Parser)]
#[command(name = "lvs-node-agent", version, about)]
pub struct Args {
    /// Name of this node, which is the name of its `NodePlan`.
    #[arg(long, env = "NODE_NAME")]
    pub node_name: String,

    /// Carry out the `NodePlan` and `PlanSlice` documents of this file instead of asking a cluster.
    /// The file is read again when it changes.
    #[arg(long, value_name = "FILE")]
    pub plan: Option<PathBuf>,

    /// Where the last plan and what must be put back later are kept. Survives restarts.
    #[arg(long, env = "STATE_DIR", default_value = "/var/lib/lvs-operator")]
    pub state_dir: PathBuf,

    /// Where the host's `/proc/sys/net` is; a pod mounts it at another path.
    #[arg(long, env = "PROC_SYS_NET", default_value = "/proc/sys/net")]
    pub proc_sys_net: PathBuf,

    /// Where health, metrics and recent operations are served.
    #[arg(long, env = "ADMIN_ADDRESS", default_value = "127.0.0.1:9809")]
    pub admin_address: SocketAddr,

    /// Of what the metrics have statistics.
    #[arg(long, env = "STATISTICS_LEVEL", value_enum, default_value_t = Level::RealServers)]
    pub statistics_level: Level,

    /// How many series of statistics there may be. Real servers that would exceed it are left out, and then virtual
    /// services.
    #[arg(long, env = "STATISTICS_MAXIMUM_SERIES", default_value_t = 10_000)]
    pub statistics_maximum_series: u32,

    /// Real-time priority (`SCHED_FIFO`, 1 to 99) of the thread that runs VRRP, with the agent's memory locked, where the
    /// system allows that: `CAP_SYS_NICE` and `CAP_IPC_LOCK`. 0 asks for neither.
    #[arg(long, env = "VRRP_REALTIME_PRIORITY", default_value_t = 1, value_parser = clap::value_parser!(u8).range(0..=99))]
    pub vrrp_realtime_priority: u8,

    /// Format of the log on standard error.
    #[arg(long, env = "LOG_FORMAT", value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,

    /// Namespace of the Secrets that plans name.
    #[arg(long, env = "POD_NAMESPACE", default_value = "lvs-system")]
    pub secrets_namespace: String,

    /// With `--plan`: directory with the passwords, one file `NAME/KEY` for each.
    #[arg(long, value_name = "DIR")]
    pub secrets_dir: Option<PathBuf>,

    /// Where the programs are that plans name as hooks.
    #[arg(long, env = "HOOKS_DIR", default_value = "/etc/lvs-operator/hooks")]
    pub hooks_dir: PathBuf,

    /// Where the host's root is: hooks are run with it as their root, which needs `CAP_SYS_CHROOT`. Absent: with the
    /// agent's own.
    #[arg(long, env = "HOOKS_ROOT", value_name = "DIR")]
    pub hooks_root: Option<PathBuf>,

    /// A procfs that shows the node's processes, for those that plans track.
    #[arg(
        long,
        env = "PROCESSES_DIR",
        value_name = "DIR",
        default_value = "/proc"
    )]
    pub processes_dir: PathBuf,

    /// Run without the parent process that restarts a crashed agent. The parent itself starts the
    /// agent with this.
    #[arg(long, hide_short_help = true)]
    pub unsupervised: bool,
}

/// How log lines are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object per line.
    Json,
}
