//! Properties that hold for every plan and every state of the kernel.

mod fake_kernel;

use std::collections::{BTreeMap, BTreeSet};

use lvs_ipvs::{Name, SyncDaemon, SyncRole, Timeouts};
use proptest::prelude::*;

use super::*;
use fake_kernel::FakeKernel;

use crate::facts::{InterfaceAddress, NodeFacts};
use crate::fixture::{facts, own};
use crate::kernel::sysctls::Sysctl;
use crate::op::LoopbackVip;
use crate::plan::real_server::RealServerPlan;

fn arp_ignore(interface: &str) -> Sysctl {
    Sysctl::of_interface_ipv4(interface, "arp_ignore")
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

fn timeouts(tcp_seconds: u32) -> Timeouts {
    Timeouts {
        tcp_seconds,
        tcp_fin_seconds: 120,
        udp_seconds: 300,
    }
}

fn plans() -> impl Strategy<Value = Plan> {
    let wanted = prop::option::of((1..3_u32).prop_map(timeouts));
    (daemons(), real_server(), any::<bool>(), wanted).prop_map(
        |(daemons, real_server, forwards, timeouts)| Plan {
            daemons: Some(daemons),
            timeouts,
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
    (daemons(), found, "[0-2]", "[01]", 1..4_u32).prop_map(
        |(daemons, vips, ignore, forward, tcp_seconds)| {
            let mut kernel = FakeKernel(Observed {
                facts: facts(&["192.168.1.129/24"]),
                has_ipvs: true,
                daemons,
                timeouts: Some(timeouts(tcp_seconds)),
                sysctls: BTreeMap::from([
                    (arp_ignore("eth0"), ignore),
                    (Sysctl::forwarding([0, 0, 0, 0].into()), forward),
                    (arp_ignore("eth1"), "2".to_owned()),
                ]),
                ..Observed::default()
            });
            for number in vips {
                let address = own(&format!("192.168.1.{}/32", 200 + number));
                kernel.addresses(&loopback_vip(number)).push(address);
            }
            kernel
        },
    )
}

/// One round of the loop.
fn carry_out(plan: &Plan, kernel: &mut FakeKernel, ownership: &mut Ownership) -> Diff {
    let changes = diff(plan, &kernel.0, ownership);
    ownership.claim(plan, &kernel.0, &changes);
    for op in changes.ops() {
        kernel.apply(op);
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

fn nothing() -> Plan {
    Plan {
        daemons: Some(Vec::new()),
        real_server: Some(RealServerPlan::default()),
        ..Plan::default()
    }
}

proptest! {
    #[test]
    fn a_second_round_finds_nothing_to_do(
        kernel in kernels(), plans in prop::collection::vec(plans(), 1..4),
    ) {
        let (mut kernel, mut ownership) = (kernel, Ownership::default());
        for plan in &plans {
            carry_out(plan, &mut kernel, &mut ownership);
            let again = diff(plan, &kernel.0, &ownership);
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
            carry_out(plan, &mut kernel, &mut ownership);
        }
        carry_out(&nothing(), &mut kernel, &mut ownership);
        let again = diff(&nothing(), &kernel.0, &ownership);
        prop_assert!(again.is_empty(), "{again:?}");
        prop_assert_eq!(&ownership, &Ownership::default());
        prop_assert_eq!(foreign_addresses(&kernel.0.facts), foreign_addresses(&before.facts));
        let ours = kernel.0.facts.interfaces.values().flat_map(|interface| &interface.addresses);
        prop_assert_eq!(ours.filter(|address| address.is_ours()).count(), 0);
        prop_assert_eq!(&kernel.0.sysctls, &before.sysctls);
        prop_assert_eq!(kernel.0.timeouts, before.timeouts);
        let daemons_met = |running: &SyncDaemon| {
            plans.iter().flat_map(|plan| plan.daemons.iter().flatten()).any(|it| it.is_met_by(running))
        };
        for running in before.daemons.iter().filter(|running| !daemons_met(running)) {
            prop_assert!(kernel.0.daemons.contains(running));
        }
    }
}

fn commands(ops: &[Op]) -> Vec<String> {
    ops.iter().map(ToString::to_string).collect()
}

#[test]
fn ops_stand_in_their_order() {
    let role = |vip, sync_id, tcp_seconds| Plan {
        daemons: Some(vec![daemon(SyncRole::Master, sync_id)]),
        timeouts: Some(timeouts(tcp_seconds)),
        real_server: Some(RealServerPlan {
            addresses: BTreeSet::from([loopback_vip(vip)]),
            sysctls: BTreeMap::from([(arp_ignore("eth0"), "1".to_owned())]),
            ..RealServerPlan::default()
        }),
        ..Plan::default()
    };
    let (mut kernel, mut ownership) = (FakeKernel::default(), Ownership::default());
    kernel.0.facts = facts(&[]);
    kernel.0.has_ipvs = true;
    kernel.0.timeouts = Some(timeouts(900));
    kernel.0.sysctls.insert(arp_ignore("eth0"), "0".into());
    let changes = carry_out(&role(2, 7, 60), &mut kernel, &mut ownership);
    assert_eq!(
        commands(&changes.before),
        [
            "sysctl net.ipv4.conf.eth0.arp_ignore=1",
            "ip addr add 192.168.1.202/32 dev lo",
        ]
    );
    assert_eq!(
        commands(&changes.with_services),
        [
            "ipvsadm --set 60 120 300",
            "ipvsadm --start-daemon master --mcast-interface eth0 --syncid 7",
        ]
    );
    assert_eq!(commands(&changes.after), [""; 0]);

    let changes = carry_out(&role(3, 8, 60), &mut kernel, &mut ownership);
    assert_eq!(
        commands(&changes.before),
        ["ip addr add 192.168.1.203/32 dev lo"]
    );
    assert_eq!(
        commands(&changes.with_services),
        [
            "ipvsadm --stop-daemon master",
            "ipvsadm --start-daemon master --mcast-interface eth0 --syncid 8",
        ]
    );
    assert_eq!(
        commands(&changes.after),
        ["ip addr del 192.168.1.202/32 dev lo"]
    );

    let changes = carry_out(&nothing(), &mut kernel, &mut ownership);
    assert_eq!(
        commands(&changes.after),
        [
            "ipvsadm --stop-daemon master",
            "ip addr del 192.168.1.203/32 dev lo",
            "sysctl net.ipv4.conf.eth0.arp_ignore=0",
            "ipvsadm --set 900 120 300",
        ]
    );
}

#[test]
fn sysctls_that_are_only_looked_at_are_told_and_those_that_are_missing_too() {
    let sysctl = Sysctl::of_ipvs("conntrack");
    let wanted = || BTreeMap::from([(sysctl.clone(), "1".to_owned())]);
    let mut observed = Observed::default();
    let checked = Plan {
        checked_sysctls: wanted(),
        ..Plan::default()
    };
    let managed = Plan {
        director_sysctls: wanted(),
        ..Plan::default()
    };
    for plan in [&checked, &managed] {
        let found = diff(plan, &observed, &Ownership::default());
        assert!(found.is_empty(), "{found:?}");
        assert_eq!(found.problems[0].reason, "UnsupportedByKernel");
        assert!(found.problems[0].message.contains("net.ipv4.vs.conntrack"));
    }
    observed.sysctls.insert(sysctl.clone(), "0".into());
    let found = diff(&checked, &observed, &Ownership::default());
    assert!(found.is_empty(), "{found:?}");
    let problem = &found.problems[0];
    assert_eq!((problem.reason, problem.is_advice), ("SysctlDiffers", true));
    assert!(
        problem
            .message
            .contains("net.ipv4.vs.conntrack is 0 and should be 1")
    );
    observed.sysctls.insert(sysctl, "1".into());
    assert_eq!(
        diff(&checked, &observed, &Ownership::default()),
        Diff::default()
    );
}

#[test]
fn what_is_not_known_is_left_alone() {
    let (mut kernel, mut ownership) = (FakeKernel::default(), Ownership::default());
    kernel.0.facts = facts(&[]);
    kernel.0.sysctls.insert(arp_ignore("eth0"), "0".into());
    let plan = Plan {
        daemons: Some(vec![daemon(SyncRole::Backup, 7)]),
        real_server: Some(RealServerPlan {
            addresses: BTreeSet::from([loopback_vip(0)]),
            sysctls: BTreeMap::from([(arp_ignore("eth0"), "1".to_owned())]),
            ..RealServerPlan::default()
        }),
        ..Plan::default()
    };
    carry_out(&plan, &mut kernel, &mut ownership);
    let unknown = Plan::default();
    let changes = carry_out(&unknown, &mut kernel, &mut ownership);
    assert!(changes.is_empty(), "{changes:?}");
    let changes = carry_out(&plan, &mut kernel, &mut ownership);
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
    carry_out(&plan, &mut kernel, &mut ownership);
    kernel.0.sysctls.insert(arp_ignore("eth0"), "2".into());
    let nothing = Plan {
        real_server: Some(RealServerPlan::default()),
        ..Plan::default()
    };
    let changes = carry_out(&nothing, &mut kernel, &mut ownership);
    assert!(changes.is_empty(), "{changes:?}");
    assert_eq!(ownership, Ownership::default());
}
