//! Command lines of `ipvsadm`, and what they ask for.

use std::iter::Peekable;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::str::SplitWhitespace;

use lvs_ipvs::{
    Command, Destination, DestinationKey, Family, Forwarding, Netmask, Persistence, Protocol,
    Service, ServiceFlags, ServiceKey, SyncDaemon, SyncRole, Timeouts, Tunnel, TunnelFlags,
    TunnelKind,
};

use crate::objects::{mark, name};

/// The cases: each a list of command lines.
pub(crate) fn cases() -> Vec<Vec<&'static str>> {
    include_str!("cases.txt")
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#'))
        .map(|line| line.split("; ").collect())
        .collect()
}

/// What a command line of `ipvsadm` asks for, with that program's defaults (ipvsadm(8)).
pub(crate) fn command(line: &str) -> Command {
    let options = Options::parse(line);
    match options.operation.as_str() {
        "-A" | "--add-service" => Command::AddService(options.service()),
        "-E" | "--edit-service" => Command::SetService(options.service()),
        "-D" | "--delete-service" => Command::DeleteService(options.key()),
        "-a" | "--add-server" => Command::AddDestination {
            service: options.key(),
            destination: options.destination(),
        },
        "-e" | "--edit-server" => Command::SetDestination {
            service: options.key(),
            destination: options.destination(),
        },
        "-d" | "--delete-server" => Command::DeleteDestination {
            service: options.key(),
            destination: options.destination_key(),
        },
        "-Z" | "--zero" => Command::Zero(options.key.map(|_| options.key())),
        "--set" => Command::SetTimeouts(options.timeouts),
        "--start-daemon" => Command::StartDaemon(options.daemon),
        "--stop-daemon" => Command::StopDaemon(options.daemon.role),
        other => panic!("{other} is no command of ipvsadm, in {line:?}"),
    }
}

struct Options {
    operation: String,
    key: Option<ServiceKey>,
    ipv6: bool,
    scheduler: String,
    timeout_seconds: Option<u32>,
    netmask: Option<String>,
    engine: Option<String>,
    flags: ServiceFlags,
    server: Option<(IpAddr, u16)>,
    forwarding: Forwarding,
    tunnel: Tunnel,
    weight: u32,
    upper_threshold: u32,
    lower_threshold: u32,
    timeouts: Timeouts,
    daemon: SyncDaemon,
}

impl Options {
    fn parse(line: &str) -> Self {
        let mut words = line.split_whitespace().peekable();
        let operation = words.next().expect("a command").to_owned();
        let mut options = Self {
            operation,
            key: None,
            ipv6: false,
            scheduler: "wlc".to_owned(),
            timeout_seconds: None,
            netmask: None,
            engine: None,
            flags: ServiceFlags::empty(),
            server: None,
            forwarding: Forwarding::DirectRouting,
            tunnel: Tunnel::IPIP,
            weight: 1,
            upper_threshold: 0,
            lower_threshold: 0,
            timeouts: Timeouts::default(),
            daemon: SyncDaemon::new(SyncRole::Master, name("lo"), 0),
        };
        match options.operation.as_str() {
            "--set" => {
                options.timeouts = Timeouts {
                    tcp_seconds: value(&mut words),
                    tcp_fin_seconds: value(&mut words),
                    udp_seconds: value(&mut words),
                };
            }
            "--start-daemon" | "--stop-daemon" => {
                options.daemon.role = match words.next() {
                    Some("master") => SyncRole::Master,
                    Some("backup") => SyncRole::Backup,
                    other => panic!("{other:?} is no role"),
                };
            }
            _ => {}
        }
        while let Some(option) = words.next() {
            options.take(option, &mut words);
        }
        options
    }

    fn take(&mut self, option: &str, words: &mut Peekable<SplitWhitespace<'_>>) {
        match option {
            "-t" | "--tcp-service" => self.key = Some(address_key(Protocol::Tcp, words)),
            "-u" | "--udp-service" => self.key = Some(address_key(Protocol::Udp, words)),
            "--sctp-service" => self.key = Some(address_key(Protocol::Sctp, words)),
            "-f" | "--fwmark-service" => self.key = Some(mark(value(words), Family::Ipv4)),
            "-6" | "--ipv6" => self.ipv6 = true,
            "-s" | "--scheduler" => self.scheduler = value(words),
            "-p" | "--persistent" => {
                let given = words.next_if(|word| !word.starts_with('-'));
                self.timeout_seconds = Some(given.map_or(360, number));
            }
            "-M" | "--netmask" => self.netmask = Some(value(words)),
            "--pe" => self.engine = Some(value(words)),
            "-o" | "--ops" => self.flags |= ServiceFlags::ONE_PACKET,
            "-b" | "--sched-flags" => {
                for flag in value::<String>(words).split(',') {
                    self.flags |= scheduler_flag(flag);
                }
            }
            "-r" | "--real-server" => self.server = Some(endpoint(&value::<String>(words))),
            "-g" | "--gatewaying" => self.forwarding = Forwarding::DirectRouting,
            "-m" | "--masquerading" => self.forwarding = Forwarding::Nat,
            "-i" | "--ipip" => self.forwarding = Forwarding::Tunnel(Tunnel::IPIP),
            "-w" | "--weight" => self.weight = value(words),
            "-x" | "--u-threshold" => self.upper_threshold = value(words),
            "-y" | "--l-threshold" => self.lower_threshold = value(words),
            "--tun-type" => {
                self.tunnel.kind = match value::<String>(words).as_str() {
                    "ipip" => TunnelKind::IpIp,
                    "gue" => TunnelKind::Gue,
                    "gre" => TunnelKind::Gre,
                    other => panic!("{other} is no type of tunnel"),
                };
            }
            "--tun-port" => self.tunnel.port = value(words),
            "--tun-nocsum" => self.tunnel.flags = TunnelFlags::empty(),
            "--tun-csum" => self.tunnel.flags = TunnelFlags::CHECKSUM,
            "--tun-remcsum" => self.tunnel.flags = TunnelFlags::REMOTE_CHECKSUM,
            "--mcast-interface" => self.daemon.interface = name(&value::<String>(words)),
            "--syncid" => self.daemon.sync_id = value(words),
            "--sync-maxlen" => self.daemon.max_length_bytes = Some(value(words)),
            "--mcast-group" => self.daemon.group = Some(value(words)),
            "--mcast-port" => self.daemon.port = Some(value(words)),
            "--mcast-ttl" => self.daemon.ttl = Some(value(words)),
            other => panic!("{other} is no option of ipvsadm"),
        }
    }

    fn key(&self) -> ServiceKey {
        match self.key.expect("a virtual service") {
            ServiceKey::Mark { mark, .. } if self.ipv6 => ServiceKey::Mark {
                mark,
                family: Family::Ipv6,
            },
            key => key,
        }
    }

    fn service(&self) -> Service {
        let key = self.key();
        let netmask = match (&self.netmask, key.family()) {
            (None, family) => Netmask::host(family),
            (Some(mask), Family::Ipv4) => Netmask::V4(mask.parse().expect("a mask")),
            (Some(bits), Family::Ipv6) => Netmask::V6(number(bits)),
        };
        Service {
            flags: self.flags,
            persistence: self.timeout_seconds.map(|timeout_seconds| Persistence {
                timeout_seconds,
                netmask,
            }),
            persistence_engine: self.engine.as_deref().map(name),
            ..Service::new(key, name(&self.scheduler))
        }
    }

    /// Only masquerading translates ports: with the others the service's is taken whatever stands there.
    fn destination_key(&self) -> DestinationKey {
        let (address, port) = self.server.expect("a real server");
        DestinationKey { address, port }
    }

    fn destination(&self) -> Destination {
        let mut key = self.destination_key();
        let service_port = match self.key() {
            ServiceKey::Address { port, .. } => Some(port),
            ServiceKey::Mark { .. } => None,
        };
        if let Some(port) = service_port
            && (key.port == 0 || self.forwarding != Forwarding::Nat)
        {
            key.port = port;
        }
        Destination {
            upper_threshold: self.upper_threshold,
            lower_threshold: self.lower_threshold,
            ..Destination::new(
                key,
                match self.forwarding {
                    Forwarding::Tunnel(_) => Forwarding::Tunnel(self.tunnel),
                    other => other,
                },
                self.weight,
            )
        }
    }
}

fn value<T: std::str::FromStr<Err: std::fmt::Debug>>(
    words: &mut Peekable<SplitWhitespace<'_>>,
) -> T {
    number(words.next().expect("a value"))
}

fn number<T: std::str::FromStr<Err: std::fmt::Debug>>(word: &str) -> T {
    word.parse().expect("a value of its kind")
}

fn address_key(protocol: Protocol, words: &mut Peekable<SplitWhitespace<'_>>) -> ServiceKey {
    let (address, port) = endpoint(&value::<String>(words));
    ServiceKey::Address {
        protocol,
        address,
        port,
    }
}

/// `address`, `address:port`, `[address]` or `[address]:port`.
fn endpoint(text: &str) -> (IpAddr, u16) {
    if let Ok(endpoint) = text.parse::<SocketAddr>() {
        return (endpoint.ip(), endpoint.port());
    }
    let bare = text.strip_prefix('[').and_then(|t| t.strip_suffix(']'));
    let address = match bare {
        Some(address) => address.parse::<Ipv6Addr>().map(IpAddr::from),
        None => text.parse(),
    };
    (address.expect("an address"), 0)
}

fn scheduler_flag(name: &str) -> ServiceFlags {
    match name {
        "flag-1" | "sh-fallback" | "mh-fallback" => ServiceFlags::SCHEDULER_1,
        "flag-2" | "sh-port" | "mh-port" => ServiceFlags::SCHEDULER_2,
        "flag-3" => ServiceFlags::SCHEDULER_3,
        other => panic!("{other} is no flag"),
    }
}
