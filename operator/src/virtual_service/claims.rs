//! No client: which virtual service has which VIP, port and firewall mark.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::IpAddr,
};

use kube::ResourceExt;
use lvs_crds::v1alpha1::{
    AddressFamily, BindAddresses, MarkPlan, Port, Protocol, condition::reason,
};

use super::validate::{ValidatedService, vips};
use crate::{
    director_pair::validate::PairVerdicts,
    rejection::Rejection,
    world::{Current, World},
};

/// VRRP instance of a pair.
type Instance = (String, String);

/// What a service has or asks for.
#[derive(Clone, Debug)]
struct Wish {
    instance: Instance,
    vips: Vec<IpAddr>,
    ports: Vec<Port>,
    mark: Option<MarkPlan>,
    /// Whether the VIPs move with the instance.
    bound: bool,
}

/// Ports of one VIP and protocol on the directors of one pair: the first of a range → the last, and
/// whose it is. Ranges do not overlap.
type Ranges = BTreeMap<i32, (i32, String)>;

/// Who has which VIP, port and mark.
#[derive(Debug)]
pub struct Claims {
    /// By pair, VIP and protocol.
    ports: BTreeMap<(String, IpAddr, Protocol), Ranges>,
    /// The instances that a VIP moves with, each with the objects that say so.
    vips: BTreeMap<IpAddr, BTreeMap<Instance, BTreeSet<String>>>,
    /// By pair, mark and family.
    marks: BTreeMap<(String, i32, AddressFamily), String>,
    /// Services whose present plan is kept for them, because they ask for something else now.
    reserved: BTreeMap<String, Wish>,
}

impl Claims {
    /// The addresses that pairs have beside those of virtual services.
    #[must_use]
    pub fn new(world: &World, pairs: &PairVerdicts) -> Self {
        let mut claims = Self {
            ports: BTreeMap::new(),
            vips: BTreeMap::new(),
            marks: BTreeMap::new(),
            reserved: BTreeMap::new(),
        };
        let accepted = world
            .pairs
            .iter()
            .filter_map(|pair| pairs.accepted(&pair.name_any()));
        for pair in accepted {
            for instance in &pair.instances {
                for entry in &instance.addresses {
                    if let Ok(address) = entry.address.parse() {
                        let by = format!("DirectorPair {}", pair.name);
                        claims.own(address, (pair.name.clone(), instance.name.clone()), by);
                    }
                }
            }
        }
        claims
    }

    /// Whether a service may have what it asks for.
    ///
    /// # Errors
    /// `VIPConflict` or `MarkConflict`, with who has it.
    pub fn check(&self, service: &ValidatedService) -> Result<(), Rejection> {
        let wish = wish(service);
        for vip in &wish.vips {
            if wish.bound {
                self.check_owner(*vip, &wish.instance, &by(&service.key))?;
            }
            for port in &wish.ports {
                self.check_port(*vip, port, &wish.instance.0, &service.key)?;
            }
        }
        wish.mark.map_or(Ok(()), |mark| {
            self.check_mark(&mark, &wish.instance.0, &service.key)
        })
    }

    fn check_owner(&self, vip: IpAddr, wanted: &Instance, own: &str) -> Result<(), Rejection> {
        let other = self
            .vips
            .get(&vip)
            .into_iter()
            .flatten()
            .filter(|(instance, _)| *instance != wanted)
            .find_map(|(instance, by)| Some((instance, by.iter().find(|by| *by != own)?)));
        let Some(((pair, instance), by)) = other else {
            return Ok(());
        };
        Err(Rejection::new(
            reason::VIP_CONFLICT,
            format!(
                "spec.frontend.addresses: {vip} moves with instance {instance} of DirectorPair \
                 {pair} ({by}); name that pair and instance here, or choose another address"
            ),
        ))
    }

    fn check_port(&self, vip: IpAddr, port: &Port, pair: &str, own: &str) -> Result<(), Rejection> {
        let (first, last) = port.range();
        let protocol = port.protocol;
        let overlapping = self
            .ports
            .get(&(pair.to_owned(), vip, protocol))
            .and_then(|ranges| ranges.range(..=last).next_back())
            .filter(|(_, (end, key))| *end >= first && key != own);
        let Some((from, (to, other))) = overlapping else {
            return Ok(());
        };
        Err(Rejection::new(
            reason::VIP_CONFLICT,
            format!(
                "spec.frontend: {vip} port {} {protocol:?} belongs to VirtualService {other} (port \
                 {}); choose another address or port, or remove it there first",
                span(first, last),
                span(*from, *to)
            ),
        ))
    }

    fn check_mark(&self, mark: &MarkPlan, pair: &str, own: &str) -> Result<(), Rejection> {
        let MarkPlan { mark, family, .. } = *mark;
        match self.marks.get(&(pair.to_owned(), mark, family)) {
            Some(other) if other != own => Err(Rejection::new(
                reason::MARK_CONFLICT,
                format!(
                    "spec.frontend.firewallMark.mark: {mark} of family {family:?} belongs to \
                     VirtualService {other} on DirectorPair {pair}; choose another mark, or with \
                     rules Managed leave it out to have one allocated"
                ),
            )),
            _ => Ok(()),
        }
    }

    /// Gives an accepted service what it asks for, and nothing else.
    pub fn claim(&mut self, service: &ValidatedService) {
        if let Some(former) = self.reserved.remove(&service.key) {
            self.remove(&service.key, &former);
        }
        self.insert(&service.key, wish(service));
    }

    /// Keeps for a service what its present plan has.
    pub fn reserve(&mut self, key: &str, current: &Current<'_>) {
        let Some((pair, plan)) = current.service(key) else {
            return;
        };
        let wish = Wish {
            instance: (pair.to_owned(), plan.instance.clone()),
            vips: vips(plan),
            ports: plan.ports.clone(),
            mark: plan.firewall_mark.clone(),
            bound: plan.bind_addresses == BindAddresses::Managed,
        };
        self.reserved.insert(key.to_owned(), wish.clone());
        self.insert(key, wish);
    }

    fn own(&mut self, vip: IpAddr, instance: Instance, by: String) {
        let owners = self.vips.entry(vip).or_default();
        owners.entry(instance).or_default().insert(by);
    }

    fn insert(&mut self, key: &str, wish: Wish) {
        let pair = wish.instance.0.clone();
        for vip in &wish.vips {
            if wish.bound {
                self.own(*vip, wish.instance.clone(), by(key));
            }
            for port in &wish.ports {
                let (first, last) = port.range();
                let place = (pair.clone(), *vip, port.protocol);
                let ranges = self.ports.entry(place).or_default();
                let overlaps = ranges
                    .range(..=last)
                    .next_back()
                    .is_some_and(|(_, (end, _))| *end >= first);
                if !overlaps {
                    ranges.insert(first, (last, key.to_owned()));
                }
            }
        }
        if let Some(mark) = wish.mark {
            self.marks
                .entry((pair, mark.mark, mark.family))
                .or_insert_with(|| key.to_owned());
        }
    }

    fn remove(&mut self, key: &str, former: &Wish) {
        let pair = &former.instance.0;
        let own = by(key);
        for vip in &former.vips {
            if let Some(owners) = self.vips.get_mut(vip) {
                owners.retain(|_, by| {
                    by.remove(&own);
                    !by.is_empty()
                });
            }
            for port in &former.ports {
                if let Some(ranges) = self.ports.get_mut(&(pair.clone(), *vip, port.protocol)) {
                    ranges.retain(|_, (_, owner)| owner != key);
                }
            }
        }
        if let Some(mark) = &former.mark {
            let place = (pair.clone(), mark.mark, mark.family);
            if self.marks.get(&place).is_some_and(|owner| owner == key) {
                self.marks.remove(&place);
            }
        }
    }
}

fn wish(service: &ValidatedService) -> Wish {
    let spec = &service.object.spec;
    Wish {
        instance: (service.pair.clone(), spec.instance.clone()),
        vips: service.addresses.clone(),
        ports: spec.frontend.ports.clone(),
        mark: service.mark.clone(),
        bound: spec.frontend.bind_addresses == BindAddresses::Managed,
    }
}

fn by(key: &str) -> String {
    format!("VirtualService {key}")
}

/// `80`, or `8000-8100`.
fn span(first: i32, last: i32) -> String {
    if first == last {
        first.to_string()
    } else {
        format!("{first}-{last}")
    }
}
