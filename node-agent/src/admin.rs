//! Health, metrics, recent operations and VRRP's flight recorder over HTTP, for the node itself alone.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::{Instant, UNIX_EPOCH};

use axum::Router;
use axum::extract::{Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use lvs_crds::v1alpha1::condition::PROGRAMMED;
use prometheus_client::registry::Registry;
use serde::Deserialize;
use serde_json::json;
use tokio::net::TcpListener;
use tokio::sync::{Mutex, watch};
use tokio::task::spawn_blocking;

use crate::bundle::PlanBundle;
use crate::heartbeat::Heartbeat;
use crate::op_log::{Entry, OpLog};
use crate::report::{Report, ReportedCondition};
use crate::vrrp::VrrpControl;
use crate::vrrp::recorder::Recording;

/// `Content-Type` of the metrics, the text format of `OpenMetrics` 1.0.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// How many operations are shown unless the caller says.
const OPS: usize = 100;

/// What is served.
#[derive(Clone, Debug)]
pub struct Admin {
    /// Whether the loop is alive.
    pub heartbeat: Heartbeat,
    /// The plan to carry out.
    pub bundle: watch::Receiver<Option<Arc<PlanBundle>>>,
    /// What the loop says.
    pub report: watch::Receiver<Report>,
    /// Metrics.
    pub registry: Arc<Registry>,
    /// Held while metrics are read: many who ask take one thread.
    pub reading: Arc<Mutex<()>>,
    /// Recent operations.
    pub ops: OpLog,
    /// What the VRRP routers went through.
    pub vrrp: VrrpControl,
}

/// Serves on `address`. Does not return unless that fails.
///
/// # Errors
/// When the address cannot be bound.
pub async fn serve(address: SocketAddr, admin: Admin) -> io::Result<()> {
    let listener = TcpListener::bind(address).await?;
    axum::serve(listener, router(admin)).await
}

fn router(admin: Admin) -> Router {
    Router::new()
        .route("/healthz", get(health))
        .route("/readyz", get(readiness))
        .route("/metrics", get(metrics))
        .route("/ops", get(ops))
        .route("/vrrp/recorder", get(recordings))
        .with_state(admin)
}

async fn health(State(admin): State<Admin>) -> Response {
    if !admin.heartbeat.is_alive(Instant::now()) {
        let text = "the loop stands still\n";
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    "ok\n".into_response()
}

/// Ready: a plan was carried out, or there is none. If not, it says why.
async fn readiness(State(admin): State<Admin>) -> Response {
    let has_plan = admin.bundle.borrow().is_some();
    let report = admin.report.borrow();
    if has_plan && report.applied_revision.is_none() {
        let unready = "the plan has not been carried out";
        let programmed = report
            .conditions
            .iter()
            .find(|condition| condition.type_ == PROGRAMMED);
        let text = match programmed {
            Some(ReportedCondition {
                reason, message, ..
            }) => format!("{unready}\n{reason}: {message}\n"),
            None => format!("{unready}\n"),
        };
        return (StatusCode::SERVICE_UNAVAILABLE, text).into_response();
    }
    "ok\n".into_response()
}

async fn metrics(State(admin): State<Admin>) -> Response {
    let turn = Arc::clone(&admin.reading).lock_owned().await;
    // The kernel's counters are among them, and those of a large table take their time.
    let encoded = spawn_blocking(move || {
        let _turn = turn;
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &admin.registry).map(|()| text)
    });
    match encoded.await {
        Ok(Ok(text)) => ([(header::CONTENT_TYPE, OPEN_METRICS)], text).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

#[derive(Deserialize)]
struct Last {
    last: Option<usize>,
}

async fn ops(State(admin): State<Admin>, Query(query): Query<Last>) -> Response {
    let lines: String = admin
        .ops
        .last(query.last.unwrap_or(OPS))
        .iter()
        .map(line)
        .collect();
    ([(header::CONTENT_TYPE, "application/jsonl")], lines).into_response()
}

/// What every router went through lately, as it would be written after a change of role.
async fn recordings(State(admin): State<Admin>) -> Response {
    let recordings = admin.vrrp.recordings().await;
    let written = spawn_blocking(move || {
        let lines = recordings.iter().map(Recording::to_lines);
        lines.collect::<Result<String, _>>()
    });
    match written.await {
        Ok(Ok(lines)) => ([(header::CONTENT_TYPE, "application/jsonl")], lines).into_response(),
        Ok(Err(error)) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
        Err(error) => (StatusCode::INTERNAL_SERVER_ERROR, error.to_string()).into_response(),
    }
}

fn line(entry: &Entry) -> String {
    let time = entry.time.duration_since(UNIX_EPOCH).unwrap_or_default();
    let object = json!({
        "serial": entry.serial,
        "timeMilliseconds": u64::try_from(time.as_millis()).unwrap_or(u64::MAX),
        "kind": entry.change.kind,
        "command": entry.change.command,
        "error": entry.change.error,
    });
    format!("{object}\n")
}

#[cfg(test)]
mod tests {
    use std::time::SystemTime;

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
    use tokio::net::TcpStream;

    use super::*;
    use crate::heartbeat;
    use crate::op_log::Change;

    struct Server {
        address: SocketAddr,
        bundle: watch::Sender<Option<Arc<PlanBundle>>>,
        report: watch::Sender<Report>,
        ops: OpLog,
    }

    async fn server(started: Instant) -> Server {
        let (bundle, bundles) = watch::channel(None);
        let (report, reports) = watch::channel(Report::unobserved());
        let ops = OpLog::default();
        let admin = Admin {
            heartbeat: Heartbeat::new(started),
            bundle: bundles,
            report: reports,
            registry: Arc::default(),
            reading: Arc::default(),
            ops: ops.clone(),
            vrrp: VrrpControl::of_no_thread(),
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        tokio::spawn(async move { axum::serve(listener, router(admin)).await });
        Server {
            address,
            bundle,
            report,
            ops,
        }
    }

    async fn fetch(server: &Server, path: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(server.address).await.expect("connected");
        let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.expect("received");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        (status.expect("a status"), body.to_owned())
    }

    #[tokio::test]
    async fn an_agent_is_ready_without_a_plan_and_after_carrying_one_out() {
        let server = server(Instant::now()).await;
        assert_eq!(fetch(&server, "/readyz").await.0, 200);
        let bundle = json!({
            "name": "lb-1", "generation": 1, "slices": {},
            "plan": {"formatVersion": 1, "revision": "r"},
        });
        let bundle = serde_json::from_value(bundle).expect("a bundle");
        server.bundle.send_replace(Some(Arc::new(bundle)));
        assert_eq!(fetch(&server, "/readyz").await.0, 503);
        server
            .report
            .send_modify(|report| report.applied_revision = Some("r".into()));
        assert_eq!(fetch(&server, "/readyz").await.0, 200);
    }

    #[tokio::test]
    async fn a_loop_that_stands_still_is_not_healthy() {
        let alive = server(Instant::now()).await;
        assert_eq!(fetch(&alive, "/healthz").await.0, 200);
        let long_ago = Instant::now().checked_sub(heartbeat::PERIOD * 2);
        let hanging = server(long_ago.expect("the machine runs for a minute")).await;
        assert_eq!(fetch(&hanging, "/healthz").await.0, 503);
    }

    #[tokio::test]
    async fn operations_are_lines_of_json() {
        let server = server(Instant::now()).await;
        for weight in 1..=3 {
            let change = Change {
                kind: "set_destination",
                command: format!("ipvsadm -e -t 192.0.2.10:80 -r 10.0.0.1:80 -g -w {weight}"),
                error: None,
            };
            server.ops.record(SystemTime::now(), vec![change]);
        }
        let (status, body) = fetch(&server, "/ops?last=2").await;
        assert_eq!(status, 200);
        assert!(
            body.contains("-w 2") && body.contains("-w 3") && !body.contains("-w 1"),
            "{body}"
        );
        assert_eq!(fetch(&server, "/metrics").await, (200, "# EOF\n".into()));
        assert_eq!(fetch(&server, "/vrrp/recorder").await, (200, String::new()));
    }
}
