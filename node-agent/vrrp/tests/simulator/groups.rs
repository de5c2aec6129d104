//! Sync groups: machines with a router on each of two segments, Active on both or on none.

use std::time::Duration;

use lvs_vrrp::{CheckedConfig, Preemption, Role};
use proptest::prelude::*;

use crate::lan::{Lan, summary};
use crate::machine::{Fault, INTERVAL, Place, config};
use crate::{SETTLING, fault, on_one_of, planned, preemption, run, schedule};

const SEGMENTS: usize = 2;
/// A group that was wrong about a silent segment waits for its role to be taken, gives it up and
/// waits for every timer: three times what a single router needs.
const GROUP_SETTLING: Duration = Duration::from_secs(36);

/// Two to four machines of different priorities, as a director pair has them.
fn machines() -> impl Strategy<Value = Vec<CheckedConfig>> {
    let priorities = proptest::collection::hash_set(1..=254_u8, 2..=4);
    (priorities, preemption()).prop_map(|(priorities, preemption)| {
        let numbered = priorities.into_iter().enumerate();
        numbered
            .map(|(number, priority)| config(number, priority, preemption))
            .collect()
    })
}

fn place() -> impl Strategy<Value = Place> {
    (0..12_usize, 0..SEGMENTS).prop_map(|(machine, segment)| Place { machine, segment })
}

/// Faults of single ports beside all others.
fn group_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        3 => port_fault(),
        2 => place().prop_map(Fault::Mend),
        4 => fault(),
    ]
}

fn port_fault() -> impl Strategy<Value = Fault> {
    prop_oneof![
        place().prop_map(Fault::Unplug),
        place().prop_map(Fault::Cut),
        place().prop_map(Fault::Deafen),
        place().prop_map(Fault::Mute),
    ]
}

/// The machines that are Active on some segment; none may be so on a part of them.
fn active_groups(lan: &Lan) -> Result<Vec<usize>, TestCaseError> {
    let active = lan.active(0);
    for segment in 1..SEGMENTS {
        prop_assert_eq!(
            &lan.active(segment),
            &active,
            "a part of a group is Active: {:?}",
            summary(&lan.changes)
        );
    }
    Ok(active)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    /// Once the segments are whole, one machine is Active on all of them, and that stays so.
    #[test]
    fn one_group_is_active_after_any_faults(
        configs in machines(),
        seed in any::<u64>(),
        schedule in schedule(group_fault(), 0..5_000),
    ) {
        let mut lan = Lan::new(&configs, SEGMENTS, seed);
        run(&mut lan, configs.len(), &schedule);
        lan.repair();
        lan.pass(GROUP_SETTLING);
        let settled = lan.changes.len();
        let active = active_groups(&lan)?;
        prop_assert_eq!(active.len(), 1, "{:?}", summary(&lan.changes));
        for segment in 0..SEGMENTS {
            prop_assert_eq!(lan.holders(segment), active.clone());
        }
        lan.pass(GROUP_SETTLING);
        prop_assert_eq!(lan.changes.len(), settled, "flaps: {:?}", summary(&lan.changes));
        if (0..configs.len()).any(|number| !lan.is_drained(number)) {
            prop_assert!(!lan.is_drained(active[0]), "a drained machine is Active");
        }
    }

    /// Two machines, one port of which is unplugged, cut or cut one way: one is Active on both
    /// segments, nobody on one alone, and nothing goes back and forth.
    #[test]
    fn one_broken_port_leaves_one_group_active(
        priorities in proptest::collection::hash_set(1..=254_u8, 2),
        preemption in preemption(),
        seed in any::<u64>(),
        broken in port_fault(),
    ) {
        let configs: Vec<_> = priorities
            .into_iter()
            .enumerate()
            .map(|(number, priority)| config(number, priority, preemption))
            .collect();
        let mut lan = Lan::new(&configs, SEGMENTS, seed);
        lan.pass(SETTLING);
        lan.inflict(on_one_of(2, broken));
        lan.pass(GROUP_SETTLING);
        let settled = lan.changes.len();
        let active = active_groups(&lan)?;
        prop_assert_eq!(active.len(), 1, "{:?}", summary(&lan.changes));
        lan.pass(GROUP_SETTLING);
        prop_assert_eq!(lan.changes.len(), settled, "flaps: {:?}", summary(&lan.changes));
    }

    /// Planned stops, drains and restarts leave no moment without a holder of either VIP.
    #[test]
    fn planned_work_leaves_no_gap_on_any_segment(
        configs in machines(),
        seed in any::<u64>(),
        work in schedule(planned(), 5_000..12_000),
    ) {
        let mut lan = Lan::new(&configs, SEGMENTS, seed);
        lan.pass(SETTLING);
        let begun = lan.now();
        for &(pause, work) in &work {
            lan.pass(pause);
            lan.inflict(match on_one_of(configs.len(), work) {
                Fault::Stop(0) => Fault::Start(0),
                other => other,
            });
        }
        lan.pass(SETTLING);
        for gaps in &lan.gaps {
            let gaps: Vec<_> = gaps.iter().filter(|(at, _)| *at >= begun).collect();
            prop_assert!(gaps.is_empty(), "{gaps:?}, {:?}", summary(&lan.changes));
        }
    }

    /// Power lost by the Active machine costs at most the best other's down interval on both
    /// segments, whatever the phase of the advertisements.
    #[test]
    fn a_group_fails_over_as_fast_as_a_router(
        configs in machines(),
        seed in any::<u64>(),
        phase in (0..1000_u64).prop_map(Duration::from_millis),
    ) {
        let mut lan = Lan::new(&configs, SEGMENTS, seed);
        lan.pass(SETTLING);
        let active = active_groups(&lan)?[0];
        lan.pass(phase);
        let off_at = lan.now();
        lan.inflict(Fault::PowerOff(active));
        lan.pass(SETTLING);
        let others = (0..configs.len()).filter(|number| *number != active);
        let priority = others.map(|number| configs[number].priority).max().unwrap();
        let bound = INTERVAL * 3 + INTERVAL * (256 - u32::from(priority)) / 256;
        for gaps in &lan.gaps {
            let (begun, ended) = *gaps.last().unwrap();
            prop_assert_eq!(begun, off_at);
            let gap = ended.unwrap().saturating_since(begun);
            prop_assert!(gap <= bound + Duration::from_millis(1), "{gap:?} instead of {bound:?}");
        }
    }

    /// A lost link moves the whole group: without a gap where the link is whole, and where it is not
    /// within the skew time and the interval and a quarter after which an advertisement is overdue.
    #[test]
    fn a_lost_link_moves_the_group(
        seed in any::<u64>(),
        segment in 0..SEGMENTS,
        phase in (0..1000_u64).prop_map(Duration::from_millis),
        preemption in preemption(),
    ) {
        let configs = [config(0, 150, preemption), config(1, 100, preemption)];
        let mut lan = Lan::new(&configs, SEGMENTS, seed);
        lan.pass(SETTLING);
        prop_assert_eq!(active_groups(&lan)?, [0]);
        lan.pass(phase);
        let lost_at = lan.now();
        lan.inflict(Fault::Unplug(Place { machine: 0, segment }));
        lan.pass(SETTLING);
        prop_assert_eq!(active_groups(&lan)?, [1]);
        let (begun, ended) = *lan.gaps[segment].last().unwrap();
        prop_assert_eq!(begun, lost_at);
        let gap = ended.unwrap().saturating_since(begun);
        prop_assert!(gap <= INTERVAL * 5 / 4 + Duration::from_millis(1), "{gap:?}");
        prop_assert_eq!(lan.gaps[1 - segment].len(), 1, "only the one before the start");

        // The link is back: who prefers the first machine waits until both segments can have it.
        lan.inflict(Fault::Mend(Place { machine: 0, segment }));
        lan.pass(SETTLING);
        let expected = usize::from(preemption == Preemption::Never);
        prop_assert_eq!(active_groups(&lan)?, [expected]);
        for gaps in &lan.gaps {
            prop_assert!(gaps.iter().all(|(at, _)| *at <= lost_at), "{gaps:?}");
        }
    }
}

/// On a segment that is cut, silence says nothing of the Active Router on the other one. Two packets
/// lost in a row there lead to a wrong conclusion once; after that it takes the three that end a
/// single router's patience, too, which in an hour at 2 % hardly ever happens.
#[test]
fn loss_beside_a_cut_makes_nothing_go_back_and_forth() {
    let configs = [
        config(0, 100, Preemption::Never),
        config(1, 150, Preemption::Never),
    ];
    for seed in 0..20 {
        let mut lan = Lan::new(&configs, SEGMENTS, seed);
        lan.pass(SETTLING);
        lan.inflict(Fault::Loss(2));
        lan.inflict(Fault::Cut(Place {
            machine: 0,
            segment: 1,
        }));
        let before = lan.changes.len();
        lan.pass(Duration::from_hours(1));
        let changes = &lan.changes[before..];
        let takeovers = changes
            .iter()
            .filter(|change| change.to == Role::Active && change.place.segment == 0)
            .count();
        assert!(takeovers <= 2, "seed {seed}: {:?}", summary(changes));
    }
}
