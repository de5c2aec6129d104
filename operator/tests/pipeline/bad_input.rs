//! Wrong manifests that only the operator can find: each is answered with its reason and key words,
//! and what runs already does not notice.

use std::{fs, path::Path};

use crate::sim::{Sim, WEB, condition_of};

#[test]
fn each_is_answered_and_nothing_else_changes() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("../e2e/bad-input");
    let mut seen = 0;
    for entry in fs::read_dir(&directory).unwrap() {
        let path = entry.unwrap().path();
        let text = fs::read_to_string(&path).unwrap();
        let Some(expected) = text
            .lines()
            .next()
            .and_then(|line| line.strip_prefix("# expect: Accepted=False "))
        else {
            continue;
        };
        seen += 1;
        let mut words = expected.split_whitespace();
        let reason = words.next().unwrap();

        let mut sim = Sim::converged(WEB);
        let web = (
            sim.service_plan("default/web").cloned(),
            sim.members("default/web"),
        );
        let plans = ["lb-1", "lb-2"].map(|node| sim.world.node_plans[node].spec.clone());
        sim.apply(&text);
        sim.converge();

        let world = &sim.world;
        let conditions = world
            .services
            .iter()
            .filter(|object| object.metadata.name.as_deref() == Some("bad"))
            .filter_map(|object| Some(object.status.as_ref()?.conditions.clone()))
            .chain(
                world
                    .pairs
                    .iter()
                    .filter(|object| object.metadata.name.as_deref() == Some("bad"))
                    .filter_map(|object| Some(object.status.as_ref()?.conditions.clone())),
            )
            .chain(
                world
                    .real_servers
                    .iter()
                    .filter(|object| object.metadata.name.as_deref() == Some("bad"))
                    .filter_map(|object| Some(object.status.as_ref()?.conditions.clone())),
            )
            .next()
            .unwrap_or_else(|| panic!("{}: no object called bad", path.display()));
        let (status, found, message) = condition_of(&conditions, "Accepted");
        assert_eq!(
            (status, found),
            ("False", reason),
            "{}: {message}",
            path.display()
        );
        for word in words {
            assert!(
                message.contains(word),
                "{}: {word} is not in: {message}",
                path.display()
            );
        }
        assert_eq!(
            condition_of(&conditions, "Ready").0,
            "False",
            "{}",
            path.display()
        );
        assert_eq!(
            condition_of(&conditions, "Stalled").0,
            "True",
            "{}",
            path.display()
        );

        assert_eq!(
            web,
            (
                sim.service_plan("default/web").cloned(),
                sim.members("default/web")
            )
        );
        assert_eq!(
            plans,
            ["lb-1", "lb-2"].map(|node| sim.world.node_plans[node].spec.clone())
        );
    }
    assert!(
        seen >= 10,
        "{} has only {seen} such manifests",
        directory.display()
    );
}
