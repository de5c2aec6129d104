//! The whole cluster: up, attach, down, and the parts that belong to no single machine.

mod bring_up;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;

use anyhow::{Context as _, Result, ensure};

use crate::client::Client;
use crate::command::Output;
use crate::control_plane::{API_SERVER, ControlPlane};
use crate::network::Network;
use crate::node::Node;
use crate::paths::{self, tool};
use crate::state::State;
use crate::topology::Topology;

/// A running lab. It goes on running when the value is dropped; [`Lab::down`] ends it.
#[derive(Debug, Clone)]
pub struct Lab {
    shared: Arc<Shared>,
}

#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) name: String,
    pub(crate) topology: Topology,
    pub(crate) state: State,
    pub(crate) network: Network,
}

/// What a lab is made of.
#[derive(Debug, Clone)]
pub struct Options {
    /// Name: the prefix of its network namespaces, at most 20 lower-case letters, digits and '-'.
    pub name: String,
    /// Machines and addresses.
    pub topology: Topology,
    /// OCI archives that every node has from its first boot.
    pub images: Vec<PathBuf>,
}

impl Lab {
    /// Brings a lab up: returns when every node is Ready.
    ///
    /// # Errors
    /// When the name is taken, the machine lacks something, or a part does not come up; the message says where
    /// the logs are. What has been started stays for inspection until [`Lab::remove`].
    pub fn up(options: Options) -> Result<Self> {
        let Options {
            name,
            topology,
            images,
        } = options;
        paths::check_machine()?;
        topology.check()?;
        let well_formed = (1..=20).contains(&name.len())
            && name
                .bytes()
                .all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        ensure!(
            well_formed,
            "lab name {name:?}: 1 to 20 lower-case letters, digits and '-' are wanted"
        );
        let state = State::of(&name);
        ensure!(
            !state.exists(),
            "a lab named {name} exists: attach to it, or remove it by `lab down --name {name}`"
        );
        for hidden in ["/run", "/var/lib", "/var/log"] {
            let place = state.directory.display();
            ensure!(
                !state.directory.starts_with(hidden),
                "{place}: nodes do not see {hidden}; set LVS_LAB_DIR"
            );
        }
        let network = Network::new(&name);
        let lab = Self {
            shared: Arc::new(Shared {
                name,
                topology,
                state,
                network,
            }),
        };
        lab.bring_up(&images).with_context(|| {
            format!(
                "the lab did not come up; the logs are below {}",
                lab.shared.state.directory.display()
            )
        })?;
        Ok(lab)
    }

    /// The lab of that name, brought up by this or another process.
    ///
    /// # Errors
    /// When there is none.
    pub fn attach(name: &str) -> Result<Self> {
        let state = State::of(name);
        ensure!(state.exists(), "there is no lab named {name}");
        let topology = state.topology()?;
        let network = Network::new(name);
        Ok(Self {
            shared: Arc::new(Shared {
                name: name.to_owned(),
                topology,
                state,
                network,
            }),
        })
    }

    /// Ends the lab and removes every trace of it.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn down(self) -> Result<()> {
        Self::remove(&self.shared.name)
    }

    /// Removes whatever there is of a lab of that name, also after a crash; fine when there is nothing.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn remove(name: &str) -> Result<()> {
        ensure!(!name.is_empty(), "a lab has a name");
        let state = State::of(name);
        state.stop_all()?;
        Network::new(name).down()?;
        state.remove()
    }

    /// Names of the labs that exist.
    ///
    /// # Errors
    /// When the directory of labs cannot be read.
    pub fn list() -> Result<Vec<String>> {
        let Ok(entries) = fs::read_dir(paths::root().join("labs")) else {
            return Ok(Vec::new());
        };
        entries
            .map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned()))
            .collect()
    }

    /// The lab's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.shared.name
    }

    /// The lab's machines and addresses.
    #[must_use]
    pub fn topology(&self) -> &Topology {
        &self.shared.topology
    }

    /// A kubeconfig of the cluster's administrator that works from anywhere on this machine.
    #[must_use]
    pub fn kubeconfig(&self) -> PathBuf {
        self.shared.state.kubeconfig()
    }

    /// The node of that name.
    ///
    /// # Errors
    /// When the topology has none.
    pub fn node(&self, name: &str) -> Result<Node> {
        let index = self
            .topology()
            .nodes
            .iter()
            .position(|node| node.name == name);
        let index = index.with_context(|| format!("lab {} has no node {name}", self.name()))?;
        Ok(Node::new(Arc::clone(&self.shared), index))
    }

    /// All nodes.
    #[must_use]
    pub fn nodes(&self) -> Vec<Node> {
        (0..self.topology().nodes.len())
            .map(|index| Node::new(Arc::clone(&self.shared), index))
            .collect()
    }

    /// The client of that name.
    ///
    /// # Errors
    /// When the topology has none.
    pub fn client(&self, name: &str) -> Result<Client> {
        let known = self
            .topology()
            .clients
            .iter()
            .find(|client| client.name == name);
        let machine = known.with_context(|| format!("lab {} has no client {name}", self.name()))?;
        Ok(Client::new(
            machine.clone(),
            self.shared.network.namespace(name),
        ))
    }

    /// Kills the API server. etcd and the controllers go on.
    ///
    /// # Errors
    /// When it cannot be killed.
    pub fn stop_apiserver(&self) -> Result<()> {
        self.shared.state.stop(API_SERVER)
    }

    /// Starts the API server again and waits until it is ready.
    ///
    /// # Errors
    /// When it runs already or does not become ready.
    pub fn start_apiserver(&self) -> Result<()> {
        self.control_plane().start_api_server()?;
        self.wait_api_ready()
    }

    /// Runs the lab's kubectl as the cluster's administrator.
    ///
    /// # Errors
    /// When it cannot be started. An exit status other than 0 is not an error.
    pub fn kubectl(&self, arguments: &[&str]) -> Result<Output> {
        Ok(Output::from(
            self.tool_command("kubectl")?
                .args(arguments)
                .stdin(Stdio::null())
                .output()?,
        ))
    }

    /// kubectl or Helm, set up to speak to this lab's cluster.
    ///
    /// # Errors
    /// When the program has not been built.
    pub fn tool_command(&self, name: &str) -> Result<Command> {
        let mut command = Command::new(tool(name)?);
        command.env("KUBECONFIG", self.kubeconfig());
        Ok(command)
    }

    /// Imports an OCI archive on every node that is powered on, and on the others at their next boot.
    ///
    /// # Errors
    /// When the archive cannot be read or a node refuses it.
    pub fn load_image(&self, archive: &Path) -> Result<()> {
        let loaded = fs::read_dir(self.shared.state.path("images"))?.count();
        let kept = self.keep_image(archive, &format!("{loaded:03}"))?;
        let nodes: Vec<Node> = self.nodes().into_iter().filter(Node::is_powered).collect();
        std::thread::scope(|scope| {
            let imports: Vec<_> = nodes
                .iter()
                .map(|node| scope.spawn(|| node.import_image(&kept)))
                .collect();
            imports
                .into_iter()
                .try_for_each(|import| match import.join() {
                    Ok(result) => result,
                    Err(panic) => std::panic::resume_unwind(panic),
                })
        })
    }

    fn keep_image(&self, archive: &Path, prefix: &str) -> Result<PathBuf> {
        let name = archive
            .file_name()
            .context("an archive has a name")?
            .to_string_lossy();
        let kept = self
            .shared
            .state
            .path("images")
            .join(format!("{prefix}-{name}"));
        fs::copy(archive, &kept).with_context(|| format!("cannot copy {}", archive.display()))?;
        Ok(kept)
    }

    /// Copies every log into a directory: consoles, kubelet, containerd and pods of each node, control plane,
    /// and what the API knows of objects and events.
    ///
    /// # Errors
    /// When the directory cannot be written. A part that cannot be reached is left out.
    pub fn collect_logs(&self, directory: &Path) -> Result<()> {
        crate::logs::collect(self, &self.shared.state, directory)
    }

    /// Whether the API server process runs.
    #[must_use]
    pub fn apiserver_is_running(&self) -> bool {
        self.shared.state.is_running(API_SERVER)
    }

    fn control_plane(&self) -> ControlPlane<'_> {
        let Shared {
            topology,
            state,
            network,
            ..
        } = &*self.shared;
        ControlPlane {
            state,
            network,
            topology,
        }
    }
}
