//! The small program between the agent in its pod and a hook, as the binary that it is part of.
//! It needs `CAP_SYS_CHROOT`, so each test has a user namespace of its own.

#![allow(clippy::expect_used, reason = "a test fails by panicking")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::{Command, Output};

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

fn run_hook(root: &Path, directory: &Path, arguments: &[&str]) -> Output {
    Command::new("unshare")
        .args(["--user", "--map-root-user"])
        .arg(env!("CARGO_BIN_EXE_lvs-node-agent"))
        .arg("run-hook")
        .arg(format!("--root={}", root.display()))
        .arg(format!("--directory={}", directory.display()))
        .args(arguments)
        .output()
        .expect("unshare(1)")
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).trim().to_owned()
}

#[test]
fn the_hook_takes_its_place_with_its_arguments_and_its_exit_code() {
    let hooks = tempfile::tempdir().expect("a directory");
    set_mode(hooks.path(), 0o755);
    let hook = hooks.path().join("fence");
    // Another process writes it: a file that is open for writing, as here when the other test starts
    // a process, cannot be executed.
    let script =
        r#"printf '#!/bin/sh\necho "$# $* $(pwd)" >&2\nexit 3\n' > "$0" && chmod 755 "$0""#;
    let written = Command::new("sh").arg("-c").arg(script).arg(&hook).status();
    assert!(written.expect("sh(1)").success());
    let root = Path::new("/");
    let output = run_hook(root, hooks.path(), &["fence", "--run", "fence", "--now"]);
    assert_eq!(
        (output.status.code(), &*said(&output)),
        (Some(3), "2 fence --now /")
    );
    // A mere look runs nothing.
    let output = run_hook(root, hooks.path(), &["fence"]);
    assert_eq!((output.status.code(), &*said(&output)), (Some(0), ""));
}

#[test]
fn hooks_are_looked_for_in_the_root_that_is_given() {
    let root = tempfile::tempdir().expect("a directory");
    let hooks = root.path().join("hooks");
    fs::create_dir(&hooks).expect("a directory");
    set_mode(&hooks, 0o755);
    // The link means something in that root alone.
    fs::write(root.path().join("program"), "").expect("written");
    set_mode(&root.path().join("program"), 0o755);
    std::os::unix::fs::symlink("/program", hooks.join("fence")).expect("a link");
    let directory = Path::new("/hooks");
    let output = run_hook(root.path(), directory, &["fence"]);
    assert_eq!((output.status.code(), &*said(&output)), (Some(0), ""));
    let output = run_hook(root.path(), directory, &["absent", "--run"]);
    assert_eq!(output.status.code(), Some(126));
    let said = said(&output);
    assert!(
        said.starts_with("hook absent: /hooks/absent: No such file"),
        "{said}"
    );
}
