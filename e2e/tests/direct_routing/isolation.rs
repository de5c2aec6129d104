//! What a stolen token of a real server's agent can do: report on its own node, and nothing else.

use std::fs;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::{Cluster, NAMESPACE, repository};
use lvs_lab::Output;
use serde_json::{Value, json};

pub(crate) fn token(cluster: &Cluster) -> Result<()> {
    let agent = cluster.agent("web-1")?;
    let path = format!(
        "/var/lib/kubelet/pods/{}/volumes/kubernetes.io~projected/kube-api-access-*/token",
        agent.uid
    );
    let token = cluster.on("web-1", &["sh", "-c", &format!("cat {path}")])?;
    let kubeconfig = without_credentials(cluster)?;
    let thief = |arguments: &[&str]| -> Result<Output> {
        let credentials = [
            format!("--kubeconfig={kubeconfig}"),
            format!("--token={}", token.trim()),
        ];
        let credentials: Vec<&str> = credentials.iter().map(String::as_str).collect();
        cluster
            .kubectl
            .run(&[credentials.as_slice(), arguments].concat())
    };

    // The token is good: what the agent needs works.
    thief(&["get", "nodeplan", "web-1"])?.ok()?;
    // As the agent does it: kubectl would read the status first, which the agent may not.
    let report_on = |node: &str| -> Result<String> {
        let url = format!(
            "{}/apis/lvs-operator.dev/v1alpha1/nodeplans/{node}/status",
            server(cluster)?
        );
        let output = Command::new("curl")
            .args(["-sk", "-X", "PATCH", &url])
            .args(["-H", "Content-Type: application/merge-patch+json"])
            .args(["-H", &format!("Authorization: Bearer {}", token.trim())])
            .args(["--data", r#"{"status":{"agentVersion":"0.0.0-stolen"}}"#])
            .output()?;
        Ok(String::from_utf8(output.stdout)?)
    };
    let written: Value = serde_json::from_str(&report_on("web-1")?)?;
    ensure!(
        written["status"]["agentVersion"] == "0.0.0-stolen",
        "web-1's token cannot write web-1's status: {written}"
    );
    let refused: Value = serde_json::from_str(&report_on("web-2")?)?;
    ensure!(
        refused["code"] == 403,
        "web-1's token wrote web-2's status: {refused}"
    );
    ensure!(
        refused["message"]
            .as_str()
            .is_some_and(|message| message.contains("own node")),
        "the refusal does not say why: {refused}"
    );

    let secrets = format!("--namespace={NAMESPACE}");
    for forbidden in [
        &["get", "secrets", "-A"] as &[&str],
        &["get", "secrets", &secrets],
        &["get", "planslices"],
        &["get", "virtualservices", "-A"],
        &["label", "virtualservice", "web", "stolen=yes"],
        &["delete", "realserver", "web-1"],
        &["delete", "nodeplan", "web-1"],
        &[
            "patch",
            "nodeplan",
            "web-1",
            "--type=merge",
            "--patch={\"spec\":{\"revision\":\"x\"}}",
        ],
        &[
            "patch",
            "directorpair",
            "edge",
            "--type=merge",
            "--patch={\"spec\":{\"adminState\":\"Disabled\"}}",
        ],
        &["label", "node", "web-1", "stolen=yes"],
    ] {
        let answer = thief(forbidden)?;
        ensure!(
            !answer.success(),
            "the token may `kubectl {}`",
            forbidden.join(" ")
        );
        ensure!(
            answer.stderr.contains("orbidden"),
            "`kubectl {}` failed for another reason: {}",
            forbidden.join(" "),
            answer.stderr
        );
    }
    Ok(())
}

/// Where the API is.
fn server(cluster: &Cluster) -> Result<String> {
    let config = cluster.kubectl.json(&["config", "view"])?;
    let server = config["clusters"][0]["cluster"]["server"].as_str();
    Ok(server.context("the kubeconfig names no server")?.to_owned())
}

/// A kubeconfig that knows where the API is and nobody's credentials.
fn without_credentials(cluster: &Cluster) -> Result<String> {
    let whole = cluster.kubectl.json(&["config", "view", "--raw"])?;
    let server: &Value = whole["clusters"]
        .get(0)
        .context("the kubeconfig names no cluster")?;
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [server],
        "contexts": [{"name": "thief", "context": {"cluster": server["name"], "user": ""}}],
        "current-context": "thief",
    });
    let path = repository()
        .join("target/lab")
        .join(format!("{}-thief.kubeconfig", cluster.lab.name()));
    fs::write(&path, config.to_string())?;
    Ok(path.to_string_lossy().into_owned())
}
