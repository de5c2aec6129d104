//! What `ipvsadm` sends for a command line, and what our client sends for the same wish, seen by an `nlmon` device.

use std::collections::BTreeMap;
use std::os::fd::{AsRawFd as _, OwnedFd};

use lvs_ipvs::Origin;
use nix::errno::Errno;
use nix::sys::socket::sockopt::RcvBufForce;
use nix::sys::socket::{
    AddressFamily, LinkAddr, SockFlag, SockProtocol, SockType, recvfrom, setsockopt, socket,
};

use crate::raw::{self, Raw};
use crate::run;

/// `NETLINK_GENERIC`: the protocol of its frames on an `nlmon` device.
const NETLINK_GENERIC: u16 = 16;

/// How a message of ours may differ from one of `ipvsadm`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// `ipvsadm` sends an attribute and we do not.
    TheirsOnly,
    /// We send an attribute and `ipvsadm` does not.
    OursOnly,
    /// Both send it with different values.
    Value,
    /// Both send the same attributes in another order.
    Order,
}

/// A difference that is known.
struct Known {
    commands: &'static [&'static str],
    kind: Kind,
    attributes: &'static [&'static str],
    reason: &'static str,
}

/// Every difference that there is. One that does not occur is an error too.
const KNOWN: [Known; 5] = [
    Known {
        commands: &["DEL_SERVICE", "NEW_DEST", "SET_DEST", "DEL_DEST", "ZERO"],
        kind: Kind::TheirsOnly,
        attributes: &["SVC_SCHED_NAME", "SVC_FLAGS", "SVC_TIMEOUT", "SVC_NETMASK"],
        reason: "the kernel reads the key alone of a service that is not added or changed",
    },
    Known {
        commands: &["DEL_DEST"],
        kind: Kind::TheirsOnly,
        attributes: &[
            "DEST_FWD_METHOD",
            "DEST_WEIGHT",
            "DEST_U_THRESH",
            "DEST_L_THRESH",
            "DEST_TUN_TYPE",
            "DEST_TUN_PORT",
            "DEST_TUN_FLAGS",
        ],
        reason: "the kernel reads the key alone of a destination that is deleted",
    },
    Known {
        commands: &["NEW_DEST", "SET_DEST"],
        kind: Kind::TheirsOnly,
        attributes: &["DEST_TUN_TYPE", "DEST_TUN_PORT", "DEST_TUN_FLAGS"],
        reason: "without a tunnel they are 0, which is what the kernel takes for one that is left out",
    },
    Known {
        commands: &["NEW_DEST"],
        kind: Kind::Value,
        attributes: &["DEST_ADDR"],
        reason: "behind the IPv4 address of an IPv6 service's server ipvsadm leaves what was there of the service's; the \
                 kernel reads 4 bytes",
    },
    Known {
        commands: &["DEL_DAEMON"],
        kind: Kind::TheirsOnly,
        attributes: &["DAEMON_MCAST_IFN", "DAEMON_SYNC_ID"],
        reason: "the kernel stops a daemon by its role",
    },
];

impl Known {
    fn is(&self, (command, kind, attribute): &Difference) -> bool {
        self.commands.contains(command)
            && self.kind == *kind
            && self.attributes.contains(&attribute.as_str())
    }
}

/// The netlink messages of the thread's network namespace.
pub(crate) struct Monitor(OwnedFd);

impl Monitor {
    pub(crate) fn start() -> Self {
        // Not bound to a device: it hears the one that comes into being after it.
        let socket = socket(
            AddressFamily::Packet,
            SockType::Datagram,
            SockFlag::SOCK_NONBLOCK,
            SockProtocol::EthAll,
        )
        .expect("a packet socket");
        // One IGMP report of a synchronisation daemon takes as much as the loopback device's MTU, 64 KiB.
        setsockopt(&socket, RcvBufForce, &(8 * 1024 * 1024)).expect("root's right");
        run("modprobe", &["nlmon"]);
        run("ip", &["link", "add", "nlmon0", "type", "nlmon"]);
        run("ip", &["link", "set", "nlmon0", "up"]);
        Self(socket)
    }

    /// The requests to IPVS since the last call. The kernel copies a message before the system call that sends it ends.
    pub(crate) fn requests(&self, origin: Origin) -> Vec<Raw> {
        let mut all = Vec::new();
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match recvfrom::<LinkAddr>(self.0.as_raw_fd(), &mut buffer) {
                Ok((length, sender)) => {
                    let protocol = sender.expect("a link address").protocol();
                    // Synchronisation daemons send over the loopback device.
                    if protocol == NETLINK_GENERIC.to_be() {
                        all.extend(raw::messages(&buffer[..length]));
                    }
                }
                Err(Errno::EAGAIN) => break,
                Err(errno) => panic!("the packet socket: {errno}"),
            }
        }
        all.retain(|message| message.kind == origin.family && message.is_request());
        all
    }
}

/// What is known and what is not of how our messages differ from those of `ipvsadm`.
#[derive(Default)]
pub(crate) struct Comparison {
    compared: usize,
    /// How often each known difference occurs.
    known: [usize; KNOWN.len()],
    unknown: BTreeMap<Difference, String>,
}

impl Comparison {
    /// Takes what the two sent for one command line.
    pub(crate) fn take(&mut self, line: &str, ours: &[Raw], theirs: &[Raw]) {
        // ipvsadm asks for the kernel's version first.
        let ([version, theirs], [ours]) = (theirs, ours) else {
            panic!("{line}: {} and {} requests", theirs.len(), ours.len());
        };
        assert_eq!(version.command(), "GET_INFO");
        self.compared += 1;
        for difference in compare(ours, theirs) {
            if let Some(index) = KNOWN.iter().position(|known| known.is(&difference)) {
                self.known[index] += 1;
            } else {
                let (ours, theirs) = (ours.attributes(), theirs.attributes());
                let text = format!("{line}\nours:   {ours:?}\ntheirs: {theirs:?}");
                self.unknown.insert(difference, text);
            }
        }
    }

    pub(crate) fn conclude(self) {
        println!("{} messages compared", self.compared);
        for (count, known) in self.known.iter().zip(&KNOWN) {
            let Known {
                commands,
                kind,
                attributes,
                reason,
            } = known;
            println!("{count:5} times {kind:?} {attributes:?} in {commands:?}: {reason}");
        }
        let unknown = self.unknown;
        assert!(unknown.is_empty(), "unknown differences: {unknown:#?}");
        assert!(
            !self.known.contains(&0),
            "a known difference does not occur"
        );
    }
}

/// The command, the kind of difference and the attribute's name.
type Difference = (&'static str, Kind, String);

fn compare(ours: &Raw, theirs: &Raw) -> Vec<Difference> {
    assert_eq!(ours.flags, theirs.flags);
    // The header of generic netlink: command, version, reserved.
    assert_eq!(ours.payload[..4], theirs.payload[..4]);
    let command = ours.command();
    let (ours, theirs) = (ours.attributes(), theirs.attributes());
    let mut differences = Vec::new();
    for attribute in &theirs {
        match ours.iter().find(|other| other.name == attribute.name) {
            None => differences.push((command, Kind::TheirsOnly, attribute.name.clone())),
            Some(other) if other.value != attribute.value => {
                differences.push((command, Kind::Value, attribute.name.clone()));
            }
            Some(_) => {}
        }
    }
    let is_theirs = |name: &str| theirs.iter().any(|other| other.name == name);
    differences.extend(
        ours.iter()
            .filter(|attribute| !is_theirs(&attribute.name))
            .map(|attribute| (command, Kind::OursOnly, attribute.name.clone())),
    );
    let is_ours = |name: &str| ours.iter().any(|other| other.name == name);
    let order_of_ours = ours.iter().map(|a| &a.name).filter(|name| is_theirs(name));
    let order_of_theirs = theirs.iter().map(|a| &a.name).filter(|name| is_ours(name));
    differences.extend(
        order_of_ours
            .zip(order_of_theirs)
            .find(|(ours, theirs)| ours != theirs)
            .map(|(ours, _)| (command, Kind::Order, ours.clone())),
    );
    differences
}
