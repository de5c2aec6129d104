use std::fs;
use std::path::PathBuf;

use tokio::time::timeout;

use super::*;

const LONG: Duration = Duration::from_secs(10);

struct Files(PathBuf);

impl Files {
    fn new(name: &str) -> Self {
        let base = std::env::temp_dir().join(format!("lvs-lookout-{name}-{}", std::process::id()));
        fs::create_dir_all(base.join("ipv4/conf/eth0")).expect("a directory");
        let files = Self(base);
        files.write("1\n");
        files
    }

    fn write(&self, value: &str) {
        fs::write(self.0.join("ipv4/conf/eth0/arp_ignore"), value).expect("written");
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn expected() -> Expected {
    Expected {
        ipvs: None,
        sysctls: vec![(
            Sysctl::of_interface_ipv4("eth0", "arp_ignore"),
            "1".to_owned(),
        )],
    }
}

#[tokio::test]
async fn a_difference_is_told_once_until_there_is_another_expectation() {
    let files = Files::new("once");
    let lookout = Lookout::start(Sysctls::new(&files.0)).expect("started");
    lookout.expect(Some(expected()));
    let equal = timeout(PERIOD * 2, lookout.different()).await;
    equal.expect_err("nothing is different");
    files.write("0\n");
    let told = timeout(LONG, lookout.different()).await;
    told.expect("the value is different");
    let again = timeout(PERIOD * 2, lookout.different()).await;
    again.expect_err("it was told");
    lookout.expect(Some(expected()));
    let told = timeout(LONG, lookout.different()).await;
    told.expect("it is different still");
}

#[tokio::test]
async fn what_is_not_expected_is_not_looked_at() {
    let files = Files::new("nothing");
    let lookout = Lookout::start(Sysctls::new(&files.0)).expect("started");
    lookout.expect(Some(expected()));
    lookout.expect(None);
    files.write("0\n");
    let told = timeout(PERIOD * 2, lookout.different()).await;
    told.expect_err("nothing is expected");
}

#[tokio::test]
async fn a_notice_that_came_while_the_table_was_read_is_told() {
    let files = Files::new("notice");
    let lookout = Lookout::start(Sysctls::new(&files.0)).expect("started");
    let watch = lookout.table_watch();
    watch.state.notices.store(2, Ordering::Release);
    let expected = |notices| Expected {
        ipvs: Some(ExpectedTable {
            fingerprint: Fingerprint::EMPTY,
            notices,
        }),
        sysctls: Vec::new(),
    };
    lookout.expect(Some(expected(1)));
    let told = timeout(LONG, lookout.different()).await;
    told.expect("the table was read before the last notice");
}

#[tokio::test]
async fn a_thread_that_is_stopped_ends() {
    let files = Files::new("stop");
    let lookout = Lookout::start(Sysctls::new(&files.0)).expect("started");
    let watch = lookout.table_watch();
    let stopped = timeout(LONG, lookout.stop()).await;
    stopped.expect("in time");
    assert!(watch.orders.send(Order::Stop).is_err(), "nobody listens");
}

#[tokio::test]
async fn a_sysctl_whose_file_is_replaced_is_read_from_the_new_one() {
    let files = Files::new("replaced");
    let lookout = Lookout::start(Sysctls::new(&files.0)).expect("started");
    fs::remove_dir_all(&files.0).expect("removed");
    lookout.expect(Some(expected()));
    let told = timeout(LONG, lookout.different()).await;
    told.expect("there is no such file");
    fs::create_dir_all(files.0.join("ipv4/conf/eth0")).expect("a directory");
    files.write("1\n");
    lookout.expect(Some(expected()));
    let told = timeout(PERIOD * 2, lookout.different()).await;
    told.expect_err("it is as expected");
}
