//! 10,000 virtual services over 10,000 real servers in pools of 100: one change writes little.

use std::{collections::BTreeMap, sync::Arc};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use lvs_crds::v1alpha1::RealServerSelector;
use lvs_operator::decision::Decision;

use crate::sim::Sim;

const SERVICES: usize = 10_000;
const POOLS: usize = 100;
const POOL_MEMBERS: usize = 100;
/// Most that one change of a real server may write.
const BYTES: usize = 64 * 1024;

const PAIR: &str = "
apiVersion: lvs-operator.dev/v1alpha1
kind: DirectorPair
metadata: {name: edge}
spec:
  directors: [{nodeName: lb-1}, {nodeName: lb-2}]
  interface: {name: eth0}
---
apiVersion: lvs-operator.dev/v1alpha1
kind: VirtualService
metadata: {name: template, namespace: default}
spec:
  directorPairRef: {name: edge}
  frontend: {addresses: [192.0.2.1], ports: [{name: http, port: 80}]}
  forwarding: {method: NAT}
  backends: [{name: web, realServerSelector: {matchLabels: {pool: p}}}]
  healthCheck: {}
---
apiVersion: lvs-operator.dev/v1alpha1
kind: RealServer
metadata: {name: template, namespace: default}
spec: {address: 192.0.2.2, loopback: {mode: Disabled}}
";

/// The cluster with all its objects, made from one of each.
fn sim() -> Sim {
    let mut sim = Sim::new(PAIR);
    let service = sim.world.services.remove(0);
    for index in 0..SERVICES {
        let mut service = (*service).clone();
        rename(&mut service.metadata, format!("s{index}"));
        service.spec.frontend.addresses = vec![format!("10.1.{}.{}", index / 250, index % 250)];
        service.spec.backends[0].real_server_selector = Some(RealServerSelector {
            match_labels: pool(index),
        });
        sim.world.services.push(Arc::new(service));
    }
    let real_server = sim.world.real_servers.remove(0);
    for index in 0..POOLS * POOL_MEMBERS {
        let mut real_server = (*real_server).clone();
        rename(&mut real_server.metadata, format!("r{index}"));
        real_server.metadata.labels = Some(pool(index));
        real_server.spec.address = Some(format!("10.2.{}.{}", index / 250, index % 250));
        sim.world.real_servers.push(Arc::new(real_server));
    }
    sim.world.sort();
    sim
}

fn rename(metadata: &mut ObjectMeta, name: String) {
    metadata.uid = Some(name.clone());
    metadata.name = Some(name);
}

fn pool(index: usize) -> BTreeMap<String, String> {
    [("pool".to_owned(), format!("p{}", index % POOLS))].into()
}

fn bytes(decision: &Decision) -> usize {
    let slices = decision
        .slices
        .gaining
        .iter()
        .chain(&decision.slices.others);
    slices
        .chain(&decision.nodes.plans)
        .map(|(_, body)| body.to_string().len())
        .sum()
}

#[test]
fn one_real_server_writes_one_slice_and_the_directors_plans() {
    let mut sim = sim();
    sim.operate();
    sim.agents();
    sim.operate();
    let sizes: Vec<usize> = sim
        .world
        .slices
        .values()
        .map(|slice| serde_json::to_vec(&slice.spec).unwrap().len())
        .collect();
    let largest = *sizes.iter().max().unwrap();
    assert!(sizes.len() >= 128, "{} slices", sizes.len());
    assert!(largest < BYTES, "the largest slice has {largest} bytes");
    let services: usize = sim
        .world
        .slices
        .values()
        .map(|slice| slice.spec.services.len())
        .sum();
    assert_eq!(services, SERVICES);

    for server in [0, 9999] {
        let began = std::time::Instant::now();
        let _ = sim.decide();
        eprintln!("decide: {:?}", began.elapsed());
        sim.edit_real_server(&format!("default/r{server}"), |object| {
            object.spec.weight = Some(7);
        });
        let decision = sim.operate();
        assert_eq!(
            decision.slices.gaining.len() + decision.slices.others.len(),
            1
        );
        assert!(decision.slices.obsolete.is_empty());
        assert_eq!(decision.nodes.plans.len(), 2);
        assert!(
            decision.services.is_empty(),
            "no service's meaning has changed"
        );
        assert!(bytes(&decision) <= BYTES, "{} bytes", bytes(&decision));
        sim.agents();
    }
}
