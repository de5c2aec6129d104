use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::Command as Blocking;

use tempfile::TempDir;
use tokio::sync::oneshot;

use super::*;

const LONG: Duration = Duration::from_secs(60);

/// Installs a hook. Another process writes it: this one forks meanwhile, and a file that is open for
/// writing in a child cannot be executed.
pub(crate) fn install(directory: &Path, name: &str, script: &str) {
    let mut install = Blocking::new("install")
        .args(["-m", "755", "/dev/stdin"])
        .arg(directory.join(name))
        .stdin(Stdio::piped())
        .spawn()
        .expect("install(1)");
    let mut stdin = install.stdin.take().expect("a pipe");
    write!(stdin, "#!/bin/sh\n{script}\n").expect("written");
    drop(stdin);
    assert!(install.wait().expect("an end").success());
}

/// A directory of hooks as it must be, whatever the umask.
pub(crate) fn directory() -> TempDir {
    let directory = tempfile::tempdir().expect("a directory");
    set_mode(directory.path(), 0o755);
    directory
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).expect("a mode");
}

fn call(name: &str, limit: Duration) -> Call {
    Call {
        name: name.into(),
        arguments: vec!["fence".into()],
        environment: vec![("LVS_PAIR", "edge".into())],
        limit,
    }
}

/// What running it says; a look says the same if it is a refusal.
async fn refusal(directory: &TempDir, name: &str) -> String {
    let hooks = Hooks::new(directory.path().to_owned(), None);
    let error = hooks.run(&call(name, LONG)).await.expect_err("refused");
    let looked = hooks.check(name).await.map_err(|error| error.to_string());
    let is_refusal = !matches!(error, HookError::Failed { .. });
    assert_eq!(looked.err(), is_refusal.then(|| error.to_string()));
    error
        .to_string()
        .replace(&directory.path().display().to_string(), "DIR")
}

#[tokio::test]
async fn a_hook_gets_its_arguments_and_its_environment_and_nothing_else() {
    let directory = directory();
    let seen = directory.path().join("seen");
    let script = format!("echo \"$*\" > {0}; env | sort >> {0}", seen.display());
    install(directory.path(), "fence", &script);
    let hooks = Hooks::new(directory.path().to_owned(), None);
    hooks.run(&call("fence", LONG)).await.expect("success");
    let seen = fs::read_to_string(seen).expect("the hook's file");
    let own = ["_=", "PWD=", "SHLVL=", "OLDPWD="];
    let seen: Vec<_> = seen
        .lines()
        .filter(|line| !own.iter().any(|own| line.starts_with(own)))
        .collect();
    assert_eq!(seen, ["fence", "LVS_PAIR=edge", &format!("PATH={PATH}")]);
}

#[tokio::test]
async fn a_failure_says_how_and_with_the_end_of_what_the_hook_said() {
    let directory = directory();
    let script = "i=0; while [ $i -lt 400 ]; do echo line $i >&2; i=$((i+1)); done; exit 3";
    install(directory.path(), "fence", script);
    let said = refusal(&directory, "fence").await;
    assert!(said.starts_with("hook fence: exit status: 3: "), "{said}");
    assert!(said.ends_with("line 398; line 399"), "{said}");
    assert!(said.len() < 2 * TAIL_BYTES, "{}", said.len());
}

#[tokio::test]
async fn what_is_not_installed_as_it_must_be_is_not_run() {
    let directory = directory();
    let path = |name: &str| directory.path().join(name);
    assert_eq!(
        refusal(&directory, "absent").await,
        "hook absent: DIR/absent: No such file or directory (os error 2): it must be installed on this \
         node, and in a cluster the chart's agent.hooks.enabled be true"
    );
    install(directory.path(), "plain", "exit 0");
    set_mode(&path("plain"), 0o644);
    assert_eq!(
        refusal(&directory, "plain").await,
        "hook plain: DIR/plain must be a file that may be executed: chmod 755"
    );
    install(directory.path(), "open", "exit 0");
    set_mode(&path("open"), 0o757);
    assert_eq!(
        refusal(&directory, "open").await,
        "hook open: nobody but root may be able to write to DIR/open: chown root:root and chmod 755"
    );
    for name in ["../fence", "/bin/true", "a/b", "..", ".", ""] {
        let said = refusal(&directory, name).await;
        assert_eq!(
            said,
            format!("hook {name:?}: must be the name of a file in DIR, without a slash")
        );
    }
    fs::create_dir(path("folder")).expect("a directory");
    set_mode(&path("folder"), 0o755);
    assert!(
        refusal(&directory, "folder")
            .await
            .contains("must be a file")
    );
    install(directory.path(), "fine", "exit 0");
    set_mode(directory.path(), 0o777);
    assert_eq!(
        refusal(&directory, "fine").await,
        "hook fine: nobody but root may be able to write to DIR: chown root:root and chmod 755"
    );
}

#[tokio::test]
async fn a_hook_that_takes_too_long_is_killed_with_all_that_it_started() {
    let directory = directory();
    let pipe = directory.path().join("pipe");
    nix::unistd::mkfifo(&pipe, nix::sys::stat::Mode::S_IRWXU).expect("a pipe");
    // The pipe has an end when the last process that may write to it is gone.
    let script = format!(
        "echo busy >&2; exec 9>{}; sleep 1000 & wait",
        pipe.display()
    );
    install(directory.path(), "fence", &script);
    let (sender, ended) = oneshot::channel();
    std::thread::spawn(move || sender.send(fs::read(pipe).map(|bytes| bytes.len())));
    let hooks = Hooks::new(directory.path().to_owned(), None);
    let limit = Duration::from_secs(1);
    let error = hooks.run(&call("fence", limit)).await.expect_err("late");
    assert_eq!(error.to_string(), "hook fence: killed after 1 s: busy");
    assert_eq!(ended.await.expect("an answer").expect("readable"), 0);
}

#[tokio::test]
async fn what_a_hook_leaves_running_does_not_hold_up_its_end() {
    let directory = directory();
    let script = "echo early >&2; setsid sleep 5 & exit 1";
    install(directory.path(), "fence", script);
    let said = refusal(&directory, "fence").await;
    assert_eq!(said, "hook fence: exit status: 1: early");
}
