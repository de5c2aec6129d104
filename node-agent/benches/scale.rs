//! What the agent's planner costs as the table grows: memory, time to resolve a plan, time to compare every
//! service with a kernel that equals it, and time for one changed weight. No kernel is needed: what it would show
//! is made from the plan, one service at a time.
//!
//! `cargo bench -p lvs-node-agent --bench scale -- --services 10000 --servers 100 --pools 100`

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a measurement that cannot go on has failed, and prints its figures"
)]

use std::collections::BTreeMap;
use std::time::Instant;

use clap::Parser;
use lvs_ipvs::{Destination, ObservedDestination, Service, Stats, TableEntry};
use lvs_node_agent::bundle::{PlanBundle, slices_digest};
use lvs_node_agent::ownership::Ownership;
use lvs_node_agent::plan::drain::Drains;
use lvs_node_agent::plan::ipvs::{self, Conditions, PlannedService};
use lvs_node_agent::plan::services::Services;
use lvs_node_agent::programming::Programming;
use serde_json::{Value, json};

/// Services of one slice.
const SERVICES_OF_SLICE: u32 = 50;

#[derive(Debug, Parser)]
struct Args {
    /// Virtual services.
    #[arg(long, default_value_t = 10_000)]
    services: u32,
    /// Real servers of each virtual service.
    #[arg(long, default_value_t = 100)]
    servers: u32,
    /// Pools that they share; 0 = each has its own.
    #[arg(long, default_value_t = 100)]
    pools: u32,
    /// `cargo bench` passes it.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() {
    let args = Args::parse();
    let before = resident_kibibytes();
    let bundle = bundle(&args);
    let with_bundle = resident_kibibytes();

    let start = Instant::now();
    let services = Services::resolve(&bundle, &Services::default());
    let resolve = start.elapsed();

    let mut ownership = Ownership::default();
    let start = Instant::now();
    ownership.claim_services(&services, 0);
    let claim = start.elapsed();

    let mut programming = Programming::default();
    let drains = Drains::default();
    let conditions = Conditions {
        is_up: &|_| true,
        drains: &drains,
        was_without_quorum: false,
        now_unix_seconds: 0,
    };
    let start = Instant::now();
    let mut planning = std::time::Duration::ZERO;
    let mut commands = 0;
    for (key, owner) in &services.owners {
        let begin = Instant::now();
        let planned = ipvs::plan(owner, key, conditions).expect("a service");
        planning += begin.elapsed();
        let work = programming.compare(owner, key, Some(shown(&planned)), conditions);
        commands += work.map_or(0, |work| work.commands.len());
    }
    let pass = start.elapsed();
    assert_eq!(commands, 0, "the kernel equals the plan");
    let resident = resident_kibibytes();

    let changed = with_other_weight(&bundle);
    let start = Instant::now();
    let after = Services::resolve(&changed, &services);
    let dirty: Vec<_> = after.keys_changed_since(&services).collect();
    let own = start.elapsed();
    // The kernel still shows the plan before.
    let mut commands = Vec::new();
    let mut comparing = std::time::Duration::ZERO;
    for (key, owner) in &dirty {
        let planned = ipvs::plan(&services.owners[*key], key, conditions).expect("a service");
        let entry = shown(&planned);
        let begin = Instant::now();
        let work = programming.compare(owner, key, Some(entry), conditions);
        comparing += begin.elapsed();
        commands.extend(work.into_iter().flat_map(|work| work.commands));
    }
    let figures = json!({
        "services": args.services,
        "serversOfEach": args.servers,
        "sharedPools": args.pools,
        "bundleMebibytes": mebibytes(with_bundle - before),
        "allMebibytes": mebibytes(resident - before),
        "residentMebibytes": mebibytes(resident),
        "secondsToResolve": resolve.as_secs_f64(),
        "secondsToClaim": claim.as_secs_f64(),
        "secondsToPlanAll": planning.as_secs_f64(),
        "secondsToPlanAndCompareAll": pass.as_secs_f64(),
        "changedWeight": {
            "services": dirty.len(),
            "commands": commands.len(),
            "secondsToResolve": own.as_secs_f64(),
            "secondsToCompare": comparing.as_secs_f64(),
        },
    });
    println!("{figures:#}");
}

/// A director's plan as it arrives: slice by slice.
fn bundle(args: &Args) -> PlanBundle {
    let mut slices = BTreeMap::new();
    let own = args.pools == 0;
    let pool =
        |number: u32| json!({"name": pool_name(number), "members": members(number, args.servers)});
    // One by one, so that the JSON of all is never there together with what it becomes.
    let mut add = |name: String, services: Vec<Value>, pools: Vec<Value>| {
        let slice = json!({"digest": name, "services": services, "pools": pools});
        let slice = serde_json::from_value(slice).expect("a slice");
        slices.insert(name, slice);
    };
    for first in (0..args.services).step_by(50) {
        let last = (first + SERVICES_OF_SLICE).min(args.services);
        let services = (first..last).map(|number| service(number, args)).collect();
        add(format!("edge-{first}"), services, Vec::new());
        for number in (first..last).filter(|_| own) {
            add(
                format!("edge-pool-{number}"),
                Vec::new(),
                vec![pool(number)],
            );
        }
    }
    for number in 0..args.pools {
        add(
            format!("edge-pool-{number}"),
            Vec::new(),
            vec![pool(number)],
        );
    }
    let mut bundle: PlanBundle = serde_json::from_value(json!({
        "name": "lb-1", "generation": 1, "slices": {},
        "plan": {
            "formatVersion": 1, "revision": "r1",
            "director": {
                "pair": "edge", "interface": {"name": "eth0"}, "instances": [], "vrrp": {},
                "connectionSync": {"syncID": 51}, "slicesDigest": "none",
            },
        },
    }))
    .expect("a bundle");
    bundle.slices = slices;
    acknowledge(&mut bundle);
    bundle
}

/// The plan speaks of the slices that are there.
fn acknowledge(bundle: &mut PlanBundle) {
    let director = bundle.plan.director.as_mut().expect("a director");
    director.slices_digest = slices_digest(&bundle.slices);
}

fn pool_name(number: u32) -> String {
    format!("shop-web-{number}")
}

fn members(pool: u32, count: u32) -> Vec<Value> {
    let [_, high, middle, low] = pool.to_be_bytes();
    (0..count)
        .map(|server| {
            let address = format!("10.{}.{middle}.{low}", 1 + (server + u32::from(high)) % 250);
            json!({"address": address, "weight": 1 + server % 5})
        })
        .collect()
}

fn service(number: u32, args: &Args) -> Value {
    let [_, _, high, low] = number.to_be_bytes();
    let pool = if args.pools == 0 {
        number
    } else {
        number % args.pools
    };
    json!({
        "name": format!("shop/web-{number}"), "uid": format!("5f0e7b1c-0000-4000-8000-{number:012}"),
        "instance": "default", "addresses": [format!("172.16.{high}.{low}")],
        "ports": [{"name": "http", "port": 80}], "forwarding": {"method": "DR"},
        "scheduler": {"name": "wlc"}, "pools": [pool_name(pool)],
    })
}

/// The same plan with another weight of one real server, as the next slice brings it.
fn with_other_weight(bundle: &PlanBundle) -> PlanBundle {
    let mut changed = bundle.clone();
    let slice = changed
        .slices
        .values_mut()
        .find(|slice| !slice.pools.is_empty())
        .expect("a slice with a pool");
    let mut value = serde_json::to_value(slice.as_ref()).expect("JSON");
    value["pools"][0]["members"][0]["weight"] = json!(9);
    value["digest"] = json!("changed");
    *slice = serde_json::from_value(value).expect("a slice");
    acknowledge(&mut changed);
    changed
}

/// What a kernel that equals the plan shows.
fn shown(planned: &PlannedService) -> TableEntry {
    let service: Service = planned.service.clone();
    let observed = |destination: Destination| ObservedDestination {
        destination,
        active_connections: 0,
        inactive_connections: 0,
        persistent_connections: 0,
        stats: Stats::default(),
    };
    let destinations = planned.destinations.iter();
    TableEntry {
        service,
        stats: Stats::default(),
        destinations: destinations.map(|it| observed(it.destination)).collect(),
    }
}

/// Resident memory of this process.
fn resident_kibibytes() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").expect("/proc");
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))
        .expect("VmRSS");
    let number = line.split_ascii_whitespace().next().expect("a number");
    number.parse().expect("a number")
}

fn mebibytes(kibibytes: u64) -> u64 {
    kibibytes / 1024
}
