//! A lab with the product installed by Helm and one example applied.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_lab::traffic::{RunningTraffic, Traffic};
use lvs_lab::{Lab, Node, Options, Running, Topology};

use crate::eventually::{eventually, throughout};
use crate::example::Example;
use crate::ipvs::{self, Table};
use crate::kubectl::Kubectl;

/// Namespace that the chart is installed in.
pub const NAMESPACE: &str = "lvs-system";

/// A lab with the product installed and an example applied.
#[derive(Debug)]
pub struct Cluster {
    /// The machines.
    pub lab: Lab,
    /// The API.
    pub kubectl: Kubectl,
    /// The example.
    pub example: Example,
    servers: Mutex<BTreeMap<(String, u16), Running>>,
}

impl Cluster {
    /// Brings the lab up, installs the chart with Helm, starts the real servers' servers and applies the
    /// example; returns when its objects are Ready.
    ///
    /// # Errors
    /// When a part does not come up.
    pub fn up(name: &str, topology: Topology, example: Example) -> Result<Self> {
        Lab::remove(name)?;
        let images = ["operator.tar", "node-agent.tar"]
            .map(|file| repository().join("target/lab/images").join(file));
        for image in &images {
            ensure!(
                image.exists(),
                "{} is missing: `make images` builds it",
                image.display()
            );
        }
        let lab = Lab::up(Options {
            name: name.to_owned(),
            topology,
            images: images.to_vec(),
        })?;
        let cluster = Self {
            kubectl: Kubectl::new(&lab),
            lab,
            example,
            servers: Mutex::default(),
        };
        cluster.install()?;
        Ok(cluster)
    }

    /// The cluster of a lab that is up, for a second program.
    ///
    /// # Errors
    /// When there is no lab of that name.
    pub fn attach(name: &str, example: Example) -> Result<Self> {
        let lab = Lab::attach(name)?;
        Ok(Self {
            kubectl: Kubectl::new(&lab),
            lab,
            example,
            servers: Mutex::default(),
        })
    }

    /// `helm install --wait`.
    ///
    /// # Errors
    /// When Helm fails.
    pub fn install(&self) -> Result<()> {
        eprintln!("lab: installing the chart with Helm");
        let chart = repository().join("charts/lvs-operator");
        let chart = chart.to_string_lossy();
        let values: Vec<String> = self
            .example
            .values
            .iter()
            .map(|value| format!("--set={value}"))
            .collect();
        let mut arguments = vec![
            "upgrade",
            "--install",
            "lvs",
            &chart,
            "--namespace",
            NAMESPACE,
            "--create-namespace",
            "--wait",
            "--timeout=180s",
            "--set=images.operator.repository=localhost/lvs-operator",
            "--set=images.operator.tag=dev",
            "--set=images.nodeAgent.repository=localhost/lvs-node-agent",
            "--set=images.nodeAgent.tag=dev",
        ];
        arguments.extend(values.iter().map(String::as_str));
        self.kubectl.helm(&arguments)?;
        Ok(())
    }

    /// Puts everything back: machines on, cables in, API server up, servers running, the example applied and
    /// Ready.
    ///
    /// # Errors
    /// When something does not come back.
    pub fn put_back(&self) -> Result<()> {
        if !self.lab.apiserver_is_running() {
            self.lab.start_apiserver()?;
        }
        for node in self.lab.nodes() {
            node.restore_cable()?;
            if !node.is_powered() {
                self.forget_servers(node.name())?;
                node.power_on()?;
                node.wait_ready()?;
            }
        }
        self.start_servers()?;
        self.apply_example()
    }

    /// Applies the example's manifests and waits until every object is Ready.
    ///
    /// # Errors
    /// When the API refuses one or one does not become Ready.
    pub fn apply_example(&self) -> Result<()> {
        let manifests = self.example.manifests.iter();
        let besides = self.example.besides.iter();
        let paths: Vec<_> = manifests
            .map(|manifest| self.example_path(manifest))
            .chain(besides.map(|path| repository().join(path)))
            .collect();
        for path in paths {
            let path = path.to_string_lossy();
            self.kubectl.ok(&["apply", "-f", &path])?;
            // Takes away what a step has patched in beside it, which an apply would leave. A status
            // that is written meanwhile is a conflict.
            eventually(
                "the manifests replace the objects",
                Duration::from_secs(10),
                || self.kubectl.ok(&["replace", "-f", &path]),
            )?;
        }
        self.wait_ready(90)
    }

    /// Deletes every object that a user applied, and waits until no director has a service of ours.
    ///
    /// # Errors
    /// When that is not so in time.
    pub fn delete_example(&self) -> Result<()> {
        self.kubectl
            .ok(&["delete", "virtualservices,realservers", "-A", "--all"])?;
        self.kubectl.ok(&["delete", "directorpairs", "--all"])?;
        eventually("empty tables", Duration::from_secs(30), || {
            for director in ["lb-1", "lb-2"] {
                let table = self.table(director)?;
                ensure!(table.is_empty(), "{director} has {table:?}");
            }
            Ok(())
        })?;
        Ok(())
    }

    /// Waits until every object that a user applied is Ready.
    ///
    /// # Errors
    /// When one is not in time.
    pub fn wait_ready(&self, seconds: u32) -> Result<()> {
        for kind in ["directorpairs", "realservers", "virtualservices"] {
            self.kubectl
                .wait("condition=Ready", &[kind, "--all", "-A"], seconds)?;
        }
        Ok(())
    }

    /// A file of the example.
    #[must_use]
    pub fn example_path(&self, file: &str) -> PathBuf {
        repository()
            .join("examples")
            .join(self.example.directory)
            .join(file)
    }

    /// Starts the servers of every real server that do not run.
    ///
    /// # Errors
    /// When one does not listen.
    pub fn start_servers(&self) -> Result<()> {
        for name in self.example.real_servers {
            for (_, port) in self.example.servers {
                self.start_server(name, *port)?;
            }
        }
        Ok(())
    }

    /// Starts one server of the example on a node, unless it runs.
    ///
    /// # Errors
    /// When it does not listen, or the example has none on that port.
    pub fn start_server(&self, node: &str, port: u16) -> Result<()> {
        let &(protocol, _) = self
            .example
            .servers
            .iter()
            .find(|(_, candidate)| *candidate == port)
            .with_context(|| format!("the example has no server on port {port}"))?;
        let mut servers = self.lock_servers()?;
        if let Entry::Vacant(free) = servers.entry((node.to_owned(), port)) {
            free.insert(self.node(node)?.serve(protocol, port)?);
        }
        Ok(())
    }

    /// Kills one server; its port then refuses connections.
    ///
    /// # Errors
    /// When it was not running.
    pub fn stop_server(&self, node: &str, port: u16) -> Result<()> {
        let running = self.lock_servers()?.remove(&(node.to_owned(), port));
        drop(running.with_context(|| format!("no server runs on {node}:{port}"))?);
        Ok(())
    }

    /// Forgets the servers of a node that has lost power.
    ///
    /// # Errors
    /// When another thread panicked while it held the list.
    pub fn forget_servers(&self, node: &str) -> Result<()> {
        self.lock_servers()?.retain(|(name, _), _| name != node);
        Ok(())
    }

    fn lock_servers(&self) -> Result<std::sync::MutexGuard<'_, BTreeMap<(String, u16), Running>>> {
        self.servers
            .lock()
            .map_err(|_poisoned| anyhow::anyhow!("another step panicked"))
    }

    /// A node.
    ///
    /// # Errors
    /// When the topology has none of that name.
    pub fn node(&self, name: &str) -> Result<Node> {
        self.lab.node(name)
    }

    /// A node's IPVS table.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn table(&self, node: &str) -> Result<Table> {
        ipvs::parse(&self.node(node)?.exec(&["ipvsadm", "-Ln"])?.ok()?)
    }

    /// Standard output of a command on a node.
    ///
    /// # Errors
    /// When it fails or the node does not answer.
    pub fn on(&self, node: &str, command: &[&str]) -> Result<String> {
        self.node(node)?
            .exec(command)?
            .ok()
            .with_context(|| format!("{node}: {}", command.join(" ")))
    }

    /// Whether a node has the address.
    ///
    /// # Errors
    /// When the node does not answer.
    pub fn has_address(&self, node: &str, address: &str) -> Result<bool> {
        let needle = format!(" {address}/");
        Ok(self
            .on(node, &["ip", "-o", "address", "show"])?
            .contains(&needle))
    }

    /// Which of the directors have the address.
    ///
    /// # Errors
    /// When a director that is on does not answer.
    pub fn holders(&self, address: &str) -> Result<Vec<String>> {
        let mut holders = Vec::new();
        for director in ["lb-1", "lb-2"] {
            if self.node(director)?.is_powered() && self.has_address(director, address)? {
                holders.push(director.to_owned());
            }
        }
        Ok(holders)
    }

    /// Waits until every director's table fulfils the condition.
    ///
    /// # Errors
    /// When one does not in time.
    pub fn wait_tables(
        &self,
        what: &str,
        within: Duration,
        condition: impl Fn(&Table) -> Result<()>,
    ) -> Result<()> {
        for director in ["lb-1", "lb-2"] {
            eventually(&format!("{director}: {what}"), within, || {
                condition(&self.table(director)?)
            })?;
        }
        Ok(())
    }

    /// Waits until exactly this director has the address.
    ///
    /// # Errors
    /// When it is not so in time.
    pub fn wait_holder(&self, director: &str, address: &str, within: Duration) -> Result<Duration> {
        let what = format!("{address} on {director} alone");
        let ((), took) = eventually(&what, within, || {
            let holders = self.holders(address)?;
            ensure!(holders == [director], "holders are {holders:?}");
            Ok(())
        })?;
        Ok(took)
    }

    /// At every moment of the period that is looked at, exactly this director has the addresses.
    ///
    /// # Errors
    /// When it has not.
    pub fn stays(&self, director: &str, addresses: &[&str], period: Duration) -> Result<()> {
        let what = format!("{} on {director} alone", addresses.join(", "));
        throughout(&what, period, || {
            for address in addresses {
                let holders = self.holders(address)?;
                ensure!(holders == [director], "{address}: holders are {holders:?}");
            }
            Ok(())
        })
    }

    /// Requests from a client, twenty of which have been answered.
    ///
    /// # Errors
    /// When they have not in time.
    pub fn traffic(&self, client: &str, traffic: Traffic) -> Result<RunningTraffic> {
        let running = self.lab.client(client)?.traffic(traffic)?;
        running
            .wait_until(Duration::from_secs(10), |report| {
                report.per_server().values().sum::<usize>() >= 20
            })
            .with_context(|| format!("requests from {client}"))?;
        Ok(running)
    }

    /// Name, UID and restarts of the agent's pod on a node.
    ///
    /// # Errors
    /// When there is none, or more than one.
    pub fn agent(&self, node: &str) -> Result<Agent> {
        let field = format!("--field-selector=spec.nodeName={node}");
        let pods = self.kubectl.json(&[
            "get",
            "pods",
            "-n",
            NAMESPACE,
            &field,
            "-l",
            "app.kubernetes.io/component in (director-agent, real-server-agent)",
        ])?;
        let items = pods["items"]
            .as_array()
            .map(Vec::as_slice)
            .unwrap_or_default();
        let [pod] = items else {
            anyhow::bail!("{} agents on {node}, one is wanted", items.len());
        };
        let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
        Ok(Agent {
            name: text(&pod["metadata"]["name"]),
            uid: text(&pod["metadata"]["uid"]),
            restarts: pod["status"]["containerStatuses"][0]["restartCount"]
                .as_i64()
                .unwrap_or(-1),
        })
    }

    /// Recent operations of a node's agent, oldest first, as it logged them.
    ///
    /// # Errors
    /// When the agent does not answer.
    pub fn operations(&self, node: &str) -> Result<Vec<String>> {
        let text = self.on(
            node,
            &["curl", "-sf", "http://127.0.0.1:9809/ops?last=1000"],
        )?;
        text.lines()
            .map(|line| {
                let entry: serde_json::Value = serde_json::from_str(line)?;
                Ok(entry["command"].as_str().unwrap_or_default().to_owned())
            })
            .collect()
    }

    /// Saves every log for a failed step; says where.
    #[must_use]
    pub fn save_logs(&self, step: &str) -> String {
        let directory = repository().join("target/lab/logs").join(format!(
            "{}-{}",
            self.lab.name(),
            step.replace([' ', '/'], "-")
        ));
        // What an earlier run left would mislead.
        let _ = fs::remove_dir_all(&directory);
        let saved = fs::create_dir_all(&directory)
            .map_err(anyhow::Error::from)
            .and_then(|()| self.lab.collect_logs(&directory));
        match saved {
            Ok(()) => directory.display().to_string(),
            Err(reason) => format!("cannot be saved: {reason:#}"),
        }
    }

    /// Removes the lab.
    ///
    /// # Errors
    /// When something cannot be removed.
    pub fn down(&self) -> Result<()> {
        self.lock_servers()?.clear();
        Lab::remove(self.lab.name())
    }
}

/// An agent's pod.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Agent {
    /// Name of the pod.
    pub name: String,
    /// UID of the pod.
    pub uid: String,
    /// How often its container was started again.
    pub restarts: i64,
}

/// The root of the checkout.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}
