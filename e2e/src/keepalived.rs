//! keepalived, with its configuration and its pid files in one directory.

use std::fs;
use std::path::Path;

use anyhow::Result;
use lvs_lab::Running;

use crate::cluster::Cluster;

/// Where it lives on a node of a cluster.
const DIRECTORY: &str = "/run/keepalived";

/// Name of its configuration in its directory.
const CONFIGURATION: &str = "keepalived.conf";

/// The command that runs it in the foreground and lets it say on standard error what it has to say.
fn command(directory: &Path) -> Vec<String> {
    let file =
        |option: &str, name: &str| format!("--{option}={}", directory.join(name).to_string_lossy());
    vec![
        "keepalived".to_owned(),
        "--dont-fork".to_owned(),
        "--no-syslog".to_owned(),
        "--log-console".to_owned(),
        file("use-file", CONFIGURATION),
        file("pid", "keepalived.pid"),
        file("vrrp_pid", "keepalived-vrrp.pid"),
        file("checkers_pid", "keepalived-checkers.pid"),
    ]
}

/// Its VRRP alone, with a configuration that is written into a directory of this machine: the command that runs it.
///
/// # Errors
/// When the file cannot be written.
pub fn vrrp(directory: &Path, configuration: &str) -> Result<Vec<String>> {
    part(directory, configuration, "--vrrp")
}

/// Its IPVS and its checks alone, as [`vrrp`].
///
/// # Errors
/// When the file cannot be written.
pub fn checkers(directory: &Path, configuration: &str) -> Result<Vec<String>> {
    part(directory, configuration, "--check")
}

fn part(directory: &Path, configuration: &str, option: &str) -> Result<Vec<String>> {
    fs::create_dir_all(directory)?;
    fs::write(directory.join(CONFIGURATION), configuration)?;
    let mut command = command(directory);
    command.insert(1, option.to_owned());
    Ok(command)
}

/// Starts the whole of it on a node of a cluster.
///
/// # Errors
/// When it cannot be configured or started.
pub fn start(cluster: &Cluster, node: &str, configuration: &str) -> Result<Running> {
    let write = format!(
        "mkdir -p {DIRECTORY} && cat >{DIRECTORY}/{CONFIGURATION} <<'END'\n{configuration}\nEND"
    );
    cluster.on(node, &["sh", "-c", &write])?;
    let command = command(Path::new(DIRECTORY));
    let command: Vec<&str> = command.iter().map(String::as_str).collect();
    cluster.node(node)?.spawn(&command)
}

/// Stops it as `systemctl stop keepalived` does, and waits for its end.
///
/// # Errors
/// When it does not run.
pub fn stop(cluster: &Cluster, node: &str) -> Result<()> {
    let script = format!(
        "pid=$(cat {DIRECTORY}/keepalived.pid) && kill $pid && \
         while kill -0 $pid 2>/dev/null; do sleep 0.05; done"
    );
    cluster.on(node, &["sh", "-c", &script]).map(drop)
}
