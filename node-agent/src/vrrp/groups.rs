//! The routers that are Active together or not at all, and telling them so. What they are told is
//! decided by [`lvs_vrrp::group`].

use std::collections::BTreeMap;

use lvs_vrrp::Monotonic;
use lvs_vrrp::group::{self, Standing};

use super::member::Member;
use super::shell::Shell;

/// Places of the members of each group. To be made anew whenever members come, go or change.
#[derive(Debug, Default)]
pub(super) struct Groups(Vec<Vec<usize>>);

impl Groups {
    /// The groups of members that are not about to end.
    pub(super) fn of(members: &[Member]) -> Self {
        let mut places: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (place, member) in members.iter().enumerate() {
            if let Some(group) = member.group() {
                places.entry(group).or_default().push(place);
            }
        }
        Self(places.into_values().collect())
    }

    /// When a group takes over unless something is heard.
    pub(super) fn next_deadline(&self, members: &[Member]) -> Option<Monotonic> {
        self.0
            .iter()
            .filter_map(|group| group::next_deadline(&standings(group, members)))
            .min()
    }

    /// Tells every router what its group wants of it.
    pub(super) fn settle(&mut self, members: &mut [Member], now: Monotonic, shell: &mut Shell<'_>) {
        for group in &self.0 {
            let standings = standings(group, members);
            let inputs = group::settle(&standings, now);
            for (place, input) in inputs {
                let member = group.get(place).and_then(|place| members.get_mut(*place));
                if let Some(member) = member {
                    member.told_by_group(input, now, shell);
                }
            }
        }
        // One that is alone is told so once.
        self.0.retain(|group| group.len() > 1);
    }
}

fn standings(group: &[usize], members: &[Member]) -> Vec<Standing> {
    group
        .iter()
        .filter_map(|place| members.get(*place))
        .map(Member::standing)
        .collect()
}
