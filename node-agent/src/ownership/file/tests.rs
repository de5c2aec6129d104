use std::path::PathBuf;

use super::*;

fn directory(name: &str) -> PathBuf {
    let path = std::env::temp_dir().join(format!("lvs-ownership-{name}-{}", std::process::id()));
    let _ = fs::remove_dir_all(&path);
    fs::create_dir_all(&path).expect("a directory");
    path
}

fn record() -> Ownership {
    serde_json::from_str(
        r#"{"services": [{"protocol": 6, "address": "192.168.1.222", "port": 80}],
            "addresses": [{"address": "192.168.1.222", "interface": "lo"}],
            "sysctls": [{"sysctl": ["ipv4", "conf", "eth0", "arp_ignore"], "original": "0", "ours": "1"}],
            "runsMasterDaemon": true}"#,
    )
    .expect("a record")
}

#[tokio::test]
async fn a_record_survives_a_restart() {
    let directory = directory("restart");
    let (mut file, empty) = OwnershipFile::open(&directory);
    assert_eq!(empty, Ownership::default());
    file.keep(&record()).await;
    let (_, read) = OwnershipFile::open(&directory);
    assert_eq!(read, record());
    assert!(read.has_daemon(lvs_ipvs::SyncRole::Master));
    assert!(!read.has_daemon(lvs_ipvs::SyncRole::Backup));
    assert_eq!(read.services().count(), 1);
    fs::remove_dir_all(directory).expect("removed");
}

#[tokio::test]
async fn an_unreadable_record_is_empty() {
    let directory = directory("unreadable");
    for contents in ["", "{", "[1]", "{\"services\": 7}"] {
        fs::write(directory.join(FILE_NAME), contents).expect("written");
        assert_eq!(
            OwnershipFile::open(&directory).1,
            Ownership::default(),
            "{contents}"
        );
    }
    fs::remove_dir_all(directory).expect("removed");
}
