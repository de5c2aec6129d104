use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::Bytes;
use axum::http::Method;
use kube::Config;
use serde_json::Value;
use tokio::net::TcpListener;

use super::*;

/// An API server that never answers the first request, and tells of the statuses that it is given.
async fn api_server() -> (Api<NodePlan>, mpsc::Receiver<Value>) {
    let (tell, statuses) = mpsc::channel(8);
    let requests = Arc::new(AtomicU32::new(0));
    let answer = move |method: Method, body: Bytes| {
        let (tell, requests) = (tell.clone(), Arc::clone(&requests));
        async move {
            if requests.fetch_add(1, Ordering::Relaxed) == 0 {
                std::future::pending::<()>().await;
            }
            if method == Method::PATCH {
                let patch: Value = serde_json::from_slice(&body).expect("JSON");
                tell.send(patch["status"].clone()).await.expect("a reader");
            }
            json!({
                "apiVersion": "lvs-operator.dev/v1alpha1",
                "kind": "NodePlan",
                "metadata": {"name": "web-1"},
                "spec": {"formatVersion": 1, "revision": "r1"},
            })
            .to_string()
        }
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("http://{}", listener.local_addr().expect("an address"));
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await });
    // Another test may have done so.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let client = Client::try_from(Config::new(url.parse().expect("a URL"))).expect("a client");
    (Api::all(client), statuses)
}

#[tokio::test]
async fn a_status_that_got_no_answer_is_written_anew() {
    let (api, mut statuses) = api_server().await;
    let report = Report {
        observed_generation: 3,
        applied_revision: Some("r1".into()),
        ..Report::default()
    };
    let (_reports, reported) = watch::channel(report);
    let (_refusals, refused) = watch::channel(None);
    let patience = Duration::from_millis(200);
    let publishing = tokio::spawn(async move {
        publish(&api, "web-1", reported, refused, patience).await;
    });
    let status = timeout(Duration::from_secs(20), statuses.recv()).await;
    let status = status.expect("in time").expect("a status");
    assert_eq!(status["appliedRevision"], "r1");
    publishing.abort();
}
