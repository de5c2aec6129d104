//! No client: looks up in the snapshot what a virtual service refers to.

use kube::ResourceExt;
use lvs_crds::v1alpha1::{DirectorPair, VirtualService};

use crate::world::World;

/// What a virtual service refers to, beside its pools, which [`super::pools`] resolves because
/// many services share them.
#[derive(Clone, Copy, Debug)]
pub struct References<'a> {
    /// Its pair, if it exists.
    pub pair: Option<&'a DirectorPair>,
}

/// Looks up the pair of a virtual service.
#[must_use]
pub fn dereference<'a>(world: &'a World, service: &VirtualService) -> References<'a> {
    let name = &service.spec.director_pair_ref.name;
    References {
        pair: world
            .pairs
            .iter()
            .find(|pair| &pair.name_any() == name)
            .map(|pair| &**pair),
    }
}
