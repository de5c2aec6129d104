//! The agent with a plan file, under no cluster at all: two directors, two real servers and a client, each a network
//! namespace. This part runs inside the light kernel.

use std::fs;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::cluster::repository;
use lvs_e2e::eventually::eventually;
use lvs_e2e::ipvs::{self, weight};
use lvs_e2e::promises::{CARRIED_OUT, TAKEN_OVER};

use crate::{conflict, tunnels, virtual_mac};

/// `NAME=ADDRESS/PREFIX` of every host.
pub(crate) const HOSTS: [&str; 5] = [
    "lb-1=192.168.1.129/24",
    "lb-2=192.168.1.128/24",
    "web-1=192.168.1.130/24",
    "web-2=192.168.1.131/24",
    "client=192.168.1.20/24",
];

pub(crate) const VIP: &str = "192.168.1.222";
/// The client is the way there; who owns the VIP knows that.
const ROUTED: &str = "10.9.0.0/16";
const SERVICE: &str = "TCP 192.168.1.222:80";

/// What a step does with the running load balancer.
type Step = fn(&mut Rack) -> Result<()>;

/// Each in a kernel of its own.
pub(crate) const STEPS: [(&str, Step); 7] = [
    ("serves_and_follows_its_plan", follows_its_plan),
    ("repairs_what_others_change", repairs),
    ("fails_over_when_an_agent_is_killed", fails_over),
    ("releases_all_of_it_and_nothing_else", releases),
    ("reaches_real_servers_through_tunnels", tunnels::reach),
    ("has_one_mac_address_on_either_director", virtual_mac::stay),
    (
        "tells_of_another_host_that_has_its_vip",
        conflict::is_told_of,
    ),
];

/// Brings the load balancer up and runs one step.
pub(crate) fn run(step: &str) -> Result<()> {
    let (_, run) = STEPS
        .iter()
        .find(|(name, _)| *name == step)
        .context("no such step")?;
    let mut rack = Rack::up()?;
    run(&mut rack)
}

/// The processes on the hosts. Dropping it kills them.
pub(crate) struct Rack {
    directory: PathBuf,
    agents: Vec<(&'static str, Child)>,
    servers: Vec<Child>,
}

impl Rack {
    fn up() -> Result<Self> {
        let directory = PathBuf::from("/run/rack");
        fs::create_dir_all(&directory)?;
        let mut rack = Self {
            directory,
            agents: Vec::new(),
            servers: Vec::new(),
        };
        for server in ["web-1", "web-2"] {
            let lab = repository().join("target/debug/lab");
            let lab = lab.to_string_lossy();
            let serve = [
                &*lab,
                "serve",
                "--name",
                server,
                "--protocol",
                "http",
                "--listen",
                "0.0.0.0:80",
            ];
            rack.servers
                .push(on(server, &serve).stdout(Stdio::null()).spawn()?);
        }
        for host in ["lb-1", "lb-2", "web-1", "web-2"] {
            rack.write_plan(host, &plan(host, 1))?;
            rack.start_agent(host)?;
        }
        eventually(
            "both real servers answer through lb-1",
            Duration::from_secs(20),
            || {
                ensure!(
                    has_vip("lb-1")? && !has_vip("lb-2")?,
                    "the VIP is not on lb-1 alone"
                );
                let answers = [ask()?, ask()?];
                ensure!(
                    answers.iter().any(|a| a == "web-1") && answers.iter().any(|a| a == "web-2"),
                    "{answers:?}"
                );
                Ok(())
            },
        )?;
        Ok(rack)
    }

    pub(crate) fn write_plan(&self, host: &str, plan: &str) -> Result<()> {
        // As an editor does it: a new file takes the old one's name.
        let path = self.directory.join(format!("{host}.yaml"));
        let new = self.directory.join(format!("{host}.yaml.new"));
        fs::write(&new, plan)?;
        fs::rename(new, path)?;
        Ok(())
    }

    pub(crate) fn start_agent(&mut self, host: &'static str) -> Result<()> {
        let agent = repository().join("target/debug/lvs-node-agent");
        let plan = self.directory.join(format!("{host}.yaml"));
        let state = self.directory.join(host);
        fs::create_dir_all(&state)?;
        let child = on(
            host,
            &[
                &agent.to_string_lossy(),
                "--node-name",
                host,
                "--plan",
                &plan.to_string_lossy(),
                "--state-dir",
                &state.to_string_lossy(),
            ],
        )
        .stdout(Stdio::null())
        .spawn()?;
        self.agents.push((host, child));
        Ok(())
    }

    /// SIGKILL to an agent alone, which its parent starts again; returns when it has.
    pub(crate) fn kill_child(&self, host: &str) -> Result<()> {
        let (_, parent) = self
            .agents
            .iter()
            .find(|(name, _)| *name == host)
            .context("it does not run")?;
        let parent = parent.id().to_string();
        let child = child_of(&parent)?;
        let killed = Command::new("kill").args(["-KILL", &child]).status()?;
        ensure!(killed.success(), "kill {child}");
        eventually("the agent runs again", Duration::from_secs(10), || {
            let next = child_of(&parent)?;
            ensure!(!next.is_empty() && next != child, "child {next:?}");
            Ok(())
        })
        .map(drop)
    }

    /// SIGKILL to an agent and the parent that would start it again: what a power loss does, but for the kernel.
    pub(crate) fn kill_agent(&mut self, host: &str) -> Result<()> {
        let index = self
            .agents
            .iter()
            .position(|(name, _)| *name == host)
            .context("it does not run")?;
        let (_, mut parent) = self.agents.remove(index);
        let parent_pid = parent.id().to_string();
        let child = child_of(&parent_pid)?;
        // A stopped parent neither starts another child nor is mourned by this one.
        for signal in [
            ["-STOP", &parent_pid],
            ["-KILL", &child],
            ["-KILL", &parent_pid],
        ] {
            ensure!(
                Command::new("kill").args(signal).status()?.success(),
                "kill {signal:?}"
            );
        }
        parent.wait()?;
        Ok(())
    }
}

/// Process id of the child of a process; empty if it has none.
fn child_of(parent: &str) -> Result<String> {
    let found = Command::new("pgrep").args(["-P", parent]).output()?.stdout;
    Ok(String::from_utf8(found)?.trim().to_owned())
}

impl Drop for Rack {
    fn drop(&mut self) {
        for child in self
            .agents
            .iter_mut()
            .map(|(_, child)| child)
            .chain(&mut self.servers)
        {
            // The kernel ends with this program: whoever survives ends with it.
            let _ = child.kill();
        }
    }
}

fn follows_its_plan(rack: &mut Rack) -> Result<()> {
    for director in ["lb-1", "lb-2"] {
        rack.write_plan(director, &plan(director, 3))?;
        eventually("the new weight is in the kernel", CARRIED_OUT, || {
            let table = table(director)?;
            ensure!(
                weight(&table, SERVICE, "192.168.1.130:80") == Some(3),
                "{table:?}"
            );
            Ok(())
        })?;
    }
    // A file that is not a plan changes nothing.
    rack.write_plan("lb-1", "kind: NodePlan\nspec: nonsense\n")?;
    rack.write_plan("lb-1", &plan("lb-1", 5))?;
    eventually(
        "the plan after the wrong one is carried out",
        CARRIED_OUT,
        || {
            let table = table("lb-1")?;
            ensure!(
                weight(&table, SERVICE, "192.168.1.130:80") == Some(5),
                "{table:?}"
            );
            Ok(())
        },
    )?;
    let counts = (0..12).map(|_| ask()).collect::<Result<Vec<_>>>()?;
    let first = counts.iter().filter(|name| *name == "web-1").count();
    ensure!(first == 10, "weights 5 to 1 gave web-1 {first} of 12");
    Ok(())
}

fn repairs(_: &mut Rack) -> Result<()> {
    run_on("lb-1", &["ipvsadm", "-C"])?;
    eventually("the cleared table is whole", CARRIED_OUT, || {
        let table = table("lb-1")?;
        ensure!(
            weight(&table, SERVICE, "192.168.1.131:80") == Some(1),
            "{table:?}"
        );
        Ok(())
    })?;
    run_on(
        "lb-1",
        &["ip", "address", "del", "192.168.1.222/32", "dev", "eth0"],
    )?;
    eventually("the VIP is back", CARRIED_OUT, || {
        ensure!(has_vip("lb-1")?, "it is not");
        Ok(())
    })?;
    run_on(
        "web-1",
        &["ip", "address", "del", "192.168.1.222/32", "dev", "lo"],
    )?;
    run_on(
        "web-1",
        &["sysctl", "-qw", "net.ipv4.conf.eth0.arp_ignore=0"],
    )?;
    eventually("the real server is as it was", CARRIED_OUT, || {
        ensure!(has_vip("web-1")?, "no VIP on lo");
        let value = run_on("web-1", &["sysctl", "-n", "net.ipv4.conf.eth0.arp_ignore"])?;
        ensure!(value.trim() == "1", "arp_ignore is {value}");
        Ok(())
    })?;
    Ok(())
}

fn fails_over(rack: &mut Rack) -> Result<()> {
    ensure!(
        has_route("lb-1")? && !has_route("lb-2")?,
        "the route is not on lb-1 alone"
    );
    let killed = Instant::now();
    rack.kill_agent("lb-1")?;
    eventually("lb-2 has the VIP", Duration::from_secs(10), || {
        ensure!(has_vip("lb-2")?, "it has not");
        Ok(())
    })?;
    let took = killed.elapsed();
    println!("takeover {} ms after the kill", took.as_millis());
    ensure!(took <= TAKEN_OVER, "it took {took:?}");
    // Nobody refreshes the dead agent's VIP: it ends by itself.
    eventually("lb-1 has lost the VIP", Duration::from_secs(10), || {
        ensure!(!has_vip("lb-1")?, "it has it still");
        Ok(())
    })?;
    ensure!(
        !has_route("lb-1")? && has_route("lb-2")?,
        "the route did not move along"
    );
    ask()?;
    // It returns and takes the VIP back; every request on the way is answered within a second.
    rack.start_agent("lb-1")?;
    let mut failed = Vec::new();
    eventually("lb-1 has the VIP back", Duration::from_secs(30), || {
        failed.extend(ask().err());
        ensure!(has_vip("lb-1")? && !has_vip("lb-2")?, "it has not");
        Ok(())
    })?;
    eventually("the route is back, too", CARRIED_OUT, || {
        ensure!(has_route("lb-1")? && !has_route("lb-2")?, "it is not");
        Ok(())
    })?;
    failed.extend((0..10).filter_map(|_| ask().err()));
    ensure!(
        failed.is_empty(),
        "requests failed at the failback: {failed:?}"
    );
    Ok(())
}

fn releases(rack: &mut Rack) -> Result<()> {
    run_on(
        "lb-1",
        &["ipvsadm", "-A", "-t", "192.168.1.240:443", "-s", "rr"],
    )?;
    run_on(
        "lb-1",
        &["ip", "address", "add", "192.168.1.241/32", "dev", "eth0"],
    )?;
    run_on(
        "web-1",
        &["ip", "address", "add", "192.168.1.242/32", "dev", "lo"],
    )?;
    for host in ["lb-1", "lb-2", "web-1", "web-2"] {
        rack.write_plan(host, &format!("{}spec: {{formatVersion: 1}}\n", head(host)))?;
    }
    eventually("nothing of ours is left", Duration::from_secs(10), || {
        for host in ["lb-1", "lb-2", "web-1", "web-2"] {
            ensure!(!has_vip(host)?, "{host} has the VIP");
        }
        for host in ["lb-1", "lb-2"] {
            ensure!(!has_route(host)?, "{host} has the route");
            ensure!(
                !table(host)?.contains_key(SERVICE),
                "{host} has the service"
            );
        }
        for host in ["web-1", "web-2"] {
            for setting in ["arp_ignore", "arp_announce"] {
                let value = run_on(
                    host,
                    &["sysctl", "-n", &format!("net.ipv4.conf.eth0.{setting}")],
                )?;
                ensure!(value.trim() == "0", "{host}: {setting} is {value}");
            }
        }
        Ok(())
    })?;
    ensure!(
        table("lb-1")?.contains_key("TCP 192.168.1.240:443"),
        "the foreign service is gone"
    );
    let addresses =
        run_on("lb-1", &["ip", "-o", "address"])? + &run_on("web-1", &["ip", "-o", "address"])?;
    for foreign in ["192.168.1.241/32", "192.168.1.242/32"] {
        ensure!(
            addresses.contains(foreign),
            "the foreign address {foreign} is gone"
        );
    }
    Ok(())
}

pub(crate) fn head(host: &str) -> String {
    format!("apiVersion: lvs-operator.dev/v1alpha1\nkind: NodePlan\nmetadata: {{name: {host}}}\n")
}

/// The plan of a host, with web-1 at this weight.
pub(crate) fn plan(host: &str, web_1_weight: u32) -> String {
    let priority = if host == "lb-1" { 150 } else { 100 };
    if host.starts_with("web") {
        let address = if host == "web-1" {
            "192.168.1.130"
        } else {
            "192.168.1.131"
        };
        let head = head(host);
        return format!(
            "{head}\
             spec:\n  \
               formatVersion: 1\n  \
               realServer:\n    \
                 nodeAddress: {address}\n    \
                 addresses: [{{address: {VIP}, interface: lo, suppressArp: true}}]\n"
        );
    }
    director_plan(host, priority, "{method: DR}", "wrr", web_1_weight)
}

/// The plan of a director, with web-1 at this weight. `forwarding` is YAML.
pub(crate) fn director_plan(
    host: &str,
    priority: u8,
    forwarding: &str,
    scheduler: &str,
    web_1_weight: u32,
) -> String {
    let head = head(host);
    format!(
        "{head}\
         spec:\n  \
           formatVersion: 1\n  \
           director:\n    \
             pair: edge\n    \
             interface: {{name: eth0}}\n    \
             instances:\n    \
             - name: default\n      \
               virtualRouterID: 51\n      \
               priority: {priority}\n      \
               interface: {{name: eth0}}\n      \
               routes: [{{destination: {ROUTED}, gateway: 192.168.1.20}}]\n    \
             vrrp: {{preemption: {{mode: Immediate}}}}\n    \
             connectionSync: {{mode: Enabled, syncID: 51}}\n\
         ---\n\
         apiVersion: lvs-operator.dev/v1alpha1\n\
         kind: PlanSlice\n\
         metadata: {{name: edge-0, labels: {{lvs-operator.dev/pair: edge}}}}\n\
         spec:\n  \
           services:\n  \
           - name: default/web\n    \
             uid: 00000000-0000-0000-0000-000000000001\n    \
             instance: default\n    \
             addresses: [{VIP}]\n    \
             ports: [{{name: http, port: 80}}]\n    \
             forwarding: {forwarding}\n    \
             scheduler: {{name: {scheduler}}}\n    \
             pools: [web]\n  \
           pools:\n  \
           - name: web\n    \
             members:\n    \
             - {{address: 192.168.1.130, port: 80, weight: {web_1_weight}}}\n    \
             - {{address: 192.168.1.131, port: 80, weight: 1}}\n"
    )
}

/// Name of the server that answers the client.
pub(crate) fn ask() -> Result<String> {
    let page = run_on(
        "client",
        &["curl", "-sf", "--max-time", "1", "http://192.168.1.222/"],
    )?;
    page.split_whitespace()
        .next()
        .map(str::to_owned)
        .context("an empty page")
}

pub(crate) fn has_vip(host: &str) -> Result<bool> {
    Ok(run_on(host, &["ip", "-o", "address"])?.contains("192.168.1.222/"))
}

fn has_route(host: &str) -> Result<bool> {
    let routes = run_on(host, &["ip", "route", "show", ROUTED])?;
    Ok(routes.contains("via 192.168.1.20 dev eth0 proto 118 src 192.168.1.222"))
}

fn table(host: &str) -> Result<ipvs::Table> {
    ipvs::parse(&run_on(host, &["ipvsadm", "-Ln"])?)
}

pub(crate) fn on(host: &str, command: &[&str]) -> Command {
    let mut process = Command::new("ip");
    process.args(["netns", "exec", host]).args(command);
    process
}

pub(crate) fn run_on(host: &str, command: &[&str]) -> Result<String> {
    let output = on(host, command).stdin(Stdio::null()).output()?;
    ensure!(
        output.status.success(),
        "{host}: {}: {} {}",
        command.join(" "),
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    Ok(String::from_utf8(output.stdout)?)
}
