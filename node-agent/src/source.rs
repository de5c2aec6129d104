//! Where plans come from: the cluster ([`cluster`]) or a file ([`mod@file`]); at first, the disk.
//!
//! A source hands on whole plans only, each kept on disk before it is carried out, and never takes
//! one back: an API server that is unreachable, or that has lost a plan, changes nothing.

pub mod cluster;
pub mod decode;
pub mod file;
pub mod merge;
pub mod objects;

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinError;

use crate::bundle::PlanBundle;
use crate::store::Store;

pub use decode::Refusal;

/// A disk that takes longer to keep a plan is not waited for.
const SAVE_PATIENCE: Duration = Duration::from_secs(1);

/// What the rest of the agent reads of a source.
#[derive(Clone, Debug)]
pub struct Plans {
    /// The plan to carry out; `None` until one is known.
    pub bundle: watch::Receiver<Option<Arc<PlanBundle>>>,
    /// Why the newest plan is not carried out, if it is not.
    pub refusal: watch::Receiver<Option<Refusal>>,
}

/// The sending side of [`Plans`].
#[derive(Debug)]
pub struct PlanSender {
    bundle: watch::Sender<Option<Arc<PlanBundle>>>,
    refusal: watch::Sender<Option<Refusal>>,
    store: Option<Store>,
}

/// Makes the channels, preset with the plan that was found on disk.
#[must_use]
pub fn channel(store: Store, from_disk: Option<PlanBundle>) -> (PlanSender, Plans) {
    let (bundle, bundle_receiver) = watch::channel(from_disk.map(Arc::new));
    let (refusal, refusal_receiver) = watch::channel(None);
    let sender = PlanSender {
        bundle,
        refusal,
        store: Some(store),
    };
    let plans = Plans {
        bundle: bundle_receiver,
        refusal: refusal_receiver,
    };
    (sender, plans)
}

impl PlanSender {
    /// Keeps `bundle` on disk and hands it on, unless it is the one that is carried out already.
    /// What cannot be kept is carried out all the same.
    pub async fn publish(&mut self, bundle: PlanBundle) {
        self.refusal
            .send_if_modified(|refusal| refusal.take().is_some());
        if self.bundle.borrow().as_deref() == Some(&bundle) {
            return;
        }
        let bundle = Arc::new(bundle);
        // A restart knows no earlier plan that would make good for missing slices.
        if bundle.has_its_slices()
            && let Some(mut store) = self.store.take()
        {
            let kept = Arc::clone(&bundle);
            let saving = tokio::task::spawn_blocking(move || {
                let saved = store.save(&kept);
                (store, saved)
            });
            if let Ok(saved) = tokio::time::timeout(SAVE_PATIENCE, saving).await {
                self.store = saved_store(saved);
            } else {
                // The task keeps the store; plans live in memory alone from here on.
                tracing::error!("the disk does not answer; plans are no longer kept");
            }
        }
        self.bundle.send_replace(Some(bundle));
    }

    /// Says that a plan is not carried out. The plan before it stays.
    pub fn refuse(&self, refusal: Refusal) {
        self.refusal.send_if_modified(|current| {
            if current.as_ref() == Some(&refusal) {
                return false;
            }
            tracing::error!(%refusal, "plan refused; the plan before it stays");
            *current = Some(refusal);
            true
        });
    }
}

fn saved_store(
    saved: Result<(Store, Result<(), crate::store::StoreError>), JoinError>,
) -> Option<Store> {
    match saved {
        Ok((store, result)) => {
            if let Err(error) = result {
                tracing::error!(%error, "plan not kept on disk");
            }
            Some(store)
        }
        Err(error) => {
            tracing::error!(%error, "plan not kept on disk");
            None
        }
    }
}
