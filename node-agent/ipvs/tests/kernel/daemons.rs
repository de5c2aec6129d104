//! Synchronisation daemons.

use lvs_ipvs::{Command, Error, Refusal, SyncDaemon, SyncRole, Timeouts};

use crate::objects::name;
use crate::{apply, fresh, refusal};

#[test]
#[ignore = "needs a kernel with IPVS and root"]
fn daemons_start_report_and_stop() {
    let mut client = fresh();
    let master = SyncDaemon::new(SyncRole::Master, name("lo"), 7);
    let backup = SyncDaemon {
        max_length_bytes: Some(1400),
        group: Some("224.0.0.82".parse().expect("an address")),
        port: Some(8849),
        ttl: Some(2),
        ..SyncDaemon::new(SyncRole::Backup, name("lo"), 255)
    };
    assert_eq!(client.daemons().expect("daemons"), []);
    apply(
        &mut client,
        &[
            Command::StartDaemon(master.clone()),
            Command::StartDaemon(backup.clone()),
        ],
    );
    let running = client.daemons().expect("daemons");
    assert_eq!(running.len(), 2);
    assert!(master.is_met_by(&running[0]), "{}", running[0]);
    assert_eq!(running[1], backup);

    assert_eq!(
        refusal(&mut client, Command::StartDaemon(master)),
        Refusal::Exists
    );
    // The kernel does not answer when a daemon is stopped before its thread ran. The last command has an answer.
    let stop = [SyncRole::Backup, SyncRole::Master].map(Command::StopDaemon);
    let results = client.apply(&[&stop[..], &[Command::SetTimeouts(Timeouts::default())]].concat());
    assert!(
        results
            .iter()
            .all(|r| matches!(r, Ok(()) | Err(Error::NoAnswer { .. }))),
        "{results:?}"
    );
    assert!(results[2].is_ok(), "{results:?}");
    assert_eq!(client.daemons().expect("daemons"), []);

    let role = SyncRole::Master;
    assert_eq!(
        refusal(&mut client, Command::StopDaemon(role)),
        Refusal::NoSuchDaemon { role }
    );
    let nowhere = SyncDaemon::new(SyncRole::Master, name("nosuch0"), 7);
    assert_eq!(
        refusal(&mut client, Command::StartDaemon(nowhere)),
        Refusal::NoSuchInterface {
            interface: name("nosuch0")
        }
    );
    assert_eq!(client.daemons().expect("daemons"), []);
}
