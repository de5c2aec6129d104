//! The agent and Debian's keepalived as each other's peers. Each pair is two network namespaces with a VRID of its own;
//! the pairs of a step live at the same time. This part runs inside the light kernel.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::{self, Write as _};
use std::fs::{self, File};
use std::net::Ipv6Addr;
use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};
use lvs_e2e::cluster::repository;
use lvs_e2e::eventually::{eventually, throughout};
use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use serde_json::json;

/// Pairs that a step may have.
const PAIRS: usize = 6;

/// Longest time for what has no bound of its own.
const PATIENCE: Duration = Duration::from_secs(30);

/// Three intervals of a second and the longest skew time, and what six pairs that share a CPU may add.
const LONGEST_TAKEOVER: Duration = Duration::from_millis(4000 + 1000);

/// Advertisements a second apart: the shortest interval that version 2 has.
const SECOND_MS: u32 = 1000;

/// What a pair is put through.
type Course = fn(&mut Pair) -> Result<()>;

/// The pairs of a step.
type Cases = fn() -> Vec<(Case, Course)>;

/// Each in a kernel of its own.
pub(crate) const STEPS: [(&str, Cases); 3] = [
    ("agent_preferred", agent_preferred),
    ("keepalived_preferred", keepalived_preferred),
    ("of_different_opinions", different_opinions),
];

/// `NAME=ADDRESS/PREFIX` of every host.
pub(crate) fn hosts() -> Vec<String> {
    (0..PAIRS)
        .flat_map(|index| {
            [Who::Agent, Who::Keepalived]
                .map(|who| format!("{}={}/16", who.host(index), who.address(index)))
        })
        .collect()
}

/// Puts every pair of a step through its course, all at once.
pub(crate) fn run(step: &str) -> Result<()> {
    let (_, cases) = STEPS
        .iter()
        .find(|(name, _)| *name == step)
        .context("no such step")?;
    let results: Vec<Result<()>> = std::thread::scope(|scope| {
        let threads: Vec<_> = cases()
            .into_iter()
            .enumerate()
            .map(|(index, (case, course))| {
                scope.spawn(move || {
                    let name = case.name;
                    let mut pair = Pair::new(index, case)?;
                    course(&mut pair).with_context(|| format!("{name}\n{}", pair.logs()))
                })
            })
            .collect();
        threads
            .into_iter()
            .map(|thread| {
                thread
                    .join()
                    .unwrap_or_else(|_| bail!("the thread of a pair panicked"))
            })
            .collect()
    });
    let failures: Vec<String> = results
        .into_iter()
        .filter_map(Result::err)
        .map(|reason| format!("{reason:#}"))
        .collect();
    ensure!(failures.is_empty(), "{}", failures.join("\n"));
    Ok(())
}

fn agent_preferred() -> Vec<(Case, Course)> {
    let priority = Case {
        agent: 150,
        keepalived: 100,
        ..Case::default()
    };
    let virtual_mac = Case {
        name: "version 3 for IPv4, both with the virtual MAC address",
        sending: Sending::FromVirtualMac,
        ..priority.clone()
    };
    variants(&priority)
        .into_iter()
        .chain([virtual_mac])
        .map(|case| {
            (
                case,
                (|pair| pair.dies_stops_and_returns(Who::Agent)) as Course,
            )
        })
        .collect()
}

fn keepalived_preferred() -> Vec<(Case, Course)> {
    let priority = Case {
        agent: 100,
        keepalived: 150,
        ..Case::default()
    };
    // This keepalived discards what has the checksum of RFC 9568. It is heard by the agent all the same, whichever
    // the agent sends, and prevails by its priority.
    let rfc9568 = Case {
        name: "version 3 for IPv4, the agent with the checksum of RFC 9568",
        checksum: "RFC9568",
        ..priority.clone()
    };
    variants(&priority)
        .into_iter()
        .chain([rfc9568])
        .map(|case| {
            (
                case,
                (|pair| pair.dies_stops_and_returns(Who::Keepalived)) as Course,
            )
        })
        .collect()
}

/// Every form of the protocol that both know.
fn variants(priority: &Case) -> Vec<Case> {
    vec![
        Case {
            name: "version 2",
            version: 2,
            checksum: "RFC9568",
            ..priority.clone()
        },
        Case {
            name: "version 2 with a password",
            version: 2,
            checksum: "RFC9568",
            password: Some("1111"),
            ..priority.clone()
        },
        Case {
            name: "version 3 for IPv4",
            ..priority.clone()
        },
        Case {
            name: "version 3 for IPv6",
            ipv6: true,
            ..priority.clone()
        },
        Case {
            name: "version 3 for IPv4 by unicast",
            sending: Sending::ToEachOther,
            ..priority.clone()
        },
    ]
}

fn different_opinions() -> Vec<(Case, Course)> {
    let equal = Case {
        agent: 100,
        keepalived: 100,
        ..Case::default()
    };
    vec![
        (
            Case {
                name: "equal priorities, the agent's address is the lower one",
                ..equal.clone()
            },
            |pair| pair.splits_and_heals(Who::Keepalived),
        ),
        (
            Case {
                name: "equal priorities, the agent's address is the higher one",
                agent_is_higher: true,
                ..equal.clone()
            },
            |pair| pair.splits_and_heals(Who::Agent),
        ),
        (
            Case {
                name: "the agent is preferred, and cut off",
                agent: 150,
                ..equal.clone()
            },
            |pair| pair.splits_and_heals(Who::Agent),
        ),
        (
            Case {
                name: "the agent advertises half as often as keepalived would",
                agent: 150,
                agent_interval_ms: 2 * SECOND_MS,
                ..equal.clone()
            },
            |pair| pair.follows_the_active_routers_interval(Who::Agent),
        ),
        (
            Case {
                name: "keepalived advertises half as often as the agent would",
                keepalived: 150,
                keepalived_interval_ms: 2 * SECOND_MS,
                ..equal.clone()
            },
            |pair| pair.follows_the_active_routers_interval(Who::Keepalived),
        ),
        // This keepalived discards what lists another number of VIPs. The agent hears it all the same.
        (
            Case {
                name: "keepalived is preferred, the agent has a VIP more",
                keepalived: 150,
                agent_vips: 2,
                ..equal
            },
            |pair| pair.dies_stops_and_returns(Who::Keepalived),
        ),
    ]
}

/// One of the two programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Who {
    Agent,
    Keepalived,
}

impl Who {
    fn other(self) -> Self {
        match self {
            Self::Agent => Self::Keepalived,
            Self::Keepalived => Self::Agent,
        }
    }

    /// Name of its host.
    fn host(self, index: usize) -> String {
        match self {
            Self::Agent => format!("a{index}"),
            Self::Keepalived => format!("k{index}"),
        }
    }

    /// Address of its host.
    fn address(self, index: usize) -> String {
        match self {
            Self::Agent => format!("10.1.1.{}", index + 1),
            Self::Keepalived => format!("10.1.2.{}", index + 1),
        }
    }
}

impl fmt::Display for Who {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Agent => "the agent",
            Self::Keepalived => "keepalived",
        })
    }
}

/// How advertisements leave.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sending {
    ToGroup,
    ToEachOther,
    /// To the group, from the virtual MAC address, which the VIPs have, too.
    FromVirtualMac,
}

/// How the two are configured.
#[derive(Clone, Debug)]
pub(crate) struct Case {
    name: &'static str,
    version: u8,
    ipv6: bool,
    /// The agent's priority.
    agent: u8,
    /// keepalived's.
    keepalived: u8,
    agent_interval_ms: u32,
    keepalived_interval_ms: u32,
    /// The agent's.
    checksum: &'static str,
    password: Option<&'static str>,
    /// How both send.
    sending: Sending,
    agent_is_higher: bool,
    /// How many VIPs the agent has; keepalived has one.
    agent_vips: usize,
}

impl Default for Case {
    fn default() -> Self {
        Self {
            name: "",
            version: 3,
            ipv6: false,
            agent: 100,
            keepalived: 100,
            agent_interval_ms: SECOND_MS,
            keepalived_interval_ms: SECOND_MS,
            checksum: "PseudoHeader",
            password: None,
            sending: Sending::ToGroup,
            agent_is_higher: false,
            agent_vips: 1,
        }
    }
}

/// Two hosts, and what runs there. Dropping it kills that.
pub(crate) struct Pair {
    index: usize,
    case: Case,
    directory: PathBuf,
    running: BTreeMap<Who, Child>,
    /// A process on each host, by which its network can be looked at without starting one.
    residents: BTreeMap<Who, Child>,
}

impl Pair {
    fn new(index: usize, case: Case) -> Result<Self> {
        let directory = PathBuf::from(format!("/run/interop/{index}"));
        fs::create_dir_all(&directory)?;
        let resident = |who: Who| -> Result<Child> {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", &who.host(index), "sleep", "infinity"]);
            Ok(command.stdin(Stdio::null()).spawn()?)
        };
        let pair = Self {
            residents: [
                (Who::Agent, resident(Who::Agent)?),
                (Who::Keepalived, resident(Who::Keepalived)?),
            ]
            .into(),
            index,
            case,
            directory,
            running: BTreeMap::new(),
        };
        if pair.case.agent_is_higher {
            let host = Who::Agent.host(index);
            ip(&["-netns", &host, "address", "flush", "dev", "eth0"])?;
            let address = format!("10.1.3.{}/16", index + 1);
            ip(&["-netns", &host, "address", "add", &address, "dev", "eth0"])?;
        }
        eventually("each has a network of its own", PATIENCE, || {
            let networks = pair
                .residents
                .values()
                .map(|resident| fs::read_link(format!("/proc/{}/ns/net", resident.id())))
                .chain([fs::read_link("/proc/self/ns/net")])
                .collect::<std::io::Result<BTreeSet<_>>>()?;
            ensure!(networks.len() == 3, "{networks:?}");
            Ok(())
        })?;
        Ok(pair)
    }

    /// Elected by its priority, the preferred one dies, returns, is stopped and returns again.
    fn dies_stops_and_returns(&mut self, preferred: Who) -> Result<()> {
        let other = preferred.other();
        self.start(preferred)?;
        self.start(other)?;
        self.becomes_only_owner(preferred)?;
        if other == Who::Agent {
            self.agent_follows()?;
        }

        self.kill(preferred)?;
        let took = self.takes_over(other, "after a death")?;
        ensure!(took < LONGEST_TAKEOVER, "{other} took {took:?}");
        if preferred == Who::Agent {
            // Nobody prolongs the dead agent's VIP: it ends by itself.
            eventually("the dead agent's VIP has run out", PATIENCE, || {
                ensure!(!self.owns(Who::Agent)?, "it has it still");
                Ok(())
            })?;
        }
        self.start(preferred)?;
        self.becomes_only_owner(preferred)?;

        let stopped = Instant::now();
        self.terminate(preferred)?;
        self.takes_over(other, "after a planned stop")?;
        let took = stopped.elapsed();
        // Two intervals and the skew time are the least that a Backup Router waits for a dead one.
        ensure!(took < Duration::from_secs(2), "{other} took {took:?}");
        self.start(preferred)?;
        self.becomes_only_owner(preferred)
    }

    /// Cut from each other, both are Active; joined again, one of them gives way.
    fn splits_and_heals(&mut self, prevails: Who) -> Result<()> {
        // The other one has the VIP first, unless priorities decide.
        self.start(prevails.other())?;
        self.has_vips(prevails.other())?;
        self.start(prevails)?;
        let port = Who::Agent.host(self.index);
        ip(&["link", "set", &port, "nomaster"])?;
        self.has_vips(Who::Agent)?;
        self.has_vips(Who::Keepalived)?;
        ip(&["link", "set", &port, "master", "lan"])?;
        self.becomes_only_owner(prevails)?;
        self.stays_only_owner(prevails)
    }

    /// The Backup Router waits for as long as the Active Router's interval demands, not its own.
    fn follows_the_active_routers_interval(&mut self, active: Who) -> Result<()> {
        self.start(active)?;
        self.has_vips(active)?;
        self.start(active.other())?;
        self.becomes_only_owner(active)?;
        self.stays_only_owner(active)?;
        self.kill(active)?;
        self.takes_over(active.other(), "after a death")?;
        self.start(active)?;
        self.becomes_only_owner(active)
    }

    fn becomes_only_owner(&self, who: Who) -> Result<()> {
        eventually(&format!("{who} alone has the VIPs"), PATIENCE, || {
            ensure!(self.owns(who)?, "it has them not");
            ensure!(!self.owns(who.other())?, "{} has them too", who.other());
            Ok(())
        })?;
        self.switch_follows(who)
    }

    /// The switch has learned from the owner's advertisements where the virtual MAC address is.
    fn switch_follows(&self, who: Who) -> Result<()> {
        if self.case.sending != Sending::FromVirtualMac {
            return Ok(());
        }
        let mac = format!("00:00:5e:00:01:{:02x}", self.virtual_router_id());
        let port = who.host(self.index);
        let what = format!("the switch knows {mac} at {port}");
        eventually(&what, PATIENCE, || {
            let output = Command::new("bridge")
                .args(["fdb", "show", "brport", &port])
                .output()?;
            let text = String::from_utf8(output.stdout)?;
            ensure!(text.contains(&mac), "{text}");
            Ok(())
        })
        .map(drop)
    }

    fn stays_only_owner(&self, who: Who) -> Result<()> {
        let period = Duration::from_secs(5);
        throughout(&format!("{who} alone has the VIPs"), period, || {
            ensure!(self.owns(who)?, "it has them not");
            ensure!(!self.owns(who.other())?, "{} has them too", who.other());
            Ok(())
        })
    }

    /// The agent has heard keepalived: from now on it waits for the next advertisement.
    fn agent_follows(&self) -> Result<()> {
        let host = Who::Agent.host(self.index);
        let metrics = "http://127.0.0.1:9809/metrics";
        let command = ["netns", "exec", &host, "curl", "-sf", metrics];
        eventually("the agent follows keepalived", PATIENCE, || {
            let output = Command::new("ip").args(command).output()?;
            let text = String::from_utf8(output.stdout)?;
            let heard = text
                .lines()
                .find_map(|line| line.strip_prefix("lvs_agent_vrrp_advertisements_received_total "))
                .context("it does not say what it has heard")?;
            ensure!(heard != "0", "it has heard nothing");
            Ok(())
        })
        .map(drop)
    }

    fn has_vips(&self, who: Who) -> Result<Duration> {
        let ((), took) = eventually(&format!("{who} has the VIPs"), PATIENCE, || {
            ensure!(self.owns(who)?, "it has them not");
            Ok(())
        })?;
        Ok(took)
    }

    fn takes_over(&self, who: Who, when: &str) -> Result<Duration> {
        let took = self.has_vips(who)?;
        println!(
            "{}: {who} has the VIPs {} ms {when}",
            self.case.name,
            took.as_millis()
        );
        self.switch_follows(who)?;
        Ok(took)
    }

    fn vips(&self, who: Who) -> Vec<String> {
        let count = match who {
            Who::Agent => self.case.agent_vips,
            Who::Keepalived => 1,
        };
        (0..count)
            .map(|n| {
                if self.case.ipv6 {
                    format!("2001:db8::{}:{}", self.index + 1, n + 1)
                } else {
                    format!("10.1.{}.{}", 200 + n, self.index + 1)
                }
            })
            .collect()
    }

    /// The first IPv6 address of an advertisement must be a link-local one (RFC 9568 section 5.2.9), and keepalived
    /// discards what lists another number of addresses than its own.
    fn link_local(&self) -> String {
        format!("fe80::5e:{}", self.index + 1)
    }

    /// Whether a host has all of its VIPs, or none.
    fn owns(&self, who: Who) -> Result<bool> {
        let resident = self
            .residents
            .get(&who)
            .context("a process on each host")?
            .id();
        let vips = self.vips(who);
        let (file, lines): (&str, Vec<String>) = if self.case.ipv6 {
            let digits = |vip: &String| -> Result<String> {
                let address: Ipv6Addr = vip.parse()?;
                Ok(format!("{:032x}", address.to_bits()))
            };
            ("if_inet6", vips.iter().map(digits).collect::<Result<_>>()?)
        } else {
            let line = |vip: &String| format!("-- {vip}\n");
            ("fib_trie", vips.iter().map(line).collect())
        };
        let text = fs::read_to_string(format!("/proc/{resident}/net/{file}"))?;
        let present = lines.iter().filter(|line| text.contains(*line)).count();
        ensure!(
            present == 0 || present == lines.len(),
            "{who} has {present} of its {} VIPs",
            lines.len()
        );
        Ok(present > 0)
    }

    fn start(&mut self, who: Who) -> Result<()> {
        if let Some(mut before) = self.running.remove(&who) {
            before.wait()?;
        }
        let command = match who {
            Who::Agent => self.agent()?,
            Who::Keepalived => self.keepalived()?,
        };
        let log = File::options()
            .create(true)
            .append(true)
            .open(self.directory.join(who.host(self.index)))?;
        let child = Command::new("ip")
            .args(["netns", "exec", &who.host(self.index)])
            .args(&command)
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            // All its processes can be killed at once.
            .process_group(0)
            .spawn()?;
        self.running.insert(who, child);
        Ok(())
    }

    /// SIGKILL to all its processes at once.
    fn kill(&mut self, who: Who) -> Result<()> {
        let mut child = self.running.remove(&who).context("it does not run")?;
        killpg(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGKILL)?;
        child.wait()?;
        Ok(())
    }

    /// SIGTERM to its first process. The next start awaits its end.
    fn terminate(&self, who: Who) -> Result<()> {
        let child = self.running.get(&who).context("it does not run")?;
        nix::sys::signal::kill(Pid::from_raw(i32::try_from(child.id())?), Signal::SIGTERM)?;
        Ok(())
    }

    /// VRID of the pair.
    fn virtual_router_id(&self) -> usize {
        self.index + 51
    }

    fn agent(&self) -> Result<Vec<String>> {
        let Case {
            version,
            agent_interval_ms,
            checksum,
            ..
        } = self.case;
        let host = Who::Agent.host(self.index);
        let mut addresses: Vec<_> = self
            .vips(Who::Agent)
            .into_iter()
            .map(|vip| json!({"address": vip}))
            .collect();
        if self.case.ipv6 {
            addresses.push(json!({"address": self.link_local(), "prefixLength": 64}));
        }
        let (transport, peers) = if self.case.sending == Sending::ToEachOther {
            ("Unicast", vec![Who::Keepalived.address(self.index)])
        } else {
            ("Multicast", Vec::new())
        };
        let secrets = self.directory.join("secrets");
        let authentication = match self.case.password {
            Some(password) => {
                fs::create_dir_all(secrets.join("vrrp"))?;
                fs::write(secrets.join("vrrp/password"), password)?;
                json!({"type": "Simple", "secretRef": {"name": "vrrp", "key": "password"}})
            }
            None => json!({"type": "None"}),
        };
        let virtual_mac = if self.case.sending == Sending::FromVirtualMac {
            "Macvlan"
        } else {
            "Disabled"
        };
        let plan = json!({
            "apiVersion": "lvs-operator.dev/v1alpha1",
            "kind": "NodePlan",
            "metadata": {"name": host},
            "spec": {"formatVersion": 1, "director": {
                "pair": "interop",
                "interface": {"name": "eth0"},
                "instances": [{
                    "name": "default", "virtualRouterID": self.virtual_router_id(),
                    "priority": self.case.agent, "interface": {"name": "eth0"}, "addresses": addresses,
                    "peers": peers,
                }],
                "vrrp": {
                    "version": version,
                    "advertisementIntervalMilliseconds": agent_interval_ms,
                    "checksum": checksum,
                    "preemption": {"mode": "Immediate"},
                    "authentication": authentication,
                    "transport": {"mode": transport},
                    "virtualMAC": virtual_mac,
                },
                "connectionSync": {"mode": "Disabled"},
            }},
        });
        let file = self.directory.join("plan.yaml");
        fs::write(&file, plan.to_string())?;
        let state = self.directory.join("state");
        fs::create_dir_all(&state)?;
        let agent = repository().join("target/debug/lvs-node-agent");
        Ok([
            &*agent.to_string_lossy(),
            "--node-name",
            &host,
            "--plan",
            &file.to_string_lossy(),
            "--state-dir",
            &state.to_string_lossy(),
            "--secrets-dir",
            &secrets.to_string_lossy(),
        ]
        .map(str::to_owned)
        .to_vec())
    }

    fn keepalived(&self) -> Result<Vec<String>> {
        let Case {
            version,
            keepalived,
            keepalived_interval_ms,
            ..
        } = self.case;
        let authentication = self.case.password.map_or_else(String::new, |password| {
            format!("authentication {{\n auth_type PASS\n auth_pass {password}\n }}")
        });
        let unicast = if self.case.sending == Sending::ToEachOther {
            let [own, peer] = [Who::Keepalived, Who::Agent].map(|who| who.address(self.index));
            format!("unicast_src_ip {own}\n unicast_peer {{\n {peer}\n }}")
        } else {
            String::new()
        };
        let length = if self.case.ipv6 { 128 } else { 32 };
        let mut vips = String::new();
        if self.case.ipv6 {
            writeln!(vips, "{}/64 dev eth0", self.link_local())?;
        }
        for vip in self.vips(Who::Keepalived) {
            // With a virtual MAC address they are on the device that has it, unless told otherwise.
            let device = if self.case.sending == Sending::FromVirtualMac {
                ""
            } else {
                "dev eth0"
            };
            writeln!(vips, "{vip}/{length} {device}")?;
        }
        let use_vmac = if self.case.sending == Sending::FromVirtualMac {
            "use_vmac"
        } else {
            ""
        };
        let configuration = format!(
            "global_defs {{\n router_id interop\n}}\n\
             vrrp_instance default {{\n state BACKUP\n interface eth0\n version {version}\n \
             virtual_router_id {}\n priority {keepalived}\n advert_int {}\n {authentication}\n {unicast}\n {use_vmac}\n \
             virtual_ipaddress {{\n{vips}}}\n}}\n",
            self.virtual_router_id(),
            f64::from(keepalived_interval_ms) / 1000.0,
        );
        lvs_e2e::keepalived::vrrp(&self.directory, &configuration)
    }

    /// What both have said.
    fn logs(&self) -> String {
        [Who::Agent, Who::Keepalived]
            .map(|who| {
                let path = self.directory.join(who.host(self.index));
                let text = fs::read_to_string(path).unwrap_or_default();
                format!("log of {who}:\n{text}")
            })
            .concat()
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        // The kernel ends with this program: whoever survives ends with it.
        for who in [Who::Agent, Who::Keepalived] {
            let _ = self.kill(who);
        }
        for resident in self.residents.values_mut() {
            let _ = resident.kill();
        }
    }
}

fn ip(arguments: &[&str]) -> Result<()> {
    let status = Command::new("ip").args(arguments).status()?;
    ensure!(status.success(), "ip {}: {status}", arguments.join(" "));
    Ok(())
}
