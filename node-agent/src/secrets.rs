//! Passwords of VRRP, read from the Secrets that the plan names.
//!
//! They are kept in the state directory, mode 0600, because a director that starts while the API
//! server is away must be able to speak to its peer. A password that is gone from the cluster stays in
//! use until there is another, or until the plan names none.

use std::collections::HashMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use lvs_crds::v1alpha1::SecretReference;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::bundle::PlanBundle;
use crate::source::cluster::WATCH_SECONDS;
use crate::store::writer::Writer;
use crate::store::{StoreError, write_durably};

/// How often a directory of passwords is looked at.
const DIRECTORY_INTERVAL: Duration = Duration::from_secs(5);

/// Passwords by the reference that names them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(HashMap<SecretReference, Vec<u8>>);

impl Secrets {
    /// The password that `reference` names, if it is known.
    #[must_use]
    pub fn password(&self, reference: &SecretReference) -> Option<&[u8]> {
        self.0.get(reference).map(Vec::as_slice)
    }

    /// Sets a password. Says whether it is another than before.
    pub fn set(&mut self, reference: &SecretReference, password: &[u8]) -> bool {
        let before = self.0.insert(reference.clone(), password.to_vec());
        before.as_deref() != Some(password)
    }

    /// Forgets all but the wanted password, once that is known: routers go on with the old one until
    /// then.
    fn retain(&mut self, wanted: Option<&SecretReference>) -> bool {
        if wanted.is_some_and(|wanted| !self.0.contains_key(wanted)) {
            return false;
        }
        let before = self.0.len();
        self.0.retain(|reference, _| Some(reference) == wanted);
        self.0.len() != before
    }
}

/// Names alone: passwords do not belong in logs.
impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A password as people store it: an editor's newline at the end does not belong to it.
fn trim(password: &[u8]) -> &[u8] {
    let password = password.strip_suffix(b"\n").unwrap_or(password);
    password.strip_suffix(b"\r").unwrap_or(password)
}

/// A password as the file has it.
#[derive(Serialize, Deserialize)]
struct OnDisk {
    reference: SecretReference,
    password: Vec<u8>,
}

/// The sending side of the passwords, with the file that keeps them.
pub struct Keeper {
    file: Writer<Secrets>,
    secrets: watch::Sender<Secrets>,
}

impl Keeper {
    /// Reads what the state directory has. A file that cannot be read is as good as none. Must be called
    /// within a tokio runtime.
    #[must_use]
    pub fn open(state_dir: &Path) -> (Self, watch::Receiver<Secrets>) {
        let path = state_dir.join("secrets");
        let secrets = std::fs::read(&path)
            .ok()
            .and_then(|contents| serde_json::from_slice::<Vec<OnDisk>>(&contents).ok())
            .unwrap_or_default()
            .into_iter()
            .map(|on_disk| (on_disk.reference, on_disk.password))
            .collect();
        let secrets = Secrets(secrets);
        let (sender, receiver) = watch::channel(secrets);
        let keeper = Self {
            file: Writer::start("the password", move |secrets| save(&path, secrets)),
            secrets: sender,
        };
        (keeper, receiver)
    }

    async fn set(&self, reference: &SecretReference, password: &[u8]) {
        self.modify(|secrets| {
            let is_other = secrets.set(reference, trim(password));
            secrets.retain(Some(reference)) || is_other
        })
        .await;
    }

    async fn retain(&self, wanted: Option<&SecretReference>) {
        self.modify(|secrets| secrets.retain(wanted)).await;
    }

    async fn modify(&self, change: impl FnOnce(&mut Secrets) -> bool) {
        if self.secrets.send_if_modified(change) {
            let secrets = self.secrets.borrow().clone();
            self.file.keep(secrets).await;
        }
    }
}

fn save(path: &Path, secrets: &Secrets) -> Result<(), StoreError> {
    let on_disk: Vec<_> = secrets
        .0
        .iter()
        .map(|(reference, password)| OnDisk {
            reference: reference.clone(),
            password: password.clone(),
        })
        .collect();
    let contents = serde_json::to_vec(&on_disk).map_err(|source| StoreError::Encode {
        what: "the passwords".into(),
        source,
    })?;
    write_durably(path, &contents, 0o600)
}

/// What the plan names now.
fn wanted(plans: &mut watch::Receiver<Option<Arc<PlanBundle>>>) -> Option<SecretReference> {
    let bundle = plans.borrow_and_update();
    let director = bundle.as_ref()?.plan.director.as_ref()?;
    director.vrrp.authentication.secret_ref.clone()
}

/// Follows the Secret that the plan names in `namespace`. Ends when there are no more plans.
pub async fn follow_cluster(
    client: Client,
    namespace: String,
    mut plans: watch::Receiver<Option<Arc<PlanBundle>>>,
    keeper: Keeper,
) {
    let api = Api::<Secret>::namespaced(client, &namespace);
    loop {
        let reference = wanted(&mut plans);
        keeper.retain(reference.as_ref()).await;
        let still = still_wanted(&mut plans, reference.as_ref());
        let goes_on = match &reference {
            None => still.await,
            Some(reference) => tokio::select! {
                goes_on = still => goes_on,
                () = follow_secret(&api, reference, &keeper) => true,
            },
        };
        if !goes_on {
            return;
        }
    }
}

/// Waits until the plan names another Secret. False when there are no more plans.
async fn still_wanted(
    plans: &mut watch::Receiver<Option<Arc<PlanBundle>>>,
    reference: Option<&SecretReference>,
) -> bool {
    loop {
        if plans.changed().await.is_err() {
            return false;
        }
        if wanted(plans).as_ref() != reference {
            return true;
        }
    }
}

async fn follow_secret(api: &Api<Secret>, reference: &SecretReference, keeper: &Keeper) {
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={}", reference.name))
        .timeout(WATCH_SECONDS);
    let mut events = watcher(api.clone(), config).default_backoff().boxed();
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(secret) | Event::InitApply(secret)) => {
                failing = false;
                let data = secret.data.unwrap_or_default();
                if let Some(password) = data.get(&reference.key) {
                    keeper.set(reference, &password.0).await;
                } else {
                    let (secret, key) = (&reference.name, &reference.key);
                    tracing::error!(secret, key, "the Secret lacks the key of the VRRP password");
                }
            }
            Ok(Event::Delete(_)) => {
                tracing::warn!(
                    secret = reference.name,
                    "Secret gone; its password stays in use"
                );
            }
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, secret = reference.name, "cannot read the Secret");
                }
            }
        }
    }
}

/// Follows the file `NAME/KEY` in `directory` that the plan names. Ends when there are no more plans.
pub async fn follow_directory(
    directory: PathBuf,
    mut plans: watch::Receiver<Option<Arc<PlanBundle>>>,
    keeper: Keeper,
) {
    loop {
        let reference = wanted(&mut plans);
        keeper.retain(reference.as_ref()).await;
        if let Some(reference) = &reference {
            match std::fs::read(directory.join(&reference.name).join(&reference.key)) {
                Ok(password) => keeper.set(reference, &password).await,
                Err(error) => tracing::debug!(%error, secret = reference.name, "no password"),
            }
        }
        let waits = reference.is_some();
        tokio::select! {
            changed = plans.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(DIRECTORY_INTERVAL), if waits => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reference(name: &str) -> SecretReference {
        SecretReference {
            name: name.into(),
            key: "password".into(),
        }
    }

    fn bundle(secret: Option<&str>) -> Arc<PlanBundle> {
        let secret = secret.map(|name| json!({ "name": name }));
        let bundle = json!({
            "name": "lb-1", "generation": 1, "slices": {},
            "plan": {"formatVersion": 1, "revision": "r", "director": {
                "pair": "edge", "interface": {}, "instances": [], "slicesDigest": "d",
                "connectionSync": {},
                "vrrp": {"version": 2, "authentication": {"type": "Simple", "secretRef": secret}},
            }},
        });
        Arc::new(serde_json::from_value(bundle).expect("a bundle"))
    }

    #[tokio::test]
    async fn a_password_outlives_the_process_and_is_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt as _;
        let directory = tempfile::tempdir().expect("a directory");
        let (keeper, secrets) = Keeper::open(directory.path());
        keeper.set(&reference("vrrp"), b"1111\n").await;
        let expected = Some(&b"1111"[..]);
        assert_eq!(secrets.borrow().password(&reference("vrrp")), expected);
        let (_, later) = Keeper::open(directory.path());
        assert_eq!(later.borrow().password(&reference("vrrp")), expected);
        assert_eq!(later.borrow().password(&reference("other")), None);
        let metadata = std::fs::metadata(directory.path().join("secrets")).expect("metadata");
        assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
    }

    #[test]
    fn passwords_are_not_printed() {
        let mut secrets = Secrets::default();
        secrets.set(&reference("vrrp"), b"hunter2");
        let shown = format!("{secrets:?}");
        assert!(
            shown.contains("vrrp") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[test]
    fn a_carriage_return_and_a_newline_are_not_part_of_a_password() {
        assert_eq!(trim(b"pass\r\n"), b"pass");
        assert_eq!(trim(b"pass\n\n"), b"pass\n");
        assert_eq!(trim(b""), b"");
    }

    #[tokio::test]
    async fn the_file_that_the_plan_names_is_read_and_an_old_one_forgotten() {
        let directory = tempfile::tempdir().expect("a directory");
        for (name, password) in [("one", "1111"), ("two", "2222")] {
            std::fs::create_dir(directory.path().join(name)).expect("created");
            let path = directory.path().join(name).join("password");
            std::fs::write(path, password).expect("written");
        }
        let (plan, plans) = watch::channel(Some(bundle(Some("one"))));
        let (keeper, mut secrets) = Keeper::open(directory.path());
        let task = tokio::spawn(follow_directory(directory.path().into(), plans, keeper));
        let known = |name: &'static str| {
            move |secrets: &Secrets| secrets.password(&reference(name)).is_some()
        };
        secrets.wait_for(known("one")).await.expect("read");
        plan.send_replace(Some(bundle(Some("missing"))));
        tokio::task::yield_now().await;
        assert!(secrets.borrow().password(&reference("one")).is_some());
        plan.send_replace(Some(bundle(Some("two"))));
        secrets.wait_for(known("two")).await.expect("read");
        assert_eq!(secrets.borrow().password(&reference("one")), None);
        plan.send_replace(Some(bundle(None)));
        secrets
            .wait_for(|secrets| *secrets == Secrets::default())
            .await
            .expect("forgotten");
        drop(plan);
        task.await.expect("ended");
    }
}
