//! A look at the IPVS table without netlink: `/proc/net/ip_vs`.
//!
//! What is compared is a fingerprint: of the text without its counters, and of a table that would
//! print it. It finds what comes with no netlink message, such as changes by the older interface of
//! socket options. What the file does not show, or not in full (thresholds, persistence timeouts,
//! scheduler flags), is left to the regular reading of everything.

use std::collections::hash_map::DefaultHasher;
use std::fmt::{self, Write as _};
use std::fs::File;
use std::hash::Hasher as _;
use std::io;
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::path::Path;

use lvs_ipvs::{
    Destination, Family, Forwarding, Netmask, Protocol, Service, ServiceKey, Table, TableEntry,
};

/// Where the kernel shows the table of a network namespace.
pub const PATH: &str = "/proc/net/ip_vs";

/// Lines of title that precede the table.
const TITLE_LINES: usize = 3;

/// Fields of a destination's line that precede those that count connections: endpoint, forwarding method, weight.
const DESTINATION_FIELDS: usize = 3;

/// How much is read at once. The kernel gives a page or one service, whichever is more.
const READ_BYTES: usize = 64 * 1024;

/// What a table looks like, independent of the order in which it is listed: the sum over its lines.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fingerprint(u64);

impl Fingerprint {
    /// The fingerprint of no services.
    pub const EMPTY: Self = Self(0);

    /// The fingerprint of what the kernel would show of this table.
    #[must_use]
    pub fn of_table(table: &Table) -> Self {
        let mut fingerprint = Self::EMPTY;
        for entry in table.iter() {
            fingerprint.add(Self::of_entry(entry));
        }
        fingerprint
    }

    /// The fingerprint of what the kernel would show of one service
    /// (`ip_vs_info_seq_show` in `net/netfilter/ipvs/ip_vs_ctl.c`).
    #[must_use]
    pub fn of_entry(entry: &TableEntry) -> Self {
        let mut line = String::new();
        // A string takes everything that is written to it.
        let _ = write_service(&mut line, &entry.service);
        let service = line_hash(0, line.as_bytes().split(|byte| *byte == b' '));
        let mut fingerprint = Self(service);
        for observed in &entry.destinations {
            line.clear();
            let _ = write_destination(&mut line, &observed.destination);
            let fields = line.as_bytes().split(|byte| *byte == b' ');
            fingerprint.add(Self(line_hash(service, fields)));
        }
        fingerprint
    }

    /// Becomes the fingerprint of a table that has `other` too.
    pub const fn add(&mut self, other: Self) {
        self.0 = self.0.wrapping_add(other.0);
    }
}

fn line_hash<'a>(seed: u64, fields: impl Iterator<Item = &'a [u8]>) -> u64 {
    let mut hasher = DefaultHasher::new();
    hasher.write_u64(seed);
    for field in fields {
        hasher.write(field);
        hasher.write_u8(b' ');
    }
    hasher.finish()
}

/// The fingerprint of the file's text, which comes in pieces: a large table's is not in memory as a whole.
#[derive(Debug, Default)]
struct Text {
    fingerprint: Fingerprint,
    /// Hash of the service that the next destinations belong to.
    service: u64,
    /// Lines of title so far.
    titles: usize,
    /// The beginning of a line whose rest has not come.
    begun: Vec<u8>,
}

impl Text {
    fn take(&mut self, piece: &[u8]) {
        let mut lines = piece.split(|byte| *byte == b'\n');
        // What follows the last end of a line is the beginning of another one.
        let rest = lines.next_back().unwrap_or_default();
        for line in lines {
            if self.begun.is_empty() {
                self.take_line(line);
            } else {
                let mut begun = std::mem::take(&mut self.begun);
                begun.extend_from_slice(line);
                self.take_line(&begun);
                begun.clear();
                self.begun = begun;
            }
        }
        self.begun.extend_from_slice(rest);
    }

    fn end(mut self) -> Fingerprint {
        let begun = std::mem::take(&mut self.begun);
        self.take_line(&begun);
        self.fingerprint
    }

    fn take_line(&mut self, line: &[u8]) {
        if self.titles < TITLE_LINES {
            self.titles += 1;
            return;
        }
        let mut fields = line
            .split(u8::is_ascii_whitespace)
            .filter(|field| !field.is_empty())
            .peekable();
        match fields.peek() {
            None => {}
            Some(&b"->") => {
                let fields = fields.skip(1).take(DESTINATION_FIELDS);
                self.fingerprint
                    .add(Fingerprint(line_hash(self.service, fields)));
            }
            Some(_) => {
                // The timeout is shown in ticks, whose length only the kernel knows.
                let mut is_timeout = false;
                let fields = fields.filter(|field| {
                    let is_kept = !is_timeout;
                    is_timeout = *field == b"persistent";
                    is_kept
                });
                self.service = line_hash(0, fields);
                self.fingerprint.add(Fingerprint(self.service));
            }
        }
    }
}

fn write_service(line: &mut String, service: &Service) -> fmt::Result {
    match service.key {
        ServiceKey::Address {
            protocol,
            address,
            port,
        } => {
            match protocol {
                Protocol::Tcp => line.push_str("TCP"),
                Protocol::Udp => line.push_str("UDP"),
                Protocol::Sctp => line.push_str("SCTP"),
                Protocol::Other(number) => write!(line, "IP_{number}")?,
            }
            line.push(' ');
            write_endpoint(line, address, port)?;
        }
        ServiceKey::Mark { mark, .. } => write!(line, "FWM {mark:08X}")?,
    }
    write!(line, " {}", service.scheduler)?;
    // IPv6 services are shown without it.
    let is_mark_or_ipv4 =
        matches!(service.key, ServiceKey::Mark { .. }) || service.key.family() == Family::Ipv4;
    if service.flags.contains(lvs_ipvs::ServiceFlags::ONE_PACKET) && is_mark_or_ipv4 {
        line.push_str(" ops");
    }
    if let Some(persistence) = &service.persistence {
        let mask = match persistence.netmask {
            Netmask::V4(mask) => mask.to_bits(),
            // The kernel shows the prefix length as if it were a mask in network byte order.
            Netmask::V6(bits) => u32::from_be(u32::from(bits)),
        };
        write!(line, " persistent {mask:08X}")?;
    }
    Ok(())
}

fn write_destination(line: &mut String, destination: &Destination) -> fmt::Result {
    write_endpoint(line, destination.key.address, destination.key.port)?;
    let method = match destination.forwarding {
        Forwarding::Nat => "Masq",
        Forwarding::Local => "Local",
        Forwarding::Tunnel(_) => "Tunnel",
        Forwarding::DirectRouting => "Route",
        Forwarding::Bypass | Forwarding::Other(_) => "Bypass",
    };
    write!(line, " {method} {}", destination.weight)
}

fn write_endpoint(line: &mut String, address: IpAddr, port: u16) -> fmt::Result {
    match address {
        IpAddr::V4(address) => write!(line, "{:08X}", address.to_bits())?,
        IpAddr::V6(address) => {
            for (position, group) in address.segments().iter().enumerate() {
                let before = if position == 0 { '[' } else { ':' };
                write!(line, "{before}{group:04x}")?;
            }
            line.push(']');
        }
    }
    write!(line, ":{port:04X}")
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
            buffer: vec![0; READ_BYTES],
        })
    }

    /// Reads the whole table.
    ///
    /// # Errors
    /// Those of reading the file.
    pub fn fingerprint(&mut self) -> io::Result<Fingerprint> {
        let mut text = Text::default();
        let mut offset = 0;
        loop {
            let length = self.file.read_at(&mut self.buffer, offset)?;
            if length == 0 {
                return Ok(text.end());
            }
            text.take(self.buffer.get(..length).unwrap_or_default());
            offset += u64::try_from(length).map_err(io::Error::other)?;
        }
    }
}

#[cfg(test)]
mod tests;
