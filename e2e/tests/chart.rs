//! The chart as Helm renders it: least privilege, closed values, CRDs that outlive the release.

#![allow(
    clippy::indexing_slicing,
    reason = "YAML values answer a missing key with null"
)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test ends where its premise fails"
)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_yaml::Value;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn helm(arguments: &[&str]) -> Output {
    Command::new(root().join("target/lab/bin/helm"))
        .args(arguments)
        .current_dir(root())
        .output()
        .expect("target/lab/bin/helm runs; `make tools` builds it")
}

fn render(values: &[&str]) -> Vec<Value> {
    let mut arguments = vec![
        "template",
        "lvs",
        "charts/lvs-operator",
        "--namespace",
        "lvs-system",
    ];
    for value in values {
        arguments.extend(["--set", value]);
    }
    let output = helm(&arguments);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout).unwrap();
    serde_yaml::Deserializer::from_str(&text)
        .map(|document| <Value as serde::Deserialize>::deserialize(document).unwrap())
        .filter(|document| !document.is_null())
        .collect()
}

fn find<'a>(objects: &'a [Value], kind: &str, name: &str) -> &'a Value {
    objects
        .iter()
        .find(|object| object["kind"] == kind && object["metadata"]["name"] == name)
        .unwrap_or_else(|| panic!("the chart renders no {kind} {name}"))
}

fn strings(value: &Value) -> BTreeSet<String> {
    value
        .as_sequence()
        .into_iter()
        .flatten()
        .map(|item| item.as_str().unwrap().to_owned())
        .collect()
}

fn set<const N: usize>(items: [&str; N]) -> BTreeSet<String> {
    items.into_iter().map(str::to_owned).collect()
}

/// Pod templates that the chart hands to the operator, by file name.
fn agent_template(objects: &[Value], key: &str) -> Value {
    let data = &find(objects, "ConfigMap", "lvs-agent-templates")["data"];
    serde_yaml::from_str(data[key].as_str().unwrap()).unwrap()
}

#[test]
fn lint_finds_nothing() {
    let output = helm(&["lint", "--strict", "charts/lvs-operator"]);
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stdout)
    );
}

#[test]
fn agents_write_nothing_but_status_and_events() {
    let objects = render(&[]);
    for name in ["lvs-director-agent", "lvs-real-server-agent"] {
        for rule in find(&objects, "ClusterRole", name)["rules"]
            .as_sequence()
            .unwrap()
        {
            let writes: BTreeSet<_> = strings(&rule["verbs"])
                .difference(&set(["get", "list", "watch"]))
                .cloned()
                .collect();
            if writes.is_empty() {
                continue;
            }
            let resources = strings(&rule["resources"]);
            assert!(
                resources == set(["nodeplans/status"]) && writes == set(["patch"])
                    || resources == set(["events"]) && writes == set(["create", "patch"]),
                "{name} may {writes:?} {resources:?}"
            );
        }
    }
}

#[test]
fn nobody_reads_secrets_of_other_namespaces_or_uses_wildcards() {
    for object in render(&[]) {
        let kind = object["kind"].as_str().unwrap();
        if kind != "ClusterRole" && kind != "Role" {
            continue;
        }
        for rule in object["rules"].as_sequence().into_iter().flatten() {
            let words: BTreeSet<_> = ["apiGroups", "resources", "verbs"]
                .iter()
                .flat_map(|key| strings(&rule[*key]))
                .collect();
            assert!(
                !words.contains("*"),
                "wildcard in {kind} {:?}",
                object["metadata"]["name"]
            );
            assert!(
                kind == "Role" || !words.contains("secrets"),
                "Secrets in ClusterRole {:?}",
                object["metadata"]["name"]
            );
        }
    }
}

#[test]
fn agents_are_not_privileged() {
    let objects = render(&[]);
    for key in ["director.yaml", "real-server.yaml"] {
        let spec = &agent_template(&objects, key)["spec"];
        assert_eq!(spec["hostNetwork"], true);
        assert_eq!(
            spec["securityContext"]["seccompProfile"]["type"],
            "RuntimeDefault"
        );
        for container in spec["containers"].as_sequence().unwrap() {
            let context = &container["securityContext"];
            assert_eq!(context["privileged"], Value::Null);
            assert_eq!(context["allowPrivilegeEscalation"], false);
            assert_eq!(context["readOnlyRootFilesystem"], true);
            assert_eq!(strings(&context["capabilities"]["drop"]), set(["ALL"]));
            assert_eq!(
                strings(&context["capabilities"]["add"]),
                set(["NET_ADMIN", "NET_RAW"])
            );
            assert_eq!(container["resources"]["limits"]["cpu"], Value::Null);
        }
    }
}

#[test]
fn realtime_priority_brings_directors_the_capabilities_that_it_needs() {
    let objects = render(&["agent.vrrp.realtimePriority=10"]);
    let of = |key| {
        let container = &agent_template(&objects, key)["spec"]["containers"][0];
        let capabilities = strings(&container["securityContext"]["capabilities"]["add"]);
        (capabilities, strings(&container["args"]))
    };
    let (capabilities, arguments) = of("director.yaml");
    let all = set(["NET_ADMIN", "NET_RAW", "SYS_NICE", "IPC_LOCK"]);
    assert_eq!(capabilities, all);
    assert!(arguments.contains("--vrrp-realtime-priority=10"));
    let (capabilities, arguments) = of("real-server.yaml");
    assert_eq!(capabilities, set(["NET_ADMIN", "NET_RAW"]));
    assert!(arguments.contains("--vrrp-realtime-priority=0"));
}

#[test]
fn hooks_bring_directors_the_root_of_their_node_and_nothing_else_does() {
    let of = |values: &[&str], key| {
        let objects = render(values);
        let spec = agent_template(&objects, key)["spec"].clone();
        let container = spec["containers"][0].clone();
        let capabilities = strings(&container["securityContext"]["capabilities"]["add"]);
        let mounts = container["volumeMounts"].as_sequence().unwrap().clone();
        let root = mounts.into_iter().find(|mount| mount["name"] == "root");
        let volumes = spec["volumes"].as_sequence().unwrap().clone();
        let volume = volumes.into_iter().find(|volume| volume["name"] == "root");
        (capabilities, strings(&container["args"]), root, volume)
    };
    let enabled = [
        "agent.hooks.enabled=true",
        "agent.hooks.directory=/opt/hooks",
    ];
    let (capabilities, arguments, root, volume) = of(&enabled, "director.yaml");
    assert_eq!(capabilities, set(["NET_ADMIN", "NET_RAW", "SYS_CHROOT"]));
    assert!(
        arguments.contains("--hooks-dir=/opt/hooks"),
        "{arguments:?}"
    );
    assert!(
        arguments.contains("--hooks-root=/host/root"),
        "{arguments:?}"
    );
    let root = root.unwrap();
    assert_eq!(
        (&root["mountPath"], &root["readOnly"]),
        (&"/host/root".into(), &true.into())
    );
    assert_eq!(volume.unwrap()["hostPath"]["path"], "/");
    for (values, key) in [(&enabled[..], "real-server.yaml"), (&[], "director.yaml")] {
        let (capabilities, arguments, root, volume) = of(values, key);
        assert_eq!(capabilities, set(["NET_ADMIN", "NET_RAW"]), "{key}");
        assert!(!arguments.contains("--hooks-root=/host/root"), "{key}");
        assert_eq!((root, volume), (None, None), "{key}");
    }
}

#[test]
fn tracked_processes_bring_directors_proc_read_only_and_no_other_pid_namespace() {
    let enabled = render(&["agent.processes.enabled=true"]);
    let plain = render(&[]);
    for (objects, key, sees) in [
        (&enabled, "director.yaml", true),
        (&enabled, "real-server.yaml", false),
        (&plain, "director.yaml", false),
    ] {
        let spec = &agent_template(objects, key)["spec"];
        let container = &spec["containers"][0];
        let named = |list: &Value| {
            let entries = list.as_sequence().unwrap();
            let found = entries.iter().find(|entry| entry["name"] == "processes");
            found.cloned()
        };
        let volume = named(&spec["volumes"]).map(|volume| volume["hostPath"]["path"].clone());
        assert_eq!(volume, sees.then(|| "/proc".into()), "{key}");
        let mount = named(&container["volumeMounts"]);
        let mount = mount.map(|mount| (mount["mountPath"].clone(), mount["readOnly"].clone()));
        let expected = ("/host/processes".into(), true.into());
        assert_eq!(mount, sees.then_some(expected), "{key}");
        assert!(spec["hostPID"].is_null(), "{key}");
        let capabilities = strings(&container["securityContext"]["capabilities"]["add"]);
        assert_eq!(capabilities, set(["NET_ADMIN", "NET_RAW"]), "{key}");
        let arguments = strings(&container["args"]);
        let looks = arguments.contains("--processes-dir=/host/processes");
        assert_eq!(looks, key == "director.yaml", "{key}");
    }
}

#[test]
fn a_watchdog_makes_directors_privileged_and_nothing_else_does() {
    let enabled = render(&["agent.watchdog.enabled=true"]);
    let plain = render(&[]);
    for (objects, key, is_privileged) in [
        (&enabled, "director.yaml", true),
        (&enabled, "real-server.yaml", false),
        (&plain, "director.yaml", false),
    ] {
        let spec = &agent_template(objects, key)["spec"];
        let container = &spec["containers"][0];
        let context = &container["securityContext"];
        let expected = if is_privileged {
            Value::Bool(true)
        } else {
            Value::Null
        };
        assert_eq!(context["privileged"], expected, "{key}");
        // The API server refuses the two together.
        assert_eq!(context["allowPrivilegeEscalation"].is_null(), is_privileged);
        assert_eq!(context["readOnlyRootFilesystem"], true);
        let mounts = container["volumeMounts"].as_sequence().unwrap();
        assert_eq!(
            mounts.iter().any(|mount| mount["mountPath"] == "/dev"),
            is_privileged
        );
        let volumes = spec["volumes"].as_sequence().unwrap();
        assert_eq!(
            volumes
                .iter()
                .any(|volume| volume["hostPath"]["path"] == "/dev"),
            is_privileged
        );
    }
}

#[test]
fn operator_runs_unprivileged_with_a_disruption_budget() {
    let objects = render(&[]);
    let spec = &find(&objects, "Deployment", "lvs-operator")["spec"];
    assert_eq!(spec["replicas"], 2);
    assert_eq!(
        spec["template"]["spec"]["securityContext"]["runAsNonRoot"],
        true
    );
    let context = &spec["template"]["spec"]["containers"][0]["securityContext"];
    assert_eq!(context["readOnlyRootFilesystem"], true);
    assert_eq!(strings(&context["capabilities"]["drop"]), set(["ALL"]));
    assert_eq!(
        find(&objects, "PodDisruptionBudget", "lvs-operator")["spec"]["minAvailable"],
        1
    );
    let alone = render(&["operator.replicas=1"]);
    assert!(
        !alone
            .iter()
            .any(|object| object["kind"] == "PodDisruptionBudget"),
        "a budget over one replica would block every drain"
    );
}

#[test]
fn crds_are_kept_and_can_be_left_out() {
    let crds = |objects: Vec<Value>| -> Vec<Value> {
        objects
            .into_iter()
            .filter(|object| object["kind"] == "CustomResourceDefinition")
            .collect()
    };
    let kept = crds(render(&[]));
    assert_eq!(kept.len(), 5);
    for crd in &kept {
        assert_eq!(
            crd["metadata"]["annotations"]["helm.sh/resource-policy"],
            "keep"
        );
    }
    for crd in crds(render(&["crds.keep=false"])) {
        assert_eq!(
            crd["metadata"]["annotations"]["helm.sh/resource-policy"],
            Value::Null
        );
    }
    assert!(crds(render(&["crds.enabled=false"])).is_empty());
}

#[test]
fn unknown_and_wrong_values_are_refused() {
    for (value, named) in [
        ("operator.replica=2", "replica"),
        ("operator.replicas=0", "replicas"),
        ("agent.adminPort=70000", "adminPort"),
        ("agent.stateDirectory=state", "stateDirectory"),
        ("agent.statistics.level=Everything", "level"),
        ("agent.statistics.maximumSeries=-1", "maximumSeries"),
        ("agent.statistics.labels=all", "labels"),
        ("agent.vrrp.realtimePriority=100", "realtimePriority"),
        ("agent.hooks.directory=hooks", "directory"),
        ("images.pullPolicy=Sometimes", "pullPolicy"),
        ("colour=red", "colour"),
    ] {
        let output = helm(&["template", "lvs", "charts/lvs-operator", "--set", value]);
        let message = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{value} was accepted");
        assert!(message.contains(named), "{value}: {message}");
    }
}

#[test]
fn images_and_annotations_reach_the_pods() {
    let objects = render(&[
        "images.nodeAgent.repository=registry.example/lvs-node-agent",
        "images.nodeAgent.tag=9.9.9",
        "agent.director.podAnnotations.team=edge",
    ]);
    let director = agent_template(&objects, "director.yaml");
    assert_eq!(
        director["spec"]["containers"][0]["image"],
        "registry.example/lvs-node-agent:9.9.9"
    );
    assert_eq!(director["metadata"]["annotations"]["team"], "edge");
    assert_eq!(
        agent_template(&objects, "real-server.yaml")["metadata"]["annotations"],
        Value::Null
    );
}

#[test]
fn the_bounds_of_statistics_reach_the_agents() {
    let arguments = |values: &[&str]| {
        let template = agent_template(&render(values), "director.yaml");
        strings(&template["spec"]["containers"][0]["args"])
    };
    let has = |arguments: &BTreeSet<String>, argument: &str| arguments.contains(argument);
    let usual = arguments(&[]);
    assert!(has(&usual, "--statistics-level=RealServers"), "{usual:?}");
    assert!(
        has(&usual, "--statistics-maximum-series=10000"),
        "{usual:?}"
    );
    let bounded = arguments(&[
        "agent.statistics.level=VirtualServices",
        "agent.statistics.maximumSeries=2000000",
    ]);
    assert!(
        has(&bounded, "--statistics-level=VirtualServices"),
        "{bounded:?}"
    );
    assert!(
        has(&bounded, "--statistics-maximum-series=2000000"),
        "{bounded:?}"
    );
}
