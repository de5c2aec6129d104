//! No client: looks up in the snapshot what a pair refers to.

use lvs_crds::v1alpha1::{AuthenticationType, DirectorPair, SecretReference};

use crate::world::World;

/// What became of the Secret with the password of VRRP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretLookup {
    /// The pair needs none.
    NotNeeded,
    /// No Secret of that name, or none with that key.
    Missing(SecretReference),
    /// It exists and is this many bytes long.
    Found {
        /// Where it is.
        reference: SecretReference,
        /// Length of the value in bytes.
        bytes: usize,
    },
}

/// What a pair refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct References {
    /// Directors whose node does not exist.
    pub missing_nodes: Vec<String>,
    /// The Secret with the password of VRRP.
    pub secret: SecretLookup,
    /// Namespace that the Secret must be in.
    pub namespace: String,
}

/// Looks up nodes and the Secret of a pair.
#[must_use]
pub fn dereference(world: &World, pair: &DirectorPair) -> References {
    let missing_nodes = pair
        .spec
        .directors
        .iter()
        .map(|director| director.node_name.clone())
        .filter(|name| !world.nodes.contains_key(name))
        .collect();
    let secret = match secret_reference(pair) {
        None => SecretLookup::NotNeeded,
        Some(reference) => {
            let bytes = world
                .secrets
                .get(&reference.name)
                .and_then(|secret| secret.data.as_ref()?.get(&reference.key))
                .map(|value| value.0.len());
            let reference = reference.clone();
            match bytes {
                Some(bytes) => SecretLookup::Found { reference, bytes },
                None => SecretLookup::Missing(reference),
            }
        }
    };
    References {
        missing_nodes,
        secret,
        namespace: world.namespace.clone(),
    }
}

/// The Secret that the pair's directors must be able to read.
#[must_use]
pub fn secret_reference(pair: &DirectorPair) -> Option<&SecretReference> {
    let authentication = &pair.spec.vrrp.authentication;
    (authentication.type_ == AuthenticationType::Simple)
        .then_some(authentication.secret_ref.as_ref())
        .flatten()
}
