//! What needs a kernel with IPVS and no cluster, in one that boots in two seconds: the IPVS client beside `ipvsadm`,
//! and the stand-alone load balancer (`lvs-node-agent --plan`) with network namespaces as hosts.

#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run shows its figures"
)]

use std::ffi::OsString;
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use libtest_mimic::{Arguments, Failed, Trial};
use lvs_e2e::cluster::repository;
use lvs_lab::light::Light;

#[path = "light/stand_alone.rs"]
mod stand_alone;
#[path = "light/tunnels.rs"]
mod tunnels;

/// First argument of this program when it runs inside the light kernel; the second is the step.
const INSIDE: &str = "--inside";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, inside, step] = words.as_slice()
        && inside == INSIDE
    {
        return match stand_alone::run(step) {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                eprintln!("{reason:#}");
                ExitCode::FAILURE
            }
        };
    }
    let mut arguments = Arguments::from_args();
    // Each kernel takes a CPU while it boots.
    arguments.test_threads = Some(1);
    let kernel_tests = [
        ("ipvs_client_beside_ipvsadm", "lvs-ipvs"),
        ("agent_shells_against_the_kernel", "lvs-node-agent"),
    ];
    let mut trials: Vec<Trial> = kernel_tests
        .into_iter()
        .map(|(name, package)| {
            Trial::test(name, move || {
                kernel_tests_of(package).map_err(|reason| Failed::from(format!("{reason:#}")))
            })
        })
        .collect();
    trials.extend(stand_alone::STEPS.iter().map(|(step, _)| {
        Trial::test(format!("stand_alone_{step}"), || {
            inside(step).map_err(|reason| Failed::from(format!("{reason:#}")))
        })
    }));
    libtest_mimic::run(&arguments, trials).exit_code()
}

/// Runs a package's tests that need a kernel with IPVS, each in a network namespace of its own.
fn kernel_tests_of(package: &str) -> Result<()> {
    let binary = test_binary(package, "kernel")?;
    let output = Light::default().timeout(Duration::from_secs(600)).run(&[
        binary.into(),
        "--ignored".into(),
        "--test-threads=1".into(),
    ])?;
    print!("{}", output.stdout);
    ensure!(output.success(), "{output}");
    ensure!(
        !output.stdout.contains("running 0 tests"),
        "no test ran: {output}"
    );
    Ok(())
}

/// Runs one step of the stand-alone load balancer in a kernel with hosts.
fn inside(step: &str) -> Result<()> {
    build("lvs-node-agent")?;
    build("lvs-lab")?;
    let hosts = stand_alone::HOSTS
        .iter()
        .map(|host| host.parse())
        .collect::<Result<_>>()?;
    let command: [OsString; 3] = [std::env::current_exe()?.into(), INSIDE.into(), step.into()];
    let output = Light::default()
        .hosts(hosts)
        .timeout(Duration::from_secs(180))
        .run(&command)?;
    print!("{}", output.stdout);
    ensure!(output.success(), "{output}");
    Ok(())
}

fn build(package: &str) -> Result<()> {
    let status = Command::new(env!("CARGO"))
        .args(["build", "--quiet", "--package", package, "--bins"])
        .status()?;
    ensure!(
        status.success(),
        "cargo build --package {package}: {status}"
    );
    Ok(())
}

/// Builds a test binary and says where it is.
fn test_binary(package: &str, test: &str) -> Result<PathBuf> {
    let output = Command::new(env!("CARGO"))
        .args([
            "test",
            "--quiet",
            "--package",
            package,
            "--test",
            test,
            "--no-run",
            "--message-format=json",
        ])
        .current_dir(repository())
        .output()?;
    ensure!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout)?
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .filter(|message| {
            message
                .pointer("/target/name")
                .is_some_and(|name| name == test)
        })
        .find_map(|message| Some(PathBuf::from(message.get("executable")?.as_str()?)))
        .with_context(|| format!("cargo named no binary of the test {test}"))
}
