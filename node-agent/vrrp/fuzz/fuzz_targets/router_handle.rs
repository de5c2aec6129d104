//! Any sequence of inputs leaves a router that keeps its promises to the shell.
//!
//! `cargo +nightly fuzz run router_handle`

#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use lvs_vrrp::{
    Addresses, Adjustment, Advertisement, Centiseconds, CheckedConfig, ChecksumConvention, Config,
    GratuitousAnnouncements, GroupOrder, Input, LowerPriorityAdvertisement, Monotonic, Output,
    Preemption, Role, Router, Transport, Version,
};

#[derive(Arbitrary, Debug)]
enum Step {
    Start,
    StartActive,
    Stop,
    Drain(bool),
    Group(u8),
    TakeOver,
    Priority {
        weight: i32,
        is_fault: bool,
    },
    HoldPreemption(bool),
    Interface(bool),
    Hear {
        source: u8,
        id: u8,
        priority: u8,
        interval: u16,
        address: u8,
    },
    Configure {
        priority: u8,
        interval: u16,
        addresses: u8,
        preempts: bool,
        peers: u8,
    },
    Pass(u16),
}

fuzz_target!(|steps: Vec<Step>| {
    let Some(initial) = config(100, 100, 1, false, 0) else {
        return;
    };
    let mut router = Router::new(initial);
    let mut now = Monotonic::ZERO;
    let mut held = Vec::new();
    let mut split = None;
    for step in steps {
        let input = match step {
            Step::Start => Input::Start,
            Step::StartActive => Input::StartActive,
            Step::Stop => Input::Stop,
            Step::Drain(drain) => Input::Drain(drain),
            Step::Group(order) => Input::Group(match order % 3 {
                0 => GroupOrder::Independent,
                1 => GroupOrder::Together,
                _ => GroupOrder::Release,
            }),
            Step::TakeOver => Input::TakeOver,
            Step::Priority { weight, is_fault } => Input::Priority(Adjustment { weight, is_fault }),
            Step::HoldPreemption(hold) => Input::HoldPreemption(hold),
            Step::Interface(true) => Input::InterfaceUp,
            Step::Interface(false) => Input::InterfaceDown,
            Step::Hear {
                source,
                id,
                priority,
                interval,
                address,
            } => Input::Received {
                source: [192, 0, 2, source].into(),
                advertisement: Advertisement {
                    version: Version::V3,
                    virtual_router_id: id,
                    priority,
                    interval: Centiseconds::new(interval),
                    addresses: Addresses::V4(vec![[198, 51, 100, address].into()]),
                    authentication: None,
                    checksum: ChecksumConvention::Rfc9568,
                },
            },
            Step::Configure {
                priority,
                interval,
                addresses,
                preempts,
                peers,
            } => match config(priority, interval, addresses, preempts, peers) {
                Some(config) => Input::Reconfigure(Box::new(config)),
                None => continue,
            },
            Step::Pass(milliseconds) => {
                now = now + Duration::from_millis(milliseconds.into());
                Input::Tick
            }
        };
        let before = router.role();
        let outputs = router.handle(input, now);
        check(&router, before, &outputs, &mut held);
        check_split(&router, &outputs, &mut split);
        // A Backup of a group is told when to take over.
        if router.role() != Role::Backup {
            let is_active = router.role() == Role::Active;
            assert_eq!(router.next_deadline().is_some(), is_active);
        }
    }
});

/// An Active Router holds exactly its addresses, announces no others, and every change of role is
/// told.
fn check(router: &Router, before: Role, outputs: &[Output], held: &mut Vec<std::net::IpAddr>) {
    let mut role = before;
    for output in outputs {
        match output {
            Output::AddVips(addresses) => {
                held.retain(|address| !addresses.contains(address));
                held.extend(addresses);
            }
            Output::RemoveVips(addresses) => held.retain(|address| !addresses.contains(address)),
            Output::Announce(addresses) => {
                assert!(addresses.iter().all(|address| held.contains(address)));
            }
            Output::RoleChanged { from, to, .. } => {
                assert_eq!(*from, role);
                role = *to;
            }
            _ => {}
        }
    }
    assert_eq!(role, router.role());
    if role == Role::Active {
        let mut expected = router.config().virtual_addresses.clone();
        expected.sort_unstable();
        held.sort_unstable();
        assert_eq!(*held, expected);
    } else {
        assert!(held.is_empty());
    }
}

/// A split is told of once, ends once, and does not outlast the role; what is sent goes to everybody.
fn check_split(router: &Router, outputs: &[Output], split: &mut Option<std::net::IpAddr>) {
    let mut sent = 0;
    for output in outputs {
        match output {
            Output::SplitBrain { peer, .. } => assert_eq!(split.replace(*peer), None),
            Output::SplitHealed { peer, .. } => assert_eq!(split.take(), Some(*peer)),
            Output::SendAdvertisement {
                destination,
                advertisement,
            } => {
                sent += 1;
                assert!(router.config().destinations().contains(destination));
                assert!(advertisement.priority == 0 || advertisement.priority == router.priority());
            }
            _ => {}
        }
    }
    assert_eq!(sent % router.config().destinations().len(), 0);
    assert!(split.is_none() || router.role() == Role::Active);
}

fn config(
    priority: u8,
    interval: u16,
    addresses: u8,
    preempts: bool,
    peers: u8,
) -> Option<CheckedConfig> {
    Config {
        virtual_router_id: 51,
        version: Version::V3,
        priority,
        own_address: [192, 0, 2, 128].into(),
        advertisement_interval: Centiseconds::new(interval),
        down_advertisements: 3,
        preemption: if preempts {
            Preemption::Immediate
        } else {
            Preemption::Never
        },
        preempt_delay: Duration::from_secs(1),
        authentication: None,
        transport: if peers == 0 {
            Transport::Multicast
        } else {
            Transport::Unicast {
                peers: (1..=peers.min(4))
                    .map(|last| [192, 0, 2, last].into())
                    .collect(),
                minimum_ttl: 255,
            }
        },
        checksum: ChecksumConvention::Rfc9568,
        virtual_addresses: (0..addresses)
            .map(|last| [198, 51, 100, last].into())
            .collect(),
        gratuitous: GratuitousAnnouncements::default(),
        lower_priority_advertisement: LowerPriorityAdvertisement::Send,
    }
    .check()
    .ok()
}
