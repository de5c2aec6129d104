//! Replays every recording in `tests/incidents`: an incident becomes a test by putting there what the
//! agent wrote into `vrrp-recordings` of its state directory, or serves at `/vrrp/recorder`.

#![allow(
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use std::fs;
use std::path::Path;

use lvs_node_agent::vrrp::recorder::Recording;

#[test]
fn routers_of_today_do_in_every_incident_what_they_did() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/incidents");
    let entries = fs::read_dir(&directory).expect("a directory");
    let mut replayed = 0;
    for entry in entries {
        let path = entry.expect("an entry").path();
        if path
            .extension()
            .is_none_or(|extension| extension != "jsonl")
        {
            continue;
        }
        let text = fs::read_to_string(&path).expect("readable");
        let recordings = Recording::from_lines(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        for recording in &recordings {
            recording
                .replay()
                .unwrap_or_else(|divergence| panic!("{}: {divergence}", path.display()));
        }
        replayed += recordings.len();
    }
    assert!(replayed > 0, "no recording in {}", directory.display());
}
