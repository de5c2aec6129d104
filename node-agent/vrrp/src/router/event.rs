//! What goes into a router and what comes out of it.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

use crate::config::CheckedConfig;
use crate::group::GroupOrder;
use crate::interval::Centiseconds;
use crate::packet::Advertisement;
use crate::reject::RejectReason;
use crate::time::Monotonic;

/// State of a virtual router (RFC 9568 section 6.3).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Role {
    /// It takes no part: not started, stopped, or its interface is down.
    Initialize,
    /// It watches the Active Router.
    Backup,
    /// It holds the virtual addresses. A router that is handing over is Active until it has heard
    /// its successor.
    Active,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Input {
    /// Begin as Backup. Whatever virtual addresses an earlier run left are removed.
    Start,
    /// Begin as Active: this router was Active until less than [`CheckedConfig::resume_within`]
    /// ago. The virtual addresses are not taken down in between.
    StartActive,
    /// End. If Active, hand over first: the router stays Active until it hears a successor, or until
    /// a Backup would have taken over if there were one. [`Output::Stopped`] says when it is
    /// over; a second `Stop` ends it at once.
    Stop,
    /// Be the last choice, or be an ordinary choice again. A drained Active Router offers its role
    /// in every advertisement (priority 0) and gives it to the first that takes it, but holds the
    /// addresses as long as nobody does. A drained Backup takes over only if it hears nothing at
    /// all for the down interval of priority 1.
    Drain(bool),
    /// What the sync group of this router lets it do ([`crate::group::settle`]).
    Group(GroupOrder),
    /// A Backup becomes Active at once, because its sync group does ([`crate::group::settle`]).
    TakeOver,
    /// What is tracked has changed. A fault takes the router out of the election until it is over; an
    /// Active Router offers its role first and lets go of it when nobody takes it. Another priority
    /// is advertised at once.
    Priority(Adjustment),
    /// While held, an Active Router of lower priority is left alone as with
    /// [`crate::Preemption::Never`]. From the release on [`crate::Config::preempt_delay`] counts anew.
    HoldPreemption(bool),
    /// The interface works. A new router assumes that it does.
    InterfaceUp,
    /// The interface lost its link or is gone.
    InterfaceDown,
    /// A well-formed advertisement arrived from `source`.
    Received {
        /// Source address of the IP packet.
        source: IpAddr,
        /// The advertisement.
        advertisement: Advertisement,
    },
    /// The configuration changed. Roles do not change by that, and advertisements go on.
    Reconfigure(Box<CheckedConfig>),
    /// Time passed. After a wake-up hand in every packet that waits *before* the tick, so that a
    /// router that was itself late does not take that for the death of the Active Router.
    Tick,
}

/// Something to do or to tell, to be performed in order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Output {
    /// Send what [`crate::Wire::encode`] makes of `advertisement` as an IP packet of protocol 112
    /// with TTL 255 from [`crate::Config::own_address`] to `destination`.
    SendAdvertisement {
        /// The multicast group, or a peer.
        destination: IpAddr,
        /// What it says.
        advertisement: Advertisement,
    },
    /// See that the interface has these addresses; those that it has already stay untouched.
    AddVips(Vec<IpAddr>),
    /// See that the interface does not have these addresses; it may never have had them.
    RemoveVips(Vec<IpAddr>),
    /// Send one [`crate::announcement::frame`] for each of these addresses.
    Announce(Vec<IpAddr>),
    /// The role changed; follows what the change made necessary.
    RoleChanged {
        /// The role before.
        from: Role,
        /// The role now.
        to: Role,
        /// What brought it about.
        reason: RoleReason,
    },
    /// This router took over because an Active Router that it had followed fell silent: it did not
    /// give up its role, and nothing of it has come since, not even what does not count. Follows the
    /// change of role.
    PeerLost {
        /// The other's address.
        peer: IpAddr,
        /// When it was last heard.
        heard_at: Monotonic,
    },
    /// An advertisement was discarded.
    Rejected(RejectReason),
    /// This router has been Active for an advertisement interval or more and heard another that
    /// calls itself Active: both hold the addresses. Told once; of several others the first is named.
    /// One that wins is told of only with [`crate::Preemption::Never`]: otherwise it may have been a
    /// Backup until now.
    SplitBrain {
        /// The other's address.
        peer: IpAddr,
        /// The other's priority.
        priority: u8,
        /// When it was first heard.
        since: Monotonic,
    },
    /// The other of [`Output::SplitBrain`] has been silent for its down interval or has left, or this
    /// router is no longer Active.
    SplitHealed {
        /// The other's address.
        peer: IpAddr,
        /// When it was first heard.
        since: Monotonic,
    },
    /// The configuration of the router at `source` is not the same; told when that changes.
    PeerDiffers {
        /// The other's address.
        source: IpAddr,
        /// In what it differs; nothing if it agrees again.
        differences: Differences,
    },
    /// This router is drained, and nobody took over in the time that every Backup would have needed.
    /// It goes on offering.
    NoSuccessor,
    /// The router has ended after [`Input::Stop`].
    Stopped,
}

/// What tracked things add to a router's priority.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Adjustment {
    /// The sum of their weights, added to [`crate::Config::priority`]; the result is kept within 1 to
    /// 254, and an address owner's 255 stays.
    pub weight: i32,
    /// Something without which the router cannot serve has failed.
    pub is_fault: bool,
}

impl Adjustment {
    /// The adjustment of a sync group: the lowest weight of its routers, and a fault if one has it.
    /// Every router of the group is told this one, so that their priorities stay alike.
    #[must_use]
    pub fn lowest(members: impl IntoIterator<Item = Self>) -> Self {
        let lower = |one: Self, other: Self| Self {
            weight: one.weight.min(other.weight),
            is_fault: one.is_fault || other.is_fault,
        };
        members.into_iter().reduce(lower).unwrap_or_default()
    }
}

/// In what the advertisements of another router differ from this one's, though they count.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Differences {
    /// Version 3: its advertisement interval, if another. A Backup adopts it (RFC 9568 section
    /// 6.4.2).
    pub interval: Option<Centiseconds>,
    /// It names other virtual addresses, whatever their order.
    pub addresses: bool,
    /// Version 3 over IPv4: it uses the other checksum convention.
    pub checksum: bool,
}

/// Why a role changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub enum RoleReason {
    /// Started as Backup.
    Started,
    /// Started as Active: it owns the addresses (priority 255).
    Owner,
    /// Started as Active after an interruption too short for anybody to have taken over.
    Resumed,
    /// No advertisement that counts came for the down interval.
    ActiveDown,
    /// The Active Router gave up its role.
    ActiveReleased,
    /// Another Active Router won: by priority, or by address if both have the same.
    Outranked {
        /// Its address.
        source: IpAddr,
        /// Its priority.
        priority: u8,
    },
    /// This router offered its role, and another took it.
    HandedOver {
        /// The successor's address.
        successor: IpAddr,
    },
    /// The other routers of its sync group took over.
    GroupTookOver,
    /// Another router of its sync group cannot be Active, and nobody else took this one's role.
    GroupReleased,
    /// It was itself stopped for so long that a Backup of the same priority has taken over: another is
    /// heard ([`CheckedConfig::succeeded_after`]), or is to be expected
    /// ([`CheckedConfig::stalled_after`]).
    Stalled,
    /// Something that is tracked failed.
    Faulted,
    /// What is tracked works again.
    FaultCleared,
    /// The interface went down.
    InterfaceDown,
    /// The interface came back.
    InterfaceUp,
    /// Stopped without a successor.
    Stopped,
}

impl fmt::Display for RoleReason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Started => formatter.write_str("started"),
            Self::Owner => formatter.write_str("started as owner of the addresses"),
            Self::Resumed => formatter.write_str("resumed after a restart"),
            Self::ActiveDown => formatter.write_str("no advertisement for the down interval"),
            Self::ActiveReleased => formatter.write_str("the Active Router released its role"),
            Self::Outranked { source, priority } => {
                write!(formatter, "outranked by {source} with priority {priority}")
            }
            Self::HandedOver { successor } => write!(formatter, "handed over to {successor}"),
            Self::GroupTookOver => formatter.write_str("its sync group took over"),
            Self::GroupReleased => {
                formatter.write_str("another router of its sync group cannot be Active")
            }
            Self::Stalled => formatter.write_str("was stopped itself for too long"),
            Self::Faulted => formatter.write_str("something that is tracked failed"),
            Self::FaultCleared => formatter.write_str("what is tracked works again"),
            Self::InterfaceDown => formatter.write_str("interface down"),
            Self::InterfaceUp => formatter.write_str("interface up"),
            Self::Stopped => formatter.write_str("stopped"),
        }
    }
}
