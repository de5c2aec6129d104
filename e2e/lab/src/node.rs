//! A node: a machine with a kernel, a disk and network cards of its own.

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;
use std::process::Stdio;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use crate::capture::Capture;
use crate::channel::{self, Address};
use crate::command::{Output, run};
use crate::control_plane::node_token;
use crate::lab::Shared;
use crate::network::{data_tap, gateway, management_address, management_tap, pod_subnet};
use crate::paths::{self, tool, write};
use crate::poll::{READY_LIMIT, poll};
use crate::running::Running;
use crate::serve::Protocol;
use crate::state::Process;
use crate::topology::{self, Machine};
use crate::uml::{Kernel, word};
use crate::{kubectl, node_files};

/// Memory of a node; taken from the machine only as it is used.
const MEMORY_MIB: u32 = 1024;

/// Size of a node's disk, a sparse file.
const DISK_BYTES: u64 = 4 << 30;

/// How long a server may take until it listens.
const SERVE_LIMIT: Duration = Duration::from_secs(10);

/// How long a command on a node may take.
const EXEC_LIMIT: Duration = Duration::from_secs(120);

/// A node of a lab, powered on or off.
#[derive(Debug, Clone)]
pub struct Node {
    lab: Arc<Shared>,
    index: usize,
    machine: Machine,
}

/// Direction of traffic on a node's `eth0`, as the node sees it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// From the network to the node.
    Ingress,
    /// From the node to the network.
    Egress,
}

impl Node {
    pub(crate) fn new(lab: Arc<Shared>, index: usize) -> Self {
        let machine = lab.topology.nodes.get(index).cloned();
        let unknown = || Machine {
            name: format!("node-{index}"),
            addresses: Vec::new(),
            gateway: None,
        };
        Self {
            lab,
            index,
            machine: machine.unwrap_or_else(unknown),
        }
    }

    /// The node's name, in the lab and in the cluster.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.machine.name
    }

    /// The node's address on its first LAN, the `InternalIP`.
    #[must_use]
    pub fn address(&self) -> Ipv4Addr {
        self.machine.address()
    }

    /// Takes the power away: the kernel and all in it end at once, nothing is written or sent any more.
    /// The disk keeps what had reached it.
    ///
    /// # Errors
    /// When the kernel's processes cannot be killed.
    pub fn power_off(&self) -> Result<()> {
        self.lab.state.stop(&self.process())
    }

    /// Boots the node; returns at once.
    ///
    /// # Errors
    /// When it is on already or the kernel cannot be started.
    pub fn power_on(&self) -> Result<()> {
        self.start()
    }

    /// Whether the kernel runs.
    #[must_use]
    pub fn is_powered(&self) -> bool {
        self.lab.state.is_running(&self.process())
    }

    /// Waits until this boot has started the kubelet.
    ///
    /// # Errors
    /// When the kernel ended or the time is over.
    pub fn wait_booted(&self) -> Result<()> {
        poll(READY_LIMIT, Duration::from_millis(200), self.name(), || {
            if !self.is_powered() {
                bail!(
                    "{}: the kernel has ended; its console is {}",
                    self.name(),
                    self.console().display()
                );
            }
            Ok(self
                .exec(&["test", "-e", "/run/booted"])
                .is_ok_and(|output| output.success()))
        })
    }

    /// Waits until the cluster sees this boot of the node as Ready.
    ///
    /// # Errors
    /// When the kernel ended or the time is over.
    pub fn wait_ready(&self) -> Result<()> {
        self.wait_booted()?;
        let boot_id = self
            .exec(&["cat", "/proc/sys/kernel/random/boot_id"])?
            .ok()?;
        let kubectl = tool("kubectl")?.display().to_string();
        let kubeconfig = self.lab.state.kubeconfig().display().to_string();
        poll(READY_LIMIT, Duration::from_millis(500), self.name(), || {
            let status = kubectl::node_status(&kubectl, &kubeconfig, self.name());
            // Until the kubelet has reported, the API knows of no node or of the boot before.
            Ok(status.is_ok_and(|status| status.ready && status.boot_id == boot_id.trim()))
        })
    }

    /// Pulls the data cables. The command channel has a cable of its own.
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn cut_cable(&self) -> Result<()> {
        self.lab.network.cut(&self.lab.topology, &self.machine)
    }

    /// Puts the data cables back.
    ///
    /// # Errors
    /// When the switch refuses.
    pub fn restore_cable(&self) -> Result<()> {
        self.lab.network.restore(&self.lab.topology, &self.machine)
    }

    /// Runs a command on the node as root and waits for its end, two minutes at most.
    ///
    /// # Errors
    /// When the node does not answer. An exit status other than 0 is not an error.
    pub fn exec(&self, command: &[&str]) -> Result<Output> {
        let started = self
            .channel()
            .start(command)
            .with_context(|| self.name().to_owned())?;
        started
            .output(EXEC_LIMIT)
            .with_context(|| format!("{}: {}", self.name(), command.join(" ")))
    }

    /// Runs a command on the node with its output passed through, without a limit of time.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn exec_through(&self, command: &[&str]) -> Result<i32> {
        self.channel()
            .start(command)?
            .copy(&mut std::io::stdout(), &mut std::io::stderr())
    }

    /// Starts a command that runs until it is stopped.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn spawn(&self, command: &[&str]) -> Result<Running> {
        Running::new(self.channel().start(command)?)
    }

    /// Starts a server that answers with the node's name and waits until it listens: on every address of the
    /// node, VIPs included. [`Protocol::Udp`] wants [`Node::serve_at`] where the node has VIPs.
    ///
    /// # Errors
    /// When the node does not answer or the port is taken.
    pub fn serve(&self, protocol: Protocol, port: u16) -> Result<Running> {
        self.serve_at(protocol, &[(Ipv6Addr::UNSPECIFIED, port).into()])
    }

    /// As [`Node::serve`] on these addresses, which with [`Protocol::Udp`] the node may get later.
    ///
    /// # Errors
    /// When the node does not answer or an address cannot be listened on.
    pub fn serve_at(&self, protocol: Protocol, addresses: &[SocketAddr]) -> Result<Running> {
        let lab = self.lab.state.path("lab").display().to_string();
        let protocol = protocol.to_string();
        let addresses: Vec<_> = addresses.iter().map(ToString::to_string).collect();
        let mut command = vec![
            &*lab,
            "serve",
            "--name",
            self.name(),
            "--protocol",
            &protocol,
        ];
        for address in &addresses {
            command.extend(["--listen", address]);
        }
        let running = self.spawn(&command)?;
        running
            .wait_for_output("listening", SERVE_LIMIT)
            .with_context(|| format!("{}: {protocol} server on {addresses:?}", self.name()))?;
        Ok(running)
    }

    /// Sends requests from the node, one after the other, and returns for each the name of the server or the
    /// reason why none answered.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn ask(
        &self,
        protocol: Protocol,
        target: SocketAddr,
        requests: u64,
    ) -> Result<Vec<String>> {
        let lab = self.lab.state.path("lab").display().to_string();
        let (protocol, target) = (protocol.to_string(), target.to_string());
        let requests = requests.to_string();
        let command = [
            &lab,
            "ask",
            "--protocol",
            &protocol,
            "--requests",
            &requests,
            &target,
        ];
        let answers = self.exec(&command)?.ok()?;
        Ok(answers.lines().map(str::to_owned).collect())
    }

    /// Impairs `eth0` with netem, `loss 10%` or `delay 20ms` for example (tc-netem(8)).
    ///
    /// # Errors
    /// When tc refuses the words.
    pub fn netem(&self, direction: Direction, words: &str) -> Result<()> {
        let script = match direction {
            Direction::Egress => format!("tc qdisc replace dev eth0 root netem {words}"),
            Direction::Ingress => format!(
                "set -e; ip link show ifb0 >/dev/null 2>&1 || ip link add ifb0 type ifb; ip link set ifb0 up; \
                 tc qdisc replace dev eth0 ingress; tc qdisc replace dev ifb0 root netem {words}; \
                 tc filter replace dev eth0 parent ffff: protocol all prio 1 handle 1 matchall \
                 action mirred egress redirect dev ifb0"
            ),
        };
        self.exec(&["sh", "-c", &script])?.ok().map(drop)
    }

    /// Takes what [`Node::netem`] did away, in both directions.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn clear_netem(&self) -> Result<()> {
        let script = "tc qdisc del dev eth0 root; tc qdisc del dev eth0 ingress; ip link del ifb0";
        // Each may be absent.
        self.exec(&["sh", "-c", script]).map(drop)
    }

    /// Captures packets on the switch's end of the cable of `eth0`; `filter` as in pcap-filter(7).
    ///
    /// # Errors
    /// When tcpdump cannot be started or refuses the filter.
    pub fn capture(&self, filter: &str) -> Result<Capture> {
        let tap = data_tap(&self.machine, 0);
        Capture::start(&self.lab.network.switch(), &tap, filter)
    }

    /// Imports an OCI archive, a path on this machine, as the node's boot does.
    pub(crate) fn import_image(&self, archive: &Path) -> Result<()> {
        let import = self
            .lab
            .state
            .node(self.name())
            .join("import")
            .display()
            .to_string();
        self.exec(&[&import, &archive.display().to_string()])?
            .ok()
            .map(drop)
    }

    /// Makes disk and configuration, once in the node's life.
    pub(crate) fn prepare(&self) -> Result<()> {
        let directory = self.lab.state.node(self.name());
        node_files::write_all(&self.parameters(), &directory)?;
        let control = crate::control_plane::ControlPlane {
            state: &self.lab.state,
            network: &self.lab.network,
            topology: &self.lab.topology,
        };
        let server = format!("https://{}", self.lab.topology.router(&self.machine));
        write(
            &directory.join("kubeconfig"),
            control.kubeconfig(&server, &node_token(self.name()))?,
        )?;

        let disk = directory.join("disk");
        File::create(&disk)?.set_len(DISK_BYTES)?;
        run("mkfs.ext4", &["-q", "-F", &disk.display().to_string()])?;
        Ok(())
    }

    pub(crate) fn start(&self) -> Result<()> {
        let directory = self.lab.state.node(self.name());
        // A directory that a killed kernel left would make the next one believe that the name is in use.
        let uml_directory = directory.join("uml");
        if uml_directory.exists() {
            fs::remove_dir_all(&uml_directory)?;
        }
        paths::make_directory(&uml_directory)?;
        let card = |number: usize, tap: String, mac: String| {
            OsString::from(format!(
                "vec{number}:transport=tap,ifname={tap},depth=128,gro=1,mac={mac}"
            ))
        };
        let cards = self.lab.topology.cards(&self.machine);
        let mut words = vec![
            "con=null".into(),
            "con0=null,fd:1".into(),
            word("ubd0=", &directory.join("disk")),
            word("node=", &directory),
        ];
        words.extend(cards.iter().map(|data| {
            card(
                data.number,
                data_tap(&self.machine, data.number),
                data.mac(),
            )
        }));
        // The last card.
        words.push(card(
            cards.len(),
            management_tap(&self.machine),
            topology::mac(1, self.address()),
        ));
        let kernel = Kernel {
            name: self.name().to_owned(),
            memory_mib: MEMORY_MIB,
            init: directory.join("init"),
            uml_directory,
            words,
        };
        let process = Process {
            line: kernel.command_line(),
            stdin: Stdio::null(),
            log: self.console(),
        };
        self.lab
            .state
            .start(&self.process(), Some(&self.lab.network.switch()), process)
    }

    fn parameters(&self) -> node_files::Parameters {
        let topology = &self.lab.topology;
        let cards = topology.cards(&self.machine);
        let cards = cards.iter().map(|card| node_files::CardParameters {
            interface: card.interface(),
            mtu: card.lan.mtu,
            addresses: card.addresses(),
        });
        node_files::Parameters {
            name: self.name().to_owned(),
            address: self.address(),
            cards: cards.collect(),
            control: topology.router(&self.machine),
            gateway: gateway(topology, &self.machine),
            management_address: management_address(self.index),
            channel_port: channel::PORT,
            pod_subnet: pod_subnet(self.index),
            tools: paths::root().join("bin"),
            lab: self.lab.state.path("lab"),
            images: self.lab.state.path("images"),
        }
    }

    fn channel(&self) -> Address {
        let socket = (management_address(self.index), channel::PORT).into();
        Address {
            namespace: self.lab.network.switch(),
            socket,
        }
    }

    fn process(&self) -> String {
        format!("node-{}", self.name())
    }

    fn console(&self) -> std::path::PathBuf {
        self.lab.state.node(self.name()).join("console")
    }
}
