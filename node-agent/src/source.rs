//! Where plans come from: the cluster ([`cluster`]) or a file ([`mod@file`]); at first, the disk.
//!
//! A source hands on whole plans only, each kept on disk while it is carried out, and never takes
//! one back: an API server that is unreachable, or that has lost a plan, changes nothing.

pub(crate) mod backoff;
pub mod cluster;
pub mod decode;
pub mod file;
pub mod merge;
pub mod objects;

use std::sync::Arc;

use tokio::sync::watch;

use crate::bundle::PlanBundle;
use crate::store::Store;
use crate::store::writer::Writer;

pub use decode::Refusal;

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
    store: Writer<Arc<PlanBundle>>,
}

/// Makes the channels, preset with the plan that was found on disk. Must be called within a tokio
/// runtime.
#[must_use]
pub fn channel(mut store: Store, from_disk: Option<PlanBundle>) -> (PlanSender, Plans) {
    let (bundle, bundle_receiver) = watch::channel(from_disk.map(Arc::new));
    let (refusal, refusal_receiver) = watch::channel(None);
    let sender = PlanSender {
        bundle,
        refusal,
        store: Writer::start("the plan", move |bundle: &Arc<PlanBundle>| {
            store.save(bundle)
        }),
    };
    let plans = Plans {
        bundle: bundle_receiver,
        refusal: refusal_receiver,
    };
    (sender, plans)
}

impl PlanSender {
    /// Hands `bundle` on and keeps it on disk, unless it is the one that is carried out already. The
    /// disk is not waited for: what a power loss takes back, the source has still.
    pub fn publish(&self, bundle: PlanBundle) {
        self.refusal
            .send_if_modified(|refusal| refusal.take().is_some());
        if self.bundle.borrow().as_deref() == Some(&bundle) {
            return;
        }
        let bundle = Arc::new(bundle);
        self.bundle.send_replace(Some(Arc::clone(&bundle)));
        // A restart knows no earlier plan that would make good for missing slices.
        if bundle.has_its_slices() {
            self.store.submit(bundle);
        }
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
