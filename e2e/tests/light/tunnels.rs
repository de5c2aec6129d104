//! TUN under no cluster: the director wraps requests, the real servers' agents see to it that they come out.

use std::time::Duration;

use anyhow::{Context as _, Result, ensure};
use lvs_e2e::eventually::eventually;
use lvs_e2e::ipvs;

use crate::stand_alone::{self, Rack, VIP, ask, head, run_on};

const REAL_SERVERS: [(&str, &str); 2] = [("web-1", "192.168.1.130"), ("web-2", "192.168.1.131")];
const DIRECTORS: [(&str, u8); 2] = [("lb-1", 150), ("lb-2", 100)];
/// Longest time until a change of the plan, or a repair, is in the kernel.
const PROMPT: Duration = Duration::from_secs(2);
/// What both requests and answers are made of: packets of the LAN's full size.
const LARGE_BYTES: usize = 200_000;

struct Kind {
    name: &'static str,
    port: u16,
    device: &'static str,
    /// As `ipvsadm -Ln --tun-info` says it.
    tun_info: &'static str,
}

const KINDS: [Kind; 3] = [
    Kind {
        name: "IPIP",
        port: 0,
        device: "tunl0",
        tun_info: "ipip",
    },
    Kind {
        name: "GRE",
        port: 0,
        device: "gre0",
        tun_info: "gre",
    },
    Kind {
        name: "GUE",
        port: 6080,
        device: "tunl0",
        tun_info: "gue:6080",
    },
];

/// Each kind in turn on the live service; then drift, and the release.
pub(crate) fn reach(rack: &mut Rack) -> Result<()> {
    // As many distributions set it: what a device has of its own counts only if it is larger.
    for (server, _) in REAL_SERVERS {
        run_on(server, &["sysctl", "-qw", "net.ipv4.conf.all.rp_filter=1"])?;
    }
    std::fs::write("/run/large", "x".repeat(LARGE_BYTES))?;
    for kind in &KINDS {
        configure(rack, kind)?;
        if kind.name == "GUE" {
            wait_not_ready("web-1", "modprobe fou")?;
            // The kernel does not load it by itself. The next regular pass finds it.
            run_on("web-1", &["modprobe", "fou"])?;
        }
        for (server, _) in REAL_SERVERS {
            wait_ready(server)?;
        }
        carries(kind)?;
    }
    repairs()?;
    releases(rack)
}

fn configure(rack: &Rack, kind: &Kind) -> Result<()> {
    for (server, address) in REAL_SERVERS {
        rack.write_plan(server, &server_plan(server, address, kind))?;
    }
    for (director, priority) in DIRECTORS {
        rack.write_plan(director, &director_plan(director, priority, kind))?;
    }
    Ok(())
}

fn carries(kind: &Kind) -> Result<()> {
    eventually("the director wraps packets", PROMPT, || {
        let table = run_on("lb-1", &["ipvsadm", "-Ln", "--tun-info"])?;
        let count = table.matches(&format!(" {}", kind.tun_info)).count();
        ensure!(count == 2, "{table}");
        Ok(())
    })?;
    run_on("lb-1", &["ipvsadm", "-Z"])?;
    for _ in 0..6 {
        ask()?;
    }
    // The first one meets the limit of the path and learns of it.
    let url = format!("http://{VIP}/{LARGE_BYTES}");
    for _ in 0..4 {
        let page = run_on(
            "client",
            &[
                "curl",
                "-sf",
                "--max-time",
                "5",
                "--data-binary",
                "@/run/large",
                &url,
            ],
        )?;
        ensure!(page.len() == LARGE_BYTES, "{} bytes came back", page.len());
        ensure!(
            page.contains("192.168.1.20"),
            "the real server saw another client than 192.168.1.20"
        );
    }
    eventually("the counters say so", Duration::from_secs(5), || {
        let text = run_on("lb-1", &["ipvsadm", "-Ln", "--stats", "--exact"])?;
        let figures = ipvs::figures(&text);
        for (_, address) in REAL_SERVERS {
            let key = (format!("TCP {VIP}:80"), Some(format!("{address}:80")));
            let [connections, packets_in, packets_out, bytes_in, ..] =
                figures.get(&key).with_context(|| text.clone())?.as_slice()
            else {
                anyhow::bail!("{text}");
            };
            // Ten in turn; one from before may be counted after the zeroing.
            ensure!(
                (4..=6).contains(connections)
                    && *packets_in > 40
                    && *packets_out * 10 < *packets_in
                    && *bytes_in > 350_000,
                "{address}: {connections} connections, {packets_in} packets in, {packets_out} out, {bytes_in} bytes in"
            );
        }
        println!("{} through {}:\n{text}", kind.name, kind.device);
        Ok(())
    })?;
    let route = run_on("client", &["ip", "route", "get", VIP])?;
    println!("what the client has learned: {}", route.trim());
    Ok(())
}

/// After [`KINDS`]: GUE.
fn repairs() -> Result<()> {
    run_on("web-1", &["ip", "link", "set", "tunl0", "down"])?;
    run_on(
        "web-2",
        &["sysctl", "-qw", "net.ipv4.conf.tunl0.rp_filter=1"],
    )?;
    eventually("the devices are as they were", PROMPT, || {
        ensure!(is_up("web-1", "tunl0")?, "tunl0 of web-1 is down");
        ensure!(rp_filter("web-2", "tunl0")? == "2", "rp_filter of web-2");
        Ok(())
    })?;
    for _ in 0..4 {
        ask()?;
    }
    Ok(())
}

fn releases(rack: &Rack) -> Result<()> {
    for (server, _) in REAL_SERVERS {
        rack.write_plan(
            server,
            &format!("{}spec: {{formatVersion: 1}}\n", head(server)),
        )?;
    }
    eventually("nothing of ours is left", Duration::from_secs(5), || {
        for (server, _) in REAL_SERVERS {
            for device in ["tunl0", "gre0"] {
                ensure!(!is_up(server, device)?, "{device} of {server} is up");
                let value = rp_filter(server, device)?;
                ensure!(value == "0", "rp_filter of {device} of {server} is {value}");
            }
            let addresses = run_on(server, &["ip", "-o", "address"])?;
            ensure!(!addresses.contains(VIP), "{addresses}");
            let ports = run_on(server, &["ip", "fou", "show"])?;
            ensure!(ports.trim().is_empty(), "{ports}");
        }
        Ok(())
    })
    .map(drop)
}

fn is_up(host: &str, device: &str) -> Result<bool> {
    Ok(run_on(host, &["ip", "-o", "link", "show", device])?.contains(",UP"))
}

fn rp_filter(host: &str, device: &str) -> Result<String> {
    let sysctl = format!("net.ipv4.conf.{device}.rp_filter");
    Ok(run_on(host, &["sysctl", "-n", &sysctl])?.trim().to_owned())
}

/// What the agent says of its plan.
fn readiness(host: &str) -> Result<String> {
    run_on(host, &["curl", "-s", "http://127.0.0.1:9809/readyz"])
}

fn wait_ready(host: &str) -> Result<()> {
    // A module that was missing is looked for with every regular pass.
    eventually("the plan is carried out", Duration::from_secs(40), || {
        let text = readiness(host)?;
        ensure!(text.trim() == "ok", "{host}: {text}");
        Ok(())
    })
    .map(drop)
}

fn wait_not_ready(host: &str, why: &str) -> Result<()> {
    eventually("the agent says what is missing", PROMPT, || {
        let text = readiness(host)?;
        ensure!(
            text.contains("UnsupportedByKernel") && text.contains(why),
            "{host}: {text}"
        );
        Ok(())
    })
    .map(drop)
}

fn server_plan(host: &str, address: &str, kind: &Kind) -> String {
    let head = head(host);
    let Kind { name, port, .. } = kind;
    format!(
        "{head}\
         spec:\n  \
           formatVersion: 1\n  \
           revision: {name}\n  \
           realServer:\n    \
             nodeAddress: {address}\n    \
             addresses: [{{address: {VIP}, interface: lo, suppressArp: true}}]\n    \
             tunnels: [{{type: {name}, port: {port}, inner: IPv4, outer: IPv4, manageRpFilter: true}}]\n"
    )
}

fn director_plan(host: &str, priority: u8, kind: &Kind) -> String {
    let name = kind.name;
    let port = if kind.port == 0 {
        String::new()
    } else {
        format!(", port: {}", kind.port)
    };
    let forwarding = format!("{{method: TUN, tunnel: {{type: {name}{port}}}}}");
    stand_alone::director_plan(host, priority, &forwarding, "rr", 1)
}
