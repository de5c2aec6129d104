//! Programs that the administrator of the node installed, run by their names.
//!
//! Who may edit an object chooses among what is installed and gives neither paths nor arguments. A
//! pod runs them with the host's root as their own ([`launch`]), because its image has no shell.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::{Pid, geteuid};
use tokio::io::{AsyncRead, AsyncReadExt as _};
use tokio::process::{Child, Command};
use tokio::time::timeout;

pub mod launch;
#[cfg(test)]
pub(crate) mod tests;

/// Where programs that a hook calls are looked for.
const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
/// How much of the end of a hook's standard error a message has, in bytes.
const TAIL_BYTES: usize = 1024;
/// How long the rest of standard error is waited for once the hook has ended: something that it left
/// running may hold it open.
const REST: Duration = Duration::from_millis(200);
/// Time limit of a mere look at a hook.
const CHECK_LIMIT: Duration = Duration::from_secs(10);
/// Mode bits: execution by anybody, writing by the group and by others.
const EXECUTABLE: u32 = 0o111;
const GROUP_WRITABLE: u32 = 0o020;
const OTHERS_WRITABLE: u32 = 0o002;

/// Why a hook did not do its work.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// The name is a path.
    #[error("hook {name:?}: must be the name of a file in {}, without a slash", .directory.display())]
    NotAName {
        /// The name.
        name: String,
        /// Where hooks are.
        directory: PathBuf,
    },
    /// The file cannot be looked at.
    #[error("hook {name}: {}: {error}: it must be installed on this node, and in a cluster the chart's agent.hooks.enabled be true", .path.display())]
    Missing {
        /// The name.
        name: String,
        /// What is not there, the program or its directory.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// It is no program.
    #[error("hook {name}: {} must be a file that may be executed: chmod 755", .path.display())]
    NotExecutable {
        /// The name.
        name: String,
        /// Where it is.
        path: PathBuf,
    },
    /// Somebody without root's rights could replace what is run with them.
    #[error("hook {name}: nobody but root may be able to write to {}: chown root:root and chmod 755", .path.display())]
    Writable {
        /// The name.
        name: String,
        /// The file or its directory.
        path: PathBuf,
    },
    /// It was refused before it began.
    #[error("{0}")]
    Refused(String),
    /// It could not be started.
    #[error("hook {name}: cannot {action}: {error}")]
    NotStarted {
        /// The name.
        name: String,
        /// What was tried.
        action: &'static str,
        /// What the system says.
        error: io::Error,
    },
    /// It took too long.
    #[error("hook {name}: killed after {} s{}", .limit.as_secs(), after_colon(.said))]
    TimedOut {
        /// The name.
        name: String,
        /// Its time limit.
        limit: Duration,
        /// The end of its standard error.
        said: String,
    },
    /// It failed.
    #[error("hook {name}: {status}{}", after_colon(.said))]
    Failed {
        /// The name.
        name: String,
        /// How it ended.
        status: ExitStatus,
        /// The end of its standard error.
        said: String,
    },
}

fn after_colon(said: &str) -> String {
    if said.is_empty() {
        String::new()
    } else {
        format!(": {said}")
    }
}

/// A hook to run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Call {
    /// Its name.
    pub name: String,
    /// Its arguments.
    pub arguments: Vec<String>,
    /// Its environment, to which `PATH` is added.
    pub environment: Vec<(&'static str, String)>,
    /// When it is killed, with all that it has started.
    pub limit: Duration,
}

/// Where hooks are, and how they are run.
#[derive(Clone, Debug)]
pub struct Hooks {
    directory: PathBuf,
    root: Option<PathBuf>,
}

impl Hooks {
    /// Hooks in `directory`. With a `root` that is where the host's root is seen: they are run with
    /// it as their root, and `directory` is a path in it.
    #[must_use]
    pub fn new(directory: PathBuf, root: Option<PathBuf>) -> Self {
        Self { directory, root }
    }

    /// Runs a hook to its end. Dropping the future kills it. Must be called within a tokio runtime
    /// with time and I/O enabled.
    ///
    /// # Errors
    /// When it is not installed as it must be, fails, or takes too long.
    pub async fn run(&self, call: &Call) -> Result<(), HookError> {
        let mut command = if let Some(root) = &self.root {
            let mut command = self.launcher(root, &call.name)?;
            command.arg(launch::RUN);
            command
        } else {
            Command::new(check(&self.directory, &call.name)?)
        };
        command.args(&call.arguments);
        self.finish(command, call).await
    }

    async fn finish(&self, mut command: Command, call: &Call) -> Result<(), HookError> {
        command
            .env_clear()
            .env("PATH", PATH)
            .envs(call.environment.iter().map(|(name, value)| (name, value)))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        let not_started = |action| {
            move |error| HookError::NotStarted {
                name: call.name.clone(),
                action,
                error,
            }
        };
        let mut child = command.spawn().map_err(not_started("start it"))?;
        let group = Group::of(&child);
        let mut tail = Tail::default();
        let ended = {
            let stderr = child.stderr.take();
            let mut reading = pin!(tail.follow(stderr));
            let mut ending = pin!(end(&mut child, &group, call.limit));
            let mut is_open = true;
            let ended = loop {
                tokio::select! {
                    ended = &mut ending => break ended,
                    () = &mut reading, if is_open => is_open = false,
                }
            };
            if is_open {
                // What is still missing then is not worth more.
                let _ = timeout(REST, reading).await;
            }
            ended
        };
        group.has_ended();
        let name = call.name.clone();
        match ended.map_err(not_started("wait for it"))? {
            None => Err(HookError::TimedOut {
                name,
                limit: call.limit,
                said: tail.text(),
            }),
            Some(status) if status.success() => Ok(()),
            Some(status)
                if self.root.is_some() && status.code() == Some(launch::REFUSED.into()) =>
            {
                Err(HookError::Refused(tail.text()))
            }
            Some(status) => Err(HookError::Failed {
                name,
                status,
                said: tail.text(),
            }),
        }
    }

    /// Whether a hook is installed as it must be, without running it.
    ///
    /// # Errors
    /// When it is not.
    pub async fn check(&self, name: &str) -> Result<(), HookError> {
        let Some(root) = &self.root else {
            return check(&self.directory, name).map(|_| ());
        };
        let call = Call {
            name: name.to_owned(),
            arguments: Vec::new(),
            environment: Vec::new(),
            limit: CHECK_LIMIT,
        };
        let command = self.launcher(root, name)?;
        self.finish(command, &call).await
    }

    /// The program that looks at a hook, and becomes it if it is told to. Only who has the host's root
    /// can follow its symbolic links, so that is done there.
    fn launcher(&self, root: &Path, name: &str) -> Result<Command, HookError> {
        let own = std::env::current_exe().map_err(|error| HookError::NotStarted {
            name: name.to_owned(),
            action: "find the agent's own file",
            error,
        })?;
        let mut command = Command::new(own);
        command
            .arg(launch::SUBCOMMAND)
            .arg(option("--root=", root))
            .arg(option("--directory=", &self.directory))
            .arg(name);
        Ok(command)
    }
}

fn option(name: &str, value: &Path) -> OsString {
    let mut option = OsString::from(name);
    option.push(value);
    option
}

/// Path of a hook that may be run: a program that nobody but root, or who runs this, can change.
fn check(directory: &Path, name: &str) -> Result<PathBuf, HookError> {
    let mut components = Path::new(name).components();
    let is_name = matches!(components.next(), Some(Component::Normal(only)) if only == name)
        && components.next().is_none();
    if !is_name {
        return Err(HookError::NotAName {
            name: name.to_owned(),
            directory: directory.to_owned(),
        });
    }
    let path = directory.join(name);
    let mode = |path: &Path| {
        let metadata = path.metadata().map_err(|error| HookError::Missing {
            name: name.to_owned(),
            path: path.to_owned(),
            error,
        })?;
        let trusted = [0, geteuid().as_raw()].contains(&metadata.uid())
            && metadata.mode() & OTHERS_WRITABLE == 0
            && (metadata.gid() == 0 || metadata.mode() & GROUP_WRITABLE == 0);
        if trusted {
            Ok(metadata)
        } else {
            Err(HookError::Writable {
                name: name.to_owned(),
                path: path.to_owned(),
            })
        }
    };
    mode(directory)?;
    let metadata = mode(&path)?;
    if !metadata.is_file() || metadata.mode() & EXECUTABLE == 0 {
        return Err(HookError::NotExecutable {
            name: name.to_owned(),
            path,
        });
    }
    Ok(path)
}

/// Waits for the end of a hook; `None` if it had to be killed.
async fn end(child: &mut Child, group: &Group, limit: Duration) -> io::Result<Option<ExitStatus>> {
    if let Ok(ended) = timeout(limit, child.wait()).await {
        return ended.map(Some);
    }
    group.kill();
    child.wait().await.map(|_| None)
}

/// The processes of a hook, which are killed when nobody waits for them any more.
struct Group(Option<Pid>);

impl Group {
    fn of(child: &Child) -> Self {
        let id = child.id().and_then(|id| i32::try_from(id).ok());
        Self(id.map(Pid::from_raw))
    }

    fn kill(&self) {
        if let Some(group) = self.0 {
            // It may have ended just now.
            let _ = killpg(group, Signal::SIGKILL);
        }
    }

    fn has_ended(mut self) {
        self.0 = None;
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

/// The end of what a hook writes.
#[derive(Default)]
struct Tail(Vec<u8>);

impl Tail {
    async fn follow(&mut self, from: Option<impl AsyncRead + Unpin>) {
        let Some(mut from) = from else {
            return;
        };
        let mut buffer = [0; TAIL_BYTES];
        while let Ok(length @ 1..) = from.read(&mut buffer).await {
            self.0.extend(buffer.iter().take(length));
            let excess = self.0.len().saturating_sub(TAIL_BYTES);
            self.0.drain(..excess);
        }
    }

    /// In one line.
    fn text(&self) -> String {
        let text = String::from_utf8_lossy(&self.0);
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let lines: Vec<_> = lines.collect();
        lines.join("; ").replace(char::is_control, " ")
    }
}
