//! `lab`: the lab's command line.

mod cli;

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> anyhow::Result<ExitCode> {
    cli::run(cli::Cli::parse())
}
