use proptest::prelude::*;
use serde_json::json;

use super::*;

fn bundle(generation: i64) -> PlanBundle {
    serde_json::from_value(json!({
        "name": "lb-1",
        "plan": {"formatVersion": 1, "revision": format!("r{generation}")},
        "generation": generation,
        "slices": {"edge-0": {"digest": "d"}},
    }))
    .expect("a bundle")
}

fn newest(directory: &Path) -> Option<i64> {
    let (_, found) = Store::open(directory).expect("the store");
    found.map(|bundle| bundle.generation)
}

#[test]
fn an_empty_directory_holds_no_plan() {
    let directory = tempfile::tempdir().expect("a directory");
    assert_eq!(newest(&directory.path().join("state")), None);
}

#[test]
fn the_newest_of_three_is_found_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut store, _) = Store::open(directory.path()).expect("the store");
    for generation in 1..=7 {
        store.save(&bundle(generation)).expect("saved");
        assert_eq!(newest(directory.path()), Some(generation));
    }
    let files = fs::read_dir(directory.path()).expect("a listing").count();
    assert_eq!(files, 3 + 1, "three revisions that share a slice");
    // A store that is opened later goes on counting.
    let (mut store, _) = Store::open(directory.path()).expect("the store");
    store.save(&bundle(8)).expect("saved");
    assert_eq!(newest(directory.path()), Some(8));
}

#[test]
fn a_corrupt_revision_gives_way_to_the_one_before() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut store, _) = Store::open(directory.path()).expect("the store");
    for generation in 1..=3 {
        store.save(&bundle(generation)).expect("saved");
    }
    fs::write(slot_path(directory.path(), 0), b"").expect("cut short");
    assert_eq!(newest(directory.path()), Some(2));
    fs::write(slot_path(directory.path(), 2), b"\0\0\0").expect("garbage");
    assert_eq!(newest(directory.path()), Some(1));
    fs::remove_file(slot_path(directory.path(), 1)).expect("deleted");
    assert_eq!(newest(directory.path()), None);
}

#[test]
fn a_change_writes_the_slice_that_it_touches_and_leaves_no_other_behind() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut store, _) = Store::open(directory.path()).expect("the store");
    let slices = || -> BTreeMap<String, std::time::SystemTime> {
        fs::read_dir(directory.path())
            .expect("a listing")
            .map(|entry| entry.expect("an entry"))
            .filter_map(|entry| {
                let name = entry.file_name().into_string().expect("a name");
                let changed = entry
                    .metadata()
                    .expect("metadata")
                    .modified()
                    .expect("a time");
                name.starts_with(SLICE_PREFIX).then_some((name, changed))
            })
            .collect()
    };
    let mut plan = bundle(1);
    let other = Arc::new(PlanSliceSpec {
        digest: "0".into(),
        ..(*plan.slices["edge-0"]).clone()
    });
    plan.slices.insert("edge-1".into(), other);
    store.save(&plan).expect("saved");
    let first = slices();
    for number in 1..=4 {
        let slice = PlanSliceSpec {
            digest: number.to_string(),
            ..(*plan.slices["edge-0"]).clone()
        };
        plan.slices.insert("edge-1".into(), Arc::new(slice));
        store.save(&plan).expect("saved");
    }
    let last = slices();
    assert_eq!(
        last.len(),
        4,
        "the one that stayed and one for each revision: {last:?}"
    );
    let stayed = first
        .iter()
        .filter(|(name, changed)| last.get(*name) == Some(changed));
    assert_eq!(stayed.count(), 1);
    let (_, found) = Store::open(directory.path()).expect("the store");
    assert_eq!(found, Some(plan));
}

#[test]
fn a_slice_that_is_missing_costs_its_revisions() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut store, _) = Store::open(directory.path()).expect("the store");
    store.save(&bundle(1)).expect("saved");
    let mut next = bundle(2);
    let slice = PlanSliceSpec {
        digest: "2".into(),
        ..(*next.slices["edge-0"]).clone()
    };
    next.slices.insert("edge-0".into(), Arc::new(slice));
    store.save(&next).expect("saved");
    let file = slice_file(&serde_json::to_vec(&next.slices["edge-0"]).expect("JSON"));
    fs::remove_file(directory.path().join(file)).expect("removed");
    assert_eq!(newest(directory.path()), Some(1));
}

#[test]
fn a_slice_that_was_lost_is_written_again() {
    let directory = tempfile::tempdir().expect("a directory");
    let (mut store, _) = Store::open(directory.path()).expect("the store");
    store.save(&bundle(1)).expect("saved");
    let file = slice_file(&serde_json::to_vec(&bundle(1).slices["edge-0"]).expect("JSON"));
    fs::write(directory.path().join(file), b"garbage").expect("written");
    let (mut store, found) = Store::open(directory.path()).expect("the store");
    assert_eq!(found, None);
    store.save(&bundle(2)).expect("saved");
    assert_eq!(newest(directory.path()), Some(2));
}

#[test]
fn a_plan_of_another_shape_is_named() {
    let body = br#"{"name": "lb-1", "plan": 7}"#;
    let header = Header {
        serial: 1,
        sha256: digest(1, body),
    };
    let mut contents = serde_json::to_vec(&header).expect("a header");
    contents.push(b'\n');
    contents.extend_from_slice(body);
    assert!(matches!(decode(&contents), Err(Corruption::Decode(_))));
}

#[test]
fn files_are_for_their_owner_alone_when_asked() {
    use std::os::unix::fs::PermissionsExt as _;
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("secret");
    write_durably(&path, b"one", 0o600).expect("written");
    write_durably(&path, b"two", 0o600).expect("written");
    assert_eq!(fs::read(&path).expect("read"), b"two");
    let mode = fs::metadata(&path).expect("metadata").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
}

proptest! {
    #[test]
    fn any_change_of_a_byte_is_noticed(position in any::<prop::sample::Index>(), flip in 1..=255_u8) {
        let directory = tempfile::tempdir().expect("a directory");
        let (mut store, _) = Store::open(directory.path()).expect("the store");
        store.save(&bundle(1)).expect("saved");
        for entry in fs::read_dir(directory.path()).expect("a listing") {
            let path = entry.expect("an entry").path();
            let whole = fs::read(&path).expect("read");
            let mut contents = whole.clone();
            contents[position.index(whole.len())] ^= flip;
            fs::write(&path, contents).expect("written");
            // A changed header may still be JSON with the same meaning; a changed plan never passes.
            let (_, found) = Store::open(directory.path()).expect("the store");
            prop_assert!(found.is_none_or(|found| found == bundle(1)));
            fs::write(&path, whole).expect("written");
        }
    }

    #[test]
    fn any_bytes_are_survived(contents in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&contents).is_err());
    }
}
