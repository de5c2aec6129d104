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
    assert_eq!(files, 3);
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
        let mut contents = encode(4, &bundle(1)).expect("encoded");
        let position = position.index(contents.len());
        contents[position] ^= flip;
        // A changed header may still be JSON with the same meaning; a changed plan never passes.
        if let Ok((serial, decoded)) = decode(&contents) {
            prop_assert_eq!((serial, decoded), (4, bundle(1)));
        }
    }

    #[test]
    fn any_bytes_are_survived(contents in proptest::collection::vec(any::<u8>(), 0..200)) {
        prop_assert!(decode(&contents).is_err());
    }
}
