//! No client: an address that moves with an instance moves with that one alone.

use std::{collections::BTreeMap, net::IpAddr};

use lvs_crds::v1alpha1::{BindAddresses, condition::reason};

use super::validate::ValidatedInstance;
use crate::{rejection::Rejection, virtual_service::validate::vips, world::Current};

/// What an address moves with.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Owner {
    pair: String,
    instance: String,
    /// The object that says so.
    by: String,
}

/// Who has which address: running virtual services and the instances of accepted pairs.
#[derive(Debug)]
pub struct Addresses {
    owners: BTreeMap<IpAddr, Owner>,
}

impl Addresses {
    /// The VIPs that directors carry now.
    #[must_use]
    pub fn new(current: &Current<'_>) -> Self {
        let owners = current
            .services()
            .filter(|(_, _, plan)| plan.bind_addresses == BindAddresses::Managed)
            .flat_map(|(key, pair, plan)| {
                vips(plan).into_iter().map(move |vip| {
                    let owner = Owner {
                        pair: pair.to_owned(),
                        instance: plan.instance.clone(),
                        by: format!("VirtualService {key}"),
                    };
                    (vip, owner)
                })
            })
            .collect();
        Self { owners }
    }

    /// Gives a pair's instances the addresses that they ask for.
    ///
    /// # Errors
    /// `VIPConflict`, with who has one of them; then nothing is given.
    pub fn claim(&mut self, pair: &str, instances: &[ValidatedInstance]) -> Result<(), Rejection> {
        let mut claimed = BTreeMap::<IpAddr, Owner>::new();
        for instance in instances {
            for entry in &instance.addresses {
                let Ok(address) = entry.address.parse() else {
                    continue;
                };
                let wanted = Owner {
                    pair: pair.to_owned(),
                    instance: instance.name.clone(),
                    by: format!("DirectorPair {pair}"),
                };
                let owner = self.owners.get(&address).or_else(|| claimed.get(&address));
                if let Some(owner) = owner
                    && (&owner.pair, &owner.instance) != (&wanted.pair, &wanted.instance)
                {
                    return Err(Rejection::new(
                        reason::VIP_CONFLICT,
                        format!(
                            "spec.instances[{}].addresses: {address} moves with instance {} of DirectorPair \
                             {} ({}); choose another address, or remove it there first",
                            instance.name, owner.instance, owner.pair, owner.by
                        ),
                    ));
                }
                claimed.insert(address, wanted);
            }
        }
        self.owners.extend(claimed);
        Ok(())
    }
}
