//! etcd, API server, controller manager and scheduler, and the credentials that lead to them.

use std::ffi::OsString;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::Result;

use crate::command::run;
use crate::network::{API_CLUSTER_IP, Network};
use crate::paths::{tool, write};
use crate::state::{Process, State};
use crate::topology::Topology;

/// Names of the processes, in the order of their start.
const ETCD: &str = "etcd";
pub(crate) const API_SERVER: &str = "kube-apiserver";
const CONTROLLER_MANAGER: &str = "kube-controller-manager";
const SCHEDULER: &str = "kube-scheduler";

/// The control plane of one lab.
#[derive(Debug)]
pub(crate) struct ControlPlane<'a> {
    pub(crate) state: &'a State,
    pub(crate) network: &'a Network,
    pub(crate) topology: &'a Topology,
}

impl ControlPlane<'_> {
    /// Makes keys, certificates and tokens.
    pub(crate) fn prepare(&self) -> Result<()> {
        let file = |name| self.file(name).display().to_string();
        let (ca, ca_key, key, request, certificate) = (
            file("ca.crt"),
            file("ca.key"),
            file("server.key"),
            file("server.csr"),
            file("server.crt"),
        );
        let new_key = [
            "-newkey",
            "ec",
            "-pkeyopt",
            "ec_paramgen_curve:prime256v1",
            "-nodes",
        ];
        let make = |words: &[&str]| run("openssl", &[&["req"], new_key.as_slice(), words].concat());
        make(&[
            "-x509",
            "-days",
            "365",
            "-subj",
            "/CN=lab-ca",
            "-keyout",
            &ca_key,
            "-out",
            &ca,
        ])?;
        make(&[
            "-subj",
            "/CN=kube-apiserver",
            "-keyout",
            &key,
            "-out",
            &request,
        ])?;
        let control = self.topology.control();
        let mut addresses = String::new();
        for address in &control.addresses {
            write!(addresses, "IP:{address},")?;
        }
        write(
            &self.file("server.ext"),
            format!(
                "basicConstraints=CA:FALSE\nextendedKeyUsage=serverAuth\nsubjectAltName=DNS:kubernetes,\
                 DNS:kubernetes.default,DNS:kubernetes.default.svc,DNS:kubernetes.default.svc.cluster.local,\
                 IP:{API_CLUSTER_IP},{addresses}IP:127.0.0.1\n"
            ),
        )?;
        let extensions = file("server.ext");
        run(
            "openssl",
            &[
                "x509",
                "-req",
                "-days",
                "365",
                "-in",
                &request,
                "-CA",
                &ca,
                "-CAkey",
                &ca_key,
                "-CAcreateserial",
                "-extfile",
                &extensions,
                "-out",
                &certificate,
            ],
        )?;
        run(
            "openssl",
            &["genrsa", "-out", &file("service-account.key"), "2048"],
        )?;

        let mut tokens = String::from("admin,admin,admin,system:masters\n");
        for node in &self.topology.nodes {
            let name = &node.name;
            writeln!(
                tokens,
                "{},system:node:{name},node-{name},system:nodes",
                node_token(name)
            )?;
        }
        write(&self.file("tokens.csv"), tokens)?;
        write(
            &self.file("kubeconfig"),
            self.kubeconfig(&format!("https://{}", control.address()), "admin")?,
        )
    }

    pub(crate) fn start_etcd(&self) -> Result<()> {
        let line = [
            flag("data-dir", self.file("etcd").display()),
            flag("listen-client-urls", "http://127.0.0.1:2379"),
            flag("advertise-client-urls", "http://127.0.0.1:2379"),
            flag("listen-peer-urls", "http://127.0.0.1:2380"),
            // The data need not outlive this machine.
            flag("unsafe-no-fsync", true),
            flag("log-level", "warn"),
        ];
        self.run(ETCD, &line)
    }

    pub(crate) fn start_api_server(&self) -> Result<()> {
        let file = |name| self.file(name).display().to_string();
        let line = [
            flag("etcd-servers", "http://127.0.0.1:2379"),
            flag("bind-address", "0.0.0.0"),
            flag("advertise-address", self.topology.control().address()),
            // The port of the cluster IP: pods reach the API without a proxy that translates ports.
            flag("secure-port", 443),
            flag("tls-cert-file", file("server.crt")),
            flag("tls-private-key-file", file("server.key")),
            flag("token-auth-file", file("tokens.csv")),
            flag("authorization-mode", "Node,RBAC"),
            flag("enable-admission-plugins", "NodeRestriction"),
            flag("allow-privileged", true),
            flag("service-cluster-ip-range", "10.96.0.0/16"),
            flag("service-account-issuer", "https://kubernetes.default.svc"),
            flag("service-account-key-file", file("service-account.key")),
            flag(
                "service-account-signing-key-file",
                file("service-account.key"),
            ),
            flag("kubelet-preferred-address-types", "InternalIP"),
            flag("profiling", false),
        ];
        self.run(API_SERVER, &line)
    }

    /// Starts controller manager and scheduler; the API server must be ready.
    pub(crate) fn start_controllers(&self) -> Result<()> {
        let file = |name| self.file(name).display().to_string();
        let common = [
            flag("kubeconfig", file("kubeconfig")),
            flag("leader-elect", false),
            flag("profiling", false),
            flag("kube-api-qps", 100),
            flag("kube-api-burst", 200),
        ];
        let controllers = [
            flag("root-ca-file", file("ca.crt")),
            flag(
                "service-account-private-key-file",
                file("service-account.key"),
            ),
        ];
        self.run(
            CONTROLLER_MANAGER,
            &[common.as_slice(), &controllers].concat(),
        )?;
        self.run(SCHEDULER, &common)
    }

    /// A kubeconfig that speaks to `server` with `token`, the certificate authority inside it.
    pub(crate) fn kubeconfig(&self, server: &str, token: &str) -> Result<String> {
        let authority = run(
            "openssl",
            &[
                "base64",
                "-A",
                "-in",
                &self.file("ca.crt").display().to_string(),
            ],
        )?;
        let config = serde_json::json!({
            "apiVersion": "v1",
            "kind": "Config",
            "clusters": [{"name": "lab", "cluster": {"server": server, "certificate-authority-data": authority.trim()}}],
            "users": [{"name": "lab", "user": {"token": token}}],
            "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
            "current-context": "lab",
        });
        Ok(serde_yaml::to_string(&config)?)
    }

    fn run(&self, name: &str, flags: &[OsString]) -> Result<()> {
        let mut line = vec![tool(name)?.into_os_string()];
        line.extend_from_slice(flags);
        let log = self.file(&format!("{name}.log"));
        self.state.start(
            name,
            Some(&self.network.control()),
            Process {
                line,
                stdin: Stdio::null(),
                log,
            },
        )
    }

    fn file(&self, name: &str) -> PathBuf {
        self.state.path(Path::new("control").join(name))
    }
}

/// The token with which a node's kubelet speaks to the API.
pub(crate) fn node_token(name: &str) -> String {
    format!("node-{name}")
}

fn flag(name: &str, value: impl std::fmt::Display) -> OsString {
    format!("--{name}={value}").into()
}
