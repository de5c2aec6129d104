//! How soon a change of the IPVS table by somebody else is noticed, and what waiting for one costs.
//!
//! Needs root, a kernel with IPVS whose table is empty, and `ipvsadm`: the lab's light lane has them.
//! `lab light --memory 2048 -- BINARY --services 10000 --servers 10 [--poll]` prints one line of JSON.

#![allow(
    clippy::expect_used,
    clippy::print_stdout,
    reason = "a measurement that cannot go on has failed; its figures go to standard output"
)]

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;
use std::process::Command as Process;
use std::time::{Duration, Instant};

use clap::Parser;
use lvs_ipvs::{
    Client, Command, Destination, DestinationKey, Forwarding, Name, Protocol, Service, ServiceKey,
};
use lvs_node_agent::kernel::ipvs::Ipvs;
use lvs_node_agent::kernel::lookout::{Expected, ExpectedTable, Lookout};
use lvs_node_agent::kernel::nlmon::DEVICE;
use lvs_node_agent::kernel::proc_ip_vs::Fingerprint;
use lvs_node_agent::kernel::sysctls::{Sysctl, Sysctls};

/// What is measured.
#[derive(Parser)]
struct Args {
    /// Virtual services in the table.
    #[arg(long, default_value_t = 10_000)]
    services: u32,
    /// Real servers of each virtual service.
    #[arg(long, default_value_t = 10)]
    servers: u32,
    /// How long the thread is watched at rest.
    #[arg(long, default_value_t = 20)]
    seconds: u64,
    /// Changes whose notices are waited for.
    #[arg(long, default_value_t = 10)]
    changes: u32,
    /// Without nlmon: a device of another kind has its name.
    #[arg(long)]
    poll: bool,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    runtime.block_on(measure(&args));
}

async fn measure(args: &Args) {
    fill(args);
    if args.poll {
        let add = ["link", "add", DEVICE, "type", "dummy"];
        run("ip", &add);
    }
    let sysctls = Path::new("/proc/sys/net");
    let lookout = Lookout::start(Sysctls::new(sysctls)).expect("a thread");
    let mut ipvs = Ipvs::new(lookout.table_watch());
    let sysctl = Sysctl::of_ipvs("conn_reuse_mode");
    let value = Sysctls::new(sysctls).read(&sysctl).expect("its value");
    let expect = |ipvs: &mut Ipvs| {
        let start = Instant::now();
        let mut fingerprint = Fingerprint::EMPTY;
        for service in ipvs.services().expect("services") {
            let entry = ipvs.with_destinations(service).expect("destinations");
            fingerprint.add(Fingerprint::of_entry(&entry));
        }
        lookout.expect(Some(Expected {
            ipvs: Some(ExpectedTable {
                fingerprint,
                notices: ipvs.notices(),
            }),
            sysctls: vec![(sysctl.clone(), value.clone())],
        }));
        start.elapsed()
    };
    let dump = expect(&mut ipvs);
    // The first look comes at once and belongs to the start; of a large table it takes its time.
    let mut spent = Duration::MAX;
    while lookout_cpu() != spent {
        spent = lookout_cpu();
        tokio::time::sleep(Duration::from_millis(400)).await;
    }
    let before = lookout_cpu();
    let start = Instant::now();
    // The time that is measured.
    let noticed = tokio::time::timeout(Duration::from_secs(args.seconds), lookout.different());
    assert!(noticed.await.is_err(), "nobody changed anything");
    let at_rest =
        lookout_cpu().saturating_sub(before).as_secs_f64() / start.elapsed().as_secs_f64();

    let mut latencies = Vec::new();
    for change in 0..args.changes {
        let (vip, server) = (vip(change * 7 % args.services), server(0));
        let weight = (change % 50 + 2).to_string();
        let (vip, server) = (format!("{vip}:80"), format!("{server}:80"));
        let edit = ["-e", "-t", &vip, "-r", &server, "-g", "-w", &weight];
        let start = Instant::now();
        run("ipvsadm", &edit);
        let made = start.elapsed();
        lookout.different().await;
        latencies.push((start.elapsed(), start.elapsed().saturating_sub(made)));
        expect(&mut ipvs);
    }
    let way = ipvs.way().name();
    lookout.stop().await;
    let seconds = |pick: fn(&(Duration, Duration)) -> Duration| {
        let mut seconds: Vec<f64> = latencies
            .iter()
            .map(|each| pick(each).as_secs_f64())
            .collect();
        seconds.sort_by(f64::total_cmp);
        (
            seconds.get(seconds.len() / 2).copied(),
            seconds.last().copied(),
        )
    };
    let (from_start, worst_from_start) = seconds(|each| each.0);
    let (from_end, worst_from_end) = seconds(|each| each.1);
    let figures = serde_json::json!({
        "services": args.services,
        "serversOfEach": args.servers,
        "way": way,
        "dumpSeconds": dump.as_secs_f64(),
        "shareOfCpuAtRest": at_rest,
        "changes": args.changes,
        "medianSecondsFromStartOfIpvsadm": from_start,
        "worstSecondsFromStartOfIpvsadm": worst_from_start,
        "medianSecondsFromEndOfIpvsadm": from_end,
        "worstSecondsFromEndOfIpvsadm": worst_from_end,
    });
    println!("{figures}");
}

fn fill(args: &Args) {
    let mut client = Client::connect().expect("IPVS in the kernel");
    let mut commands = Vec::new();
    for service in 0..args.services {
        let key = ServiceKey::Address {
            protocol: Protocol::Tcp,
            address: vip(service).into(),
            port: 80,
        };
        let scheduler = Name::new("wlc").expect("a name");
        commands.push(Command::AddService(Service::new(key, scheduler)));
        commands.extend((0..args.servers).map(|number| {
            let server = DestinationKey {
                address: server(number).into(),
                port: 80,
            };
            Command::AddDestination {
                service: key,
                destination: Destination::new(server, Forwarding::DirectRouting, 1),
            }
        }));
    }
    for result in client.apply(&commands) {
        result.expect("applied");
    }
}

fn vip(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 1, 0, 0).to_bits() + number)
}

fn server(number: u32) -> Ipv4Addr {
    Ipv4Addr::from_bits(Ipv4Addr::new(10, 200, 0, 1).to_bits() + number)
}

fn run(program: &str, arguments: &[&str]) {
    let status = Process::new(program).args(arguments).status();
    assert!(status.expect("an installed program").success());
}

/// Time that the thread has spent on a CPU (`/proc/PID/task/TID/schedstat`).
fn lookout_cpu() -> Duration {
    let nanoseconds = fs::read_dir("/proc/self/task")
        .expect("threads")
        .filter_map(|task| {
            let path = task.ok()?.path();
            let name = fs::read_to_string(path.join("comm")).ok()?;
            let times = fs::read_to_string(path.join("schedstat")).ok()?;
            (name.trim_end() == "lookout").then(|| times.split(' ').next()?.parse::<u64>().ok())?
        })
        .sum();
    Duration::from_nanos(nanoseconds)
}
