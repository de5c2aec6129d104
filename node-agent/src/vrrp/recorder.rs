//! The flight recorder: what went into each router and what came out of it, the last minutes of it.
//!
//! A router is a function of its inputs. A state of it and the inputs since are enough to go through
//! an incident again, in a test ([`Recording::replay`]).

use std::mem::size_of;
use std::net::IpAddr;
use std::sync::Arc;

use lvs_vrrp::{Addresses, Advertisement, Input, Monotonic, Output, Router};
use serde::{Deserialize, Serialize};

use super::plan::Family;

pub mod archive;
mod lines;
#[cfg(test)]
mod tests;

pub use lines::{Divergence, LineError};

/// Most steps of one router that are remembered.
const STEPS: usize = 4096;
/// Most memory of one router's steps, in bytes.
const BYTES: usize = 1 << 20;
/// Most memory of all routers' steps, in bytes.
const TOTAL_BYTES: usize = 16 << 20;

/// One call of [`Router::handle`].
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// When.
    pub at: Monotonic,
    /// What went in.
    pub input: Input,
    /// What came out.
    pub outputs: Vec<Output>,
}

impl Step {
    /// Memory that it takes, roughly.
    fn bytes(&self) -> usize {
        let input = match &self.input {
            Input::Received { advertisement, .. } => advertisement_bytes(advertisement),
            _ => 0,
        };
        let outputs = self.outputs.iter().map(|output| match output {
            Output::SendAdvertisement { advertisement, .. } => advertisement_bytes(advertisement),
            Output::AddVips(addresses)
            | Output::RemoveVips(addresses)
            | Output::Announce(addresses) => addresses.capacity() * size_of::<IpAddr>(),
            _ => 0,
        });
        size_of::<Self>()
            + input
            + self.outputs.capacity() * size_of::<Output>()
            + outputs.sum::<usize>()
    }
}

fn advertisement_bytes(advertisement: &Advertisement) -> usize {
    match &advertisement.addresses {
        Addresses::V4(addresses) => addresses.capacity() * 4,
        Addresses::V6(addresses) => addresses.capacity() * 16,
    }
}

/// What a router went through from some state on.
#[derive(Clone, Debug)]
struct Stretch {
    from: Router,
    steps: Vec<Arc<Step>>,
    bytes: usize,
}

impl Stretch {
    fn new(from: Router) -> Self {
        Self {
            from,
            steps: Vec::new(),
            bytes: 0,
        }
    }
}

/// The recorder of one router. It keeps two stretches and forgets the older one when the younger one
/// is full, so that what it keeps always begins with a state.
#[derive(Clone, Debug)]
pub(super) struct Recorder {
    before: Option<Stretch>,
    now: Stretch,
    /// Most memory, in bytes.
    limit: usize,
}

impl Recorder {
    /// A recorder that begins with `router`.
    pub(super) fn new(router: Router) -> Self {
        Self {
            before: None,
            now: Stretch::new(router),
            limit: BYTES,
        }
    }

    /// Shares the memory among the recorders of `routers` routers.
    pub(super) fn share(&mut self, routers: usize) {
        self.limit = BYTES.min(TOTAL_BYTES / routers.max(1));
    }

    /// Has `router` handle `input`, and remembers that.
    pub(super) fn handle(
        &mut self,
        router: &mut Router,
        input: Input,
        now: Monotonic,
    ) -> Vec<Output> {
        if self.now.steps.len() >= STEPS / 2 || self.now.bytes >= self.limit / 2 {
            let next = Stretch::new(router.clone());
            self.before = Some(std::mem::replace(&mut self.now, next));
        }
        let outputs = router.handle(input.clone(), now);
        let step = Step {
            at: now,
            input,
            outputs: outputs.clone(),
        };
        self.now.bytes += step.bytes();
        self.now.steps.push(Arc::new(step));
        outputs
    }

    /// All that is remembered.
    pub(super) fn recording(&self, instance: &str, family: Family, interface: &str) -> Recording {
        let before = self.before.iter();
        let stretches = before.chain([&self.now]);
        Recording {
            instance: instance.to_owned(),
            family,
            interface: interface.to_owned(),
            from: self.before.as_ref().unwrap_or(&self.now).from.clone(),
            steps: stretches
                .flat_map(|stretch| stretch.steps.iter().cloned())
                .collect(),
        }
    }
}

/// What one router went through. It has no secrets: those of a written one are replaced by others.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Name of the VRRP instance.
    pub instance: String,
    /// Address family.
    pub family: Family,
    /// Interface.
    pub interface: String,
    /// The router before the first step.
    pub from: Router,
    /// What happened, in order.
    pub steps: Vec<Arc<Step>>,
}
