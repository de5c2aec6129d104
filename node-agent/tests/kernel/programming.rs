//! The planner against the kernel's own table: random plans, and somebody else's hand in between.

#[path = "../../src/programming/tests/random.rs"]
mod random;

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Instant;

use lvs_ipvs::{
    Client, Command, Destination, DestinationKey, Error, Forwarding, Name, Service, ServiceKey,
    Table, TableEntry,
};
use lvs_node_agent::bundle::PlanBundle;
use lvs_node_agent::diff::release;
use lvs_node_agent::facts::NodeFacts;
use lvs_node_agent::ownership::Ownership;
use lvs_node_agent::plan::drain::Drains;
use lvs_node_agent::plan::ipvs::{self, Conditions};
use lvs_node_agent::plan::members::MemberKey;
use lvs_node_agent::plan::services::Services;
use lvs_node_agent::programming::{Aftermath, Programming, Work};
use lvs_node_agent::report::refusal::NodeKernel;
use random::Dice;
use serde_json::{Value, json};

/// Sequences of edits, a few edits each, unless [`SEQUENCES_VARIABLE`] says otherwise.
const SEQUENCES: u64 = 1_000;
/// Environment variable with the number of sequences: `make test-long` runs 10,000.
const SEQUENCES_VARIABLE: &str = "LVS_TEST_SEQUENCES";
/// Tables that are programmed and read back.
const TABLES: u64 = 1_000;
/// Ports from here on belong to somebody else.
const FOREIGN_PORTS: u16 = 9000;

fn bundle(services: &Value, pools: &Value) -> PlanBundle {
    let slices = json!({"edge-0": {"digest": "d", "services": services, "pools": pools}});
    let digest = lvs_crds::v1alpha1::revision::slices_digest([("edge-0", "d")]);
    let bundle = json!({
        "name": "lb-1", "generation": 1, "slices": slices,
        "plan": {
            "formatVersion": 1, "revision": "r1",
            "director": {
                "pair": "edge", "interface": {"name": "lo"}, "instances": [], "vrrp": {},
                "connectionSync": {}, "slicesDigest": digest,
            },
        },
    });
    serde_json::from_value(bundle).expect("a bundle")
}

/// An agent without its loop.
#[derive(Default)]
struct Agent {
    services: Services,
    programming: Programming,
    ownership: Ownership,
    down: BTreeSet<IpAddr>,
}

impl Agent {
    fn plan(&mut self, dice: &mut Dice) {
        let (services, pools) = random::plan(dice);
        self.services = Services::resolve(&bundle(&services, &pools), &self.services);
        self.ownership.claim_services(&self.services, 0);
        self.programming.follow(&self.services);
    }

    fn compare(&mut self, key: &ServiceKey, observed: Option<TableEntry>) -> Option<Work> {
        let down = &self.down;
        let is_up = |member: &MemberKey| !down.contains(&member.destination.address);
        let conditions = Conditions {
            is_up: &is_up,
            drains: self.ownership.drains(),
            was_without_quorum: false,
            now_unix_seconds: 1,
        };
        let owner = self.services.owners.get(key)?;
        self.programming.compare(owner, key, observed, conditions)
    }

    /// Reads the table once and changes what has to be changed, one command at a time: how many
    /// destinations of each service get new connections is looked at after each.
    fn pass(&mut self, client: &mut Client) -> Pass {
        let table = client.snapshot().expect("a table");
        let mut fewest = BTreeMap::new();
        let keys: BTreeSet<ServiceKey> = table.entries.keys().copied().collect();
        self.programming.survey(&keys, &self.services);
        for entry in table.iter() {
            if !self.services.owners.contains_key(&entry.service.key) {
                self.programming.note_foreign(entry);
            }
        }
        let kernel = NodeKernel {
            node: "lb-1".into(),
            release: "here".into(),
        };
        let mut done = Vec::new();
        let ours: Vec<ServiceKey> = self.services.owners.keys().copied().collect();
        for key in ours {
            let observed = table.get(&key).cloned();
            let Some(work) = self.compare(&key, observed) else {
                continue;
            };
            let mut results = Vec::new();
            for command in &work.commands {
                results.extend(client.apply(std::slice::from_ref(command)));
                let usable = usable(&client.destinations(&key).expect("destinations"));
                let least = fewest.entry(key).or_insert(usable);
                *least = usable.min(*least);
            }
            let aftermath = self.programming.finish(&work, &results, &kernel);
            assert_eq!(aftermath, Aftermath::default(), "{:?}", work.commands);
            done.extend(work.commands);
        }
        let programming = &self.programming;
        let gone = release::services(
            &self.services,
            &self.ownership,
            &|key| programming.has(key),
            &NodeFacts::default(),
            &BTreeSet::new(),
        );
        for result in client.apply(&gone.commands) {
            result.expect("deleted");
        }
        for key in gone.commands.iter().filter_map(Command::changed_service) {
            self.programming.forget(&key);
        }
        done.extend(gone.commands);
        let programming = &self.programming;
        self.ownership
            .settle_services(&self.services, &|key| programming.has(key));
        Pass {
            found: table,
            done,
            fewest,
        }
    }
}

/// What a pass has found and done.
struct Pass {
    found: Table,
    done: Vec<Command>,
    /// The fewest destinations that each changed service had on the way for new connections.
    fewest: BTreeMap<ServiceKey, usize>,
}

fn usable(destinations: &[lvs_ipvs::ObservedDestination]) -> usize {
    let usable = destinations.iter().filter(|it| it.destination.weight > 0);
    usable.count()
}

fn usable_by_key(table: &Table) -> BTreeMap<ServiceKey, usize> {
    let entries = table.entries.iter();
    entries
        .map(|(key, entry)| (*key, usable(&entry.destinations)))
        .collect()
}

fn foreign_key(port: u16) -> ServiceKey {
    ServiceKey::Address {
        protocol: lvs_ipvs::Protocol::Tcp,
        address: [10, 99, 0, 4].into(),
        port,
    }
}

fn is_foreign(key: &ServiceKey) -> bool {
    matches!(key, ServiceKey::Address { port, .. } if *port >= FOREIGN_PORTS)
}

/// What somebody else has, without counters.
fn foreign(table: &Table) -> Vec<(Service, Vec<Destination>)> {
    let entries = table.iter().filter(|entry| is_foreign(&entry.service.key));
    entries.map(configured).collect()
}

fn configured(entry: &TableEntry) -> (Service, Vec<Destination>) {
    let destinations = entry.destinations.iter();
    let destinations = destinations.map(|it| it.destination).collect();
    (entry.service.clone(), destinations)
}

/// One edit by somebody else: of their own services or of ours. It may be refused: who types at
/// `ipvsadm` makes mistakes.
fn meddle(dice: &mut Dice, table: &Table) -> Command {
    let small = |dice: &mut Dice| u32::try_from(dice.roll(5)).expect("small");
    let server = |dice: &mut Dice| DestinationKey {
        address: [10, 0, 0, u8::try_from(1 + dice.roll(6)).expect("small")].into(),
        port: 80,
    };
    let keys: Vec<ServiceKey> = table.entries.keys().copied().collect();
    let own = foreign_key(FOREIGN_PORTS + u16::try_from(dice.roll(3)).expect("small"));
    let key = if keys.is_empty() || dice.one_in(4) {
        own
    } else {
        *dice.pick(&keys)
    };
    let destinations = table.get(&key).map(|entry| entry.destinations.clone());
    let destinations = destinations.unwrap_or_default();
    let scheduler = Name::new(*dice.pick(&["rr", "lc", "sh"])).expect("a name");
    match dice.roll(6) {
        0 => Command::AddService(Service::new(own, scheduler)),
        1 => Command::DeleteService(key),
        2 => Command::SetService(Service::new(key, scheduler)),
        3 if !destinations.is_empty() => Command::DeleteDestination {
            service: key,
            destination: dice.pick(&destinations).destination.key,
        },
        4 if !destinations.is_empty() => {
            let mut destination = dice.pick(&destinations).destination;
            destination.weight = small(dice);
            destination.upper_threshold = 0;
            destination.lower_threshold = 0;
            Command::SetDestination {
                service: key,
                destination,
            }
        }
        _ => Command::AddDestination {
            service: key,
            destination: Destination::new(server(dice), Forwarding::Nat, small(dice)),
        },
    }
}

fn random_down(dice: &mut Dice) -> BTreeSet<IpAddr> {
    (1..6)
        .filter(|_| dice.one_in(3))
        .map(|number| IpAddr::from([10, 0, 0, number]))
        .collect()
}

#[test]
#[ignore = "needs a kernel with IPVS"]
fn random_edits_by_us_and_by_others_converge_in_one_round() {
    super::fresh();
    let mut client = Client::connect().expect("IPVS in the kernel");
    let mut other = Client::connect().expect("IPVS in the kernel");
    let mut agent = Agent::default();
    let start = Instant::now();
    let (mut edits, mut commands) = (0_u64, 0_usize);
    let sequences =
        std::env::var(SEQUENCES_VARIABLE).map_or(SEQUENCES, |text| text.parse().expect("a number"));
    for seed in 0..sequences {
        let mut dice = Dice::new(seed);
        for _ in 0..=dice.roll(3) {
            edits += 1;
            match dice.roll(3) {
                0 => agent.plan(&mut dice),
                1 => agent.down = random_down(&mut dice),
                _ => {
                    let table = other.snapshot().expect("a table");
                    for result in other.apply(&[meddle(&mut dice, &table)]) {
                        let refused = result.err();
                        let is_answer = |error: &Error| error.refusal().is_some();
                        assert!(refused.iter().all(is_answer), "{refused:?}");
                    }
                }
            }
        }
        let first = agent.pass(&mut client);
        commands += first.done.len();
        let second = agent.pass(&mut client);
        assert_eq!(foreign(&second.found), foreign(&first.found), "seed {seed}");
        let had = usable_by_key(&first.found);
        let has = usable_by_key(&second.found);
        for (key, least) in first.fewest {
            let is_usable = |counts: &BTreeMap<ServiceKey, usize>| {
                counts.get(&key).is_some_and(|usable| *usable > 0)
            };
            if is_usable(&had) && is_usable(&has) {
                let done = &first.done;
                assert!(
                    least > 0,
                    "seed {seed}: {key} was without a server: {done:?}"
                );
            }
        }
        // Whoever has left goes at the second look: weight 0 comes first.
        let is_departure = |command: &Command| matches!(command, Command::DeleteDestination { .. });
        let rest = second.done;
        assert!(rest.iter().all(is_departure), "seed {seed}: {rest:?}");
        if !rest.is_empty() {
            assert_eq!(agent.pass(&mut client).done, [], "seed {seed}");
        }
        if seed % 1000 == 999 {
            println!(
                "{} sequences: {:.1} s",
                seed + 1,
                start.elapsed().as_secs_f64()
            );
        }
    }
    println!(
        "{sequences} sequences, {edits} edits, {commands} commands of ours, {:.1} s",
        start.elapsed().as_secs_f64()
    );
}

#[test]
#[ignore = "needs a kernel with IPVS"]
fn random_tables_are_read_back_as_they_were_planned() {
    super::fresh();
    let mut client = Client::connect().expect("IPVS in the kernel");
    let mut agent = Agent::default();
    for seed in 0..TABLES {
        agent.plan(&mut Dice::new(seed));
        agent.pass(&mut client);
        let table = client.snapshot().expect("a table");
        let drains: &Drains = agent.ownership.drains();
        let lost = agent.programming.without_quorum();
        let mut planned = BTreeMap::new();
        for (key, owner) in &agent.services.owners {
            let conditions = Conditions {
                is_up: &|_| true,
                drains,
                was_without_quorum: lost.contains(key),
                now_unix_seconds: 1,
            };
            let service = ipvs::plan(owner, key, conditions).expect("a service");
            planned.insert(*key, service);
        }
        assert!(table.entries.keys().eq(planned.keys()), "seed {seed}");
        for (entry, planned) in table.iter().zip(planned.values()) {
            assert_eq!(entry.service, planned.service, "seed {seed}");
            // Whoever leaves may be there still.
            let stays = |it: &&Destination| {
                let mut leaving = planned.destinations.iter().filter(|it| it.leaves);
                leaving.all(|leaving| leaving.destination.key != it.key)
            };
            let (_, found) = configured(entry);
            let found: Vec<Destination> = found.iter().filter(stays).copied().collect();
            let wanted = planned.destinations.iter().filter(|it| !it.leaves);
            let wanted: Vec<Destination> = wanted.map(|it| it.destination).collect();
            assert_eq!(found, wanted, "seed {seed}: {}", entry.service.key);
        }
    }
}

/// Time to program one new service with many real servers, with and without its scheduler from the
/// beginning.
#[test]
#[ignore = "needs a kernel with IPVS"]
fn a_table_that_is_built_once_is_built_faster() {
    super::fresh();
    let mut client = Client::connect().expect("IPVS in the kernel");
    let servers: Vec<Value> = (0..250)
        .map(|number| json!({"address": format!("10.1.0.{number}"), "weight": 1}))
        .collect();
    let service = json!([{
        "name": "default/mh", "uid": "u", "instance": "default", "addresses": ["10.99.0.1"],
        "ports": [{"name": "a", "port": 80}], "forwarding": {"method": "DR"},
        "scheduler": {"name": "mh"}, "pools": ["p"],
    }]);
    let pools = json!([{"name": "p", "members": servers}]);
    let mut agent = Agent {
        services: Services::resolve(&bundle(&service, &pools), &Services::default()),
        ..Agent::default()
    };
    let key = *agent.services.owners.keys().next().expect("a service");
    let work = agent.compare(&key, None).expect("work");
    let mut timed = |commands: &[Command]| {
        let start = Instant::now();
        for result in client.apply(commands) {
            result.expect("accepted");
        }
        let seconds = start.elapsed().as_secs_f64();
        let table = client.snapshot().expect("a table");
        for result in client.apply(&[Command::DeleteService(key)]) {
            result.expect("deleted");
        }
        (seconds, configured(table.get(&key).expect("the service")))
    };
    let (once, table) = timed(&work.commands);
    let direct: Vec<Command> = work
        .commands
        .iter()
        .filter_map(|command| match command {
            Command::SetService(_) => None,
            Command::AddService(_) => Some(Command::AddService(table.0.clone())),
            other => Some(other.clone()),
        })
        .collect();
    let (each_time, same) = timed(&direct);
    assert_eq!(table, same);
    println!("mh with 250 real servers: {once:.4} s built once, {each_time:.4} s built each time");
    assert!(once < each_time, "{once} s against {each_time} s");
}
