use serde_json::{Value, json};

use lvs_vrrp::SimplePassword;

use super::*;
use crate::bundle::PlanBundle;
use crate::fixture::{director, facts, pool, web, web_director};

fn secrets(password: Option<&str>) -> Secrets {
    let mut secrets = Secrets::default();
    if let Some(password) = password {
        let values = [("password".to_owned(), password.as_bytes().to_vec())];
        secrets.set("vrrp", values.into());
    }
    secrets
}

/// Plans with everything programmed but the services whose key contains `missing`.
fn of(
    bundle: &PlanBundle,
    facts: &NodeFacts,
    secrets: &Secrets,
    missing: &str,
) -> (VrrpPlan, Vec<Problem>) {
    after(&VrrpPlan::default(), bundle, facts, secrets, missing)
}

/// The same, while `previous` runs.
fn after(
    previous: &VrrpPlan,
    bundle: &PlanBundle,
    facts: &NodeFacts,
    secrets: &Secrets,
    missing: &str,
) -> (VrrpPlan, Vec<Problem>) {
    let services = Services::resolve(bundle, &Services::default());
    let keys = services
        .resolved
        .values()
        .flat_map(|service| service.keys());
    let programmed = keys
        .filter(|key| !key.to_string().contains(missing))
        .collect();
    let surroundings = Surroundings {
        facts,
        secrets,
        services: &services,
        programmed: &programmed,
        previous,
        hold: &SyncHold::default(),
    };
    plan(bundle.plan.director.as_ref(), surroundings)
}

fn with_director(changes: &Value) -> PlanBundle {
    let mut bundle = web_director(&json!({}));
    let mut role = serde_json::to_value(bundle.plan.director.take()).expect("JSON");
    for (field, value) in changes.as_object().expect("an object") {
        role[field] = value.clone();
    }
    bundle.plan.director = Some(serde_json::from_value(role).expect("a role"));
    bundle
}

#[test]
fn an_instance_runs_one_router_for_each_family_that_has_vips() {
    let services = json!([web(
        &json!({"addresses": ["192.168.1.222", "2001:db8::222"]})
    )]);
    let facts = facts(&["192.168.1.129/24", "2001:db8::129/64", "fe80::129/64"]);
    let (plan, problems) = of(
        &director(&services, &pool()),
        &facts,
        &secrets(None),
        "nothing",
    );
    assert_eq!(problems, []);
    let routers: Vec<_> = plan
        .routers
        .iter()
        .map(|router| (router.family, router.config.own_address.to_string()))
        .collect();
    assert_eq!(
        routers,
        [
            (Family::Ipv4, "192.168.1.129".to_owned()),
            (Family::Ipv6, "fe80::129".to_owned())
        ]
    );
    assert_eq!(
        plan.routers[0].prefix_lengths,
        [([192, 168, 1, 222].into(), 32)].into()
    );
    assert_eq!(
        (plan.routers[0].interface_index, plan.routers[0].drain),
        (2, false)
    );
}

#[test]
fn a_vip_waits_for_all_ports_of_its_service() {
    let two_ports = json!({
        "addresses": ["192.168.1.222", "192.168.1.223"],
        "ports": [{"name": "a", "port": 80}, {"name": "b", "port": 443}],
    });
    let bundle = web_director(&two_ports);
    let facts = facts(&["192.168.1.129/24"]);
    let (plan, _) = of(&bundle, &facts, &secrets(None), "222:443");
    assert_eq!(planned_vips(&plan), [[192, 168, 1, 223].into()].into());
    let (plan, _) = of(&bundle, &facts, &secrets(None), ":80");
    assert_eq!(plan, VrrpPlan::default());
}

#[test]
fn addresses_of_the_instance_come_beside_those_of_the_services() {
    let bundle = with_director(&json!({"instances": [{
        "name": "default", "virtualRouterID": 51, "priority": 100,
        "interface": {"name": "eth0"},
        "addresses": [{"address": "192.168.1.1", "prefixLength": 24}],
    }]}));
    let (plan, problems) = of(
        &bundle,
        &facts(&["192.168.1.129/24"]),
        &secrets(None),
        "nothing",
    );
    assert_eq!(problems, []);
    let expected = [
        ([192, 168, 1, 1].into(), 24),
        ([192, 168, 1, 222].into(), 32),
    ];
    assert_eq!(plan.routers[0].prefix_lengths, expected.into());
}

#[test]
fn settings_are_those_of_the_pair() {
    let bundle = with_director(&json!({
        "adminState": "Drain", "sourceAddress": "192.168.1.99",
        "vrrp": {
            "version": 2, "advertisementIntervalMilliseconds": 2000,
            "activeDownAdvertisements": 4,
            "preemption": {"mode": "Immediate", "delaySeconds": 30},
            "authentication": {"type": "Simple", "secretRef": {"name": "vrrp"}},
            "gratuitousARP": {"count": 3, "refreshSeconds": 10, "intervalMilliseconds": 5},
        },
    }));
    let facts = facts(&["192.168.1.129/24"]);
    let (plan, problems) = of(&bundle, &facts, &secrets(Some("123456789")), "nothing");
    assert_eq!(problems, []);
    let router = &plan.routers[0];
    assert!(router.drain);
    let config = &router.config;
    assert_eq!(config.own_address.to_string(), "192.168.1.99");
    assert_eq!((config.virtual_router_id, config.priority), (51, 100));
    assert_eq!(
        (config.version, config.down_advertisements),
        (Version::V2, 4)
    );
    assert_eq!(config.advertisement_interval.count(), 200);
    assert_eq!(config.preemption, Preemption::Immediate);
    assert_eq!(config.preempt_delay, Duration::from_secs(30));
    assert_eq!(
        config.authentication,
        SimplePassword::new(b"12345678")
            .ok()
            .map(Authentication::Simple)
    );
    assert_eq!(config.gratuitous.interval, Duration::from_millis(5));
    assert_eq!(
        (config.gratuitous.count, config.gratuitous.refresh.as_secs()),
        (3, 10)
    );
}

#[test]
fn an_instance_that_cannot_run_says_why() {
    let simple = json!({"vrrp": {
        "version": 2, "authentication": {"type": "Simple", "secretRef": {"name": "vrrp"}},
    }});
    let here = facts(&["192.168.1.129/24"]);
    for (bundle, facts, reason, words) in [
        (
            with_director(&simple),
            &here,
            "SecretNotFound",
            "Secret vrrp with key password",
        ),
        (
            web_director(&json!({})),
            &facts(&["10.0.0.1/8"]),
            "KernelError",
            "192.168.1.0/24",
        ),
        (
            web_director(&json!({"addresses": ["2001:db8::222"]})),
            &here,
            "KernelError",
            "no IPv6 link-local address",
        ),
    ] {
        let (plan, problems) = of(&bundle, facts, &secrets(None), "nothing");
        assert_eq!(plan, VrrpPlan::default());
        assert_eq!(problems.len(), 1);
        assert_eq!(problems[0].reason, reason);
        assert_eq!(problems[0].instance.as_deref(), Some("default"));
        assert!(problems[0].message.contains(words), "{problems:?}");
    }
}

#[test]
fn a_vip_is_never_the_source_of_advertisements() {
    let facts = facts(&["192.168.1.222/24", "192.168.1.129/24"]);
    let (plan, _) = of(&web_director(&json!({})), &facts, &secrets(None), "nothing");
    assert_eq!(
        plan.routers[0].config.own_address.to_string(),
        "192.168.1.129"
    );
}

#[test]
fn a_service_that_waits_for_its_pool_keeps_its_vip_while_the_kernel_has_it() {
    let bundle = director(&json!([web(&json!({}))]), &json!([]));
    let services = Services::resolve(&bundle, &Services::default());
    let facts = facts(&["192.168.1.129/24"]);
    let vips = |programmed: &BTreeSet<ServiceKey>| {
        let surroundings = Surroundings {
            facts: &facts,
            secrets: &Secrets::default(),
            services: &services,
            programmed,
            previous: &VrrpPlan::default(),
            hold: &SyncHold::default(),
        };
        planned_vips(&plan(bundle.plan.director.as_ref(), surroundings).0)
    };
    assert_eq!(vips(&services.untouched.keys().copied().collect()).len(), 1);
    assert!(vips(&BTreeSet::new()).is_empty());
}

#[test]
fn a_router_that_cannot_be_planned_anew_goes_on_as_it_is() {
    let address = facts(&["192.168.1.129/24"]);
    let (running, _) = of(
        &web_director(&json!({})),
        &address,
        &secrets(None),
        "nothing",
    );
    assert_eq!(running.routers.len(), 1);
    let with_password = with_director(&json!({"vrrp": {
        "authentication": {"type": "Simple", "secretRef": {"name": "vrrp"}},
    }}));
    for (facts, bundle) in [
        (&address, &with_password),
        (&facts(&[]), &web_director(&json!({}))),
    ] {
        let (plan, problems) = after(&running, bundle, facts, &secrets(None), "nothing");
        assert_eq!((&plan, problems.len()), (&running, 1));
    }
    let none = with_director(&json!({"instances": []}));
    let (plan, problems) = after(&running, &none, &address, &secrets(None), "nothing");
    assert_eq!((plan, problems), (VrrpPlan::default(), vec![]));
}

#[test]
fn a_vip_that_is_held_stays_when_a_new_port_fails() {
    let two_ports = json!({"ports": [{"name": "a", "port": 80}, {"name": "b", "port": 443}]});
    let facts = facts(&["192.168.1.129/24"]);
    let (running, _) = of(&web_director(&json!({})), &facts, &secrets(None), "nothing");
    let bundle = web_director(&two_ports);
    let (plan, _) = after(&running, &bundle, &facts, &secrets(None), ":443");
    assert_eq!(plan, running);
    let (plan, _) = after(&running, &bundle, &facts, &secrets(None), ":");
    assert_eq!(plan, VrrpPlan::default());
}

/// A director that translates: `outside` on eth0 has the service, `inside` on eth1 the gateway.
fn translating(groups: &Value) -> PlanBundle {
    let mut bundle = director(&json!([web(&json!({"instance": "outside"}))]), &pool());
    let mut role = serde_json::to_value(bundle.plan.director.take()).expect("JSON");
    role["syncGroups"] = groups.clone();
    role["sourceAddress"] = json!("192.168.1.99");
    role["instances"] = json!([
        {
            "name": "inside", "virtualRouterID": 52, "priority": 90,
            "interface": {"name": "eth1"}, "addresses": [{"address": "10.0.0.1"}],
        },
        {
            "name": "outside", "virtualRouterID": 51, "priority": 150,
            "interface": role["interface"].clone(),
        },
    ]);
    bundle.plan.director = Some(serde_json::from_value(role).expect("a role"));
    bundle
}

fn with_inside(mut facts: NodeFacts) -> NodeFacts {
    let mut inside = facts.interfaces[&2].clone();
    inside.index = 3;
    inside.name = "eth1".into();
    inside.addresses.truncate(1);
    inside.addresses[0].address = [10, 0, 0, 7].into();
    facts.interfaces.insert(3, inside);
    facts
}

#[test]
fn a_sync_group_has_the_name_and_the_priority_of_its_first_instance() {
    let facts = with_inside(facts(&["192.168.1.129/24"]));
    let grouped = translating(&json!([{"name": "nat", "instances": ["outside", "inside"]}]));
    let (plan, problems) = of(&grouped, &facts, &secrets(None), "nothing");
    assert_eq!(problems, []);
    let routers: Vec<_> = plan
        .routers
        .iter()
        .map(|router| {
            let own_address = router.config.own_address.to_string();
            (
                router.instance.as_str(),
                router.group.as_str(),
                router.config.priority,
                own_address,
            )
        })
        .collect();
    assert_eq!(
        routers,
        [
            ("inside", "outside", 150, "10.0.0.7".to_owned()),
            ("outside", "outside", 150, "192.168.1.99".to_owned()),
        ]
    );

    let (plan, _) = of(&translating(&json!([])), &facts, &secrets(None), "nothing");
    let routers: Vec<_> = plan
        .routers
        .iter()
        .map(|router| (router.group.as_str(), router.config.priority))
        .collect();
    assert_eq!(routers, [("inside", 90), ("outside", 150)]);
}

#[test]
fn a_group_of_which_something_cannot_run_is_the_last_choice() {
    let grouped = translating(&json!([{"name": "nat", "instances": ["outside", "inside"]}]));
    let whole = with_inside(facts(&["192.168.1.129/24"]));
    let without_inside = facts(&["192.168.1.129/24"]);
    let (plan, problems) = of(&grouped, &without_inside, &secrets(None), "nothing");
    assert_eq!(problems.len(), 1, "{problems:?}");
    assert_eq!((plan.routers.len(), plan.routers[0].drain), (1, true));

    // What runs goes on.
    let (running, _) = of(&grouped, &whole, &secrets(None), "nothing");
    let (plan, problems) = after(
        &running,
        &grouped,
        &without_inside,
        &secrets(None),
        "nothing",
    );
    assert_eq!((plan, problems.len()), (running, 1));
}

#[test]
fn a_family_that_cannot_run_makes_the_other_one_the_last_choice() {
    let services = json!([web(
        &json!({"addresses": ["192.168.1.222", "2001:db8::222"]})
    )]);
    let bundle = director(&services, &pool());
    let (plan, problems) = of(
        &bundle,
        &facts(&["192.168.1.129/24"]),
        &secrets(None),
        "nothing",
    );
    assert_eq!(problems.len(), 1);
    let routers: Vec<_> = plan
        .routers
        .iter()
        .map(|router| (router.family, router.drain))
        .collect();
    assert_eq!(routers, [(Family::Ipv4, true)]);
}

#[test]
fn who_waits_for_connections_is_held_with_the_whole_group() {
    let instance = |name: &str, address: &str| {
        json!({
            "name": name, "virtualRouterID": 51, "priority": 100, "interface": {"name": "eth0"},
            "addresses": [{"address": address}],
        })
    };
    let bundle = |mode: &str| {
        with_director(&json!({
            "instances": [
                instance("outside", "192.168.1.1"), instance("inside", "192.168.1.2"),
                instance("other", "192.168.1.3"),
            ],
            "syncGroups": [{"name": "nat", "instances": ["outside", "inside"]}],
            "vrrp": {"preemption": {"mode": mode}},
        }))
    };
    let facts = facts(&["192.168.1.129/24"]);
    let flags = |mode: &str, hold: &SyncHold| -> Vec<bool> {
        let bundle = bundle(mode);
        let surroundings = Surroundings {
            facts: &facts,
            secrets: &Secrets::default(),
            services: &Services::resolve(&bundle, &Services::default()),
            programmed: &BTreeSet::new(),
            previous: &VrrpPlan::default(),
            hold,
        };
        let (plan, problems) = plan(bundle.plan.director.as_ref(), surroundings);
        assert_eq!(problems, []);
        plan.routers.iter().map(|it| it.hold_preemption).collect()
    };
    let mut hold = SyncHold::default();
    assert_eq!(flags("Immediate", &hold), [false; 3]);
    assert_eq!(flags("AfterSync", &hold), [true; 3]);
    let now = std::time::Instant::now();
    let active = lvs_crds::v1alpha1::RouterState::Active;
    hold.states(&[("inside", active), ("other", active)].into(), now);
    assert_eq!(flags("AfterSync", &hold), [true, true, false]);
    hold.states(&[("inside", active), ("outside", active)].into(), now);
    assert_eq!(flags("AfterSync", &hold), [false, false, true]);
}

#[test]
fn the_keys_of_an_hmac_come_from_the_secret_and_a_new_one_changes_no_role() {
    let bundle = |active: u8| {
        with_director(&json!({"vrrp": {"authentication": {
            "type": "HMACSHA256", "secretRef": {"name": "vrrp"}, "activeKeyID": active,
            "antiReplay": "Monotonic", "mode": "Permissive",
        }}}))
    };
    let keys = |ids: &[u8]| {
        let mut secrets = Secrets::default();
        let values = ids.iter().map(|id| (id.to_string(), vec![*id; 32]));
        secrets.set("vrrp", values.collect());
        secrets
    };
    let address = facts(&["192.168.1.129/24"]);
    let (missing, problems) = of(&bundle(2), &address, &keys(&[1]), "nothing");
    assert!(missing.routers.is_empty(), "{missing:?}");
    assert!(
        problems[0]
            .message
            .contains("Secret vrrp: active HMAC key 2")
    );
    assert_eq!(problems[0].reason, reason::SECRET_NOT_FOUND);

    let (plan, problems) = of(&bundle(1), &address, &keys(&[1, 2]), "nothing");
    assert_eq!(problems, []);
    let expected = |active: u8| {
        let keys = [1, 2].map(|id| lvs_vrrp::hmac::HmacKey::new(id, &[id; 32]).expect("a key"));
        Some(Authentication::Hmac(lvs_vrrp::HmacConfig {
            keys: lvs_vrrp::hmac::HmacKeys::new(keys.into(), active).expect("keys"),
            anti_replay: lvs_vrrp::hmac::AntiReplay::Monotonic,
            mode: lvs_vrrp::hmac::HmacMode::Permissive,
        }))
    };
    assert_eq!(plan.routers[0].config.authentication, expected(1));
    let (later, _) = after(&plan, &bundle(2), &address, &keys(&[1, 2]), "nothing");
    assert_eq!(later.routers[0].config.authentication, expected(2));
    let (kept, problems) = after(&later, &bundle(2), &address, &keys(&[1]), "nothing");
    assert_eq!(kept, later, "it goes on with what it has");
    assert_eq!(problems.len(), 1);
}

#[test]
fn by_unicast_each_family_has_the_other_directors_for_peers() {
    let services = json!([web(
        &json!({"addresses": ["192.168.1.222", "2001:db8::222"]})
    )]);
    let with_peers = |peers: Value| {
        let mut bundle = director(&services, &pool());
        if let Some(director) = &mut bundle.plan.director {
            director.vrrp = serde_json::from_value(json!({
                "transport": {"mode": "Unicast", "minTTL": 254},
            }))
            .expect("settings");
            director.instances[0].peers = serde_json::from_value(peers).expect("peers");
        }
        bundle
    };
    let facts = facts(&["192.168.1.129/24", "fe80::129/64"]);
    let (plan, problems) = of(
        &with_peers(json!(["192.168.1.130", "192.168.1.131", "fe80::130"])),
        &facts,
        &secrets(None),
        "nothing",
    );
    assert_eq!(problems, []);
    let transports: Vec<_> = plan
        .routers
        .iter()
        .map(|it| it.config.transport.clone())
        .collect();
    let unicast = |peers: &[&str]| Transport::Unicast {
        peers: peers
            .iter()
            .map(|it| it.parse().expect("an address"))
            .collect(),
        minimum_ttl: 254,
    };
    let ipv4 = unicast(&["192.168.1.130", "192.168.1.131"]);
    assert_eq!(transports, [ipv4, unicast(&["fe80::130"])]);

    let alone = with_peers(json!(["192.168.1.130"]));
    let (half, problems) = of(&alone, &facts, &secrets(None), "nothing");
    assert_eq!(half.routers.len(), 1);
    assert!(
        half.routers[0].drain,
        "the other director may run both families"
    );
    assert_eq!(problems[0].reason, reason::PENDING);
    assert!(problems[0].message.contains("reported the address"));
    let (kept, _) = after(&plan, &alone, &facts, &secrets(None), "nothing");
    assert_eq!(kept.routers.len(), 2, "what runs goes on");
}

#[test]
fn the_other_directors_are_told_where_advertisements_come_from() {
    let of = |addresses: &[&str], named: Option<&str>| {
        let mut bundle = web_director(&json!({}));
        if let Some(director) = &mut bundle.plan.director {
            director.source_address = named.map(Into::into);
        }
        let vips = [[192, 168, 1, 222].into()].into();
        let sources = sources(bundle.plan.director.as_ref(), &facts(addresses), &vips);
        sources["default"]
            .iter()
            .map(IpAddr::to_string)
            .collect::<Vec<_>>()
    };
    let addresses = [
        "192.168.1.222/24",
        "192.168.1.129/24",
        "2001:db8::1/64",
        "fe80::1/64",
    ];
    assert_eq!(of(&addresses, None), ["192.168.1.129", "fe80::1"]);
    assert_eq!(
        of(&addresses, Some("192.168.1.200")),
        ["192.168.1.200", "fe80::1"]
    );
    assert_eq!(of(&["192.168.1.222/24"], None), [""; 0]);
}

#[test]
fn routes_go_with_the_router_of_their_family() {
    let instances = json!([{
        "name": "default",
        "virtualRouterID": 51,
        "priority": 100,
        "interface": {"name": "eth0"},
        "addresses": [{"address": "192.168.1.254"}],
        "routes": [
            {"destination": "0.0.0.0/0", "gateway": "192.168.1.1", "metric": 5},
            {"destination": "10.1.0.0/16", "source": "192.168.1.222", "table": 1000},
            {"destination": "2001:db8:1::/48"}
        ]
    }]);
    let bundle = with_director(&json!({"instances": instances}));
    let facts = facts(&["192.168.1.129/24", "2001:db8::129/64", "fe80::129/64"]);
    let (plan, problems) = of(&bundle, &facts, &secrets(None), "nothing");
    let [router] = plan.routers.as_slice() else {
        panic!("{plan:?}");
    };
    let planned: Vec<String> = router.routes.iter().map(ToString::to_string).collect();
    assert_eq!(
        planned,
        [
            // An address that no real server has comes before the VIP of a service.
            "0.0.0.0/0 via 192.168.1.1 src 192.168.1.254 metric 5 table 254",
            "10.1.0.0/16 src 192.168.1.222 table 1000",
        ]
    );
    let [problem] = problems.as_slice() else {
        panic!("{problems:?}");
    };
    assert_eq!(problem.reason, "Pending");
    assert_eq!(
        problem.message,
        "VRRP instance default: no ipv6 VIP is served yet, and the routes to 2001:db8:1::/48 move \
         with one"
    );
}

#[test]
fn a_route_that_is_none_is_named() {
    for (route, message) in [
        (
            json!({"destination": "10.1.0.1/16"}),
            "route to 10.1.0.1/16: the destination is no network in CIDR notation",
        ),
        (
            json!({"destination": "10.1.0.0/16", "gateway": "fe80::1"}),
            "route to 10.1.0.0/16: gateway fe80::1 is no ipv4 address",
        ),
    ] {
        let instances = json!([{
            "name": "default",
            "virtualRouterID": 51,
            "priority": 100,
            "interface": {"name": "eth0"},
            "routes": [route]
        }]);
        let bundle = with_director(&json!({"instances": instances}));
        let facts = facts(&["192.168.1.129/24"]);
        let (_, problems) = of(&bundle, &facts, &secrets(None), "nothing");
        assert_eq!(
            problems[0].message,
            format!("VRRP instance default: {message}")
        );
    }
}

#[test]
fn virtual_mac_addresses_bring_a_device_for_each_family() {
    let mac = |mode: &str| json!({"vrrp": {"virtualMAC": mode}});
    let facts = facts(&["192.168.1.129/24", "fe80::129/64"]);
    let names = |bundle: &PlanBundle| {
        let (plan, problems) = of(bundle, &facts, &secrets(None), "nothing");
        assert_eq!(problems, []);
        let devices = plan.routers.into_iter().map(|router| router.virtual_device);
        devices
            .map(|device| device.map(|device| (device.name, device.hardware)))
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&with_director(&mac("Disabled"))), [None]);
    let index = facts.named("eth0").expect("it is there").index;
    assert_eq!(
        names(&with_director(&mac("Macvlan"))),
        [Some((format!("vrrp4-51-{index}"), [0, 0, 0x5e, 0, 1, 51]))]
    );
}
