//! Sends requests from a thread that is in the client's network namespace.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::exchange::exchange;
use super::report::{Report, Request};
use super::{Load, Traffic};
use crate::netns::Namespace;

/// Requests that are being sent. Dropping it stops them.
#[derive(Debug)]
pub struct RunningTraffic {
    stop: watch::Sender<bool>,
    record: Arc<Record>,
    thread: Option<JoinHandle<Result<()>>>,
}

#[derive(Debug, Default)]
struct Record {
    requests: Mutex<Vec<Request>>,
    changed: Condvar,
}

/// Sends requests from this process's own network, until the number that was asked for is reached.
pub async fn from_here(traffic: Traffic) -> Report {
    let record = Arc::new(Record::default());
    let (_stop, stopped) = watch::channel(false);
    send(traffic, stopped, Arc::clone(&record)).await;
    report(record.lock().clone())
}

/// Sends requests from a thread that is in the namespace.
pub(crate) fn start(namespace: Namespace, traffic: Traffic) -> Result<RunningTraffic> {
    let (stop, stopped) = watch::channel(false);
    let record = Arc::new(Record::default());
    let shared = Arc::clone(&record);
    let (entered, ready) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        namespace.enter()?;
        // A receiver that is gone has its error already.
        _ = entered.send(());
        // One thread: every socket is made in the namespace.
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(send(traffic, stopped, shared));
        Ok(())
    });
    if ready.recv().is_err() {
        thread
            .join()
            .ok()
            .context("the traffic's thread panicked")??;
        bail!("the traffic did not start");
    }
    Ok(RunningTraffic {
        stop,
        record,
        thread: Some(thread),
    })
}

impl RunningTraffic {
    /// What became of the requests that have a fate by now.
    #[must_use]
    pub fn so_far(&self) -> Report {
        report(self.record.lock().clone())
    }

    /// Waits until `condition` holds for the requests so far.
    ///
    /// # Errors
    /// When it does not within `limit`; the message is the report.
    pub fn wait_until(
        &self,
        limit: Duration,
        condition: impl Fn(&Report) -> bool,
    ) -> Result<Report> {
        let deadline = Instant::now() + limit;
        let mut requests = self.record.lock();
        loop {
            let so_far = report(requests.clone());
            if condition(&so_far) {
                return Ok(so_far);
            }
            let rest = deadline.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                bail!("not within {limit:?}:\n{so_far}");
            }
            let seen = requests.len();
            // In steps: the report is made again for each, and at high rates that would cost more than the traffic.
            (requests, _) = self
                .record
                .changed
                .wait_timeout_while(requests, rest, |requests| requests.len() < seen + 5)
                .unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Begins no further request, waits for the fate of those that are under way, and reports.
    ///
    /// # Errors
    /// When the sending thread failed.
    pub fn stop(mut self) -> Result<Report> {
        self.stop.send_replace(true);
        self.finish()
    }

    /// Waits until the number of requests that was asked for is reached, and reports.
    ///
    /// # Errors
    /// When the sending thread failed.
    pub fn wait(mut self) -> Result<Report> {
        self.finish()
    }

    fn finish(&mut self) -> Result<Report> {
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .ok()
                .context("the traffic's thread panicked")??;
        }
        Ok(self.so_far())
    }
}

impl Drop for RunningTraffic {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

impl Record {
    fn lock(&self) -> MutexGuard<'_, Vec<Request>> {
        // A push is all that happens under the lock.
        self.requests.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn push(&self, request: Request) {
        self.lock().push(request);
        self.changed.notify_all();
    }
}

fn report(mut requests: Vec<Request>) -> Report {
    requests.sort_by_key(|request| request.started);
    Report { requests }
}

async fn send(traffic: Traffic, mut stopped: watch::Receiver<bool>, record: Arc<Record>) {
    let traffic = Arc::new(traffic);
    let wanted = traffic.requests;
    let mut under_way = JoinSet::new();
    let mut begun = 0;
    let mut begin_one = |under_way: &mut JoinSet<()>| {
        begun += 1;
        let (traffic, record) = (Arc::clone(&traffic), Arc::clone(&record));
        under_way.spawn(async move { record.push(request(&traffic).await) });
        wanted.is_none_or(|wanted| begun < wanted)
    };
    let mut ticks = match traffic.load {
        Load::Rate(per_second) => {
            let mut ticks = tokio::time::interval(Duration::from_secs_f64(1.0 / per_second));
            ticks.set_missed_tick_behavior(MissedTickBehavior::Skip);
            Some(ticks)
        }
        Load::Concurrency(_) => None,
    };
    let limit = match traffic.load {
        Load::Rate(_) => usize::MAX,
        Load::Concurrency(limit) => limit.max(1),
    };
    let mut more = wanted != Some(0);
    while more && !*stopped.borrow_and_update() {
        tokio::select! {
            _ = stopped.changed() => break,
            Some(_) = under_way.join_next() => {}
            () = due(ticks.as_mut()), if under_way.len() < limit => more = begin_one(&mut under_way),
        }
    }
    while under_way.join_next().await.is_some() {}
}

/// When the next request may begin: at the next tick, or at once without ticks.
async fn due(ticks: Option<&mut tokio::time::Interval>) {
    if let Some(ticks) = ticks {
        ticks.tick().await;
    }
}

async fn request(traffic: &Traffic) -> Request {
    let started = Instant::now();
    let fate = exchange(traffic).await;
    Request {
        started,
        latency: started.elapsed(),
        fate,
    }
}
