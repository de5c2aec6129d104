//! No client: looks up in the snapshot what a pair refers to.

use std::collections::BTreeMap;

use lvs_crds::v1alpha1::{AuthenticationType, DirectorPair, SecretReference, vrrp::hmac_key_id};

use super::sources::{Sources, sources};
use crate::world::World;

/// What became of the Secret with what VRRP authenticates by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SecretLookup {
    /// The pair needs none.
    NotNeeded,
    /// No Secret of that name, or none with that key.
    Missing {
        /// Name of the Secret.
        name: String,
        /// Key that the directors use.
        key: String,
    },
    /// A password.
    Password {
        /// Name of the Secret.
        name: String,
        /// Key of the password.
        key: String,
        /// Length of the value in bytes.
        bytes: usize,
    },
    /// HMAC keys, that which signs among them.
    Keys {
        /// Name of the Secret.
        name: String,
        /// Length in bytes by the id of the key.
        bytes: BTreeMap<u8, usize>,
    },
}

/// What a pair refers to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct References {
    /// Directors whose node does not exist.
    pub missing_nodes: Vec<String>,
    /// The Secret with the password of VRRP or its HMAC keys.
    pub secret: SecretLookup,
    /// Namespace that the Secret must be in.
    pub namespace: String,
    /// Where the directors' advertisements come from; of use with unicast and with fencing.
    pub sources: Sources,
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
    let secret = secret(world, pair);
    References {
        missing_nodes,
        secret,
        namespace: world.namespace.clone(),
        sources: sources(world, pair),
    }
}

fn secret(world: &World, pair: &DirectorPair) -> SecretLookup {
    let Some(reference) = secret_reference(pair) else {
        return SecretLookup::NotNeeded;
    };
    let authentication = &pair.spec.vrrp.authentication;
    let name = reference.name.clone();
    let key = match authentication.active_key_id {
        Some(id) => id.to_string(),
        None => reference.password_key().to_owned(),
    };
    let lengths: BTreeMap<&str, usize> = world
        .secrets
        .get(&name)
        .into_iter()
        .flat_map(|secret| secret.data.iter().flatten())
        .map(|(key, value)| (key.as_str(), value.0.len()))
        .collect();
    match lengths.get(key.as_str()) {
        None => SecretLookup::Missing { name, key },
        Some(_) if authentication.type_ == AuthenticationType::HMACSHA256 => SecretLookup::Keys {
            name,
            bytes: lengths
                .into_iter()
                .filter_map(|(key, bytes)| Some((hmac_key_id(key)?, bytes)))
                .collect(),
        },
        Some(&bytes) => SecretLookup::Password { name, key, bytes },
    }
}

/// The Secret that the pair's directors must be able to read.
#[must_use]
pub fn secret_reference(pair: &DirectorPair) -> Option<&SecretReference> {
    let authentication = &pair.spec.vrrp.authentication;
    (authentication.type_ != AuthenticationType::None)
        .then_some(authentication.secret_ref.as_ref())
        .flatten()
}
