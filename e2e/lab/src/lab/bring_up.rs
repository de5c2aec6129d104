//! The steps from nothing to a cluster whose nodes are Ready.

use std::fs;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};

use super::{Lab, Shared};
use crate::command::run;
use crate::control_plane::ControlPlane;
use crate::network::API_CLUSTER_IP;
use crate::paths::{self, tool};
use crate::poll::{READY_LIMIT, poll};
use crate::progress::Progress;
use crate::state::Process;
use crate::{image, kubectl};

impl Lab {
    pub(super) fn bring_up(&self, images: &[PathBuf]) -> Result<()> {
        let progress = Progress::start();
        let Shared {
            topology,
            state,
            network,
            ..
        } = &*self.shared;
        state.create(topology)?;
        fs::copy(paths::own_binary()?, state.path("lab"))
            .context("cannot copy the lab's own program")?;
        image::pause(&tool("pause")?, &state.path("images/pause.tar"))?;
        for (index, archive) in images.iter().enumerate() {
            self.keep_image(archive, &format!("{index:03}"))?;
        }
        network.up(topology)?;
        let control = self.control_plane();
        control.prepare()?;
        self.open_door(&control)?;
        progress.say(&format!(
            "network {} and certificates made",
            topology.cidrs()
        ));

        control.start_etcd()?;
        control.start_api_server()?;
        for node in self.nodes() {
            node.prepare()?;
            node.start()?;
        }
        progress.say(&format!("{} nodes booting", topology.nodes.len()));
        self.wait_api_ready()?;
        control.start_controllers()?;
        progress.say("API server ready");
        for node in self.nodes() {
            node.wait_ready()?;
            progress.say(&format!("{} Ready", node.name()));
        }
        kubectl::wait_default_service_account(self)?;
        progress.say(&format!("up; kubeconfig: {}", self.kubeconfig().display()));
        Ok(())
    }

    /// Starts the proxy that leads from the machine to the API server, and writes the kubeconfig that uses it.
    fn open_door(&self, control: &ControlPlane<'_>) -> Result<()> {
        let Shared { state, network, .. } = &*self.shared;
        let listener = TcpListener::bind("127.0.0.1:0").context("no port of 127.0.0.1 is free")?;
        let door: SocketAddr = listener.local_addr()?;
        let target = format!("{API_CLUSTER_IP}:443");
        let line = [
            paths::own_binary()?.into_os_string(),
            "proxy".into(),
            "--namespace".into(),
            network.control().name.into(),
            "--target".into(),
            target.into(),
        ];
        let stdin = Stdio::from(std::os::fd::OwnedFd::from(listener));
        state.start(
            "proxy",
            None,
            Process {
                line: line.into(),
                stdin,
                log: state.path("control/proxy.log"),
            },
        )?;
        paths::write(
            &state.kubeconfig(),
            control.kubeconfig(&format!("https://{door}"), "admin")?,
        )
    }

    pub(super) fn wait_api_ready(&self) -> Result<()> {
        let kubeconfig = self.kubeconfig().display().to_string();
        let kubectl = tool("kubectl")?.display().to_string();
        poll(
            READY_LIMIT,
            Duration::from_millis(200),
            "the API server",
            || {
                if !self.apiserver_is_running() {
                    bail!("the API server has ended; its log is control/kube-apiserver.log");
                }
                let arguments = [
                    "--kubeconfig",
                    &kubeconfig,
                    "get",
                    "--raw",
                    "/readyz",
                    "--request-timeout=2s",
                ];
                Ok(run(&kubectl, &arguments).is_ok())
            },
        )
    }
}
