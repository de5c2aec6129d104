//! Any sequence of inputs leaves a router that keeps its promises to the shell.
//!
//! `cargo +nightly fuzz run router_handle`

#![no_main]

use std::time::Duration;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use lvs_vrrp::{
    Addresses, Advertisement, Centiseconds, CheckedConfig, ChecksumConvention, Config,
    GratuitousAnnouncements, GroupOrder, Input, LowerPriorityAdvertisement, Monotonic, Output,
    Preemption, Role, Router, Version,
};

#[derive(Arbitrary, Debug)]
enum Step {
    Start,
    StartActive,
    Stop,
    Drain(bool),
    Group(u8),
    TakeOver,
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
    },
    Pass(u16),
}

fuzz_target!(|steps: Vec<Step>| {
    let Some(initial) = config(100, 100, 1, false) else {
        return;
    };
    let mut router = Router::new(initial);
    let mut now = Monotonic::ZERO;
    let mut held = Vec::new();
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
            } => match config(priority, interval, addresses, preempts) {
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

fn config(priority: u8, interval: u16, addresses: u8, preempts: bool) -> Option<CheckedConfig> {
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
