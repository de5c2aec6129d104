//! A watchdog device, here a file, is fed by the thread itself.

use std::fs;
use std::time::Duration;

use lvs_crds::v1alpha1::RouterState;
use lvs_node_agent::vrrp::{VrrpPlan, WatchdogPlan};

use crate::hosts::{ipv4, two_hosts, until};

#[test]
fn it_is_fed_while_active_and_stopped_with_the_role() {
    let Some((one, _two, runtime)) = two_hosts() else {
        return;
    };
    let directory = tempfile::tempdir().expect("a directory");
    let set = |name: &str, text: &str| {
        fs::write(directory.path().join(name), text).expect("written");
    };
    for (name, text) in [("nowayout", "0"), ("state", "inactive"), ("watchdog", "")] {
        set(name, text);
    }
    let device = directory.path().join("watchdog");
    let written = || fs::read_to_string(&device).expect("readable");
    let planned = || VrrpPlan {
        watchdog: Some(WatchdogPlan {
            device: device.clone(),
            settings: directory.path().to_owned(),
            timeout: Duration::from_secs(2),
        }),
        ..ipv4(&one, 1, 150)
    };
    let router = one.start();
    // Without a time-out that is known it is of no use, which hinders nothing else.
    router.handle.configure(planned());
    router.wait(&runtime, |report| report.watchdog_problem.is_some());
    router.wait_state(&runtime, RouterState::Active);
    set("timeout", "1");
    router.wait(&runtime, |report| report.watchdog_problem.is_none());
    until("it is fed", || written().len() >= 2);
    assert!(!written().contains('V'));
    drop(runtime.block_on(router.handle.stop()));
    assert!(written().ends_with('V'), "{:?}", written());
}
