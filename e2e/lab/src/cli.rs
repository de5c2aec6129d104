//! The command line and what its commands do.

use std::ffi::OsString;
use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::os::fd::AsFd as _;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use clap::{Args, Parser, Subcommand};
use lvs_lab::image::Image;
use lvs_lab::light::{self, Host, Light};
use lvs_lab::serve::Protocol;
use lvs_lab::traffic::{self, Load, Traffic};
use lvs_lab::{Lab, Node, Options, Topology, channel, proxy, serve};

/// A real Kubernetes cluster with one IPVS kernel per node, on one machine.
#[derive(Debug, Parser)]
#[command(name = "lab", version)]
pub(crate) struct Cli {
    #[command(subcommand)]
    command: Command,
}

/// Which lab a command is about.
#[derive(Debug, Args)]
struct Which {
    /// Name of the lab: labs of different names may run at once.
    #[arg(long, default_value = "lab", env = "LVS_LAB_NAME")]
    name: String,
}

impl Which {
    fn attach(&self) -> Result<Lab> {
        Lab::attach(&self.name)
    }

    fn node(&self, node: &str) -> Result<Node> {
        self.attach()?.node(node)
    }
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Bring a lab up; returns when every node is Ready.
    Up {
        #[command(flatten)]
        which: Which,
        /// s1, s2, s3, s4, s7, s8 or a YAML file.
        #[arg(long, default_value = "s1")]
        topology: String,
        /// An OCI archive that every node has from its first boot.
        #[arg(long = "image")]
        images: Vec<PathBuf>,
    },
    /// End a lab and remove every trace of it, also after a crash.
    Down {
        #[command(flatten)]
        which: Which,
        /// Every lab of this checkout.
        #[arg(long, conflicts_with = "name")]
        all: bool,
    },
    /// Show the labs, and the machines of this one.
    Status {
        #[command(flatten)]
        which: Which,
    },
    /// Run a command on a node.
    Exec {
        #[command(flatten)]
        which: Which,
        node: String,
        #[arg(last = true, required = true)]
        command: Vec<String>,
    },
    /// Take a node's power away.
    PowerOff {
        #[command(flatten)]
        which: Which,
        node: String,
    },
    /// Boot a node and wait until the cluster sees it Ready.
    PowerOn {
        #[command(flatten)]
        which: Which,
        node: String,
    },
    /// Pull a node's data cable.
    Cut {
        #[command(flatten)]
        which: Which,
        node: String,
    },
    /// Put a node's data cable back.
    Restore {
        #[command(flatten)]
        which: Which,
        node: String,
    },
    /// Run kubectl on the lab's cluster.
    #[command(disable_help_flag = true)]
    Kubectl {
        #[command(flatten)]
        which: Which,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Run Helm on the lab's cluster.
    #[command(disable_help_flag = true)]
    Helm {
        #[command(flatten)]
        which: Which,
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        arguments: Vec<OsString>,
    },
    /// Import an OCI archive on every node.
    Load {
        #[command(flatten)]
        which: Which,
        archive: PathBuf,
    },
    /// Copy every log into a directory.
    Logs {
        #[command(flatten)]
        which: Which,
        directory: PathBuf,
    },
    /// Send requests from a client until interrupted or done, and report their fate.
    Traffic(TrafficArguments),
    /// Send requests from here, and tell who answered each.
    #[command(hide = true)]
    Ask {
        #[arg(long, default_value = "http")]
        protocol: Protocol,
        #[arg(long, default_value_t = 1)]
        requests: u64,
        /// ADDRESS:PORT.
        target: SocketAddr,
    },
    /// Boot one kernel with IPVS, run a command in it, return its exit status.
    Light {
        /// A host, as NAME=ADDRESS/PREFIX: a network namespace of the kernel on one common LAN.
        #[arg(long = "host")]
        hosts: Vec<Host>,
        /// Seconds that boot and command may take.
        #[arg(long, default_value_t = 300)]
        timeout: u64,
        /// Memory of the kernel in MiB.
        #[arg(long, default_value_t = 768)]
        memory: u32,
        /// The command and its arguments.
        #[arg(last = true, required = true)]
        command: Vec<OsString>,
    },
    /// Write an OCI archive: static programs on an empty base.
    Image {
        /// Full name with tag.
        #[arg(long)]
        name: String,
        /// The program that a container runs, an absolute path in the image.
        #[arg(long)]
        entrypoint: String,
        /// UID or UID:GID that it runs as.
        #[arg(long, default_value = "0")]
        user: String,
        /// The archive to write.
        #[arg(short, long)]
        output: PathBuf,
        /// FILE, which becomes /NAME, or FILE=/PATH.
        #[arg(required = true)]
        files: Vec<String>,
    },
    /// Serve a protocol that tells the server's name.
    Serve {
        /// The name that it tells.
        #[arg(long)]
        name: String,
        #[arg(long, default_value = "http")]
        protocol: Protocol,
        /// ADDRESS:PORT; `[::]:PORT` is every address of both families.
        #[arg(long, required = true)]
        listen: Vec<SocketAddr>,
    },
    /// The command channel of a node.
    #[command(hide = true)]
    Guest {
        #[arg(long)]
        listen: SocketAddr,
    },
    /// The way from the machine to a lab's API server; the listening socket is standard input.
    #[command(hide = true)]
    Proxy {
        #[arg(long)]
        namespace: String,
        #[arg(long)]
        target: SocketAddr,
    },
}

#[derive(Debug, Args)]
struct TrafficArguments {
    #[command(flatten)]
    which: Which,
    /// The client that sends.
    #[arg(long, default_value = "client-1")]
    client: String,
    #[arg(long, default_value = "http")]
    protocol: Protocol,
    /// New requests per second.
    #[arg(long, default_value_t = 100.0)]
    rate: f64,
    /// So many requests at any time, in place of a rate.
    #[arg(long, conflicts_with = "rate")]
    concurrency: Option<usize>,
    /// How many requests in all.
    #[arg(long, default_value_t = 1000)]
    requests: u64,
    /// Octets of each request's body.
    #[arg(long, default_value_t = 0)]
    request_bytes: usize,
    /// Octets of each answer's body.
    #[arg(long, default_value_t = 0)]
    answer_bytes: usize,
    /// ADDRESS:PORT.
    target: SocketAddr,
}

pub(crate) fn run(cli: Cli) -> Result<ExitCode> {
    match cli.command {
        Command::Up {
            which,
            topology,
            images,
        } => {
            Lab::up(Options {
                name: which.name,
                topology: Topology::load(&topology)?,
                images,
            })?;
        }
        Command::Down { all: true, .. } => {
            Lab::list()?.iter().try_for_each(|name| Lab::remove(name))?;
            light::clean()?;
        }
        Command::Down { which, all: false } => Lab::remove(&which.name)?,
        Command::Status { which } => status(&which.name)?,
        Command::Exec {
            which,
            node,
            command,
        } => {
            let command: Vec<&str> = command.iter().map(String::as_str).collect();
            return Ok(exit_code(which.node(&node)?.exec_through(&command)?));
        }
        Command::PowerOff { which, node } => which.node(&node)?.power_off()?,
        Command::PowerOn { which, node } => {
            let node = which.node(&node)?;
            node.power_on()?;
            node.wait_ready()?;
        }
        Command::Cut { which, node } => which.node(&node)?.cut_cable()?,
        Command::Restore { which, node } => which.node(&node)?.restore_cable()?,
        Command::Kubectl { which, arguments } => {
            return become_tool(&which.attach()?, "kubectl", &arguments);
        }
        Command::Helm { which, arguments } => {
            return become_tool(&which.attach()?, "helm", &arguments);
        }
        Command::Load { which, archive } => which.attach()?.load_image(&archive)?,
        Command::Logs { which, directory } => which.attach()?.collect_logs(&directory)?,
        Command::Traffic(arguments) => send(&arguments)?,
        Command::Ask {
            protocol,
            requests,
            target,
        } => ask(protocol, requests, target)?,
        Command::Light {
            hosts,
            timeout,
            memory,
            command,
        } => {
            let light = Light::default()
                .hosts(hosts)
                .timeout(Duration::from_secs(timeout))
                .memory_mib(memory);
            return Ok(exit_code(light.run_through(&command)?));
        }
        Command::Image {
            name,
            entrypoint,
            user,
            output,
            files,
        } => {
            let files = files
                .iter()
                .map(|file| placed(file))
                .collect::<Result<_>>()?;
            Image {
                name,
                files,
                entrypoint,
                user,
            }
            .write(&output)?;
        }
        Command::Serve {
            name,
            protocol,
            listen,
        } => {
            // The test waits for this line.
            let listening = || writeln!(std::io::stdout(), "listening");
            runtime()?.block_on(serve::serve(&name, protocol, &listen, listening))?;
        }
        Command::Guest { listen } => runtime()?.block_on(channel::serve(listen))?,
        Command::Proxy { namespace, target } => {
            let listener = TcpListener::from(std::io::stdin().as_fd().try_clone_to_owned()?);
            proxy::serve(listener, &namespace, target)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

fn status(name: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    let labs = Lab::list()?;
    writeln!(
        out,
        "labs: {}",
        if labs.is_empty() {
            "none".to_owned()
        } else {
            labs.join(" ")
        }
    )?;
    if !labs.iter().any(|lab| lab == name) {
        return Ok(());
    }
    let lab = Lab::attach(name)?;
    writeln!(
        out,
        "{name}: {}, kubeconfig {}",
        lab.topology().cidrs(),
        lab.kubeconfig().display()
    )?;
    let running = |yes| if yes { "running" } else { "stopped" };
    writeln!(
        out,
        "{:<12} {:<16} {}",
        "apiserver",
        lab.topology().control().address(),
        running(lab.apiserver_is_running())
    )?;
    for node in lab.nodes() {
        let power = if node.is_powered() { "on" } else { "off" };
        writeln!(out, "{:<12} {:<16} {power}", node.name(), node.address())?;
    }
    for client in &lab.topology().clients {
        writeln!(out, "{:<12} {:<16} client", client.name, client.address())?;
    }
    Ok(())
}

fn send(arguments: &TrafficArguments) -> Result<()> {
    let load = arguments
        .concurrency
        .map_or(Load::Rate(arguments.rate), Load::Concurrency);
    let traffic = Traffic::http(arguments.target)
        .protocol(arguments.protocol)
        .load(load)
        .requests(arguments.requests)
        .sizes(arguments.request_bytes, arguments.answer_bytes);
    let report = arguments
        .which
        .attach()?
        .client(&arguments.client)?
        .traffic(traffic)?
        .wait()?;
    writeln!(std::io::stdout(), "{report}")?;
    Ok(())
}

/// One after the other: a line with the name, or with the reason why there is none.
fn ask(protocol: Protocol, requests: u64, target: SocketAddr) -> Result<()> {
    let traffic = Traffic::http(target)
        .protocol(protocol)
        .load(Load::Concurrency(1))
        .requests(requests);
    let report = runtime()?.block_on(traffic::from_here(traffic));
    let mut out = std::io::stdout().lock();
    for request in report.requests {
        match request.fate {
            Ok(server) => writeln!(out, "{server}")?,
            Err(failure) => writeln!(out, "failed: {failure}")?,
        }
    }
    Ok(())
}

/// Puts kubectl or Helm in this process's place, so that terminal, signals and exit status are theirs.
fn become_tool(lab: &Lab, tool: &str, arguments: &[OsString]) -> Result<ExitCode> {
    let error = lab.tool_command(tool)?.args(arguments).exec();
    Err(error).with_context(|| format!("cannot start {tool}"))
}

/// `FILE` or `FILE=/PATH`.
fn placed(file: &str) -> Result<(PathBuf, String)> {
    if let Some((source, target)) = file.split_once('=') {
        return Ok((source.into(), target.to_owned()));
    }
    let Some(name) = std::path::Path::new(file).file_name() else {
        bail!("{file}: no file")
    };
    Ok((file.into(), format!("/{}", name.to_string_lossy())))
}

fn runtime() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?)
}

fn exit_code(code: i32) -> ExitCode {
    u8::try_from(code).map_or(ExitCode::FAILURE, ExitCode::from)
}
