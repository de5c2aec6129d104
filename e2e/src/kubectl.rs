//! `kubectl` and Helm, as a user types them.

use std::io::Write as _;
use std::process::Stdio;

use anyhow::{Context as _, Result};
use lvs_lab::{Lab, Output};
use serde_json::Value;

/// `kubectl` and Helm with the administrator's credentials of one lab.
#[derive(Clone, Debug)]
pub struct Kubectl {
    lab: Lab,
}

impl Kubectl {
    /// For the cluster of this lab.
    #[must_use]
    pub fn new(lab: &Lab) -> Self {
        Self { lab: lab.clone() }
    }

    /// Runs `kubectl` and returns whatever it answered.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn run(&self, arguments: &[&str]) -> Result<Output> {
        self.lab.kubectl(arguments)
    }

    /// Runs `kubectl` and returns its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn ok(&self, arguments: &[&str]) -> Result<String> {
        self.run(arguments)?
            .ok()
            .with_context(|| format!("kubectl {}", arguments.join(" ")))
    }

    /// Runs `kubectl … -o json` and reads its standard output.
    ///
    /// # Errors
    /// When it fails or prints something else.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.ok(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("kubectl {}", arguments.join(" ")))
    }

    /// `kubectl apply -f -`.
    ///
    /// # Errors
    /// When it cannot be started; a refusal is an answer.
    pub fn apply(&self, manifest: &str) -> Result<Output> {
        let mut child = self
            .lab
            .tool_command("kubectl")?
            .args(["apply", "-f", "-"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if let Some(mut stdin) = child.stdin.take() {
            // A program that ends without reading its input has answered all the same.
            let _ = stdin.write_all(manifest.as_bytes());
        }
        Ok(child.wait_with_output()?.into())
    }

    /// `kubectl patch KIND NAME --type=merge`.
    ///
    /// # Errors
    /// When it fails.
    pub fn patch(&self, kind: &str, name: &str, patch: &Value) -> Result<()> {
        let patch = patch.to_string();
        self.ok(&["patch", kind, name, "--type=merge", "--patch", &patch])?;
        Ok(())
    }

    /// `kubectl wait --for=WHAT OBJECTS`.
    ///
    /// # Errors
    /// When it does not come true in time.
    pub fn wait(&self, what: &str, objects: &[&str], seconds: u32) -> Result<()> {
        let what = format!("--for={what}");
        let timeout = format!("--timeout={seconds}s");
        self.ok(&[&["wait", &what, &timeout], objects].concat())?;
        Ok(())
    }

    /// Status, reason and message of a condition.
    ///
    /// # Errors
    /// When the object or the condition is not there.
    pub fn condition(&self, object: &[&str], type_: &str) -> Result<Condition> {
        let value = self.json(&[&["get"], object].concat())?;
        let text =
            |condition: &Value, key: &str| condition[key].as_str().unwrap_or_default().to_owned();
        value["status"]["conditions"]
            .as_array()
            .into_iter()
            .flatten()
            .find(|condition| condition["type"] == type_)
            .map(|condition| Condition {
                status: text(condition, "status"),
                reason: text(condition, "reason"),
                message: text(condition, "message"),
            })
            .with_context(|| format!("{} has no condition {type_}", object.join(" ")))
    }

    /// Runs Helm and returns its standard output.
    ///
    /// # Errors
    /// When it fails.
    pub fn helm(&self, arguments: &[&str]) -> Result<String> {
        let output = self
            .lab
            .tool_command("helm")?
            .args(arguments)
            .stdin(Stdio::null())
            .output()?;
        Output::from(output)
            .ok()
            .with_context(|| format!("helm {}", arguments.join(" ")))
    }
}

/// A condition of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// `True`, `False` or `Unknown`.
    pub status: String,
    /// Reason in CamelCase.
    pub reason: String,
    /// Message.
    pub message: String,
}
