//! The password of VRRP or its HMAC keys, read from the Secret that the plan names.
//!
//! They are kept in the state directory, mode 0600, because a director that starts while the API
//! server is away must be able to speak to its peer. What is gone from the cluster stays in use until
//! there is another, or until the plan names none.

use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Client};
use lvs_crds::v1alpha1::vrrp::hmac_key_id;
use lvs_crds::v1alpha1::{Authentication, AuthenticationType, SecretReference};
use tokio::sync::watch;

use crate::bundle::PlanBundle;
use crate::source::backoff::WatchBackoff;
use crate::source::cluster::WATCH_SECONDS;
use crate::store::writer::Writer;
use crate::store::{StoreError, write_durably};

/// How often a directory of Secrets is looked at.
const DIRECTORY_INTERVAL: Duration = Duration::from_secs(5);

/// What the plan names: a password, or keys that are called by their ids.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Wanted {
    /// Name of the Secret.
    secret: String,
    /// Key of the password within it; `None`: all HMAC keys.
    password: Option<String>,
}

impl Wanted {
    /// What is needed for this authentication, if anything is.
    fn of(authentication: &Authentication) -> Option<Self> {
        let reference = authentication.secret_ref.as_ref()?;
        let password = match authentication.type_ {
            AuthenticationType::None => return None,
            AuthenticationType::Simple => Some(reference.password_key().to_owned()),
            AuthenticationType::HMACSHA256 => None,
        };
        Some(Self {
            secret: reference.name.clone(),
            password,
        })
    }

    /// Whether the value under this key of the Secret is wanted.
    fn takes(&self, key: &str) -> bool {
        match &self.password {
            Some(password) => password == key,
            None => hmac_key_id(key).is_some(),
        }
    }
}

/// The values of a Secret by their keys.
type Values = BTreeMap<String, Vec<u8>>;

/// Values that have been read, by the name of their Secret.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Secrets(HashMap<String, Values>);

impl Secrets {
    /// The password that `reference` names, if it is known.
    #[must_use]
    pub fn password(&self, reference: &SecretReference) -> Option<&[u8]> {
        let values = self.0.get(&reference.name)?;
        values.get(reference.password_key()).map(Vec::as_slice)
    }

    /// The HMAC keys of a Secret by their ids.
    pub fn hmac_keys(&self, secret: &str) -> impl Iterator<Item = (u8, &[u8])> {
        let values = self.0.get(secret).into_iter().flatten();
        values.filter_map(|(key, value)| Some((hmac_key_id(key)?, value.as_slice())))
    }

    /// Sets the values of a Secret. Says whether they are others than before.
    pub fn set(&mut self, secret: &str, values: Values) -> bool {
        let before = self.0.insert(secret.to_owned(), values.clone());
        before != Some(values)
    }

    /// Forgets all but what is wanted, once that is known: routers go on with the old until then.
    fn retain(&mut self, wanted: Option<&Wanted>) -> bool {
        let before = self.clone();
        match wanted {
            None => self.0.clear(),
            Some(wanted) => {
                let values = self.0.get(&wanted.secret).into_iter().flatten();
                let found: Values = values
                    .filter(|(key, _)| wanted.takes(key))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                if found.is_empty() {
                    return false;
                }
                self.0 = HashMap::from([(wanted.secret.clone(), found)]);
            }
        }
        *self != before
    }
}

/// Names alone: their values do not belong in logs.
impl fmt::Debug for Secrets {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_set().entries(self.0.keys()).finish()
    }
}

/// A value as people store it: an editor's newline at the end does not belong to it.
fn trim(value: &[u8]) -> &[u8] {
    let value = value.strip_suffix(b"\n").unwrap_or(value);
    value.strip_suffix(b"\r").unwrap_or(value)
}

/// The sending side of what was read, with the file that keeps them.
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
            .and_then(|contents| serde_json::from_slice(&contents).ok())
            .unwrap_or_default();
        let secrets = Secrets(secrets);
        let (sender, receiver) = watch::channel(secrets);
        let keeper = Self {
            file: Writer::start("the values of Secrets", move |secrets| save(&path, secrets)),
            secrets: sender,
        };
        (keeper, receiver)
    }

    /// Takes what is wanted of the values of its Secret. False if they lack it.
    async fn set<'a>(
        &self,
        wanted: &Wanted,
        values: impl IntoIterator<Item = (&'a String, &'a [u8])>,
    ) -> bool {
        let values: Values = values
            .into_iter()
            .filter(|(key, _)| wanted.takes(key))
            .map(|(key, value)| (key.clone(), trim(value).to_owned()))
            .collect();
        if values.is_empty() {
            return false;
        }
        self.modify(|secrets| {
            let is_other = secrets.set(&wanted.secret, values);
            secrets.retain(Some(wanted)) || is_other
        })
        .await;
        true
    }

    async fn retain(&self, wanted: Option<&Wanted>) {
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
    let contents = serde_json::to_vec(&secrets.0).map_err(|source| StoreError::Encode {
        what: "the values of Secrets".into(),
        source,
    })?;
    write_durably(path, &contents, 0o600)
}

/// What the plan names now.
fn wanted(plans: &mut watch::Receiver<Option<Arc<PlanBundle>>>) -> Option<Wanted> {
    let bundle = plans.borrow_and_update();
    let director = bundle.as_ref()?.plan.director.as_ref()?;
    Wanted::of(&director.vrrp.authentication)
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
        let wanted = wanted(&mut plans);
        keeper.retain(wanted.as_ref()).await;
        let still = still_wanted(&mut plans, wanted.as_ref());
        let goes_on = match &wanted {
            None => still.await,
            Some(wanted) => tokio::select! {
                goes_on = still => goes_on,
                () = follow_secret(&api, wanted, &keeper) => true,
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
    present: Option<&Wanted>,
) -> bool {
    loop {
        if plans.changed().await.is_err() {
            return false;
        }
        if wanted(plans).as_ref() != present {
            return true;
        }
    }
}

async fn follow_secret(api: &Api<Secret>, wanted: &Wanted, keeper: &Keeper) {
    let secret = &wanted.secret;
    let config = watcher::Config::default()
        .fields(&format!("metadata.name={secret}"))
        .timeout(WATCH_SECONDS);
    let mut events = watcher(api.clone(), config)
        .backoff(WatchBackoff::default())
        .boxed();
    let mut failing = false;
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Apply(found) | Event::InitApply(found)) => {
                failing = false;
                let data = found.data.unwrap_or_default();
                let values = data.iter().map(|(key, value)| (key, value.0.as_slice()));
                if !keeper.set(wanted, values).await {
                    tracing::error!(secret, "the Secret lacks what VRRP needs of it");
                }
            }
            Ok(Event::Delete(_)) => {
                tracing::warn!(secret, "Secret gone; what it had stays in use");
            }
            Ok(Event::Init | Event::InitDone) => {}
            Err(error) => {
                if !std::mem::replace(&mut failing, true) {
                    tracing::warn!(%error, secret, "cannot read the Secret");
                }
            }
        }
    }
}

/// Follows the files `NAME/KEY` in `directory` that the plan names. Ends when there are no more plans.
pub async fn follow_directory(
    directory: PathBuf,
    mut plans: watch::Receiver<Option<Arc<PlanBundle>>>,
    keeper: Keeper,
) {
    loop {
        let wanted = wanted(&mut plans);
        keeper.retain(wanted.as_ref()).await;
        if let Some(wanted) = &wanted {
            let secret = &wanted.secret;
            match read_values(&directory.join(secret), wanted) {
                Ok(values) => {
                    let values = values.iter().map(|(key, value)| (key, value.as_slice()));
                    if !keeper.set(wanted, values).await {
                        tracing::debug!(secret, "nothing that VRRP needs");
                    }
                }
                Err(error) => tracing::debug!(%error, secret, "cannot be read"),
            }
        }
        let waits = wanted.is_some();
        tokio::select! {
            changed = plans.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(DIRECTORY_INTERVAL), if waits => {}
        }
    }
}

/// The wanted files of a directory.
fn read_values(directory: &Path, wanted: &Wanted) -> io::Result<Values> {
    let mut values = Values::new();
    for entry in std::fs::read_dir(directory)? {
        let entry = entry?;
        if let Some(key) = entry.file_name().to_str()
            && wanted.takes(key)
        {
            values.insert(key.to_owned(), std::fs::read(entry.path())?);
        }
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn reference(name: &str) -> SecretReference {
        SecretReference {
            name: name.into(),
            key: None,
        }
    }

    fn password_of(name: &str) -> Wanted {
        Wanted {
            secret: name.into(),
            password: Some("password".into()),
        }
    }

    fn values(pairs: &[(&str, &str)]) -> Values {
        let owned = |(key, value): &(&str, &str)| ((*key).to_owned(), value.as_bytes().to_vec());
        pairs.iter().map(owned).collect()
    }

    fn borrowed(values: &Values) -> impl Iterator<Item = (&String, &[u8])> {
        values.iter().map(|(key, value)| (key, value.as_slice()))
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
        let stored = values(&[("password", "1111\n"), ("other", "2222")]);
        assert!(keeper.set(&password_of("vrrp"), borrowed(&stored)).await);
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
        secrets.set("vrrp", values(&[("password", "hunter2")]));
        let shown = format!("{secrets:?}");
        assert!(
            shown.contains("vrrp") && !shown.contains("hunter2"),
            "{shown}"
        );
    }

    #[tokio::test]
    async fn the_keys_of_an_hmac_are_those_with_an_id_for_a_name_and_change_together() {
        let directory = tempfile::tempdir().expect("a directory");
        let (keeper, secrets) = Keeper::open(directory.path());
        let keys = Wanted {
            secret: "vrrp".into(),
            password: None,
        };
        let known = |secrets: &watch::Receiver<Secrets>| -> Vec<(u8, Vec<u8>)> {
            let secrets = secrets.borrow();
            let keys = secrets.hmac_keys("vrrp");
            keys.map(|(id, key)| (id, key.to_vec())).collect()
        };
        let first = values(&[
            ("1", "one\n"),
            ("0", "a"),
            ("01", "b"),
            ("256", "c"),
            ("d", "d"),
        ]);
        assert!(keeper.set(&keys, borrowed(&first)).await);
        assert_eq!(known(&secrets), [(1, b"one".to_vec())]);
        let second = values(&[("2", "two"), ("255", "last")]);
        assert!(keeper.set(&keys, borrowed(&second)).await);
        let both = [(2, b"two".to_vec()), (255, b"last".to_vec())];
        assert_eq!(known(&secrets), both);
        let none = values(&[("password", "1111")]);
        assert!(!keeper.set(&keys, borrowed(&none)).await);
        assert_eq!(known(&secrets), both, "the old ones stay in use");
        let (_, later) = Keeper::open(directory.path());
        assert_eq!(known(&later), both, "after a restart too");
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
