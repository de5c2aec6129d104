//! Firewall marks, port ranges, tunnels, limits, drain, fallback and the directors' kernels in the
//! plans.

use lvs_crds::v1alpha1::{
    AddressFamily, AdminState, ConnectionSyncMode, DrainTimeoutAction, ForwardingMethod,
    RealServerAdminState, SysctlMode, Timeouts, TunnelType, VirtualService,
    frontend::ALLOCATED_MARKS,
};

use crate::sim::{Sim, WEB, condition_of};

/// A virtual service over the real servers of the fixture.
fn service(name: &str, frontend: &str, rest: &str) -> String {
    format!(
        "
---
apiVersion: lvs-operator.dev/v1alpha1
kind: VirtualService
metadata: {{name: {name}, namespace: default}}
spec:
  directorPairRef: {{name: edge}}
  frontend: {frontend}
  backends: [{{name: web, realServerSelector: {{matchLabels: {{app: web}}}}}}]
{rest}"
    )
}

fn accepted(sim: &Sim, name: &str) -> String {
    let conditions = sim.service(name).status.clone().unwrap().conditions;
    condition_of(&conditions, "Accepted").1.to_owned()
}

fn mark(sim: &Sim, name: &str) -> i32 {
    let plan = sim.service_plan(name).unwrap();
    plan.firewall_mark.as_ref().unwrap().mark
}

#[test]
fn a_mark_is_allocated_once_and_kept() {
    let frontend = |vip: &str| {
        format!("{{addresses: [{vip}], ports: [{{name: p, port: 80}}], firewallMark: {{}}}}")
    };
    let mut sim = Sim::converged(
        &(WEB.to_owned()
            + &service("one", &frontend("192.168.1.50"), "")
            + &service("two", &frontend("192.168.1.51"), "")),
    );
    let marks = |sim: &Sim| ["default/one", "default/two"].map(|name| mark(sim, name));
    let given = marks(&sim);
    assert!(given.iter().all(|mark| ALLOCATED_MARKS.contains(mark)));
    assert_ne!(given[0], given[1]);
    let status = sim.service("default/one").status.clone().unwrap();
    assert_eq!(status.firewall_mark, Some(given[0]));
    // Somebody names it, somebody edits the object, the slices are lost: the number stays.
    sim.apply(&service(
        "third",
        &format!("{{firewallMark: {{mark: {}, rules: External}}}}", given[0]),
        "",
    ));
    sim.edit_service("default/one", |one| {
        one.spec.frontend.ports[0].port = 81;
    });
    sim.converge();
    assert_eq!(marks(&sim), given);
    assert_eq!(accepted(&sim, "default/third"), "MarkConflict");
    sim.world.slices.clear();
    sim.converge();
    assert_eq!(marks(&sim), given);
}

#[test]
fn the_older_keeps_a_mark_of_one_family() {
    let external = |mark: i32, family: &str| {
        format!("{{firewallMark: {{mark: {mark}, family: {family}, rules: External}}}}")
    };
    let six = "  backends: [{name: web, servers: [{address: '2001:db8::1'}]}]\n";
    let yaml = service("older", &external(99, "IPv4"), "")
        + &service("younger", &external(99, "IPv4"), "")
        + &service("other-family", &external(99, "IPv6"), "").replace(
            "  backends: [{name: web, realServerSelector: {matchLabels: {app: web}}}]\n",
            six,
        );
    let mut sim = Sim::converged(&(WEB.to_owned() + &yaml));
    assert_eq!(accepted(&sim, "default/older"), "Accepted");
    assert_eq!(accepted(&sim, "default/younger"), "MarkConflict");
    assert_eq!(accepted(&sim, "default/other-family"), "Accepted");
    let plan = sim.service_plan("default/older").unwrap();
    assert!(plan.addresses.is_empty() && !plan.firewall_mark.as_ref().unwrap().managed);
    let status = sim.service("default/older").status.clone().unwrap();
    assert_eq!(status.vip.as_deref(), Some("FWM 99"));
    assert_eq!(condition_of(&status.conditions, "Ready").0, "True");
    sim.delete("default/older");
    sim.converge();
    assert_eq!(accepted(&sim, "default/younger"), "Accepted");
}

#[test]
fn ranges_and_protocols_share_a_vip() {
    let on = |ports: &str| format!("{{addresses: [192.168.1.50], ports: [{ports}]}}");
    let yaml = service("range", &on("{name: p, port: 8000, endPort: 8010}"), "")
        + &service("beside", &on("{name: p, port: 8011}"), "")
        + &service("udp", &on("{name: p, port: 8005, protocol: UDP}"), "")
        + &service("all", &on("{name: p, port: 0}"), "  persistence: {}\n")
        + &service("inside", &on("{name: p, port: 8005}"), "")
        + &service(
            "around",
            &on("{name: p, port: 7000, endPort: 7999}, {name: q, port: 8010, endPort: 8020}"),
            "",
        )
        + &service("all-too", &on("{name: p, port: 0}"), "  persistence: {}\n");
    let mut sim = Sim::converged(&(WEB.to_owned() + &yaml));
    let found = [
        "range", "beside", "udp", "all", "inside", "around", "all-too",
    ]
    .map(|name| accepted(&sim, &format!("default/{name}")));
    let (free, taken) = ("Accepted", "VIPConflict");
    assert_eq!(found, [free, free, free, free, taken, taken, taken]);
    let status = sim.service("default/range").status.clone().unwrap();
    assert_eq!(status.ports.as_deref(), Some("8000-8010"));
    let status = sim.service("default/udp").status.clone().unwrap();
    assert_eq!(status.ports.as_deref(), Some("8005/UDP"));
    // A range that shrinks gives ports back.
    sim.edit_service("default/range", |range| {
        range.spec.frontend.ports[0].end_port = Some(8004);
    });
    sim.converge();
    assert_eq!(accepted(&sim, "default/inside"), free);
}

#[test]
fn a_vip_that_others_bind_moves_with_no_instance() {
    let mut sim = Sim::converged(&WEB.replace(
        "frontend: {addresses: [192.168.1.222],",
        "frontend: {bindAddresses: External, addresses: [192.168.1.129],",
    ));
    let status = sim.service("default/web").status.clone().unwrap();
    assert_eq!(condition_of(&status.conditions, "Advertised").1, "External");
    assert_eq!(condition_of(&status.conditions, "Ready").0, "True");
    assert_eq!(sim.loopback("web-1"), ["192.168.1.129"], "all the same");
    // The VIP is nobody's by VRRP.
    sim.edit_pair("edge", |pair| {
        let mut second = pair.spec.instances[0].clone();
        second.name = "second".to_owned();
        second.virtual_router_id = Some(52);
        second.addresses = serde_yaml::from_str("[{address: 192.168.1.129}]").unwrap();
        pair.spec.instances.push(second);
    });
    sim.converge();
    let conditions = sim.pair("edge").status.clone().unwrap().conditions;
    assert_eq!(condition_of(&conditions, "Accepted").0, "True");
}

#[test]
fn real_servers_get_the_ends_of_tunnels() {
    let mut sim = Sim::converged(
        &WEB.replace(
            "healthCheck: {}",
            "forwarding: {method: TUN, tunnel: {type: GUE, port: 6080}}",
        )
        .replace(
            "spec: {nodeName: web-2}",
            "spec: {nodeName: web-2, tunnel: {device: gue0, rpFilter: External}}",
        ),
    );
    let role = |sim: &Sim, node: &str| sim.world.node_plans[node].spec.real_server.clone().unwrap();
    assert_eq!(sim.loopback("web-1"), ["192.168.1.222"]);
    let tunnels = role(&sim, "web-1").tunnels;
    assert_eq!(tunnels.len(), 1);
    assert_eq!((tunnels[0].type_, tunnels[0].port), (TunnelType::GUE, 6080));
    assert_eq!(
        (tunnels[0].inner, tunnels[0].outer),
        (AddressFamily::IPv4, AddressFamily::IPv4)
    );
    assert_eq!(
        (&tunnels[0].device, tunnels[0].manage_rp_filter),
        (&None, true)
    );
    let tunnels = role(&sim, "web-2").tunnels;
    assert_eq!(tunnels[0].device.as_deref(), Some("gue0"));
    assert!(!tunnels[0].manage_rp_filter);

    // Another tunnel: the directors keep the former one until its ends are there.
    sim.edit_service("default/web", |web| {
        web.spec.forwarding.tunnel = serde_yaml::from_str("{type: GRE}").unwrap();
    });
    sim.operate();
    let kind = |sim: &Sim| {
        let plan = sim.service_plan("default/web").unwrap();
        plan.forwarding.tunnel.as_ref().unwrap().type_
    };
    assert_eq!(kind(&sim), TunnelType::GUE);
    assert_eq!(role(&sim, "web-1").tunnels.len(), 2, "the new one beside");
    let conditions = sim
        .service("default/web")
        .status
        .clone()
        .unwrap()
        .conditions;
    let (programmed, _, message) = condition_of(&conditions, "Programmed");
    assert_eq!(programmed, "False");
    assert!(message.contains("former forwarding"), "{message}");
    sim.converge();
    assert_eq!(kind(&sim), TunnelType::GRE);
    assert!(
        sim.members("default/web")
            .values()
            .all(|member| member.weight == 1)
    );
    assert_eq!(
        role(&sim, "web-1").tunnels.len(),
        1,
        "and the former one gone"
    );
}

#[test]
fn a_tunnel_crosses_families_without_synchronisation() {
    let yaml = WEB
        .replace("addresses: [192.168.1.222]", "addresses: ['2001:db8::222']")
        .replace("healthCheck: {}", "forwarding: {method: TUN}")
        .replace(
            "interface: {sub",
            "connectionSync: {mode: Disabled}\n  interface: {sub",
        );
    let mut sim = Sim::converged(&yaml);
    assert_eq!(sim.members("default/web").len(), 2, "both by IPv4");
    assert_eq!(sim.loopback("web-1"), ["2001:db8::222"]);
    let role = sim.world.node_plans["web-1"]
        .spec
        .real_server
        .clone()
        .unwrap();
    assert_eq!(
        (role.tunnels[0].inner, role.tunnels[0].outer),
        (AddressFamily::IPv6, AddressFamily::IPv4)
    );
    // With synchronisation the kernel would not have them.
    sim.edit_pair("edge", |pair| {
        pair.spec.connection_sync.mode = ConnectionSyncMode::Enabled;
    });
    sim.converge();
    assert!(sim.members("default/web").is_empty());
    let conditions = sim
        .service("default/web")
        .status
        .clone()
        .unwrap()
        .conditions;
    let (_, reason, message) = condition_of(&conditions, "ResolvedRefs");
    assert_eq!(reason, "MixedFamily");
    assert!(message.contains("connectionSync"), "{message}");
}

#[test]
fn a_pool_has_forwarding_and_limits_of_its_own() {
    let mut sim = Sim::converged(&WEB.replace(
        "realServerSelector: {matchLabels: {app: web}}",
        "forwarding: {method: NAT}, connectionLimits: {upper: 100, lower: 50}, realServerSelector: {matchLabels: {app: web}}",
    ));
    sim.edit_real_server("default/web-2", |web| {
        web.spec.connection_limits = serde_yaml::from_str("{upper: 7}").unwrap();
    });
    sim.converge();
    let members = sim.members("default/web");
    let limits = |address: &str| {
        let limits = members[address].connection_limits;
        (limits.upper, limits.lower)
    };
    assert_eq!(limits("192.168.1.130"), (100, 50));
    assert_eq!(limits("192.168.1.131"), (7, 0));
    assert!(
        members
            .values()
            .all(|member| { member.forwarding.as_ref().unwrap().method == ForwardingMethod::NAT })
    );
    assert!(sim.loopback("web-1").is_empty(), "NAT needs no VIP there");
}

#[test]
fn each_service_drains_its_members_in_its_own_way() {
    let mut sim = Sim::converged(
        &(WEB.to_owned()
            + &service(
                "slow",
                "{addresses: [192.168.1.50], ports: [{name: p, port: 80}]}",
                "  drain: {timeoutSeconds: 3600, onTimeout: Keep}\n",
            )),
    );
    sim.edit_real_server("default/web-1", |web| {
        web.spec.admin_state = RealServerAdminState::Drain;
    });
    sim.edit_real_server("default/web-2", |web| {
        web.spec.admin_state = RealServerAdminState::Maintenance;
        web.spec.drain = serde_yaml::from_str("{timeoutSeconds: 5}").unwrap();
    });
    sim.converge();
    let drain = |sim: &Sim, service: &str, address: &str| {
        let member = sim.members(service)[address].clone();
        assert_eq!(member.weight, 0);
        assert_eq!(member.checked, address.ends_with("130"));
        let drain = member.drain.unwrap();
        (drain.timeout_seconds, drain.on_timeout)
    };
    let (remove, keep) = (DrainTimeoutAction::Remove, DrainTimeoutAction::Keep);
    assert_eq!(drain(&sim, "default/web", "192.168.1.130"), (300, remove));
    assert_eq!(drain(&sim, "default/slow", "192.168.1.130"), (3600, keep));
    assert_eq!(drain(&sim, "default/web", "192.168.1.131"), (5, remove));
    assert_eq!(drain(&sim, "default/slow", "192.168.1.131"), (5, remove));
    let edit = |service: &mut VirtualService| service.spec.admin_state = AdminState::Drain;
    sim.edit_service("default/slow", edit);
    sim.converge();
    let plan = sim.service_plan("default/slow").unwrap();
    assert_eq!(plan.drain.as_ref().unwrap().timeout_seconds, 3600);
}

#[test]
fn the_kernels_of_directors_are_told_what_the_pair_says() {
    let mut sim = Sim::converged(WEB);
    sim.edit_pair("edge", |pair| {
        pair.spec.instances[0].name = "default".to_owned();
        let mut inside = pair.spec.instances[0].clone();
        inside.name = "inside".to_owned();
        inside.virtual_router_id = Some(52);
        pair.spec.instances.push(inside);
        pair.spec.timeouts = serde_yaml::from_str("{tcpSeconds: 60}").unwrap();
        pair.spec.sysctls = serde_yaml::from_str("{mode: CheckOnly, sloppyTCP: true}").unwrap();
        pair.spec.sync_groups =
            serde_yaml::from_str("[{name: nat, instances: [default, inside]}]").unwrap();
    });
    sim.edit_service("default/web", |web| {
        web.spec.quorum = serde_yaml::from_str("{minimumWeight: 2}").unwrap();
        web.spec.fallback =
            serde_yaml::from_str("{address: 127.0.0.1, forwarding: {method: Local}}").unwrap();
    });
    sim.converge();
    for node in ["lb-1", "lb-2"] {
        let role = sim.world.node_plans[node].spec.director.clone().unwrap();
        let Timeouts {
            tcp_seconds,
            udp_seconds,
            ..
        } = role.timeouts.unwrap();
        assert_eq!((tcp_seconds, udp_seconds), (60, 300));
        assert_eq!(role.sysctls.mode, SysctlMode::CheckOnly);
        assert_eq!(role.sysctls.sloppy_tcp, Some(true));
        assert_eq!(role.sync_groups[0].instances, ["default", "inside"]);
    }
    let plan = sim.service_plan("default/web").unwrap();
    assert_eq!(plan.quorum.minimum_weight, 2);
    assert_eq!(plan.fallback.as_ref().unwrap().address, "127.0.0.1");
}

#[test]
fn a_service_that_is_refused_does_not_hold_up_those_that_share_its_pool() {
    let frontend = "{addresses: [192.168.1.50], ports: [{name: p, port: 80}]}";
    // Older than the one that goes on.
    let mut sim = Sim::converged(&(WEB.to_owned() + &service("beside", frontend, "")));
    sim.edit_service("default/web", |web| web.spec.instance = "none".to_owned());
    sim.converge();
    sim.edit_real_server("default/web-1", |web| web.spec.weight = Some(9));
    sim.converge();
    assert_eq!(sim.members("default/beside")["192.168.1.130"].weight, 9);
    assert_eq!(
        sim.members("default/web")["192.168.1.130"].weight,
        1,
        "as it was last accepted"
    );
}
