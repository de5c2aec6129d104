//! No client: which virtual service has which VIP and port.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use kube::ResourceExt;
use lvs_crds::v1alpha1::{Port, Protocol, condition::reason};

use super::validate::{ValidatedService, vips};
use crate::{
    director_pair::validate::PairVerdicts,
    rejection::Rejection,
    world::{Current, World},
};

/// What a VIP moves with.
#[derive(Debug, PartialEq, Eq)]
struct Owner {
    pair: String,
    instance: String,
    /// The object that says so.
    by: String,
}

/// Who has which VIP and port.
#[derive(Debug)]
pub struct Claims {
    ports: BTreeMap<(IpAddr, i32, Protocol), String>,
    vips: BTreeMap<IpAddr, Vec<Owner>>,
    /// Services whose present plan is kept for them, because they ask for something else now.
    reserved: BTreeSet<String>,
}

impl Claims {
    /// The addresses that pairs have beside those of virtual services.
    #[must_use]
    pub fn new(world: &World, pairs: &PairVerdicts) -> Self {
        let mut claims = Self {
            ports: BTreeMap::new(),
            vips: BTreeMap::new(),
            reserved: BTreeSet::new(),
        };
        let accepted = world
            .pairs
            .iter()
            .filter_map(|pair| pairs.accepted(&pair.name_any()));
        for pair in accepted {
            for instance in &pair.instances {
                for entry in &instance.addresses {
                    if let Ok(address) = entry.address.parse() {
                        claims.vips.entry(address).or_default().push(Owner {
                            pair: pair.name.clone(),
                            instance: instance.name.clone(),
                            by: format!("DirectorPair {}", pair.name),
                        });
                    }
                }
            }
        }
        claims
    }

    /// Whether a service may have what it asks for.
    ///
    /// # Errors
    /// `VIPConflict`, with who has it.
    pub fn check(&self, service: &ValidatedService) -> Result<(), Rejection> {
        let spec = &service.object.spec;
        let own = by(&service.key);
        for vip in &service.addresses {
            let other = self.vips.get(vip).into_iter().flatten().find(|owner| {
                owner.by != own && (owner.pair != service.pair || owner.instance != spec.instance)
            });
            if let Some(Owner { pair, instance, by }) = other {
                return Err(Rejection::new(
                    reason::VIP_CONFLICT,
                    format!(
                        "spec.frontend.addresses: {vip} moves with instance {instance} of \
                         DirectorPair {pair} ({by}); name that pair and instance here, or choose \
                         another address"
                    ),
                ));
            }
            for Port { port, protocol, .. } in &spec.frontend.ports {
                if let Some(other) = self.ports.get(&(*vip, *port, *protocol))
                    && other != &service.key
                {
                    return Err(Rejection::new(
                        reason::VIP_CONFLICT,
                        format!(
                            "spec.frontend: {vip} port {port} {protocol:?} belongs to VirtualService \
                             {other}; choose another address or port, or remove it there first"
                        ),
                    ));
                }
            }
        }
        Ok(())
    }

    /// Gives an accepted service what it asks for, and nothing else.
    pub fn claim(&mut self, service: &ValidatedService) {
        let spec = &service.object.spec;
        let own = by(&service.key);
        if self.reserved.remove(&service.key) {
            self.ports.retain(|_, key| key != &service.key);
            for owners in self.vips.values_mut() {
                owners.retain(|owner| owner.by != own);
            }
        }
        self.insert(
            &service.key,
            (&service.pair, &spec.instance),
            &service.addresses,
            &spec.frontend.ports,
        );
    }

    /// Keeps for a service what its present plan has.
    pub fn reserve(&mut self, key: &str, current: &Current<'_>) {
        if let Some((pair, plan)) = current.service(key) {
            self.reserved.insert(key.to_owned());
            self.insert(key, (pair, &plan.instance), &vips(plan), &plan.ports);
        }
    }

    fn insert(
        &mut self,
        key: &str,
        (pair, instance): (&str, &str),
        vips: &[IpAddr],
        ports: &[Port],
    ) {
        for vip in vips {
            self.vips.entry(*vip).or_default().push(Owner {
                pair: pair.to_owned(),
                instance: instance.to_owned(),
                by: by(key),
            });
            for Port { port, protocol, .. } in ports {
                self.ports
                    .entry((*vip, *port, *protocol))
                    .or_insert_with(|| key.to_owned());
            }
        }
    }
}

fn by(key: &str) -> String {
    format!("VirtualService {key}")
}
