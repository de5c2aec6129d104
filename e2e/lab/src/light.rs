//! The light lane: one kernel with IPVS that boots in under two seconds, runs one command and stops.
//!
//! The command is any program of this machine, a test binary for instance. It runs as root, sees the machine's
//! files, and what it writes stays in the kernel's memory. With [`Light::hosts`] the kernel has network
//! namespaces that stand for hosts on one LAN.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::{BufRead as _, BufReader};
use std::net::IpAddr;
use std::os::unix::ffi::OsStrExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::str::FromStr;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};

use crate::command::Output;
use crate::uml::{Kernel, word};
use crate::{paths, process};

const INIT: &str = include_str!("../guest/light.sh");

/// A network namespace of the light kernel: a host with one interface, `eth0`, on the common LAN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Host {
    /// Name of the namespace, as `ip netns exec NAME` takes it.
    pub name: String,
    /// Address of `eth0`.
    pub address: IpAddr,
    /// Length of the LAN's prefix in bits.
    pub prefix_length: u8,
}

impl FromStr for Host {
    type Err = anyhow::Error;

    /// Reads `NAME=ADDRESS/PREFIX`.
    fn from_str(text: &str) -> Result<Self> {
        let wrong = || {
            format!(
                "host {text:?}: NAME=ADDRESS/PREFIX is wanted, client=192.168.1.20/24 for example"
            )
        };
        let (name, rest) = text.split_once('=').with_context(wrong)?;
        let (address, prefix) = rest.split_once('/').with_context(wrong)?;
        Ok(Self {
            name: name.to_owned(),
            address: address.parse().with_context(wrong)?,
            prefix_length: prefix.parse().with_context(wrong)?,
        })
    }
}

/// A command to run in a light kernel.
#[derive(Debug, Clone)]
pub struct Light {
    memory_mib: u32,
    timeout: Duration,
    hosts: Vec<Host>,
}

impl Default for Light {
    fn default() -> Self {
        Self {
            memory_mib: 768,
            timeout: Duration::from_secs(300),
            hosts: Vec::new(),
        }
    }
}

/// Runs `program` with `arguments` in a light kernel without hosts.
///
/// # Errors
/// As [`Light::run`].
pub fn run(program: &Path, arguments: &[&str], timeout: Duration) -> Result<Output> {
    let mut command = vec![program.into()];
    command.extend(arguments.iter().map(OsString::from));
    Light::default().timeout(timeout).run(&command)
}

/// Removes what runs that were killed have left behind. Runs that are going on stay.
///
/// # Errors
/// When a directory cannot be removed.
pub fn clean() -> Result<()> {
    let Ok(entries) = fs::read_dir(paths::root().join("light")) else {
        return Ok(());
    };
    for entry in entries {
        let entry = entry?;
        let name = entry.file_name().to_string_lossy().into_owned();
        // Named after the process that runs it.
        let pid = name.split('-').next().unwrap_or_default();
        if !Path::new("/proc").join(pid).exists() {
            fs::remove_dir_all(entry.path())?;
        }
    }
    Ok(())
}

impl Light {
    /// Sets the kernel's memory, 768 MiB if not set.
    #[must_use]
    pub fn memory_mib(mut self, memory_mib: u32) -> Self {
        self.memory_mib = memory_mib;
        self
    }

    /// Sets how long boot and command may take together, 5 minutes if not set.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the hosts that the kernel has, each in a network namespace, all on one bridge.
    #[must_use]
    pub fn hosts(mut self, hosts: Vec<Host>) -> Self {
        self.hosts = hosts;
        self
    }

    /// Boots, runs the command and returns what it left.
    ///
    /// # Errors
    /// When the machine lacks what the lab needs, when the kernel stops before the command ended, and when the
    /// time is over. An exit status other than 0 is not an error.
    pub fn run(&self, command: &[OsString]) -> Result<Output> {
        let job = Job::new(self, command)?;
        let (out, err) = (job.path("stdout"), job.path("stderr"));
        let code = self.boot(&job, create(&out)?.into(), create(&err)?.into())?;
        let read =
            |path: &Path| fs::read(path).map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
        Ok(Output {
            code,
            stdout: read(&out)?,
            stderr: read(&err)?,
        })
    }

    /// Like [`Light::run`], with the command's output passed through to this process's.
    ///
    /// # Errors
    /// As [`Light::run`].
    pub fn run_through(&self, command: &[OsString]) -> Result<i32> {
        let job = Job::new(self, command)?;
        self.boot(&job, Stdio::inherit(), Stdio::inherit())
    }

    /// Like [`Light::run`], with every line of standard output handed to `line` as it comes. Standard error is
    /// passed through to this process's.
    ///
    /// # Errors
    /// As [`Light::run`], and the first one of `line`, after the command's end.
    pub fn run_reading(
        &self,
        command: &[OsString],
        mut line: impl FnMut(&str) -> Result<()> + Send,
    ) -> Result<i32> {
        let job = Job::new(self, command)?;
        let (read, write) = std::io::pipe()?;
        std::thread::scope(|scope| {
            let reader = scope.spawn(move || -> Result<()> {
                let mut result = Ok(());
                // What comes after an error is read too, so that the writer is not held up.
                for text in BufReader::new(read).lines() {
                    let text = text?;
                    if result.is_ok() {
                        result = line(&text);
                    }
                }
                result
            });
            let code = self.boot(&job, write.into(), Stdio::inherit());
            match reader.join() {
                Ok(read) => read.and(code),
                Err(_) => bail!("the reader of the command's output panicked"),
            }
        })
    }

    fn boot(&self, job: &Job, stdout: Stdio, stderr: Stdio) -> Result<i32> {
        let kernel = Kernel {
            name: "light".to_owned(),
            memory_mib: self.memory_mib,
            init: job.path("init"),
            uml_directory: job.path("uml"),
            // Descriptor 0 is a file, opened for writing below, that takes the kernel's own console.
            words: [
                "con=null",
                "con0=null,fd:0",
                "con1=null,fd:1",
                "con2=null,fd:2",
            ]
            .map(OsString::from)
            .into_iter()
            .chain([word("job=", &job.directory)])
            .collect(),
        };
        let line = kernel.command_line();
        // If this process is killed, the kernel goes with it.
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .args(&line)
            .stdin(create(&job.path("console"))?)
            .stdout(stdout)
            .stderr(stderr)
            .spawn()
            .context("cannot start setpriv (package util-linux)")?;

        let deadline = Instant::now() + self.timeout;
        let waited = wait_until(&mut child, deadline)?;
        if !waited {
            child.kill()?;
            child.wait()?;
            bail!(
                "the command did not end within {:?}\n{}",
                self.timeout,
                job.console()
            );
        }
        let status = fs::read_to_string(job.path("status")).unwrap_or_default();
        let Ok(code) = status.trim().parse() else {
            bail!(
                "the kernel stopped before the command ended\n{}",
                job.console()
            );
        };
        Ok(code)
    }
}

/// Waits for the child's end; false when the deadline came first.
fn wait_until(child: &mut std::process::Child, deadline: Instant) -> Result<bool> {
    if !process::ended_before(process::open(child.id())?, deadline)? {
        return Ok(false);
    }
    child.wait()?;
    Ok(true)
}

fn create(path: &Path) -> Result<File> {
    File::create(path).with_context(|| format!("cannot make {}", path.display()))
}

/// The directory through which one run speaks with its kernel; removed when dropped.
struct Job {
    directory: PathBuf,
}

impl Job {
    fn new(light: &Light, command: &[OsString]) -> Result<Self> {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        paths::check_machine()?;
        let name = format!(
            "{}-{}",
            std::process::id(),
            COUNT.fetch_add(1, Ordering::Relaxed)
        );
        let job = Self {
            directory: paths::root().join("light").join(name),
        };
        paths::make_directory(&job.path("uml"))?;
        paths::write(&job.path("init"), INIT)?;
        fs::set_permissions(
            job.path("init"),
            std::os::unix::fs::PermissionsExt::from_mode(0o755),
        )?;

        let directory = std::env::current_dir()?.into_os_string();
        paths::write(
            &job.path("command"),
            terminated(std::iter::once(&directory).chain(command)),
        )?;
        let environment: Vec<OsString> = std::env::vars_os()
            .map(|(mut name, value)| {
                name.push("=");
                name.push(value);
                name
            })
            .collect();
        paths::write(&job.path("environment"), terminated(&environment))?;
        let mut hosts = String::new();
        for Host {
            name,
            address,
            prefix_length,
        } in &light.hosts
        {
            writeln!(hosts, "{name} {address}/{prefix_length}")?;
        }
        paths::write(&job.path("hosts"), hosts)?;
        Ok(job)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.directory.join(name)
    }

    fn console(&self) -> String {
        let bytes = fs::read(self.path("console")).unwrap_or_default();
        format!(
            "console of the kernel:\n{}",
            String::from_utf8_lossy(&bytes)
        )
    }
}

impl Drop for Job {
    fn drop(&mut self) {
        // Nothing depends on the directory any more; what is left is found by `clean`.
        drop(fs::remove_dir_all(&self.directory));
    }
}

/// The items, each ended by a NUL.
fn terminated<'a>(items: impl IntoIterator<Item = &'a OsString>) -> Vec<u8> {
    items
        .into_iter()
        .flat_map(|item| item.as_bytes().iter().copied().chain([0]))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn items_with_spaces_and_newlines_stay_apart() {
        let items = ["a b".into(), "c\nd".into(), OsString::new()];
        assert_eq!(terminated(&items), b"a b\0c\nd\0\0");
    }
}
