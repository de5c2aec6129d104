//! `lab`: the lab's command line.

use std::ffi::OsString;
use std::process::ExitCode;
use std::time::Duration;

use clap::{Parser, Subcommand};
use lvs_lab::light::Light;

#[derive(Parser)]
#[command(name = "lab", about, version)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Boot one kernel with IPVS, run a command in it, return its exit status.
    Light {
        /// A host, as NAME=ADDRESS/PREFIX: a network namespace of the kernel on one common LAN.
        #[arg(long = "host")]
        hosts: Vec<lvs_lab::light::Host>,
        /// Seconds that boot and command may take.
        #[arg(long, default_value_t = 300)]
        timeout: u64,
        /// Memory of the kernel in MiB.
        #[arg(long, default_value_t = 768)]
        memory: u32,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
}

fn main() -> anyhow::Result<ExitCode> {
    match Cli::parse().command {
        Command::Light { hosts, timeout, memory, command } => {
            let light = Light::default().hosts(hosts).timeout(Duration::from_secs(timeout)).memory_mib(memory);
            Ok(exit_code(light.run_through(&command)?))
        }
    }
}

fn exit_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}
