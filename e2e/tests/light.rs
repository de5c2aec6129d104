//! What needs a kernel with IPVS and no cluster, in one that boots in two seconds: the IPVS client beside `ipvsadm`, the
//! stand-alone load balancer (`lvs-node-agent --plan`) with network namespaces as hosts, and VRRP between the agent and
//! keepalived.

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

#[path = "light/conflict.rs"]
mod conflict;
#[path = "light/interop.rs"]
mod interop;
#[path = "light/stand_alone.rs"]
mod stand_alone;
#[path = "light/tunnels.rs"]
mod tunnels;
#[path = "light/virtual_mac.rs"]
mod virtual_mac;

/// First argument of this program when it runs inside the light kernel; scenario and step follow.
const INSIDE: &str = "--inside";

/// The load balancer under no cluster.
const STAND_ALONE: &str = "stand_alone";
/// The agent and keepalived as each other's peers.
const INTEROP: &str = "keepalived";

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().collect();
    if let [_, inside, scenario, step] = words.as_slice()
        && inside == INSIDE
    {
        let result = if scenario == INTEROP {
            interop::run(step)
        } else {
            stand_alone::run(step)
        };
        return match result {
            Ok(()) => ExitCode::SUCCESS,
            Err(reason) => {
                eprintln!("{reason:#}");
                ExitCode::FAILURE
            }
        };
    }
    let mut arguments = Arguments::from_args();
    // Each kernel has one CPU, and a small machine two.
    arguments.test_threads = Some(2);
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
    let mut extend = |scenario: &'static str, step: &'static str, hosts: Vec<String>| {
        trials.push(Trial::test(format!("{scenario}_{step}"), move || {
            inside(scenario, step, &hosts).map_err(|reason| Failed::from(format!("{reason:#}")))
        }));
    };
    for (step, _) in stand_alone::STEPS {
        extend(
            STAND_ALONE,
            step,
            stand_alone::HOSTS.map(str::to_owned).to_vec(),
        );
    }
    for (step, _) in interop::STEPS {
        extend(INTEROP, step, interop::hosts());
    }
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

/// Runs one step of a scenario in a kernel with hosts.
fn inside(scenario: &str, step: &str, hosts: &[String]) -> Result<()> {
    build("lvs-node-agent")?;
    build("lvs-lab")?;
    let hosts = hosts
        .iter()
        .map(|host| host.parse())
        .collect::<Result<_>>()?;
    let command: [OsString; 4] = [
        std::env::current_exe()?.into(),
        INSIDE.into(),
        scenario.into(),
        step.into(),
    ];
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
