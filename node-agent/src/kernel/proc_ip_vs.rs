//! A cheap look at the IPVS table: `/proc/net/ip_vs` is one read, where a dump over netlink is a
//! request for each service.
//!
//! What is compared is a fingerprint: of the text without its counters, and of a table that would
//! print it. IPVS has no notifications, so this is how a change by somebody else is found. What the
//! file does not show, or not in full (thresholds, persistence timeouts, scheduler flags), is left to
//! the regular reading of everything.

use std::collections::hash_map::DefaultHasher;
use std::fs::File;
use std::hash::{Hash as _, Hasher as _};
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use lvs_ipvs::{Destination, Family, Forwarding, Netmask, Protocol, Service, ServiceKey, Table};

/// Where the kernel shows the table of a network namespace.
pub const PATH: &str = "/proc/net/ip_vs";

/// Fields at the end of a destination's line that count connections.
const COUNTERS: usize = 2;

/// Room for the first read; it grows with the table.
const FIRST_READ_BYTES: usize = 8 * 1024;

/// What a table looks like, independent of the order in which it is listed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of the file's text.
    #[must_use]
    pub fn of_text(text: &str) -> Self {
        let mut fingerprint = Self::default();
        let mut service = 0;
        // Three lines of title precede the table.
        for line in text.lines().skip(3) {
            let mut fields: Vec<&str> = line.split_ascii_whitespace().collect();
            match fields.split_first() {
                Some((&"->", destination)) => {
                    let kept = destination.len().saturating_sub(COUNTERS);
                    fingerprint.add(line_hash(service, destination.iter().take(kept)));
                }
                Some(_) => {
                    // The timeout is shown in ticks, whose length only the kernel knows.
                    let position = fields.iter().position(|field| *field == "persistent");
                    if let Some(timeout) = position.map(|position| position + 1)
                        && timeout < fields.len()
                    {
                        fields.remove(timeout);
                    }
                    service = line_hash(0, fields.iter());
                    fingerprint.add(service);
                }
                None => {}
            }
        }
        fingerprint
    }

    /// The fingerprint of what the kernel would show of this table
    /// (`ip_vs_info_seq_show` in `net/netfilter/ipvs/ip_vs_ctl.c`).
    #[must_use]
    pub fn of_table(table: &Table) -> Self {
        let mut fingerprint = Self::default();
        for entry in table.iter() {
            let fields = service_fields(&entry.service);
            let service = line_hash(0, fields.iter());
            fingerprint.add(service);
            for observed in &entry.destinations {
                let fields = destination_fields(&observed.destination);
                fingerprint.add(line_hash(service, fields.iter()));
            }
        }
        fingerprint
    }

    fn add(&mut self, line: u64) {
        self.0 = self.0.wrapping_add(line);
    }
}

fn line_hash(seed: u64, fields: impl Iterator<Item = impl AsRef<str>>) -> u64 {
    let mut hasher = DefaultHasher::new();
    seed.hash(&mut hasher);
    fields.for_each(|field| field.as_ref().hash(&mut hasher));
    hasher.finish()
}

fn service_fields(service: &Service) -> Vec<String> {
    let scheduler = service.scheduler.to_string();
    let mut fields = match service.key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            let protocol = match protocol {
                Protocol::Tcp => "TCP".to_owned(),
                Protocol::Udp => "UDP".to_owned(),
                Protocol::Sctp => "SCTP".to_owned(),
                Protocol::Other(number) => format!("IP_{number}"),
            };
            vec![protocol, endpoint(address, port), scheduler]
        }
        ServiceKey::Mark { mark, .. } => vec!["FWM".to_owned(), format!("{mark:08X}"), scheduler],
    };
    // IPv6 services are shown without it.
    let is_mark_or_ipv4 =
        matches!(service.key, ServiceKey::Mark { .. }) || service.key.family() == Family::Ipv4;
    if service.flags.contains(lvs_ipvs::ServiceFlags::ONE_PACKET) && is_mark_or_ipv4 {
        fields.push("ops".to_owned());
    }
    if let Some(persistence) = &service.persistence {
        let mask = match persistence.netmask {
            Netmask::V4(mask) => mask.to_bits(),
            // The kernel shows the prefix length as if it were a mask in network byte order.
            Netmask::V6(bits) => u32::from_be(u32::from(bits)),
        };
        fields.push("persistent".to_owned());
        fields.push(format!("{mask:08X}"));
    }
    fields
}

fn destination_fields(destination: &Destination) -> Vec<String> {
    let method = match destination.forwarding {
        Forwarding::Nat => "Masq",
        Forwarding::Local => "Local",
        Forwarding::Tunnel(_) => "Tunnel",
        Forwarding::DirectRouting => "Route",
        Forwarding::Bypass | Forwarding::Other(_) => "Bypass",
    };
    vec![
        endpoint(destination.key.address, destination.key.port),
        method.to_owned(),
        destination.weight.to_string(),
    ]
}

fn endpoint(address: IpAddr, port: u16) -> String {
    match address {
        IpAddr::V4(address) => format!("{:08X}:{port:04X}", address.to_bits()),
        IpAddr::V6(address) => {
            let groups = address.segments().map(|group| format!("{group:04x}"));
            format!("[{}]:{port:04X}", groups.join(":"))
        }
    }
}

/// The open file, read again and again.
#[derive(Debug)]
pub struct ProcIpVs {
    file: File,
    buffer: Vec<u8>,
}

impl ProcIpVs {
    /// Opens the file. It shows the table of the network namespace of the process.
    ///
    /// # Errors
    /// When there is none: the kernel has no IPVS, or shows no `/proc`.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self {
            file: File::open(path)?,
            buffer: vec![0; FIRST_READ_BYTES],
        })
    }

    /// Reads the whole table.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn fingerprint(&mut self) -> io::Result<Fingerprint> {
        let mut length = 0;
        loop {
            if length == self.buffer.len() {
                self.buffer.resize(length * 2, 0);
            }
            let room = self.buffer.get_mut(length..).unwrap_or_default();
            let offset = u64::try_from(length).map_err(io::Error::other)?;
            match self.file.read_at(room, offset)? {
                0 => break,
                count => length += count,
            }
        }
        let text = self.buffer.get(..length).unwrap_or_default();
        Ok(Fingerprint::of_text(&String::from_utf8_lossy(text)))
    }
}

#[cfg(test)]
mod tests;
