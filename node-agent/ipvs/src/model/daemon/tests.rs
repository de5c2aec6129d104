use super::*;

fn master() -> SyncDaemon {
    SyncDaemon::new(SyncRole::Master, Name::new("eth0").unwrap(), 7)
}

/// What a kernel reports of [`master`].
fn observed() -> SyncDaemon {
    SyncDaemon {
        max_length_bytes: Some(1472),
        group: Some([224, 0, 0, 81].into()),
        port: Some(8848),
        ttl: Some(1),
        ..master()
    }
}

#[test]
fn what_is_left_to_the_kernel_is_met_by_any_choice() {
    assert!(master().is_met_by(&observed()));
    assert!(observed().is_met_by(&observed()));
    assert!(!observed().is_met_by(&master()));
}

#[test]
fn each_difference_counts() {
    let others = [
        SyncDaemon {
            role: SyncRole::Backup,
            ..observed()
        },
        SyncDaemon {
            interface: Name::new("eth1").unwrap(),
            ..observed()
        },
        SyncDaemon {
            sync_id: 8,
            ..observed()
        },
        SyncDaemon {
            max_length_bytes: Some(1400),
            ..observed()
        },
        SyncDaemon {
            group: Some([224, 0, 0, 82].into()),
            ..observed()
        },
        SyncDaemon {
            port: Some(8849),
            ..observed()
        },
        SyncDaemon {
            ttl: Some(2),
            ..observed()
        },
    ];
    for other in others {
        assert!(!observed().is_met_by(&other), "{other}");
    }
}

#[test]
fn a_daemon_reads_as_ipvsadm_takes_it() {
    assert_eq!(
        master().to_string(),
        "master --mcast-interface eth0 --syncid 7"
    );
}
