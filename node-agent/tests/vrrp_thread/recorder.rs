//! The flight recorder of routers on real sockets.

use lvs_crds::v1alpha1::RouterState;

use crate::hosts::{ipv4, two_hosts};

#[test]
fn a_take_over_is_recorded_and_replays() {
    let Some((one, two, runtime)) = two_hosts() else {
        return;
    };
    let (first, mut second) = (one.start(), two.start());
    first.handle.configure(ipv4(&one, 1, 150));
    second.handle.configure(ipv4(&two, 2, 100));
    first.wait_state(&runtime, RouterState::Active);
    second.wait_state(&runtime, RouterState::Backup);
    let on_request = runtime.block_on(second.handle.control().recordings());
    assert_eq!(on_request.len(), 1);
    on_request[0].replay().expect("the same outputs");

    runtime.block_on(first.handle.stop()).expect("a clean end");
    second.wait_state(&runtime, RouterState::Active);
    let recording = second.told.recordings.try_recv().expect("a recording");
    assert_eq!(recording.interface, "eth0");
    assert!(recording.steps.len() > on_request[0].steps.len());
    recording.replay().expect("the same outputs");
    assert_eq!(second.handle.metrics().recordings_lost.get(), 0);
}
