//! Runs the steps of one scenario on one cluster, as tests with names.

use std::process::ExitCode;
use std::sync::Arc;

use anyhow::Result;
use libtest_mimic::{Arguments, Failed, Trial};
use lvs_lab::Topology;

use crate::cluster::Cluster;
use crate::example::Example;

/// A step: what it shows, and how.
pub type Step = (&'static str, fn(&Cluster) -> Result<()>);

/// Brings the cluster up, runs the steps in their order, removes the cluster, and returns the exit
/// status. Arguments are those of every Rust test: a filter, `--list`, `--exact`.
///
/// Before each step the cluster is put back: machines on, cables in, servers running, the example's
/// manifests as they are in the repository. A failed step says so at once, leaves its logs in
/// `target/lab/logs`, and is run once more: whoever else uses the machine can make a step late. Only
/// one that fails twice fails the run.
/// With `LVS_E2E_KEEP` set the cluster stays. With `LVS_E2E_REPEAT=20` each step is run twenty times before that, and
/// has to succeed every time: for one that fails now and then.
#[must_use]
pub fn main(name: &'static str, topology: Topology, example: Example, steps: &[Step]) -> ExitCode {
    let mut arguments = Arguments::from_args();
    // The steps share one cluster.
    arguments.test_threads = Some(1);
    if arguments.list {
        let trials = steps
            .iter()
            .map(|(name, _)| Trial::test(*name, || Ok(())))
            .collect();
        return libtest_mimic::run(&arguments, trials).exit_code();
    }
    let cluster = match Cluster::up(name, topology, example) {
        Ok(cluster) => Arc::new(cluster),
        Err(reason) => {
            let trial = Trial::test("cluster", move || Err(Failed::from(format!("{reason:#}"))));
            return libtest_mimic::run(&arguments, vec![trial]).exit_code();
        }
    };
    let trials = steps
        .iter()
        .map(|&(step, run)| {
            let cluster = Arc::clone(&cluster);
            Trial::test(step, move || {
                for number in 1..=repetitions() {
                    attempt(&cluster, step, run)
                        .map_err(|reason| format!("repetition {number}: {reason}"))?;
                }
                let Err(first) = attempt(&cluster, step, run) else {
                    return Ok(());
                };
                println!("failed, and is run once more: {first}");
                attempt(&cluster, &format!("{step}-again"), run)
                    .map_err(|second| format!("{first}\nthe second time: {second}").into())
            })
        })
        .collect();
    let conclusion = libtest_mimic::run(&arguments, trials);
    if std::env::var_os("LVS_E2E_KEEP").is_none()
        && let Err(reason) = cluster.down()
    {
        eprintln!("the lab cannot be removed: {reason:#}");
        return ExitCode::FAILURE;
    }
    conclusion.exit_code()
}

fn repetitions() -> u32 {
    let text = std::env::var("LVS_E2E_REPEAT").ok();
    text.and_then(|text| text.parse().ok()).unwrap_or_default()
}

/// Puts the cluster back and runs a step, whose logs get this name if it fails.
///
/// # Errors
/// What failed, and where the logs are.
fn attempt(cluster: &Cluster, logs: &str, run: fn(&Cluster) -> Result<()>) -> Result<(), String> {
    let done = cluster.put_back().and_then(|()| run(cluster));
    done.map_err(|reason| format!("{reason:#}\nlogs: {}", cluster.save_logs(logs)))
}
