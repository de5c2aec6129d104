//! No client: how what a pair balances is spread over slices.
//!
//! An entry's slice depends on its name and the number of slices alone, so that a change of one
//! entry writes one slice. The number is a power of two and changes by doubling and halving, with
//! room in between, so that a pair that breathes does not move its entries.

use std::collections::BTreeMap;

use lvs_crds::v1alpha1::{PlanSliceSpec, PoolPlan, ServicePlan, revision};
use serde::Serialize;

use super::compile::{PairContent, pool_plans};
use crate::digest;

/// Label of a slice: how many slices its pair's entries are spread over.
pub const COUNT_LABEL: &str = "lvs-operator.dev/slices";

/// Above this many bytes in the average slice their number is doubled.
const DOUBLE_ABOVE_BYTES: usize = 32 * 1024;
/// Below this many bytes in the average slice their number is halved.
const HALVE_BELOW_BYTES: usize = 8 * 1024;
/// Most slices of a pair; 65536 of them would hold 2 GiB.
const MAXIMUM_COUNT: usize = 1 << 16;

/// The slices that a pair should have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PairSlices {
    /// Number that entries are spread over; slices without entries do not exist.
    pub count: usize,
    /// By name.
    pub slices: BTreeMap<String, PlanSliceSpec>,
}

impl PairSlices {
    /// Digest of all of them, as the directors' plans carry it.
    #[must_use]
    pub fn digest(&self) -> String {
        revision::slices_digest(
            self.slices
                .iter()
                .map(|(name, slice)| (name.as_str(), slice.digest.as_str())),
        )
    }
}

/// Spreads what a pair balances over slices. `count` is the number at present, if there are any.
///
/// # Errors
/// When an entry cannot be written as JSON.
pub fn shard(
    pair: &str,
    content: &PairContent,
    count: Option<usize>,
) -> Result<PairSlices, serde_json::Error> {
    let pools: Vec<PoolPlan> = pool_plans(content).collect();
    let mut bytes = 0;
    for service in content.services.values() {
        bytes += size(service)?;
    }
    for pool in &pools {
        bytes += size(pool)?;
    }
    let count = choose_count(bytes, count.unwrap_or(1));
    let mut slots: BTreeMap<u64, (Vec<ServicePlan>, Vec<PoolPlan>)> = BTreeMap::new();
    for service in content.services.values() {
        slots
            .entry(slot(&service.name, count))
            .or_default()
            .0
            .push(service.clone());
    }
    for pool in pools {
        slots
            .entry(slot(&pool.name, count))
            .or_default()
            .1
            .push(pool);
    }
    let mut slices = BTreeMap::new();
    for (slot, (services, pools)) in slots {
        let mut slice = PlanSliceSpec {
            digest: String::new(),
            services,
            pools,
        };
        slice.digest = revision::slice_digest(&slice)?;
        slices.insert(format!("{pair}-{slot}"), slice);
    }
    Ok(PairSlices { count, slices })
}

fn choose_count(bytes: usize, present: usize) -> usize {
    let mut count = present.clamp(1, MAXIMUM_COUNT).next_power_of_two();
    while count < MAXIMUM_COUNT && bytes > count * DOUBLE_ABOVE_BYTES {
        count *= 2;
    }
    while count > 1 && bytes < count * HALVE_BELOW_BYTES {
        count /= 2;
    }
    count
}

fn slot(name: &str, count: usize) -> u64 {
    digest::number(name) % u64::try_from(count).unwrap_or(u64::MAX)
}

fn size(value: &impl Serialize) -> Result<usize, serde_json::Error> {
    Ok(serde_json::to_vec(value)?.len())
}
