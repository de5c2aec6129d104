//! The binary `lvs-node-agent`: the supervising parent, or the agent itself.

use std::ffi::OsString;
use std::io::{self, BufWriter, IsTerminal as _};
use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Parser as _;
use kube::{Client, Config};
use lvs_crds::v1alpha1::FencingReport;
use lvs_node_agent::admin::{self, Admin};
use lvs_node_agent::agent::{Agent, Inputs, Outputs, Settings};
use lvs_node_agent::args::{Args, LogFormat};
use lvs_node_agent::fencing;
use lvs_node_agent::heartbeat::Heartbeat;
use lvs_node_agent::hook::Hooks;
use lvs_node_agent::hook::launch::Launch;
use lvs_node_agent::lock::AgentLock;
use lvs_node_agent::metrics::Metrics;
use lvs_node_agent::op_log::OpLog;
use lvs_node_agent::report::{Drift, Report};
use lvs_node_agent::reporter;
use lvs_node_agent::reporter::notice::Notice;
use lvs_node_agent::secrets::{self, Keeper};
use lvs_node_agent::source::{self, PlanSender, Plans};
use lvs_node_agent::statistics::{Limits, Statistics};
use lvs_node_agent::store::Store;
use lvs_node_agent::supervisor;
use lvs_node_agent::track;
use lvs_node_agent::vrrp::journal::Journal;
use lvs_node_agent::vrrp::recorder::archive;
use lvs_node_agent::vrrp::{Told, VrrpHandle};
use prometheus_client::registry::Registry;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::{mpsc, watch};
use tracing_appender::non_blocking::NonBlockingBuilder;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Directive that keeps the Kubernetes client from telling of every attempt.
const CLIENT_SILENCE: &str = "kube_client::client::builder=off";
/// Time until the admin port is tried again.
const ADMIN_PAUSE: Duration = Duration::from_secs(2);
/// An API server that says nothing for this time on a connection is asked over another one. Longer than
/// a watch is silent, see [`source::cluster::WATCH_SECONDS`].
const API_PATIENCE: Duration = Duration::from_secs(70);
/// Lines of the log that may wait for their reader; more are dropped. Room for them is taken when the agent starts.
const LOG_LINES: usize = 16_384;
/// How many Events and repairs may wait for the API server.
const NOTICES: usize = 256;
/// Threads for the few calls that block: files and name resolution.
const BLOCKING_THREADS: usize = 4;
/// How long such a thread stays idle.
const BLOCKING_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// musl's allocator maps and unmaps memory for every burst of work, which costs more than the work.
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    if let Some(launch) = Launch::from_arguments(std::env::args_os()) {
        return launch.run();
    }
    let args = Args::parse();
    if args.unsupervised {
        // A thread of its own writes the log: who reads it may be slow, and a plan has thousands of lines. What it
        // holds is written when the guard is dropped.
        let (writer, _guard) = NonBlockingBuilder::default()
            .thread_name("log")
            .buffered_lines_limit(LOG_LINES)
            .finish(BufWriter::new(io::stderr()));
        start_log(args.log_format, writer);
        exit_code(run(args).map(|()| 0))
    } else {
        // No thread: it would be given the signals that are waited for.
        start_log(args.log_format, io::stderr);
        exit_code(supervise())
    }
}

fn exit_code(ended: anyhow::Result<u8>) -> ExitCode {
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}

fn start_log<W>(format: LogFormat, writer: W)
where
    W: for<'writer> MakeWriter<'writer> + Send + Sync + 'static,
{
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    // Every attempt to reach an API server that is away would be an error; it is told once.
    let filter = match CLIENT_SILENCE.parse() {
        Ok(directive) => filter.add_directive(directive),
        Err(_) => filter,
    };
    let log = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_ansi(io::stderr().is_terminal())
        .with_writer(writer);
    match format {
        LogFormat::Text => log.init(),
        LogFormat::Json => log.json().init(),
    }
}

fn supervise() -> anyhow::Result<u8> {
    let program = std::env::current_exe().context("cannot find this program's own file")?;
    let mut arguments: Vec<OsString> = std::env::args_os().skip(1).collect();
    arguments.push("--unsupervised".into());
    supervisor::supervise(program.as_os_str(), &arguments).context("cannot supervise the agent")
}

fn run(args: Args) -> anyhow::Result<()> {
    supervisor::settle_child().context("cannot follow the parent process")?;
    let _lock = AgentLock::acquire(&args.state_dir)?;
    let (store, from_disk) = Store::open(&args.state_dir)?;
    let (vrrp, told) = VrrpHandle::start(args.vrrp_realtime_priority)
        .context("cannot start VRRP; NET_ADMIN and NET_RAW are needed")?;
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS)
        .thread_keep_alive(BLOCKING_KEEP_ALIVE)
        .build()
        .context("cannot start the runtime")?
        .block_on(async {
            // A task of its own: whatever wakes the root future writes to the runtime's eventfd
            // first, which makes every timer cost two rounds of epoll.
            let (sender, plans) = source::channel(store, from_disk);
            let work = tokio::spawn(work(args, sender, plans, vrrp, told));
            work.await.context("the agent panicked")?
        })
}

/// Starts everything, waits for a signal and hands over.
async fn work(
    args: Args,
    sender: PlanSender,
    plans: Plans,
    vrrp: VrrpHandle,
    told: Told,
) -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;

    let (reports, reported) = watch::channel(Report::unobserved());
    let (drifts, drifted) = mpsc::channel(NOTICES);
    let (keeper, secrets) = Keeper::open(&args.state_dir);
    let client = match &args.plan {
        Some(_) => None,
        None => Some(cluster().await?),
    };
    let notices = client
        .clone()
        .map(|client| start_reporter(client, &args, &plans, &reported));
    start_source(client.clone(), &args, sender, &plans, keeper);

    let mut registry = Registry::default();
    registry.register_collector(Box::new(vrrp.metrics()));
    let metrics = Metrics::register(&mut registry);
    let (names, balanced) = watch::channel(Arc::default());
    let limits = Limits {
        level: args.statistics_level,
        maximum_series: usize::try_from(args.statistics_maximum_series).unwrap_or(usize::MAX),
    };
    registry.register_collector(Box::new(Statistics::new(limits, balanced)));
    let ops = OpLog::default();
    let heartbeat = Heartbeat::new(Instant::now());
    let journal = Journal {
        ops: ops.clone(),
        metrics: metrics.clone(),
        plans: plans.bundle.clone(),
        notices: notices.clone(),
    };
    let journal = tokio::spawn(journal.keep(told.events));
    let recordings = tokio::spawn(archive::keep(args.state_dir.clone(), told.recordings));
    let control = vrrp.control();
    let tracking = track::run(
        plans.bundle.clone(),
        reported.clone(),
        args.state_dir.clone(),
        hooks(&args),
        track::Processes::new(args.processes_dir.clone()),
        move |verdicts| control.track(verdicts),
    );
    tokio::spawn(tracking);
    let fencing = start_fencing(&args, &plans, &vrrp, &metrics, notices.clone());
    tokio::spawn(pass_on(drifted, notices));
    let admin = Admin {
        heartbeat: heartbeat.clone(),
        bundle: plans.bundle.clone(),
        report: reported.clone(),
        registry: Arc::new(registry),
        reading: Arc::default(),
        ops: ops.clone(),
        vrrp: vrrp.control(),
    };
    tokio::spawn(serve_admin(args.admin_address, admin));

    let settings = Settings {
        node_name: args.node_name.clone(),
        state_dir: args.state_dir.clone(),
        proc_sys_net: args.proc_sys_net.clone(),
    };
    let inputs = Inputs {
        plans: plans.bundle,
        secrets,
        vrrp,
        fencing,
    };
    let outputs = Outputs {
        reports,
        drifts,
        ops,
        metrics,
        names,
        heartbeat,
    };
    let agent = Agent::new(&settings, inputs, outputs).context("cannot start the loop")?;
    let mut stop_requested = false;
    let stop = async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        stop_requested = true;
    };
    let (vrrp, lookout) = agent.run(stop).await;
    if !stop_requested {
        vrrp.ended().context("VRRP failed")?;
        anyhow::bail!("VRRP ended by itself");
    }
    tracing::info!("stopping: VIPs are handed over, IPVS stays as it is");
    vrrp.stop().await.context("VRRP failed while it stopped")?;
    lookout.stop().await;
    // The thread is gone, so these end once they have written down what happened last.
    journal.await?;
    recordings.await?;
    if let Some(client) = client {
        let last = reported.borrow().clone();
        reporter::publish_stopped(client, &args.node_name, last).await;
    }
    Ok(())
}

/// Serves the admin port. Traffic matters more than its metrics. But a predecessor may have the port still,
/// and the kubelet restarts an agent that it cannot ask.
async fn serve_admin(address: SocketAddr, admin: Admin) {
    while let Err(error) = admin::serve(address, admin.clone()).await {
        tracing::error!(%error, %address, "health and metrics are not served");
        tokio::time::sleep(ADMIN_PAUSE).await;
    }
}

async fn cluster() -> anyhow::Result<Client> {
    // Exactly one provider is linked; a second call would be a second agent in one process.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let mut config = Config::infer()
        .await
        .context("no cluster is configured; outside of one, --plan names a file to carry out")?;
    // A connection that is dead would hold up the first request on it for as long as TCP repeats it.
    config.read_timeout = Some(API_PATIENCE);
    config.reset_reader_on_write = true;
    Client::try_from(config).context("cannot make a client of the API server")
}

fn start_reporter(
    client: Client,
    args: &Args,
    plans: &Plans,
    reported: &watch::Receiver<Report>,
) -> mpsc::Sender<Notice> {
    let (notices, to_publish) = mpsc::channel(NOTICES);
    let node = args.node_name.clone();
    let refusals = plans.refusal.clone();
    tokio::spawn(reporter::publish_events(
        client.clone(),
        node.clone(),
        to_publish,
    ));
    tokio::spawn(reporter::publish_status(
        client,
        node,
        reported.clone(),
        refusals,
    ));
    notices
}

fn hooks(args: &Args) -> Hooks {
    Hooks::new(args.hooks_dir.clone(), args.hooks_root.clone())
}

/// Starts the task that fences peers, and answers with how that is.
fn start_fencing(
    args: &Args,
    plans: &Plans,
    vrrp: &VrrpHandle,
    metrics: &Metrics,
    notices: Option<mpsc::Sender<Notice>>,
) -> watch::Receiver<Option<FencingReport>> {
    let (reports, report) = watch::channel(None);
    let outputs = fencing::Outputs {
        reports,
        metrics: metrics.clone(),
        notices,
    };
    let fencing = fencing::run(plans.bundle.clone(), vrrp.report(), hooks(args), outputs);
    tokio::spawn(fencing);
    report
}

fn start_source(
    client: Option<Client>,
    args: &Args,
    sender: PlanSender,
    plans: &Plans,
    keeper: Keeper,
) {
    let node = args.node_name.clone();
    let bundles = plans.bundle.clone();
    match (client, &args.plan) {
        (Some(client), _) => {
            tokio::spawn(source::cluster::run(client.clone(), node, sender));
            let namespace = args.secrets_namespace.clone();
            tokio::spawn(secrets::follow_cluster(client, namespace, bundles, keeper));
        }
        (None, plan) => {
            if let Some(path) = plan.clone() {
                tokio::spawn(async move {
                    if let Err(error) = source::file::run(&path, &node, sender).await {
                        tracing::error!(%error, "the plan file is not followed");
                    }
                });
            }
            if let Some(directory) = args.secrets_dir.clone() {
                tokio::spawn(secrets::follow_directory(directory, bundles, keeper));
            }
        }
    }
}

/// Tells of repairs: in the log, and to those who read Events.
async fn pass_on(mut drifted: mpsc::Receiver<Drift>, notices: Option<mpsc::Sender<Notice>>) {
    while let Some(drift) = drifted.recv().await {
        tracing::warn!(subject = ?drift.subject, reason = drift.reason, "{}", drift.message);
        if let Some(notices) = &notices
            && notices.try_send(Notice::from_drift(drift)).is_err()
        {
            tracing::debug!("Event dropped: too many wait");
        }
    }
}
