//! Two directors of one side in their hosts, and what can happen to them.

use std::fs;
use std::io::ErrorKind;
use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::process::Child;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::observer::{Hardware, Observer, What, now};
use crate::results::Event;
use crate::side::{Setup, Side};
use crate::wires::{Wires, forget_addresses};

/// Longest time that anything may take that is not measured.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);
/// Advertisements in a row after which a director is taken for the only one.
const STEADY: u32 = 2;

/// A host that is a director.
pub(crate) struct Host {
    pub(crate) name: &'static str,
    address: &'static str,
    pub(crate) hardware: Hardware,
    cgroup: PathBuf,
    running: Option<Child>,
}

/// Both, with the same setup.
pub(crate) struct Directors<'a> {
    side: Side,
    setup: Setup,
    hosts: [Host; 2],
    pub(crate) observer: &'a mut Observer,
    wires: &'a mut Wires,
}

impl Host {
    /// Both, with processes of their own for each purpose.
    pub(crate) fn both(purpose: &str) -> Result<[Self; 2]> {
        Ok([
            Self::new("lb-1", "192.168.1.129/24", purpose)?,
            Self::new("lb-2", "192.168.1.128/24", purpose)?,
        ])
    }

    fn new(name: &'static str, address: &'static str, purpose: &str) -> Result<Self> {
        let cgroup = PathBuf::from(format!("/sys/fs/cgroup/{purpose}-{name}"));
        match fs::create_dir(&cgroup) {
            Err(reason) if reason.kind() != ErrorKind::AlreadyExists => {
                return Err(reason).context("control group");
            }
            _ => {}
        }
        let host = Self {
            name,
            address,
            hardware: hardware(name)?,
            cgroup,
            running: None,
        };
        // What a block that failed has left.
        host.kill()?;
        host.freeze(false)?;
        forget_addresses(name, address)?;
        Ok(host)
    }

    /// Starts a side here.
    pub(crate) fn start(&mut self, side: Side, setup: &Setup) -> Result<()> {
        self.running = Some(side.start(self.name, setup, &self.cgroup)?);
        Ok(())
    }

    /// SIGKILL to all processes at once.
    pub(crate) fn kill(&self) -> Result<()> {
        fs::write(self.cgroup.join("cgroup.kill"), "1").context("cgroup.kill")
    }

    /// Stops all processes at once, or lets them go on.
    fn freeze(&self, freeze: bool) -> Result<()> {
        let text = if freeze { "1" } else { "0" };
        fs::write(self.cgroup.join("cgroup.freeze"), text).context("cgroup.freeze")
    }

    /// CPU time of all processes so far.
    pub(crate) fn cpu(&self) -> Result<Duration> {
        let text = fs::read_to_string(self.cgroup.join("cpu.stat"))?;
        let microseconds = text
            .lines()
            .find_map(|line| line.strip_prefix("usage_usec "))
            .with_context(|| format!("cpu.stat: {text}"))?;
        Ok(Duration::from_micros(microseconds.parse()?))
    }

    /// Whether the program runs and has a socket for VRRP.
    fn listens(&mut self) -> Result<bool> {
        let Some(child) = &mut self.running else {
            return Ok(false);
        };
        if let Some(status) = child.try_wait()? {
            bail!("the program on {} has ended: {status}", self.name);
        }
        // Protocol 112 stands where a port would be.
        let sockets = fs::read_to_string(format!("/proc/{}/net/raw", child.id()))?;
        Ok(sockets.lines().any(|line| {
            line.split_whitespace()
                .nth(1)
                .is_some_and(|s| s.ends_with(":0070"))
        }))
    }

    fn wait_end(&mut self) -> Result<()> {
        if let Some(mut child) = self.running.take() {
            child.wait()?;
        }
        Ok(())
    }
}

/// Hardware address of a host's interface.
fn hardware(host: &str) -> Result<Hardware> {
    let output = std::process::Command::new("ip")
        .args(["-netns", host, "-o", "link", "show", "eth0"])
        .output()?;
    let text = String::from_utf8(output.stdout)?;
    let (_, rest) = text
        .split_once("link/ether ")
        .with_context(|| format!("eth0 of {host}: {text:?}"))?;
    let bytes = rest
        .split_whitespace()
        .next()
        .unwrap_or_default()
        .split(':')
        .map(|byte| u8::from_str_radix(byte, 16))
        .collect::<Result<Vec<_>, _>>()?;
    Hardware::try_from(bytes.as_slice()).context("a hardware address has six bytes")
}

impl<'a> Directors<'a> {
    /// Starts the side on both hosts, one after the other.
    pub(crate) fn start(
        side: Side,
        setup: Setup,
        observer: &'a mut Observer,
        wires: &'a mut Wires,
    ) -> Result<Self> {
        let mut directors = Self::alone(side, setup, observer, wires)?;
        directors.start_on(1)?;
        Ok(directors)
    }

    /// Starts the side on the first host only.
    pub(crate) fn alone(
        side: Side,
        setup: Setup,
        observer: &'a mut Observer,
        wires: &'a mut Wires,
    ) -> Result<Self> {
        drop(fs::remove_dir_all("/run/bench"));
        let mut directors = Self {
            side,
            setup,
            hosts: Host::both("director")?,
            observer,
            wires,
        };
        directors.start_on(0)?;
        directors.settled()?;
        Ok(directors)
    }

    fn start_on(&mut self, index: usize) -> Result<()> {
        let host = self
            .hosts
            .get_mut(index)
            .context("there are two directors")?;
        host.start(self.side, &self.setup)
    }

    pub(crate) fn host(&mut self, index: usize) -> Result<&mut Host> {
        self.hosts.get_mut(index).context("there are two directors")
    }

    /// Waits until all that run listen and one of them alone advertises; says which.
    pub(crate) fn settled(&mut self) -> Result<usize> {
        let deadline = now()? + PATIENCE;
        for index in 0..self.hosts.len() {
            while self.host(index)?.running.is_some() && !self.host(index)?.listens()? {
                ensure!(
                    now()? < deadline,
                    "{} has no socket for VRRP after {PATIENCE:?}",
                    self.host(index)?.name
                );
                self.pass(Duration::from_millis(10))?;
            }
        }
        let since = now()?;
        let (mut last, mut count) = (None, 0);
        let steady = self.observer.until(deadline, |seen| match seen.what {
            What::Advertisement {
                virtual_router_id: 1,
                ..
            } if seen.at >= since => {
                count = if last == Some(seen.from) {
                    count + 1
                } else {
                    1
                };
                last = Some(seen.from);
                (count >= STEADY).then_some(seen.from)
            }
            _ => None,
        })?;
        let steady =
            steady.with_context(|| format!("nobody alone advertises after {PATIENCE:?}"))?;
        self.hosts
            .iter()
            .position(|host| host.hardware == steady)
            .context("a stranger advertises")
    }

    /// Lets time pass.
    pub(crate) fn pass(&mut self, time: Duration) -> Result<()> {
        let until = now()? + time;
        self.observer.until(until, |_| None::<()>).map(drop)
    }

    /// Does it to a host.
    pub(crate) fn strike(&mut self, index: usize, event: Event) -> Result<()> {
        let host = self
            .hosts
            .get_mut(index)
            .context("there are two directors")?;
        match event {
            Event::Kill | Event::Vips => host.kill(),
            Event::Hang => host.freeze(true),
            Event::Power => {
                host.freeze(true)?;
                self.wires.set(host.name, false)
            }
            Event::Cut => self.wires.set(host.name, false),
            Event::Stop => {
                let child = host.running.as_ref().context("it does not run")?;
                kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM).context("SIGTERM")
            }
            Event::Instances => {
                bail!("{event} is nothing that happens to a director")
            }
        }
    }

    /// Brings a host back after it.
    pub(crate) fn heal(&mut self, index: usize, event: Event) -> Result<()> {
        let host = self
            .hosts
            .get_mut(index)
            .context("there are two directors")?;
        if matches!(event, Event::Cut) {
            return self.wires.set(host.name, true);
        }
        if matches!(event, Event::Hang | Event::Power) {
            // They die first, so that they do not go on.
            host.kill()?;
            host.freeze(false)?;
        }
        host.wait_end()?;
        if matches!(event, Event::Power) {
            forget_addresses(host.name, host.address)?;
            self.wires.set(host.name, true)?;
        }
        self.start_on(index)
    }

    /// First VIP of the first instance.
    pub(crate) fn vip(&self) -> Option<Ipv4Addr> {
        self.setup.instances.first()?.first().copied()
    }

    pub(crate) fn interval(&self) -> Duration {
        Duration::from_millis(self.setup.interval_ms.into())
    }
}

impl Drop for Host {
    fn drop(&mut self) {
        // One that has just been started may not have entered its control group yet.
        if let Some(child) = &mut self.running {
            drop(child.kill());
        }
        drop(self.wait_end());
        drop(self.kill());
    }
}

impl Drop for Directors<'_> {
    fn drop(&mut self) {
        for host in &self.hosts {
            drop(self.wires.set(host.name, true));
        }
    }
}
