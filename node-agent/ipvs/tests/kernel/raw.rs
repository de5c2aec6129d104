//! Netlink messages of the family `IPVS`, taken apart without this crate's decoders.

use std::fmt;

use lvs_ipvs::Origin;
use netlink_sys::protocols::NETLINK_GENERIC;
use netlink_sys::{Socket, SocketAddr};

const REQUEST: u16 = 1;
const DUMP: u16 = 0x300;
const ERROR: u16 = 2;
const DONE: u16 = 3;

// IPVS_CMD_*
const GET_SERVICE: u8 = 4;
const GET_DEST: u8 = 8;
const GET_DAEMON: u8 = 11;
const GET_CONFIG: u8 = 13;

/// Names of commands by their numbers, from 1 on.
const COMMANDS: [&str; 17] = [
    "NEW_SERVICE",
    "SET_SERVICE",
    "DEL_SERVICE",
    "GET_SERVICE",
    "NEW_DEST",
    "SET_DEST",
    "DEL_DEST",
    "GET_DEST",
    "NEW_DAEMON",
    "DEL_DAEMON",
    "GET_DAEMON",
    "SET_CONFIG",
    "GET_CONFIG",
    "SET_INFO",
    "GET_INFO",
    "ZERO",
    "FLUSH",
];

/// A nest: its kind at the first level, its name, and the names of what is in it, from 1 on.
const NESTS: [(u16, &str, &[&str]); 3] = [
    (
        1,
        "SVC",
        &[
            "AF",
            "PROTOCOL",
            "ADDR",
            "PORT",
            "FWMARK",
            "SCHED_NAME",
            "FLAGS",
            "TIMEOUT",
            "NETMASK",
            "STATS",
            "PE_NAME",
            "STATS64",
        ],
    ),
    (
        2,
        "DEST",
        &[
            "ADDR",
            "PORT",
            "FWD_METHOD",
            "WEIGHT",
            "U_THRESH",
            "L_THRESH",
            "ACTIVE_CONNS",
            "INACT_CONNS",
            "PERSIST_CONNS",
            "STATS",
            "ADDR_FAMILY",
            "STATS64",
            "TUN_TYPE",
            "TUN_PORT",
            "TUN_FLAGS",
        ],
    ),
    (
        3,
        "DAEMON",
        &[
            "STATE",
            "MCAST_IFN",
            "SYNC_ID",
            "SYNC_MAXLEN",
            "MCAST_GROUP",
            "MCAST_GROUP6",
            "MCAST_PORT",
            "MCAST_TTL",
        ],
    ),
];

const STATS: u16 = 10;
const STATS64: u16 = 12;

/// A netlink message.
pub(crate) struct Raw {
    pub(crate) kind: u16,
    pub(crate) flags: u16,
    /// From the header of generic netlink on.
    pub(crate) payload: Vec<u8>,
}

impl Raw {
    pub(crate) fn is_request(&self) -> bool {
        self.flags & REQUEST != 0
    }

    pub(crate) fn command(&self) -> &'static str {
        COMMANDS[usize::from(self.payload[0]) - 1]
    }

    /// Its attributes, those in nests by name.
    pub(crate) fn attributes(&self) -> Vec<Attribute> {
        let mut all = Vec::new();
        for (kind, value) in walk(&self.payload[4..]) {
            let Some((_, nest, names)) = NESTS.iter().find(|(number, ..)| *number == kind) else {
                all.push(Attribute {
                    name: format!("{kind}"),
                    value: value.to_vec(),
                });
                continue;
            };
            for (kind, value) in walk(value) {
                all.push(Attribute {
                    name: match names.get(usize::from(kind) - 1) {
                        Some(name) => format!("{nest}_{name}"),
                        None => format!("{nest}_{kind}"),
                    },
                    value: value.to_vec(),
                });
            }
        }
        all
    }

    /// Its attributes but for counters.
    fn without_counters(&self) -> Vec<Attribute> {
        let mut attributes = self.attributes();
        attributes.retain(|attribute| !attribute.name.contains("_STATS"));
        attributes
    }
}

/// An attribute that is no nest.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Attribute {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
}

impl fmt::Debug for Attribute {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}=", self.name)?;
        self.value
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// The attributes in `bytes`: their kinds without flags, and their values.
fn walk(mut bytes: &[u8]) -> Vec<(u16, &[u8])> {
    let mut all = Vec::new();
    while let [l0, l1, k0, k1, ..] = *bytes {
        let length = usize::from(u16::from_ne_bytes([l0, l1]));
        all.push((u16::from_ne_bytes([k0, k1]) & 0x3fff, &bytes[4..length]));
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    all
}

/// The messages of a datagram.
pub(crate) fn messages(mut datagram: &[u8]) -> Vec<Raw> {
    let mut all = Vec::new();
    while let Some((header, _)) = datagram.split_first_chunk::<16>() {
        let [l0, l1, l2, l3, k0, k1, f0, f1, ..] = *header;
        let length = usize::try_from(u32::from_ne_bytes([l0, l1, l2, l3])).expect("a length");
        all.push(Raw {
            kind: u16::from_ne_bytes([k0, k1]),
            flags: u16::from_ne_bytes([f0, f1]),
            payload: datagram[16..length].to_vec(),
        });
        datagram = datagram
            .get(length.next_multiple_of(4)..)
            .unwrap_or_default();
    }
    all
}

/// All that IPVS has in the thread's network namespace, attribute by attribute, but for counters.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Dump {
    /// Services and their destinations, sorted.
    services: Vec<(Vec<Attribute>, Vec<Vec<Attribute>>)>,
    daemons: Vec<Vec<Attribute>>,
    timeouts: Vec<Attribute>,
}

pub(crate) fn dump(origin: Origin) -> Dump {
    let mut socket = Socket::new(NETLINK_GENERIC).expect("a socket");
    socket.bind_auto().expect("a port");
    socket
        .connect(&SocketAddr::new(0, 0))
        .expect("the kernel's address");
    let ask = |command, flags, attributes: &[u8]| ask(&socket, origin, command, flags, attributes);
    let mut services: Vec<_> = ask(GET_SERVICE, DUMP, &[])
        .iter()
        .map(|service| {
            // The kernel's own words for the service are the key, less the counters.
            let nest = walk(&service.payload[4..])[0].1;
            let key = walk(nest)
                .into_iter()
                .filter(|(kind, _)| ![STATS, STATS64].contains(kind))
                .flat_map(|(kind, value)| attribute(kind, value))
                .collect::<Vec<_>>();
            let destinations = ask(GET_DEST, DUMP, &attribute(1, &key));
            (
                service.without_counters(),
                destinations.iter().map(Raw::without_counters).collect(),
            )
        })
        .collect();
    services.sort();
    Dump {
        services,
        daemons: ask(GET_DAEMON, DUMP, &[])
            .iter()
            .map(Raw::attributes)
            .collect(),
        timeouts: ask(GET_CONFIG, 0, &[])[0].attributes(),
    }
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = u16::try_from(value.len() + 4).expect("a length");
    let mut bytes = [length.to_ne_bytes(), kind.to_ne_bytes()].concat();
    bytes.extend(value);
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

fn ask(socket: &Socket, origin: Origin, command: u8, flags: u16, attributes: &[u8]) -> Vec<Raw> {
    let length = u32::try_from(20 + attributes.len()).expect("a length");
    let mut request = length.to_ne_bytes().to_vec();
    request.extend(origin.family.to_ne_bytes());
    request.extend((REQUEST | flags).to_ne_bytes());
    request.extend([0; 8]);
    request.extend([command, 1, 0, 0]);
    request.extend(attributes);
    socket.send(&request, 0).expect("to send");
    let mut answers = Vec::new();
    loop {
        let (datagram, _) = socket.recv_from_full().expect("an answer");
        for message in messages(&datagram) {
            match message.kind {
                DONE => return answers,
                ERROR => panic!("command {command} is refused: {:?}", message.payload),
                _ => answers.push(message),
            }
        }
        if flags & DUMP == 0 {
            return answers;
        }
    }
}
