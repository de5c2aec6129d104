//! Properties that hold for every sequence of plans, results of checks and states of the kernel, and
//! what a refusal leads to.

mod fake_kernel;
mod random;

use std::net::IpAddr;

use lvs_ipvs::{DestinationKey, Name, Refusal, Table};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::diff::release;
use crate::facts::NodeFacts;
use crate::fixture::{director, pool, web, web_director};
use crate::ownership::Ownership;
use crate::plan::members::MemberKey;
use fake_kernel::FakeKernel;
use random::Dice;

fn kernel_name() -> NodeKernel {
    NodeKernel {
        node: "lb-1".into(),
        release: "6.1.176".into(),
    }
}

/// An agent without its shells.
#[derive(Default)]
struct Agent {
    services: Services,
    programming: Programming,
    ownership: Ownership,
    down: BTreeSet<IpAddr>,
    now_unix_seconds: i64,
}

impl Agent {
    fn plan(&mut self, services: &Value, pools: &Value) {
        let bundle = director(services, pools);
        self.services = Services::resolve(&bundle, &self.services);
        self.ownership
            .claim_services(&self.services, self.now_unix_seconds);
        self.programming.follow(&self.services);
    }

    fn compare(&mut self, kernel: &FakeKernel, key: &ServiceKey) -> Option<Work> {
        let owner = self.services.owners[key].clone();
        let down = &self.down;
        let is_up = |member: &MemberKey| !down.contains(&member.destination.address);
        self.programming.compare(
            &owner,
            key,
            kernel.table.get(key).cloned(),
            Conditions {
                is_up: &is_up,
                drains: self.ownership.drains(),
                was_without_quorum: false,
                now_unix_seconds: self.now_unix_seconds,
            },
        )
    }

    /// Looks at every service once and changes what has to be changed; returns that.
    fn pass(
        &mut self,
        kernel: &mut FakeKernel,
        check: &mut dyn FnMut(&FakeKernel, &Command),
    ) -> Vec<Command> {
        let mut done = Vec::new();
        let keys: BTreeSet<ServiceKey> = kernel.table.entries.keys().copied().collect();
        self.programming.survey(&keys, &self.services);
        for entry in kernel.table.iter() {
            if !self.services.owners.contains_key(&entry.service.key) {
                self.programming.note_foreign(entry);
            }
        }
        let owned: Vec<ServiceKey> = self.services.owners.keys().copied().collect();
        for key in owned {
            let Some(work) = self.compare(kernel, &key) else {
                continue;
            };
            let results: Vec<_> = work
                .commands
                .iter()
                .map(|command| {
                    let result = kernel.apply(command);
                    check(kernel, command);
                    result
                })
                .collect();
            let aftermath = self.programming.finish(&work, &results, &kernel_name());
            if let Some(undo) = aftermath.undo {
                kernel.apply(&undo).expect("deleted");
                self.programming.forget(&key);
            }
            done.extend(work.commands);
        }
        let release = release::services(
            &self.services,
            &self.ownership,
            &|key| self.programming.has(key),
            &NodeFacts::default(),
            &BTreeSet::new(),
        );
        for command in release.commands {
            kernel.apply(&command).expect("deleted");
            self.programming
                .forget(&command.changed_service().expect("a service"));
            done.push(command);
        }
        let programming = &self.programming;
        self.ownership
            .settle_services(&self.services, &|key| programming.has(key));
        done
    }

    fn table_as_planned(&self) -> Vec<String> {
        self.programming.keys().map(ToString::to_string).collect()
    }
}

/// Somebody else's hand: services of their own, and edits of ours.
fn meddle(dice: &mut Dice, kernel: &mut FakeKernel) {
    let keys: Vec<ServiceKey> = kernel.table.entries.keys().copied().collect();
    if keys.is_empty() {
        return;
    }
    let key = *dice.pick(&keys);
    let destinations = kernel.table.get(&key).expect("there").destinations.clone();
    let command = match (dice.roll(4), destinations.as_slice()) {
        (0, _) => Command::DeleteService(key),
        (1, [_, ..]) => Command::DeleteDestination {
            service: key,
            destination: dice.pick(&destinations).destination.key,
        },
        (2, [_, ..]) => {
            let mut destination = dice.pick(&destinations).destination;
            destination.weight = u32::try_from(dice.roll(5)).expect("small");
            Command::SetDestination {
                service: key,
                destination,
            }
        }
        _ => {
            let mut service = kernel.table.get(&key).expect("there").service.clone();
            service.scheduler = Name::new("lc").expect("a name");
            Command::SetService(service)
        }
    };
    kernel.apply(&command).expect("accepted");
}

fn foreign_service(port: u16) -> lvs_ipvs::Service {
    let key = ServiceKey::Address {
        protocol: lvs_ipvs::Protocol::Tcp,
        address: [10, 99, 0, 4].into(),
        port,
    };
    lvs_ipvs::Service::new(key, Name::new("rr").expect("a name"))
}

fn foreign(table: &Table) -> Vec<TableEntry> {
    let is_foreign = |entry: &&TableEntry| matches!(entry.service.key, ServiceKey::Address { port, .. } if port >= 9000);
    table.iter().filter(is_foreign).cloned().collect()
}

proptest! {
    #[test]
    fn every_change_converges_at_once_and_touches_nothing_of_others(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let mut kernel = FakeKernel::default();
        for port in [9000, 9001] {
            kernel.apply(&Command::AddService(foreign_service(port))).expect("added");
        }
        let before = foreign(&kernel.table);
        let mut agent = Agent::default();
        for _ in 0..6 {
            match dice.roll(4) {
                0 => meddle_with_ours(&mut dice, &mut kernel),
                1 => agent.down = (1..6).filter(|_| dice.one_in(2)).map(|n| IpAddr::from([10, 0, 0, n])).collect(),
                2 => agent.now_unix_seconds += i64::try_from(dice.roll(20)).expect("small"),
                _ => {
                    let (services, pools) = random::plan(&mut dice);
                    agent.plan(&services, &pools);
                }
            }
            kernel.connect(&mut dice);
            agent.pass(&mut kernel, &mut |_, _| {});
            // A destination that is at weight 0 now and has no connections goes at the next look.
            let rest = agent.pass(&mut kernel, &mut |_, _| {});
            let is_departure = |command: &Command| matches!(command, Command::DeleteDestination { .. });
            prop_assert!(rest.iter().all(is_departure), "{rest:?}");
            let again = agent.pass(&mut kernel, &mut |_, _| {});
            prop_assert!(again.is_empty(), "{again:?}");
            prop_assert_eq!(foreign(&kernel.table), before.clone());
            let known = agent.table_as_planned();
            let found: Vec<String> = kernel.table.entries.keys().map(ToString::to_string).collect();
            prop_assert_eq!(known, found);
            let mut shown = Fingerprint::EMPTY;
            for entry in kernel.table.iter() {
                shown.add(Fingerprint::of_entry(entry));
            }
            prop_assert_eq!(agent.programming.shown(), shown);
        }
        agent.plan(&json!([]), &json!([]));
        agent.pass(&mut kernel, &mut |_, _| {});
        prop_assert_eq!(kernel.table.entries.len(), before.len());
        prop_assert!(!agent.ownership.has_ipvs());
    }

    #[test]
    fn a_service_with_usable_servers_before_and_after_is_never_without_one(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let (mut kernel, mut agent) = (FakeKernel::default(), Agent::default());
        for _ in 0..4 {
            let (services, pools) = random::plan(&mut dice);
            agent.plan(&services, &pools);
            agent.down = (1..6).filter(|_| dice.one_in(3)).map(|n| IpAddr::from([10, 0, 0, n])).collect();
            let mut after = kernel.clone();
            let mut forecast = Agent {
                services: agent.services.clone(),
                ownership: agent.ownership.clone(),
                down: agent.down.clone(),
                ..Agent::default()
            };
            forecast.pass(&mut after, &mut |_, _| {});
            let kept: Vec<ServiceKey> = kernel
                .table
                .entries
                .keys()
                .filter(|key| kernel.usable(key) > 0 && after.usable(key) > 0)
                .copied()
                .collect();
            let mut emptied = None;
            agent.pass(&mut kernel, &mut |kernel, command| {
                if kept.iter().any(|key| kernel.usable(key) == 0) {
                    emptied.get_or_insert_with(|| command.to_string());
                }
            });
            prop_assert_eq!(emptied, None);
        }
    }

    #[test]
    fn whoever_leaves_stays_at_weight_0_while_connected_and_goes_then(seed in any::<u64>()) {
        let mut dice = Dice::new(seed);
        let (mut kernel, mut agent) = (FakeKernel::default(), Agent::default());
        let member = |drain: Value| json!([{"name": "web", "members": [
            {"address": "192.168.1.130", "weight": 3, "drain": drain},
            {"address": "192.168.1.131", "weight": 1},
        ]}]);
        let services = json!([web(&json!({}))]);
        agent.plan(&services, &member(Value::Null));
        agent.pass(&mut kernel, &mut |_, _| {});
        let weight = |kernel: &FakeKernel| kernel.weight("192.168.1.130");
        prop_assert_eq!(weight(&kernel), Some(3));
        kernel.set_connections("192.168.1.130", 1 + u32::try_from(dice.roll(9)).expect("small"));
        agent.plan(&services, &member(json!({"timeoutSeconds": 1000})));
        for _ in 0..3 {
            agent.now_unix_seconds += i64::try_from(dice.roll(300)).expect("small");
            agent.pass(&mut kernel, &mut |_, _| {});
            prop_assert_eq!(weight(&kernel), Some(0));
            prop_assert_eq!(agent.programming.leaving().len(), 1);
        }
        let way = dice.roll(3);
        if way == 0 {
            agent.plan(&services, &member(Value::Null));
            agent.pass(&mut kernel, &mut |_, _| {});
            prop_assert_eq!(weight(&kernel), Some(3));
        } else if way == 1 {
            kernel.set_connections("192.168.1.130", 0);
            let work = agent.compare(&kernel, &kernel.only_key()).expect("work");
            prop_assert_eq!(work.repairs, []);
            agent.pass(&mut kernel, &mut |_, _| {});
            prop_assert_eq!(weight(&kernel), None);
        } else {
            agent.now_unix_seconds = 1000;
            agent.pass(&mut kernel, &mut |_, _| {});
            prop_assert_eq!(weight(&kernel), None);
        }
        prop_assert!(agent.programming.leaving().is_empty());
        prop_assert_eq!(agent.pass(&mut kernel, &mut |_, _| {}), []);
    }
}

/// The foreign services of this test are left alone, so that they can be compared.
fn meddle_with_ours(dice: &mut Dice, kernel: &mut FakeKernel) {
    let theirs = foreign(&kernel.table);
    for entry in &theirs {
        kernel.table.entries.remove(&entry.service.key);
    }
    meddle(dice, kernel);
    for entry in theirs {
        kernel.table.entries.insert(entry.service.key, entry);
    }
}

#[test]
fn a_changed_weight_is_one_command() {
    let (mut kernel, mut agent) = (FakeKernel::default(), Agent::default());
    let services = json!([web(&json!({}))]);
    agent.plan(&services, &pool());
    agent.pass(&mut kernel, &mut |_, _| {});
    let mut pools = pool();
    pools[0]["members"][1]["weight"] = json!(9);
    agent.plan(&services, &pools);
    let done = agent.pass(&mut kernel, &mut |_, _| {});
    let lines: Vec<String> = done.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        ["ipvsadm -e -t 192.168.1.222:80 -r 192.168.1.131:80 -g -w 9"]
    );
}

#[test]
fn a_service_whose_scheduler_builds_a_table_gets_it_last() {
    let (mut kernel, mut agent) = (FakeKernel::default(), Agent::default());
    agent.plan(
        &json!([web(&json!({"scheduler": {"name": "mh"}}))]),
        &pool(),
    );
    let done = agent.pass(&mut kernel, &mut |_, _| {});
    let lines: Vec<String> = done.iter().map(ToString::to_string).collect();
    assert_eq!(
        lines,
        [
            "ipvsadm -A -t 192.168.1.222:80 -s none",
            "ipvsadm -a -t 192.168.1.222:80 -r 192.168.1.130:80 -g -w 1",
            "ipvsadm -a -t 192.168.1.222:80 -r 192.168.1.131:80 -g -w 2",
            "ipvsadm -E -t 192.168.1.222:80 -s mh",
        ]
    );
}

fn unknown_scheduler(name: &str) -> Refusal {
    Refusal::UnknownScheduler {
        scheduler: Name::new(name).expect("a name"),
    }
}

#[test]
fn a_refused_service_is_told_and_not_tried_again_before_its_time() {
    for scheduler in ["twos", "mh"] {
        let mut kernel = FakeKernel {
            refused_scheduler: Some(scheduler),
            ..FakeKernel::default()
        };
        let mut agent = Agent::default();
        let other = web(&json!({"name": "default/other", "addresses": ["192.168.1.223"]}));
        let refused = web(&json!({"scheduler": {"name": scheduler}}));
        agent.plan(&json!([refused, other]), &pool());
        agent.pass(&mut kernel, &mut |_, _| {});
        assert_eq!(kernel.table.entries.len(), 1, "the other one works");
        assert_eq!(agent.pass(&mut kernel, &mut |_, _| {}), []);
        let told: Vec<_> = agent.programming.refused().collect();
        assert_eq!(told.len(), 1);
        assert_eq!(told[0].1.modules, [format!("ip_vs_{scheduler}")]);
        assert!(!agent.programming.has(told[0].0));
        // Somebody has loaded the module.
        kernel.refused_scheduler = None;
        assert_eq!(agent.pass(&mut kernel, &mut |_, _| {}), []);
        agent.programming.retry_refused();
        assert!(!agent.pass(&mut kernel, &mut |_, _| {}).is_empty());
        assert_eq!(agent.programming.refused().count(), 0);
        assert_eq!(kernel.table.entries.len(), 2);
    }
}

#[test]
fn a_refused_change_of_a_scheduler_leaves_the_service_serving() {
    let mut kernel = FakeKernel::default();
    let mut agent = Agent::default();
    agent.plan(&json!([web(&json!({}))]), &pool());
    agent.pass(&mut kernel, &mut |_, _| {});
    let before = kernel.table.clone();
    kernel.refused_scheduler = Some("mh");
    agent.plan(
        &json!([web(&json!({"scheduler": {"name": "mh"}}))]),
        &pool(),
    );
    agent.pass(&mut kernel, &mut |_, _| {});
    assert_eq!(kernel.table, before);
    assert_eq!(agent.programming.refused().count(), 1);
    // Its servers are still looked after.
    agent.down.insert([192, 168, 1, 130].into());
    agent.plan(
        &json!([web(
            &json!({"scheduler": {"name": "mh"}, "healthCheck": {}})
        )]),
        &pool(),
    );
    agent.pass(&mut kernel, &mut |_, _| {});
    assert_eq!(kernel.weight("192.168.1.130"), Some(0));
}

#[test]
fn what_others_change_is_a_repair_and_what_the_plan_changes_is_none() {
    let (mut kernel, mut agent) = (FakeKernel::default(), Agent::default());
    agent.plan(&json!([web(&json!({}))]), &pool());
    let key = *agent.services.owners.keys().next().expect("a service");
    let work = agent.compare(&kernel, &key).expect("work");
    assert_eq!(work.repairs, []);
    agent.pass(&mut kernel, &mut |_, _| {});
    let destination = DestinationKey {
        address: [192, 168, 1, 130].into(),
        port: 80,
    };
    let deleted = Command::DeleteDestination {
        service: key,
        destination,
    };
    kernel.apply(&deleted).expect("deleted");
    let work = agent.compare(&kernel, &key).expect("work");
    assert_eq!(work.repairs, work.commands);
    agent.pass(&mut kernel, &mut |_, _| {});
    kernel.apply(&Command::DeleteService(key)).expect("deleted");
    let none = BTreeSet::new();
    agent.programming.survey(&none, &agent.services);
    let work = agent.compare(&kernel, &key).expect("work");
    assert_eq!(work.repairs, work.commands);
}

#[test]
fn an_error_that_may_pass_is_tried_again() {
    let mut agent = Agent::default();
    let kernel = FakeKernel::default();
    agent.plan(&json!([web(&json!({}))]), &pool());
    let key = *agent.services.owners.keys().next().expect("a service");
    let work = agent.compare(&kernel, &key).expect("work");
    let results: Vec<_> = work
        .commands
        .iter()
        .map(|command| Err(fake_kernel::refusal(command, Refusal::OutOfMemory)))
        .collect();
    let aftermath = agent.programming.finish(&work, &results, &kernel_name());
    assert_eq!(aftermath.errors.len(), 3);
    assert!(aftermath.is_stale, "it is looked at again");
    assert_eq!(agent.programming.refused().count(), 0);
    assert!(agent.compare(&kernel, &key).is_some());
    let stale = fake_kernel::refusal(&work.commands[0], Refusal::Exists);
    let aftermath = agent
        .programming
        .finish(&work, &[Err(stale), Ok(()), Ok(())], &kernel_name());
    assert!(aftermath.is_stale && !aftermath.is_refused);
}

#[test]
fn the_quorum_is_remembered_and_learned_from_the_kernel() {
    let bundle = |quorum: Value| {
        web_director(
            &json!({"healthCheck": {}, "quorum": quorum, "fallback": {"address": "10.0.0.9"}}),
        )
    };
    let hysteresis = bundle(json!({"minimumWeight": 2, "hysteresis": 1}));
    let (mut kernel, mut agent) = (FakeKernel::default(), Agent::default());
    agent.services = Services::resolve(&hysteresis, &Services::default());
    agent.down = BTreeSet::from([[192, 168, 1, 130].into(), [192, 168, 1, 131].into()]);
    agent.pass(&mut kernel, &mut |_, _| {});
    assert_eq!(kernel.weight("10.0.0.9"), Some(1));
    agent.down.remove(&IpAddr::from([192, 168, 1, 131]));
    agent.pass(&mut kernel, &mut |_, _| {});
    assert_eq!(kernel.weight("10.0.0.9"), Some(1), "2 is not yet 2 + 1");
    let mut restarted = Agent {
        services: agent.services.clone(),
        down: agent.down.clone(),
        ..Agent::default()
    };
    assert_eq!(restarted.pass(&mut kernel, &mut |_, _| {}), []);
    assert_eq!(restarted.programming.without_quorum().len(), 1);
    restarted.down.clear();
    kernel.set_connections("10.0.0.9", 1);
    let done = restarted.pass(&mut kernel, &mut |_, _| {});
    let lines: Vec<String> = done.iter().map(ToString::to_string).collect();
    let vip = "ipvsadm -e -t 192.168.1.222:80 -r";
    assert_eq!(
        lines,
        [
            format!("{vip} 192.168.1.130:80 -g -w 1"),
            format!("{vip} 192.168.1.131:80 -g -w 2"),
            format!("{vip} 10.0.0.9:80 -g -w 0"),
        ]
    );
    assert_eq!(restarted.pass(&mut kernel, &mut |_, _| {}), []);
    kernel.set_connections("10.0.0.9", 0);
    restarted.pass(&mut kernel, &mut |_, _| {});
    assert_eq!(kernel.weight("10.0.0.9"), None);
}
