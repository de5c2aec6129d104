//! Gathers what a person wants to see after a failed run.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result};

use crate::lab::Lab;
use crate::paths::{make_directory, write};
use crate::state::State;

/// What the API is asked for.
const QUESTIONS: [(&str, &[&str]); 5] = [
    ("nodes", &["get", "nodes", "-o", "wide"]),
    ("pods", &["get", "pods", "-A", "-o", "wide"]),
    ("pods-described", &["describe", "pods", "-A"]),
    (
        "events",
        &["get", "events", "-A", "--sort-by=.lastTimestamp"],
    ),
    ("lvs", &["get", "lvs", "-A", "-o", "yaml"]),
];

/// What a node is asked for.
const COMMANDS: [(&str, &[&str]); 5] = [
    ("addresses", &["ip", "address"]),
    ("routes", &["ip", "route", "show", "table", "all"]),
    ("ipvs", &["ipvsadm", "-Ln"]),
    (
        "processes",
        &["ps", "axwwf", "-o", "pid,ppid,stat,rss,time,args"],
    ),
    ("kernel", &["dmesg"]),
];

pub(crate) fn collect(lab: &Lab, state: &State, directory: &Path) -> Result<()> {
    copy_logs(&state.path("control"), &directory.join("control"))?;
    for (name, question) in QUESTIONS {
        let question = [question, &["--request-timeout=5s"]].concat();
        if let Ok(output) = lab.kubectl(&question) {
            write(
                &directory.join("control").join(format!("{name}.txt")),
                output.stdout + &output.stderr,
            )?;
        }
    }
    for node in lab.nodes() {
        let target = directory.join(node.name());
        make_directory(&target)?;
        for (name, command) in COMMANDS {
            // A node that is off or broken has its files all the same.
            let Ok(output) = node.exec(command) else {
                break;
            };
            write(
                &target.join(format!("{name}.txt")),
                output.stdout + &output.stderr,
            )?;
        }
        // What the node still holds in memory.
        drop(node.exec(&["sync", "-f", "/var/log"]));
        let source = state.node(node.name());
        fs::copy(source.join("console"), target.join("console.log")).ok();
        copy_logs(&source.join("log"), &target)?;
    }
    Ok(())
}

/// Copies the files named `*.log` of a directory and those below it; links are left out, since they lead to
/// files that are copied anyway.
fn copy_logs(source: &Path, target: &Path) -> Result<()> {
    make_directory(target)?;
    let Ok(entries) = fs::read_dir(source) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let (from, to) = (entry.path(), target.join(entry.file_name()));
        let kind = entry.file_type()?;
        if kind.is_dir() {
            copy_logs(&from, &to)?;
        } else if kind.is_file() && from.extension().is_some_and(|extension| extension == "log") {
            fs::copy(&from, &to).with_context(|| format!("cannot copy {}", from.display()))?;
        }
    }
    Ok(())
}
