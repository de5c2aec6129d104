//! Other hosts that claim a virtual address by ARP (RFC 5227) or Neighbor Discovery (RFC 4861).
//!
//! Another Active Router is seen by its advertisements. A host that is no router of the segment, a real server that
//! answers for a VIP of its loopback say, is seen here: by what it sends of itself, and by its answers to probes. The
//! Active Router defends its addresses for good (RFC 5227 section 2.4, case c).

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use crate::announcement::{HardwareAddress, NEIGHBOR_ADVERTISEMENT, TARGET_LINK_LAYER_ADDRESS};
use crate::time::Monotonic;

#[cfg(test)]
mod tests;

/// How long after it became Active a router probes first: whoever held the addresses before has let go of them.
pub const FIRST_PROBE: Duration = Duration::from_secs(5);
/// Time between probes while nobody else claims an address.
pub const PROBE_INTERVAL: Duration = Duration::from_secs(60);
/// Time between probes while somebody does.
pub const CONFLICT_PROBE_INTERVAL: Duration = Duration::from_secs(3);
/// `DEFEND_INTERVAL` of RFC 5227 section 1.1: least time between two announcements against a claim.
pub const DEFEND_INTERVAL: Duration = Duration::from_secs(10);
/// A claim that is repeated this much later, after an announcement and a probe, is a conflict and no leftover of a
/// change of roles.
const CONFIRMED_AFTER: Duration = Duration::from_secs(1);
/// A conflict is over after this much silence: three probes had no answer.
pub const SILENT_AFTER: Duration = Duration::from_secs(10);

/// Length of an ARP packet for Ethernet and IPv4 (RFC 826).
const ARP_BYTES: usize = 28;

/// A virtual address that another host claims.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The address.
    pub address: IpAddr,
    /// Hardware address of the other host.
    pub hardware: HardwareAddress,
    /// When it was first heard.
    pub since: Monotonic,
}

/// Something to do or to tell, in order.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Defence {
    /// Ask by [`crate::announcement::probe`] who else has the virtual addresses.
    Probe,
    /// Send [`crate::announcement::frame`] for this address.
    Announce(IpAddr),
    /// A conflict was found. Told once.
    Found(Conflict),
    /// It is over: the other host has been silent for [`SILENT_AFTER`], or the address is held here no longer.
    Over(Conflict),
}

/// Watches the addresses of one virtual router.
#[derive(Clone, Debug, Default)]
pub struct ConflictWatch {
    /// When to probe next; none while the router is not Active.
    probe_at: Option<Monotonic>,
    claims: BTreeMap<IpAddr, Claim>,
}

#[derive(Clone, Copy, Debug)]
struct Claim {
    conflict: Conflict,
    heard_at: Monotonic,
    defended_at: Monotonic,
    is_told: bool,
}

impl ConflictWatch {
    /// The router has become Active.
    pub fn begin(&mut self, now: Monotonic) {
        self.probe_at = Some(now + FIRST_PROBE);
    }

    /// The router is not Active any more.
    pub fn end(&mut self) -> Vec<Defence> {
        self.probe_at = None;
        let told = told(std::mem::take(&mut self.claims));
        told.map(Defence::Over).collect()
    }

    /// These are the virtual addresses now.
    pub fn keep(&mut self, addresses: &[IpAddr]) -> Vec<Defence> {
        let (kept, gone) = std::mem::take(&mut self.claims)
            .into_iter()
            .partition(|(address, _)| addresses.contains(address));
        self.claims = kept;
        told(gone).map(Defence::Over).collect()
    }

    /// Another host claims `address`, which is one of the virtual addresses.
    pub fn claimed(
        &mut self,
        address: IpAddr,
        hardware: HardwareAddress,
        now: Monotonic,
    ) -> Vec<Defence> {
        let Some(probe_at) = &mut self.probe_at else {
            return Vec::new();
        };
        let mut defences = Vec::new();
        let is_new = !self.claims.contains_key(&address);
        let claim = self.claims.entry(address).or_insert(Claim {
            conflict: Conflict {
                address,
                hardware,
                since: now,
            },
            heard_at: now,
            defended_at: now,
            is_told: false,
        });
        claim.heard_at = now;
        claim.conflict.hardware = hardware;
        if is_new {
            *probe_at = (now + CONFIRMED_AFTER).min(*probe_at);
        }
        if is_new || now >= claim.defended_at + DEFEND_INTERVAL {
            claim.defended_at = now;
            defences.push(Defence::Announce(address));
        }
        if !claim.is_told && now >= claim.conflict.since + CONFIRMED_AFTER {
            claim.is_told = true;
            defences.push(Defence::Found(claim.conflict));
        }
        defences
    }

    /// Time passed.
    pub fn tick(&mut self, now: Monotonic) -> Vec<Defence> {
        let (silent, heard) = std::mem::take(&mut self.claims)
            .into_iter()
            .partition(|(_, claim)| claim.heard_at + SILENT_AFTER <= now);
        self.claims = heard;
        let mut defences = Vec::new();
        for conflict in told(silent) {
            // Whoever learned the other's hardware address shall forget it.
            defences.push(Defence::Announce(conflict.address));
            defences.push(Defence::Over(conflict));
        }
        if let Some(probe_at) = &mut self.probe_at
            && *probe_at <= now
        {
            let interval = if self.claims.is_empty() {
                PROBE_INTERVAL
            } else {
                CONFLICT_PROBE_INTERVAL
            };
            *probe_at = now + interval;
            defences.push(Defence::Probe);
        }
        defences
    }

    /// When to call [`ConflictWatch::tick`] at the latest; `None` if time changes nothing.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Monotonic> {
        let silent = self
            .claims
            .values()
            .map(|claim| claim.heard_at + SILENT_AFTER);
        silent.chain(self.probe_at).min()
    }

    /// The conflicts that were told of and last.
    pub fn conflicts(&self) -> impl Iterator<Item = Conflict> {
        let told = self.claims.values().filter(|claim| claim.is_told);
        told.map(|claim| claim.conflict)
    }
}

/// Those that were told of.
fn told(claims: BTreeMap<IpAddr, Claim>) -> impl Iterator<Item = Conflict> {
    let told = claims.into_values().filter(|claim| claim.is_told);
    told.map(|claim| claim.conflict)
}

/// Who claims an address by an ARP packet, without its Ethernet header: the sender of a request or of a reply
/// (RFC 5227 section 1.1). None for a probe, whose sender has no address yet, and for what is no ARP for Ethernet and
/// IPv4.
#[must_use]
pub fn arp_claim(packet: &[u8]) -> Option<(Ipv4Addr, HardwareAddress)> {
    let packet: &[u8; ARP_BYTES] = packet.get(..ARP_BYTES)?.try_into().ok()?;
    let [0, 1, 8, 0, 6, 4, 0, 1 | 2, rest @ ..] = packet else {
        return None;
    };
    let (hardware, rest) = rest.split_first_chunk::<6>()?;
    let (sender, _) = rest.split_first_chunk::<4>()?;
    let sender = Ipv4Addr::from(*sender);
    (!sender.is_unspecified()).then_some((sender, *hardware))
}

/// Who claims an address by an `ICMPv6` message: the target of a Neighbor Advertisement, which names its hardware address
/// (RFC 4861 section 4.4; whoever sends to all nodes must). None for other messages and for those that section 7.1.2
/// says to discard. The checksum and the Hop Limit of 255, which only a neighbor can send, are the caller's to check.
#[must_use]
pub fn neighbor_claim(message: &[u8]) -> Option<(Ipv6Addr, HardwareAddress)> {
    let (header, rest) = message.split_first_chunk::<8>()?;
    let [NEIGHBOR_ADVERTISEMENT, 0, ..] = header else {
        return None;
    };
    let (target, mut options) = rest.split_first_chunk::<16>()?;
    let target = Ipv6Addr::from(*target);
    let mut hardware = None;
    while let [_, length, ..] = options {
        // In units of 8 octets, this header included. One of none has no end.
        let length = usize::from(*length) * 8;
        let (option, rest) = options.split_at_checked(length).filter(|_| length > 0)?;
        if let [TARGET_LINK_LAYER_ADDRESS, 1, address @ ..] = option {
            hardware = address.try_into().ok();
        }
        options = rest;
    }
    let is_claim = options.is_empty() && !target.is_multicast() && !target.is_unspecified();
    hardware
        .filter(|_| is_claim)
        .map(|hardware| (target, hardware))
}
