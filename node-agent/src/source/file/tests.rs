use std::time::Duration;

use super::super::channel;
use super::contents::tests::PLAN;
use super::*;
use crate::store::Store;

#[tokio::test]
async fn a_changed_file_is_handed_on_and_a_wrong_one_is_not() {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("plan.yaml");
    let (store, from_disk) = Store::open(&directory.path().join("state")).expect("the store");
    let (sender, mut plans) = channel(store, from_disk);
    std::fs::write(&path, "kind: Pod\nmetadata: {name: x}").expect("written");
    let task = tokio::spawn({
        let path = path.clone();
        async move { run(&path, "lb-1", sender).await }
    });
    let patience = Duration::from_secs(10);
    let refused = plans.refusal.wait_for(Option::is_some);
    tokio::time::timeout(patience, refused)
        .await
        .expect("in time")
        .expect("refused");
    assert!(plans.bundle.borrow().is_none());

    // As editors do it: another file takes the name.
    let successor = directory.path().join("plan.yaml~");
    std::fs::write(&successor, PLAN).expect("written");
    std::fs::rename(&successor, &path).expect("renamed");
    let handed_on = plans.bundle.wait_for(Option::is_some);
    tokio::time::timeout(patience, handed_on)
        .await
        .expect("in time")
        .expect("handed on");
    assert!(plans.refusal.borrow().is_none());

    std::fs::write(&path, "not a plan").expect("written");
    let refused = plans.refusal.wait_for(Option::is_some);
    tokio::time::timeout(patience, refused)
        .await
        .expect("in time")
        .expect("refused");
    let kept = plans
        .bundle
        .borrow()
        .as_ref()
        .map(|bundle| bundle.name.clone());
    assert_eq!(kept.as_deref(), Some("lb-1"));
    let on_disk = async {
        loop {
            let (_, on_disk) = Store::open(&directory.path().join("state")).expect("the store");
            if let Some(bundle) = on_disk {
                return bundle.name;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let on_disk = tokio::time::timeout(patience, on_disk)
        .await
        .expect("in time");
    assert_eq!(on_disk, "lb-1");
    task.abort();
}
