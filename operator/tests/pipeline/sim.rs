//! A cluster in memory: it stores what the operator writes, and its agents do as they are told.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::{
    api::core::v1::{Node, Secret},
    apimachinery::pkg::apis::meta::v1::{Condition, ObjectMeta, Time},
    jiff::{SignedDuration, Timestamp},
};
use kube::{Resource, ResourceExt};
use lvs_crds::v1alpha1::{
    DirectorPair, DrainingServer, FencingReport, InstanceReport, KernelReport, MemberPlan,
    NodePlan, NodePlanStatus, PlanSlice, PlanSliceSpec, RealServer, RouterState, ServicePlan,
    ServiceProblem, SplitBrain, UnhealthyServer, VirtualService, condition,
};
use lvs_operator::{
    decision::{Decision, Memory, Settings, StatusWrite, decide},
    world::{World, key},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_yaml::Value;

/// The nodes of the examples.
pub(crate) const NODES: &str = include_str!("fixtures/nodes.yaml");
/// One virtual service over two managed real servers, behind two directors.
pub(crate) const WEB: &str = include_str!("fixtures/web.yaml");

/// A cluster in memory.
pub(crate) struct Sim {
    pub(crate) world: World,
    pub(crate) memory: Memory,
    pub(crate) now: Timestamp,
    /// Events that were told, as `reason: message`.
    pub(crate) events: Vec<String>,
    /// Checks that fail, as the Active Routers see them.
    pub(crate) unhealthy: Vec<UnhealthyServer>,
    /// Virtual services that a node cannot carry out, by node.
    pub(crate) problems: BTreeMap<String, Vec<ServiceProblem>>,
    /// Virtual services without a quorum, as the Active Routers see them.
    pub(crate) without_quorum: Vec<String>,
    /// Members that are leaving, by node.
    pub(crate) draining: BTreeMap<String, Vec<DrainingServer>>,
    /// How many members are leaving beyond the list, by node.
    pub(crate) draining_unlisted: BTreeMap<String, i32>,
    /// Modules that a kernel lacks, by node.
    pub(crate) missing_modules: BTreeMap<String, Vec<String>>,
    /// Where advertisements come from: node, instance, address.
    pub(crate) sources: Vec<(String, String, String)>,
    /// Address of another Active Router that a node hears, by node.
    pub(crate) splits: BTreeMap<String, String>,
    /// What is wrong with the instances of a node, by node.
    pub(crate) troubles: BTreeMap<String, String>,
    /// How fencing is, by node.
    pub(crate) fencing: BTreeMap<String, FencingReport>,
    /// Node of the Active Router; the first director where absent.
    pub(crate) active: Option<String>,
    created: i64,
}

impl Sim {
    /// A cluster with the nodes of the examples and these objects, created in this order.
    pub(crate) fn new(yaml: &str) -> Self {
        let mut sim = Self {
            world: World {
                namespace: "lvs-system".to_owned(),
                ..World::default()
            },
            memory: Memory::default(),
            now: Timestamp::from_second(1_800_000_000).unwrap(),
            events: Vec::new(),
            unhealthy: Vec::new(),
            problems: BTreeMap::new(),
            without_quorum: Vec::new(),
            draining: BTreeMap::new(),
            draining_unlisted: BTreeMap::new(),
            missing_modules: BTreeMap::new(),
            sources: Vec::new(),
            splits: BTreeMap::new(),
            troubles: BTreeMap::new(),
            fencing: BTreeMap::new(),
            active: None,
            created: 0,
        };
        sim.apply(NODES);
        sim.apply(yaml);
        sim
    }

    /// A cluster in which everything is carried out.
    pub(crate) fn converged(yaml: &str) -> Self {
        let mut sim = Self::new(yaml);
        sim.converge();
        sim.events.clear();
        sim
    }

    /// `kubectl apply`.
    pub(crate) fn apply(&mut self, yaml: &str) {
        for document in serde_yaml::Deserializer::from_str(yaml) {
            let value = Value::deserialize(document).unwrap();
            if value.is_null() {
                continue;
            }
            self.created += 1;
            let created = Time(Timestamp::from_second(1_700_000_000 + self.created).unwrap());
            match value["kind"].as_str().unwrap() {
                "DirectorPair" => upsert(&mut self.world.pairs, value, created),
                "VirtualService" => upsert(&mut self.world.services, value, created),
                "RealServer" => upsert(&mut self.world.real_servers, value, created),
                "Node" => insert::<Node>(&mut self.world.nodes, value),
                "Secret" => insert::<Secret>(&mut self.world.secrets, value),
                other => panic!("no use for a {other}"),
            }
        }
        self.world.sort();
    }

    /// `kubectl delete`, of an object of one of the three kinds, by `namespace/name`.
    pub(crate) fn delete(&mut self, name: &str) {
        self.world.pairs.retain(|object| key(&**object) != name);
        self.world.services.retain(|object| key(&**object) != name);
        self.world
            .real_servers
            .retain(|object| key(&**object) != name);
    }

    pub(crate) fn pair(&self, name: &str) -> &DirectorPair {
        self.world
            .pairs
            .iter()
            .find(|object| key(&***object) == name)
            .unwrap()
    }

    pub(crate) fn service(&self, name: &str) -> &VirtualService {
        self.world
            .services
            .iter()
            .find(|object| key(&***object) == name)
            .unwrap()
    }

    pub(crate) fn real_server(&self, name: &str) -> &RealServer {
        self.world
            .real_servers
            .iter()
            .find(|object| key(&***object) == name)
            .unwrap()
    }

    pub(crate) fn edit_pair(&mut self, name: &str, edit: impl FnOnce(&mut DirectorPair)) {
        edit_one(&mut self.world.pairs, name, edit);
    }

    pub(crate) fn edit_service(&mut self, name: &str, edit: impl FnOnce(&mut VirtualService)) {
        edit_one(&mut self.world.services, name, edit);
    }

    pub(crate) fn edit_real_server(&mut self, name: &str, edit: impl FnOnce(&mut RealServer)) {
        edit_one(&mut self.world.real_servers, name, edit);
    }

    /// What the operator would write now.
    pub(crate) fn decide(&mut self) -> Decision {
        self.memory.active_since.update(&self.world, self.now);
        let settings = Settings {
            secrets_role: "lvs-director-secrets".to_owned(),
        };
        decide(&self.world, &self.memory, &settings, self.now).unwrap()
    }

    /// One run of the operator: decides, and stores what it writes.
    pub(crate) fn operate(&mut self) -> Decision {
        let decision = self.decide();
        let slices = &decision.slices;
        for (name, body) in slices.gaining.iter().chain(&slices.others) {
            let slice: PlanSlice = serde_json::from_value(body.clone()).unwrap();
            self.world.slices.insert(name.clone(), Arc::new(slice));
        }
        for name in &slices.obsolete {
            self.world.slices.remove(name);
        }
        for (name, body) in &decision.nodes.plans {
            let mut plan: NodePlan = serde_json::from_value(body.clone()).unwrap();
            let present = self.world.node_plans.get(name);
            plan.status = present.and_then(|present| present.status.clone());
            let generation = present
                .and_then(|present| present.metadata.generation)
                .unwrap_or(0);
            plan.metadata.generation = Some(generation + 1);
            self.world.node_plans.insert(name.clone(), Arc::new(plan));
        }
        for (name, body) in &decision.nodes.labels {
            let patch: Node = serde_json::from_value(body.clone()).unwrap();
            let node = Arc::make_mut(self.world.nodes.get_mut(name).unwrap());
            node.labels_mut()
                .retain(|label, _| !label.starts_with("lvs-operator.dev/"));
            node.labels_mut().extend(patch.labels().clone());
        }
        for name in &decision.nodes.obsolete {
            self.world.node_plans.remove(name);
        }
        let events = &mut self.events;
        store(
            &mut self.world.pairs,
            &decision.pairs,
            events,
            |object, status| {
                object.status = Some(status);
            },
        );
        store(
            &mut self.world.services,
            &decision.services,
            events,
            |object, status| {
                object.status = Some(status);
            },
        );
        store(
            &mut self.world.real_servers,
            &decision.real_servers,
            events,
            |object, status| {
                object.status = Some(status);
            },
        );
        decision
    }

    /// The agent of a node carries out its plan and reports, if the node is labelled for one.
    pub(crate) fn agent(&mut self, node: &str) {
        let labelled = self.world.nodes[node]
            .labels()
            .keys()
            .any(|key| key.starts_with("lvs-operator.dev/"));
        let Some(plan) = self.world.node_plans.get_mut(node).filter(|_| labelled) else {
            return;
        };
        let plan = Arc::make_mut(plan);
        let generation = plan.metadata.generation.unwrap();
        let mut types = vec![condition::PROGRAMMED];
        if plan.spec.real_server.is_some() {
            types.extend([condition::LOOPBACK_CONFIGURED, condition::ARP_SUPPRESSED]);
        }
        if plan.spec.director.is_some() {
            types.push(condition::CONNECTION_SYNCED);
        }
        let active = self.active.as_deref().unwrap_or("lb-1") == node;
        let instances = plan.spec.director.iter().flat_map(|role| &role.instances);
        let draining = self.draining.get(node).cloned().unwrap_or_default();
        plan.status = Some(NodePlanStatus {
            observed_generation: generation,
            applied_revision: Some(plan.spec.revision.clone()),
            agent_version: Some("0.1.0".to_owned()),
            instances: instances
                .map(|instance| InstanceReport {
                    name: instance.name.clone(),
                    state: if active {
                        RouterState::Active
                    } else {
                        RouterState::Backup
                    },
                    problem: self.troubles.get(node).cloned(),
                    split_brain: self.splits.get(node).map(|peer| SplitBrain {
                        peer: peer.clone(),
                        since: Time(Timestamp::UNIX_EPOCH),
                    }),
                    source_addresses: self
                        .sources
                        .iter()
                        .filter(|(of, name, _)| of == node && *name == instance.name)
                        .map(|(_, _, address)| address.clone())
                        .collect(),
                })
                .collect(),
            fencing: self.fencing.get(node).cloned(),
            unhealthy: if active {
                self.unhealthy.clone()
            } else {
                Vec::new()
            },
            unhealthy_count: 0,
            service_problems: self.problems.get(node).cloned().unwrap_or_default(),
            without_quorum: if active {
                self.without_quorum.clone()
            } else {
                Vec::new()
            },
            draining_count: i32::try_from(draining.len()).unwrap()
                + self.draining_unlisted.get(node).copied().unwrap_or(0),
            draining,
            kernel: Some(KernelReport {
                release: "6.1.176".to_owned(),
                ipvs_version: Some("1.2.1".to_owned()),
                missing_modules: self.missing_modules.get(node).cloned().unwrap_or_default(),
            }),
            conditions: types
                .into_iter()
                .map(|type_| Condition {
                    last_transition_time: Time(self.now),
                    message: String::new(),
                    observed_generation: Some(generation),
                    reason: "AsExpected".to_owned(),
                    status: "True".to_owned(),
                    type_: type_.to_owned(),
                })
                .collect(),
        });
    }

    /// Agents of all nodes that are ready.
    pub(crate) fn agents(&mut self) {
        let nodes: Vec<_> = self.world.nodes.keys().cloned().collect();
        for node in nodes
            .into_iter()
            .filter(|node| self.world.node_ready(node))
            .collect::<Vec<_>>()
        {
            self.agent(&node);
        }
    }

    /// Runs operator and agents in turn until the operator has nothing to write.
    pub(crate) fn converge(&mut self) {
        for _ in 0..20 {
            let decision = self.operate();
            self.agents();
            if is_empty(&decision) && is_empty(&self.decide()) {
                return;
            }
            self.now += SignedDuration::from_secs(1);
        }
        panic!("the operator does not come to rest: {:#?}", self.decide());
    }

    pub(crate) fn set_ready(&mut self, node: &str, ready: bool) {
        let node = Arc::make_mut(self.world.nodes.get_mut(node).unwrap());
        for condition in node
            .status
            .iter_mut()
            .flat_map(|status| status.conditions.iter_mut().flatten())
        {
            if ready { "True" } else { "Unknown" }.clone_into(&mut condition.status);
        }
    }

    /// All slices by name.
    pub(crate) fn slices(&self) -> BTreeMap<String, PlanSliceSpec> {
        let slices = self.world.slices.iter();
        slices
            .map(|(name, slice)| (name.clone(), slice.spec.clone()))
            .collect()
    }

    /// The plan of a virtual service in the slices.
    pub(crate) fn service_plan(&self, name: &str) -> Option<&ServicePlan> {
        self.world
            .slices
            .values()
            .flat_map(|slice| &slice.spec.services)
            .find(|service| service.name == name)
    }

    /// Members of a virtual service in the slices by address.
    pub(crate) fn members(&self, name: &str) -> BTreeMap<String, MemberPlan> {
        let service = self.service_plan(name).unwrap();
        self.world
            .slices
            .values()
            .flat_map(|slice| &slice.spec.pools)
            .filter(|pool| service.pools.contains(&pool.name))
            .flat_map(|pool| &pool.members)
            .map(|member| (member.address.to_string(), member.clone()))
            .collect()
    }

    /// VIPs that a node's plan puts on its loopback.
    pub(crate) fn loopback(&self, node: &str) -> Vec<&str> {
        self.world
            .node_plans
            .get(node)
            .map_or_else(Vec::new, |plan| {
                plan.spec
                    .real_server
                    .iter()
                    .flat_map(|role| &role.addresses)
                    .map(|entry| entry.address.as_str())
                    .collect()
            })
    }
}

/// Whether nothing is to be written to an object that is watched.
pub(crate) fn is_empty(decision: &Decision) -> bool {
    let Decision {
        slices,
        nodes,
        pairs,
        services,
        real_servers,
        restarts,
        ..
    } = decision;
    slices.gaining.is_empty()
        && slices.others.is_empty()
        && slices.obsolete.is_empty()
        && nodes.plans.is_empty()
        && nodes.labels.is_empty()
        && nodes.obsolete.is_empty()
        && pairs.is_empty()
        && services.is_empty()
        && real_servers.is_empty()
        && restarts.is_empty()
}

/// The condition of that type, as status, reason and message.
pub(crate) fn condition_of<'a>(
    conditions: &'a [Condition],
    type_: &str,
) -> (&'a str, &'a str, &'a str) {
    let condition = conditions
        .iter()
        .find(|condition| condition.type_ == type_)
        .unwrap_or_else(|| panic!("no condition {type_} in {conditions:#?}"));
    (&condition.status, &condition.reason, &condition.message)
}

fn upsert<K>(list: &mut Vec<Arc<K>>, value: Value, created: Time)
where
    K: Resource<DynamicType = ()> + DeserializeOwned + Clone,
{
    let mut object: K = serde_yaml::from_value(value).unwrap();
    let name = key(&object);
    let present = list.iter().position(|other| key(&**other) == name);
    let before = present.map(|index| list.remove(index));
    let meta = before.as_ref().map(|before| before.meta().clone());
    let new = object.meta_mut();
    new.uid = Some(format!("{} {name}", K::kind(&())));
    new.creation_timestamp = meta.as_ref().map_or(Some(created), |meta: &ObjectMeta| {
        meta.creation_timestamp.clone()
    });
    new.generation = Some(meta.and_then(|meta| meta.generation).unwrap_or(0) + 1);
    list.push(Arc::new(object));
}

fn insert<K>(map: &mut BTreeMap<String, Arc<K>>, value: Value)
where
    K: Resource + DeserializeOwned,
{
    let object: K = serde_yaml::from_value(value).unwrap();
    map.insert(object.name_any(), Arc::new(object));
}

fn edit_one<K: Resource + Clone>(list: &mut [Arc<K>], name: &str, edit: impl FnOnce(&mut K)) {
    let object = list
        .iter_mut()
        .find(|object| key(&***object) == name)
        .unwrap();
    let object = Arc::make_mut(object);
    edit(object);
    let generation = object.meta().generation.unwrap();
    object.meta_mut().generation = Some(generation + 1);
}

/// Stores statuses, and notes what is told about them.
fn store<K: Resource + Clone, S: Clone>(
    list: &mut [Arc<K>],
    writes: &[StatusWrite<S>],
    events: &mut Vec<String>,
    set: impl Fn(&mut K, S),
) {
    let writes: BTreeMap<_, _> = writes
        .iter()
        .map(|write| (&write.object.uid, write))
        .collect();
    for object in list {
        let Some(write) = writes.get(&object.meta().uid) else {
            continue;
        };
        set(Arc::make_mut(object), write.status.clone());
        let told = write.announcements.iter();
        events.extend(told.map(|event| format!("{}: {}", event.reason, event.message)));
    }
}
