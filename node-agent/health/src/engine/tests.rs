use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::time::{sleep, timeout};

use super::*;
use crate::{Check, Mode, Policy, Probe};

type Results = watch::Receiver<BTreeMap<u16, Health>>;

/// Counts the probes that are under way, at most and in all.
#[derive(Debug, Default)]
struct Load {
    now: AtomicUsize,
    most: AtomicUsize,
    total: AtomicUsize,
}

impl Load {
    async fn during<T>(&self, probe: impl Future<Output = T>) -> T {
        let now = self.now.fetch_add(1, Ordering::SeqCst) + 1;
        self.most.fetch_max(now, Ordering::SeqCst);
        self.total.fetch_add(1, Ordering::SeqCst);
        let result = probe.await;
        self.now.fetch_sub(1, Ordering::SeqCst);
        result
    }
}

fn target(key: u16, to: SocketAddr) -> Target<u16> {
    let probe = Probe::Tcp {
        to,
        send: Vec::new(),
        expect: Vec::new(),
    };
    Target {
        key,
        checks: vec![Check {
            name: "tcp".into(),
            probe: Arc::new(probe),
            policy: Policy::default(),
        }],
        mode: Mode::All,
        initially_up: false,
    }
}

fn nowhere(port: u16) -> SocketAddr {
    SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), port))
}

/// Waits until the target is as `wanted` says.
async fn until(results: &mut Results, key: u16, wanted: impl Fn(&Health) -> bool) -> Health {
    let map = results
        .wait_for(|map| map.get(&key).is_some_and(&wanted))
        .await
        .expect("the engine runs");
    map[&key].clone()
}

#[tokio::test(start_paused = true)]
async fn a_server_that_falls_silent_is_down_within_six_seconds() {
    let (silence, silent) = watch::channel(false);
    let engine = Engine::with_prober(move |job: Job| {
        let silent = *silent.borrow();
        async move {
            if silent {
                sleep(job.timeout).await;
                return Err(Failure::NoAnswer(job.timeout));
            }
            Ok(())
        }
    });
    let mut results = engine.results();
    engine.set_targets(vec![target(1, nowhere(80))]);
    until(&mut results, 1, |health| health.up).await;
    for offset in [0, 300, 999, 1700] {
        sleep(Duration::from_millis(10_000 + offset)).await;
        silence.send_replace(true);
        let died = now();
        let health = until(&mut results, 1, |health| !health.up).await;
        let took = now() - died;
        assert!(
            took <= Policy::default().detection_bound() + Duration::from_millis(3),
            "{took:?}"
        );
        assert_eq!(
            health.reason.as_deref(),
            Some("tcp 192.0.2.1:80: no answer in 1000 ms")
        );
        silence.send_replace(false);
        until(&mut results, 1, |health| health.up).await;
    }
}

#[tokio::test(start_paused = true)]
async fn no_more_probes_than_the_limit_run_at_one_time() {
    let load = Arc::new(Load::default());
    let shared = Arc::clone(&load);
    let engine = Engine::with_prober(move |job: Job| {
        let load = Arc::clone(&shared);
        async move {
            load.during(sleep(job.timeout)).await;
            Ok(())
        }
    });
    let mut results = engine.results();
    let count = 2000;
    engine.set_targets((0..count).map(|key| target(key, nowhere(key))).collect());
    results
        .wait_for(|map| map.len() == usize::from(count) && map.values().all(|health| health.up))
        .await
        .expect("the engine runs");
    assert_eq!(load.most.load(Ordering::SeqCst), CONCURRENCY);
}

#[tokio::test(start_paused = true)]
async fn probes_keep_their_interval() {
    let load = Arc::new(Load::default());
    let shared = Arc::clone(&load);
    let engine = Engine::with_prober(move |_| {
        let load = Arc::clone(&shared);
        async move {
            load.during(sleep(Duration::from_millis(700))).await;
            Ok(())
        }
    });
    let mut results = engine.results();
    engine.set_targets(vec![target(1, nowhere(80)), target(2, nowhere(80))]);
    until(&mut results, 2, |health| health.up).await;
    let before = load.total.load(Ordering::SeqCst);
    sleep(Duration::from_secs(200)).await;
    let runs = load.total.load(Ordering::SeqCst) - before;
    assert!(
        (99..=101).contains(&runs),
        "{runs} runs in 200 s at one per 2 s"
    );
}

#[tokio::test(start_paused = true)]
async fn a_removed_target_is_no_longer_probed() {
    let load = Arc::new(Load::default());
    let shared = Arc::clone(&load);
    let engine = Engine::with_prober(move |_| {
        let load = Arc::clone(&shared);
        async move { load.during(std::future::pending()).await }
    });
    let mut results = engine.results();
    engine.set_targets(vec![target(1, nowhere(80))]);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(load.total.load(Ordering::SeqCst), 1);
    engine.set_targets(Vec::new());
    results
        .wait_for(BTreeMap::is_empty)
        .await
        .expect("the engine runs");
    engine.set_targets(vec![target(1, nowhere(80))]);
    sleep(Duration::from_secs(1)).await;
    assert_eq!(
        load.total.load(Ordering::SeqCst),
        2,
        "the first was cancelled, so another may run"
    );
}

#[tokio::test(start_paused = true)]
async fn a_probe_that_breaks_down_says_nothing_about_the_server() {
    let engine = Engine::with_prober(|_| async { panic!("a defect in a probe") });
    let mut results = engine.results();
    engine.set_targets(vec![Target {
        initially_up: true,
        ..target(1, nowhere(80))
    }]);
    let health = until(&mut results, 1, |health| health.checked).await;
    assert!(health.up);
    assert_eq!(
        health.reason.as_deref(),
        Some("tcp 192.0.2.1:80: could not be checked: the probe was interrupted")
    );
}

#[tokio::test(start_paused = true)]
async fn a_dropped_engine_ends_its_probes() {
    let engine = Engine::with_prober(|_| async { Ok(()) });
    let mut results = engine.results();
    engine.set_targets(vec![target(1, nowhere(80))]);
    until(&mut results, 1, |health| health.up).await;
    drop(engine);
    assert!(
        results.wait_for(BTreeMap::is_empty).await.is_err(),
        "the publisher is gone"
    );
}

/// The whole of it, on real sockets: a server goes away and comes back.
#[tokio::test]
async fn a_real_server_is_followed_down_and_up() {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let to = listener.local_addr().unwrap();
    let mut fast = target(1, to);
    fast.checks[0].policy = Policy {
        interval: Duration::from_millis(20),
        retry_interval: Duration::from_millis(10),
        ..Policy::default()
    };
    let engine = Engine::start();
    let mut results = engine.results();
    engine.set_targets(vec![fast]);
    let whole = async {
        until(&mut results, 1, |health| health.up).await;
        drop(listener);
        let health = until(&mut results, 1, |health| !health.up).await;
        assert_eq!(health.reason, Some(format!("tcp {to}: connection refused")));
        let _listener = TcpListener::bind(to).expect("no socket of the probe is left on the port");
        until(&mut results, 1, |health| health.up).await;
    };
    timeout(Duration::from_secs(10), whole)
        .await
        .expect("each state is reached");
}
