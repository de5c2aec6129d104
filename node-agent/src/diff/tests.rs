//! Properties that hold for every plan and every state of the kernel.

mod fake_kernel;

use std::collections::BTreeMap;
use std::sync::Arc;

use lvs_ipvs::{
    Command, Destination, DestinationKey, Forwarding, Name, Protocol, Service, ServiceKey,
    SyncDaemon, SyncRole,
};
use proptest::prelude::*;

use super::*;
use fake_kernel::FakeKernel;

use crate::facts::{InterfaceAddress, NodeFacts};
use crate::fixture::{facts, own};
use crate::kernel::sysctls::Sysctl;
use crate::op::LoopbackVip;
use crate::plan::ipvs::PlannedService;
use crate::plan::real_server::RealServerPlan;
use crate::report::Subject;
use crate::vrrp::addresses::ADDRESS_PROTOCOL;

fn key(number: u8) -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 168, 1, 200 + number].into(),
        port: 80,
    }
}

fn vip_of(key: &ServiceKey) -> IpAddr {
    match key {
        ServiceKey::Address { address, .. } => *address,
        ServiceKey::Mark { .. } => unreachable!("no marks here"),
    }
}

fn arp_ignore(interface: &str) -> Sysctl {
    Sysctl::of_interface_ipv4(interface, "arp_ignore")
}

fn service(number: u8, scheduler: &str) -> Service {
    Service::new(key(number), Name::new(scheduler).expect("a name"))
}

fn destinations() -> impl Strategy<Value = BTreeMap<DestinationKey, Destination>> {
    prop::collection::btree_map(0..4_u8, 0..3_u32, 0..4).prop_map(|weights| {
        let destination = |(server, weight): (u8, u32)| {
            let key = DestinationKey {
                address: [10, 0, 0, server].into(),
                port: 80,
            };
            (
                key,
                Destination::new(key, Forwarding::DirectRouting, weight),
            )
        };
        weights.into_iter().map(destination).collect()
    })
}

fn services() -> impl Strategy<Value = BTreeMap<ServiceKey, PlannedService>> {
    let scheduler = prop::sample::select(vec!["rr", "wlc"]);
    prop::collection::btree_map(0..5_u8, (scheduler, destinations()), 0..5).prop_map(|services| {
        let planned = |(number, (scheduler, destinations))| {
            let planned = PlannedService {
                service: service(number, scheduler),
                destinations,
                subject: Arc::new(Subject::Node),
            };
            (key(number), planned)
        };
        services.into_iter().map(planned).collect()
    })
}

fn daemon(role: SyncRole, sync_id: u8) -> SyncDaemon {
    SyncDaemon::new(role, Name::new("eth0").expect("a name"), sync_id)
}

fn daemons() -> impl Strategy<Value = Vec<SyncDaemon>> {
    (prop::option::of(1..3_u8), prop::option::of(1..3_u8)).prop_map(|(master, backup)| {
        let master = master.map(|id| daemon(SyncRole::Master, id));
        let backup = backup.map(|id| daemon(SyncRole::Backup, id));
        master.into_iter().chain(backup).collect()
    })
}

fn loopback_vip(number: u8) -> LoopbackVip {
    LoopbackVip {
        address: [192, 168, 1, 200 + number].into(),
        prefix_length: 32,
        interface_index: 1,
        interface_name: "lo".into(),
    }
}

fn real_server() -> impl Strategy<Value = RealServerPlan> {
    prop::collection::btree_set(0..4_u8, 0..4).prop_map(|vips| RealServerPlan {
        sysctls: vips
            .iter()
            .map(|_| (arp_ignore("eth0"), "1".to_owned()))
            .collect(),
        addresses: vips.into_iter().map(loopback_vip).collect(),
        ..RealServerPlan::default()
    })
}

fn plans() -> impl Strategy<Value = Plan> {
    (services(), daemons(), real_server(), any::<bool>()).prop_map(
        |(services, daemons, real_server, forwards)| Plan {
            services,
            daemons: Some(daemons),
            real_server: Some(real_server),
            director_sysctls: forwards
                .then(|| (Sysctl::forwarding([0, 0, 0, 0].into()), "1".to_owned()))
                .into_iter()
                .collect(),
            ..Plan::default()
        },
    )
}

/// A kernel with things of others, or of an agent whose record is lost.
fn kernels() -> impl Strategy<Value = FakeKernel> {
    let found = prop::collection::btree_set(0..6_u8, 0..3);
    (services(), daemons(), found, "[0-2]", "[01]").prop_map(
        |(services, daemons, vips, ignore, forward)| {
            let mut kernel = FakeKernel(Observed {
                facts: facts(&["192.168.1.129/24"]),
                table: Some(Arc::default()),
                daemons,
                sysctls: BTreeMap::from([
                    (arp_ignore("eth0"), ignore),
                    (Sysctl::forwarding([0, 0, 0, 0].into()), forward),
                    (arp_ignore("eth1"), "2".to_owned()),
                ]),
                ..Observed::default()
            });
            for planned in services.into_values() {
                let service = planned.service.key;
                kernel.apply(&Op::Ipvs(Command::AddService(planned.service)));
                for destination in planned.destinations.into_values() {
                    kernel.apply(&Op::Ipvs(Command::AddDestination {
                        service,
                        destination,
                    }));
                }
            }
            for number in vips {
                let address = own(&format!("192.168.1.{}/32", 200 + number));
                kernel.addresses(&loopback_vip(number)).push(address);
            }
            kernel
        },
    )
}

/// One round of the loop.
fn carry_out(
    plan: &Plan,
    kernel: &mut FakeKernel,
    ownership: &mut Ownership,
    check: &mut dyn FnMut(&FakeKernel, &Op),
) -> Diff {
    let changes = diff(plan, &kernel.0, ownership, &BTreeSet::new());
    ownership.claim(plan, &kernel.0, &changes);
    for op in changes.ops() {
        kernel.apply(op);
        check(kernel, op);
    }
    ownership.settle(plan, &kernel.0);
    changes
}

fn foreign_addresses(facts: &NodeFacts) -> Vec<(u32, InterfaceAddress)> {
    facts
        .interfaces
        .values()
        .flat_map(|interface| interface.addresses.iter().map(|it| (interface.index, *it)))
        .filter(|(_, address)| !address.is_ours())
        .collect()
}

proptest! {
    #[test]
    fn a_second_round_finds_nothing_to_do(
        kernel in kernels(), plans in prop::collection::vec(plans(), 1..4),
    ) {
        let (mut kernel, mut ownership) = (kernel, Ownership::default());
        for plan in &plans {
            carry_out(plan, &mut kernel, &mut ownership, &mut |_, _| {});
            let again = diff(plan, &kernel.0, &ownership, &BTreeSet::new());
            prop_assert!(again.is_empty(), "{again:?}");
        }
    }

    #[test]
    fn nothing_of_others_is_touched_and_a_release_leaves_nothing_of_ours(
        kernel in kernels(), plans in prop::collection::vec(plans(), 1..4),
    ) {
        let before = kernel.0.clone();
        let (mut kernel, mut ownership) = (kernel, Ownership::default());
        for plan in &plans {
            carry_out(plan, &mut kernel, &mut ownership, &mut |_, _| {});
        }
        let nothing = Plan {
            daemons: Some(Vec::new()),
            real_server: Some(RealServerPlan::default()),
            ..Plan::default()
        };
        carry_out(&nothing, &mut kernel, &mut ownership, &mut |_, _| {});
        let again = diff(&nothing, &kernel.0, &ownership, &BTreeSet::new());
        prop_assert!(again.is_empty(), "{again:?}");
        prop_assert_eq!(&ownership, &Ownership::default());

        let planned: BTreeSet<ServiceKey> =
            plans.iter().flat_map(|plan| plan.services.keys().copied()).collect();
        let foreign = |observed: &Observed| -> Vec<_> {
            let table = observed.table.clone().unwrap_or_default();
            table.iter().filter(|entry| !planned.contains(&entry.service.key)).cloned().collect()
        };
        prop_assert_eq!(foreign(&kernel.0), foreign(&before));
        let left = kernel.0.table.clone().unwrap_or_default();
        prop_assert!(left.entries.keys().all(|key| !planned.contains(key)));
        prop_assert_eq!(foreign_addresses(&kernel.0.facts), foreign_addresses(&before.facts));
        let ours = kernel.0.facts.interfaces.values().flat_map(|interface| &interface.addresses);
        prop_assert_eq!(ours.filter(|address| address.is_ours()).count(), 0);
        prop_assert_eq!(&kernel.0.sysctls, &before.sysctls);
        let daemons_met = |running: &SyncDaemon| {
            plans.iter().flat_map(|plan| plan.daemons.iter().flatten()).any(|it| it.is_met_by(running))
        };
        for running in before.daemons.iter().filter(|running| !daemons_met(running)) {
            prop_assert!(kernel.0.daemons.contains(running));
        }
    }

    #[test]
    fn no_pool_is_emptied_on_the_way(kernel in kernels(), plan in plans()) {
        let mut kernel = kernel;
        // Those that have a usable server before and after have one all the time.
        let planned = |planned: &PlannedService| planned.destinations.values().any(|it| it.weight > 0);
        let kept: Vec<ServiceKey> = plan
            .services
            .iter()
            .filter(|(key, it)| kernel.usable(key) > 0 && planned(it))
            .map(|(key, _)| *key)
            .collect();
        let mut emptied = None;
        carry_out(&plan, &mut kernel, &mut Ownership::default(), &mut |kernel, op| {
            if kept.iter().any(|key| kernel.usable(key) == 0) {
                emptied.get_or_insert_with(|| op.to_string());
            }
        });
        prop_assert_eq!(emptied, None);
    }

    #[test]
    fn a_changed_weight_is_one_op(plan in plans(), weight in 3..9_u32) {
        let (mut kernel, mut ownership) = (FakeKernel::default(), Ownership::default());
        kernel.0.facts = facts(&[]);
        carry_out(&plan, &mut kernel, &mut ownership, &mut |_, _| {});
        let mut changed = plan.clone();
        let destination = changed
            .services
            .values_mut()
            .find_map(|planned| planned.destinations.values_mut().next());
        let Some(destination) = destination else {
            return Ok(());
        };
        destination.weight = weight;
        let ops = carry_out(&changed, &mut kernel, &mut ownership, &mut |_, _| {});
        let kinds: Vec<_> = ops.ops().map(Op::kind).collect();
        prop_assert_eq!(kinds, ["set_destination"]);
    }

    #[test]
    fn services_stay_while_the_node_answers_for_their_vips(plan in plans(), held in 0..5_u8) {
        let (mut kernel, mut ownership) = (FakeKernel::default(), Ownership::default());
        kernel.0.facts = facts(&["192.168.1.129/24"]);
        carry_out(&plan, &mut kernel, &mut ownership, &mut |_, _| {});
        let vip = InterfaceAddress {
            protocol: Some(ADDRESS_PROTOCOL),
            is_permanent: false,
            ..own(&format!("192.168.1.{}/32", 200 + held))
        };
        kernel.0.facts.interfaces.get_mut(&2).expect("eth0").addresses.push(vip);
        let release = Plan { services: BTreeMap::new(), ..plan.clone() };
        let changes = diff(&release, &kernel.0, &ownership, &BTreeSet::new());
        let deleted: Vec<ServiceKey> = changes
            .after
            .iter()
            .filter_map(|op| match op {
                Op::Ipvs(Command::DeleteService(key)) => Some(*key),
                _ => None,
            })
            .collect();
        let (kept, expected): (Vec<ServiceKey>, Vec<ServiceKey>) =
            plan.services.keys().partition(|key| vip_of(key) == vip.address);
        prop_assert_eq!(deleted, expected);
        prop_assert_eq!(changes.held.len(), kept.len());
        // A VIP that another service keeps holds nothing up.
        let wanted = BTreeSet::from([vip.address]);
        prop_assert!(diff(&release, &kernel.0, &ownership, &wanted).held.is_empty());
    }
}

fn commands(ops: &[Op]) -> Vec<String> {
    ops.iter().map(ToString::to_string).collect()
}

#[test]
fn ops_stand_in_their_order() {
    let planned = |number, weight| {
        let server = DestinationKey {
            address: [10, 0, 0, 1].into(),
            port: 80,
        };
        let destination = Destination::new(server, Forwarding::DirectRouting, weight);
        let planned = PlannedService {
            service: service(number, "rr"),
            destinations: BTreeMap::from([(server, destination)]),
            subject: Arc::new(Subject::Node),
        };
        (key(number), planned)
    };
    let role = |services: BTreeMap<_, _>, vip, sync_id| Plan {
        services,
        daemons: Some(vec![daemon(SyncRole::Master, sync_id)]),
        real_server: Some(RealServerPlan {
            addresses: BTreeSet::from([loopback_vip(vip)]),
            sysctls: BTreeMap::from([(arp_ignore("eth0"), "1".to_owned())]),
            ..RealServerPlan::default()
        }),
        ..Plan::default()
    };
    let (mut kernel, mut ownership) = (FakeKernel::default(), Ownership::default());
    kernel.0.facts = facts(&[]);
    kernel.0.sysctls.insert(arp_ignore("eth0"), "0".into());
    let first = role(BTreeMap::from([planned(0, 1), planned(1, 1)]), 2, 7);
    let changes = carry_out(&first, &mut kernel, &mut ownership, &mut |_, _| {});
    assert_eq!(
        commands(&changes.before),
        [
            "sysctl net.ipv4.conf.eth0.arp_ignore=1",
            "ip addr add 192.168.1.202/32 dev lo",
            "ipvsadm -A -t 192.168.1.200:80 -s rr",
            "ipvsadm -a -t 192.168.1.200:80 -r 10.0.0.1:80 -g -w 1",
            "ipvsadm -A -t 192.168.1.201:80 -s rr",
            "ipvsadm -a -t 192.168.1.201:80 -r 10.0.0.1:80 -g -w 1",
            "ipvsadm --start-daemon master --mcast-interface eth0 --syncid 7",
        ]
    );
    assert_eq!(commands(&changes.after), [""; 0]);

    let second = role(BTreeMap::from([planned(1, 5), planned(2, 1)]), 3, 8);
    let changes = carry_out(&second, &mut kernel, &mut ownership, &mut |_, _| {});
    assert_eq!(
        commands(&changes.before),
        [
            "ip addr add 192.168.1.203/32 dev lo",
            "ipvsadm -A -t 192.168.1.202:80 -s rr",
            "ipvsadm -a -t 192.168.1.202:80 -r 10.0.0.1:80 -g -w 1",
            "ipvsadm -e -t 192.168.1.201:80 -r 10.0.0.1:80 -g -w 5",
            "ipvsadm --stop-daemon master",
            "ipvsadm --start-daemon master --mcast-interface eth0 --syncid 8",
        ]
    );
    assert_eq!(
        commands(&changes.after),
        [
            "ipvsadm -D -t 192.168.1.200:80",
            "ip addr del 192.168.1.202/32 dev lo"
        ]
    );

    let nothing = Plan {
        daemons: Some(Vec::new()),
        real_server: Some(RealServerPlan::default()),
        ..Plan::default()
    };
    let changes = carry_out(&nothing, &mut kernel, &mut ownership, &mut |_, _| {});
    assert_eq!(
        commands(&changes.after),
        [
            "ipvsadm -D -t 192.168.1.201:80",
            "ipvsadm -D -t 192.168.1.202:80",
            "ipvsadm --stop-daemon master",
            "ip addr del 192.168.1.203/32 dev lo",
            "sysctl net.ipv4.conf.eth0.arp_ignore=0",
        ]
    );
}

#[test]
fn what_is_not_known_is_left_alone() {
    let (mut kernel, mut ownership) = (FakeKernel::default(), Ownership::default());
    kernel.0.facts = facts(&[]);
    kernel.0.sysctls.insert(arp_ignore("eth0"), "0".into());
    let plan = Plan {
        services: BTreeMap::new(),
        daemons: Some(vec![daemon(SyncRole::Backup, 7)]),
        real_server: Some(RealServerPlan {
            addresses: BTreeSet::from([loopback_vip(0)]),
            sysctls: BTreeMap::from([(arp_ignore("eth0"), "1".to_owned())]),
            ..RealServerPlan::default()
        }),
        ..Plan::default()
    };
    carry_out(&plan, &mut kernel, &mut ownership, &mut |_, _| {});
    let unknown = Plan::default();
    let changes = carry_out(&unknown, &mut kernel, &mut ownership, &mut |_, _| {});
    assert!(changes.is_empty(), "{changes:?}");
    let changes = carry_out(&plan, &mut kernel, &mut ownership, &mut |_, _| {});
    assert!(changes.is_empty(), "{changes:?}");
}

#[test]
fn a_sysctl_that_somebody_else_changed_since_is_not_put_back() {
    let (mut kernel, mut ownership) = (FakeKernel::default(), Ownership::default());
    kernel.0.facts = facts(&[]);
    kernel.0.sysctls.insert(arp_ignore("eth0"), "0".into());
    let sysctls = BTreeMap::from([(arp_ignore("eth0"), "1".to_owned())]);
    let plan = Plan {
        real_server: Some(RealServerPlan {
            sysctls,
            ..RealServerPlan::default()
        }),
        ..Plan::default()
    };
    carry_out(&plan, &mut kernel, &mut ownership, &mut |_, _| {});
    kernel.0.sysctls.insert(arp_ignore("eth0"), "2".into());
    let nothing = Plan {
        real_server: Some(RealServerPlan::default()),
        ..Plan::default()
    };
    let changes = carry_out(&nothing, &mut kernel, &mut ownership, &mut |_, _| {});
    assert!(changes.is_empty(), "{changes:?}");
    assert_eq!(ownership, Ownership::default());
}
