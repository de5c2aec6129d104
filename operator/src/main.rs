//! Binary of the operator: puts the parts together and ends them in order.

use std::sync::Arc;

use anyhow::Context;
use clap::Parser;
use futures::StreamExt;
use kube::Client;
use lvs_operator::{
    admin::{self, Health, Heartbeat},
    args::{Args, LogFormat},
    cluster::Cluster,
    controller::Controller,
    lease,
    metrics::Metrics,
    stores::Stores,
};
use tokio::{
    signal::unix::{SignalKind, signal},
    sync::{Notify, watch},
};
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    start_log(args.log_format);
    rustls::crypto::aws_lc_rs::default_provider()
        .install_default()
        .map_err(|_present| anyhow::anyhow!("another TLS provider is installed"))?;
    let client = Client::try_default()
        .await
        .context("no way to reach the API server")?;

    let (stop, stopped) = watch::channel(false);
    let (resign, resigned) = watch::channel(false);
    let (leading, leads) = watch::channel(false);
    let (synced, is_synced) = watch::channel(false);
    let changed = Arc::new(Notify::new());
    let heartbeat = Heartbeat::default();
    let metrics = Metrics::new();

    let (stores, mut watches) = Stores::new(
        &client,
        &args.namespace,
        args.agent_templates.as_deref(),
        &changed,
    );
    let cluster = Cluster::new(client, args.namespace.clone(), metrics.clone());
    let health = Health {
        heartbeat: heartbeat.clone(),
        synced: is_synced,
        metrics: metrics.clone(),
    };
    let mut election = tokio::spawn(lease::run(
        cluster.own(),
        args.lease,
        args.identity.clone(),
        leading,
        resigned,
    ));
    let controller = Controller::new(
        stores,
        cluster,
        metrics,
        heartbeat,
        args.identity,
        args.secrets_role,
    );
    let watching = tokio::spawn(async move { while watches.next().await.is_some() {} });

    let supervise = async {
        let result = tokio::select! {
            result = admin::serve(args.admin_address, health) => {
                result.with_context(|| format!("--admin-address {}", args.admin_address))
            }
            result = stop_signal() => result,
            _ = watching => Err(anyhow::anyhow!("the watches have ended")),
            _ = &mut election => Err(anyhow::anyhow!("the election has ended")),
        };
        stop.send_replace(true);
        result
    };
    let ((), result) = tokio::join!(controller.run(changed, synced, leads, stopped), supervise);
    // The Lease is given back after the last write, so that two replicas never act together.
    resign.send_replace(true);
    if !election.is_finished() {
        election.await.context("the election")?;
    }
    result
}

/// Waits for SIGTERM or SIGINT.
async fn stop_signal() -> anyhow::Result<()> {
    let mut terminate = signal(SignalKind::terminate()).context("SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("SIGINT")?;
    tokio::select! {
        _ = terminate.recv() => {}
        _ = interrupt.recv() => {}
    }
    tracing::info!("stopping");
    Ok(())
}

/// Logs go to standard output; `RUST_LOG` filters them.
fn start_log(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter);
    match format {
        LogFormat::Json => builder.json().init(),
        LogFormat::Text => builder.init(),
    }
}
