use std::io;
use std::path::PathBuf;
use std::sync::mpsc;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::*;

/// A disk that takes the next value when it is told what comes of it.
fn disk() -> (Writer<u32>, mpsc::Sender<bool>, Arc<Mutex<Vec<u32>>>) {
    let (verdicts, told) = mpsc::channel::<bool>();
    let contents = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&contents);
    let writer = Writer::start("the value", move |value: &u32| {
        if told.recv().unwrap_or(true) {
            let mut contents = written.lock().unwrap_or_else(PoisonError::into_inner);
            contents.push(*value);
            return Ok(());
        }
        Err(StoreError::File {
            action: "write",
            path: PathBuf::from("/full"),
            source: io::ErrorKind::StorageFull.into(),
        })
    });
    (writer, verdicts, contents)
}

async fn kept(writer: &Writer<u32>, number: u64) {
    let mut kept = writer.kept.clone();
    kept.wait_for(|kept| *kept >= number)
        .await
        .expect("a writer");
}

#[tokio::test]
async fn a_value_is_on_disk_when_it_is_said_to_be() {
    let (writer, verdicts, contents) = disk();
    for value in [1, 2] {
        verdicts.send(true).expect("a disk");
        assert!(writer.keep(value).await);
    }
    assert_eq!(*contents.lock().expect("contents"), [1, 2]);
}

#[tokio::test]
async fn a_disk_that_hangs_is_waited_for_once_and_has_the_newest_value_when_it_goes_on() {
    let (writer, verdicts, contents) = disk();
    assert!(!writer.keep(1).await);
    let start = Instant::now();
    for value in 2..100 {
        assert!(!writer.keep(value).await);
    }
    assert!(start.elapsed() < PATIENCE / 2, "{:?}", start.elapsed());
    verdicts.send(true).expect("a disk");
    verdicts.send(true).expect("a disk");
    kept(&writer, 99).await;
    assert_eq!(*contents.lock().expect("contents"), [1, 99]);
    // From here on it is waited for again.
    verdicts.send(true).expect("a disk");
    assert!(writer.keep(100).await);
}

#[tokio::test]
async fn a_write_that_failed_is_made_good_by_the_next_value() {
    let (writer, verdicts, contents) = disk();
    verdicts.send(false).expect("a disk");
    verdicts.send(true).expect("a disk");
    assert!(!writer.keep(1).await);
    writer.submit(2);
    kept(&writer, 2).await;
    assert_eq!(*contents.lock().expect("contents"), [2]);
}

#[tokio::test(start_paused = true)]
async fn a_write_that_failed_is_tried_again() {
    let (writer, verdicts, contents) = disk();
    for verdict in [false, false, true] {
        verdicts.send(verdict).expect("a disk");
    }
    writer.submit(7);
    kept(&writer, 1).await;
    assert_eq!(*contents.lock().expect("contents"), [7]);
}
