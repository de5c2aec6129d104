//! No client: from a snapshot to everything that should be written. Each step is a function in the
//! folder of its kind; this is the order in which they run.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt;
use lvs_crds::v1alpha1::DirectorRole;

use crate::{
    director_pair::{self, validate::PairVerdicts},
    node::{
        self,
        compile::{NodePlans, unsettled},
        readiness::Readiness,
    },
    real_server::{
        self,
        compile::{RealServerRoles, Removal},
        validate::RealServerVerdicts,
    },
    virtual_service::{
        self,
        compile::Content,
        slices::{COUNT_LABEL, PairSlices},
        validate::ServiceVerdicts,
    },
    world::{Current, World},
};

/// Whether objects are accepted.
#[derive(Debug)]
pub struct Verdicts {
    /// Pairs.
    pub pairs: PairVerdicts,
    /// Real servers.
    pub real_servers: RealServerVerdicts,
    /// Virtual services.
    pub services: ServiceVerdicts,
}

/// What agents should carry out.
#[derive(Debug, Default)]
pub struct Plans {
    /// Slices of each accepted pair.
    pub slices: BTreeMap<String, PairSlices>,
    /// Pairs that are not accepted: their slices stay as they are.
    pub frozen: BTreeSet<String>,
    /// Plans and labels of nodes.
    pub nodes: NodePlans,
    /// Nodes that need more than a plan can hold, with what is too much.
    pub overfull: BTreeMap<String, String>,
    /// What the slices were made from.
    pub content: Content,
}

/// Validates every object beside the others.
///
/// # Errors
/// When a digest cannot be made.
pub fn validate(world: &World, current: &Current<'_>) -> Result<Verdicts, serde_json::Error> {
    let pairs = director_pair::validate::validate_all(world, current);
    let real_servers = real_server::validate::validate_all(world);
    let services = virtual_service::validate::validate_all(world, current, &pairs, &real_servers)?;
    Ok(Verdicts {
        pairs,
        real_servers,
        services,
    })
}

/// Compiles what is accepted; what is not goes on as it was.
///
/// # Errors
/// When a digest cannot be made.
pub fn compile(
    world: &World,
    current: &Current<'_>,
    verdicts: &Verdicts,
) -> Result<Plans, serde_json::Error> {
    let Verdicts {
        pairs,
        real_servers,
        services,
    } = verdicts;
    let readiness = Readiness::new(world);
    let content = virtual_service::compile::compile(world, current, pairs, services, &readiness)?;
    let mut plans = Plans::default();
    let mut directors: BTreeMap<String, DirectorRole> = BTreeMap::new();
    for (name, verdict) in &pairs.pairs {
        let (Ok(pair), Some(content)) = (verdict, content.pairs.get(name)) else {
            plans.frozen.insert(name.clone());
            continue;
        };
        let slices = virtual_service::slices::shard(name, content, slice_count(world, name))?;
        directors.extend(director_pair::compile::compile(pair, &slices.digest()));
        plans.slices.insert(name.clone(), slices);
    }
    // Directors of a frozen pair go on as they are.
    for (node, plan) in &world.node_plans {
        if let Some(role) = &plan.spec.director
            && plans.frozen.contains(&role.pair)
        {
            directors
                .entry(node.clone())
                .or_insert_with(|| role.clone());
        }
    }
    let removal = Removal {
        unsettled: &unsettled(world, &directors),
        carried_vips: &content.carried_vips,
    };
    let RealServerRoles { roles, overfull } =
        real_server::compile::compile(world, pairs, real_servers, services, removal);
    plans.nodes = node::compile::compile(world, directors, roles)?;
    plans.overfull = overfull;
    plans.content = content;
    Ok(plans)
}

/// Number of slices that the pair's entries are spread over at present.
fn slice_count(world: &World, pair: &str) -> Option<usize> {
    world
        .slices_of(pair)
        .filter_map(|slice| slice.labels().get(COUNT_LABEL)?.parse().ok())
        .max()
}
