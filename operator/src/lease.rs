//! Which replica acts: the one that holds the Lease. `decide` is pure; [`run`] needs a client.
//!
//! As client-go does it: a holder that has not renewed for the lease's duration, measured on this
//! replica's own clock since it saw the last renewal, has lost it. Clocks need not agree.

use std::time::Duration;

use k8s_openapi::{
    api::coordination::v1::{Lease, LeaseSpec},
    apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta},
    jiff::Timestamp,
};
use kube::{Api, api::PostParams};
use tokio::{
    sync::watch,
    time::{Instant, MissedTickBehavior},
};

/// How long a Lease holds without being renewed.
pub const DURATION: Duration = Duration::from_secs(15);
/// How long the holder acts on without having been able to renew. Less than [`DURATION`], so that
/// two replicas never act at the same time.
pub const RENEW_DEADLINE: Duration = Duration::from_secs(10);
/// Time between two attempts.
pub const RETRY: Duration = Duration::from_secs(2);
/// [`DURATION`] as the Lease carries it.
const DURATION_SECONDS: i32 = 15;

/// What this replica has seen of the Lease.
#[derive(Clone, Debug, Default)]
pub struct Observation {
    record: Option<LeaseSpec>,
    since: Option<Instant>,
}

impl Observation {
    /// Takes in the Lease as it is now. Its time starts again whenever it has changed.
    pub fn see(&mut self, record: Option<&LeaseSpec>, now: Instant) {
        if self.since.is_none() || self.record.as_ref() != record {
            self.record = record.cloned();
            self.since = Some(now);
        }
    }
}

/// What to do about the Lease.
#[derive(Clone, Debug, PartialEq)]
pub enum Decision {
    /// Write this: it makes this replica the holder, or keeps it so.
    Write(LeaseSpec),
    /// Another replica holds it.
    Wait,
}

/// Decides from what has been seen. `time` is the wall clock, for people who read the Lease.
#[must_use]
pub fn decide(seen: &Observation, me: &str, now: Instant, time: Timestamp) -> Decision {
    let holder = seen
        .record
        .as_ref()
        .and_then(|record| record.holder_identity.as_deref())
        .filter(|holder| !holder.is_empty());
    let fresh = seen
        .since
        .is_some_and(|since| now.duration_since(since) < DURATION);
    let record = seen.record.clone().unwrap_or_default();
    match holder {
        Some(holder) if holder != me && fresh => Decision::Wait,
        Some(holder) if holder == me => Decision::Write(LeaseSpec {
            renew_time: Some(MicroTime(time)),
            ..record
        }),
        _ => Decision::Write(LeaseSpec {
            holder_identity: Some(me.to_owned()),
            lease_duration_seconds: Some(DURATION_SECONDS),
            acquire_time: Some(MicroTime(time)),
            renew_time: Some(MicroTime(time)),
            lease_transitions: Some(record.lease_transitions.map_or(0, |count| count + 1)),
            ..LeaseSpec::default()
        }),
    }
}

/// Takes part in the election until `stop` turns true, then gives the Lease back. `leading` says
/// whether this replica is the holder.
pub async fn run(
    api: Api<Lease>,
    name: String,
    me: String,
    leading: watch::Sender<bool>,
    mut stop: watch::Receiver<bool>,
) {
    let mut seen = Observation::default();
    let mut renewed: Option<Instant> = None;
    let mut ticks = tokio::time::interval(RETRY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = ticks.tick() => {}
            _ = stop.wait_for(|stop| *stop) => break,
        }
        let began = Instant::now();
        match tokio::time::timeout(RETRY, attempt(&api, &name, &me, &mut seen)).await {
            Ok(Ok(true)) => renewed = Some(began),
            Ok(Ok(false)) => renewed = None,
            Ok(Err(error)) => tracing::warn!(%error, "the Lease could not be written"),
            Err(_elapsed) => tracing::warn!("the API server did not answer about the Lease"),
        }
        let holds = renewed.is_some_and(|renewed| renewed.elapsed() < RENEW_DEADLINE);
        leading.send_if_modified(|leading| {
            let changed = *leading != holds;
            if changed {
                tracing::info!(leading = holds, "leadership changed");
            }
            *leading = holds;
            changed
        });
    }
    leading.send_replace(false);
    if renewed.is_some() {
        let released = tokio::time::timeout(RETRY, release(&api, &name, &me)).await;
        tracing::info!(
            released = matches!(released, Ok(Ok(()))),
            "gave the Lease back"
        );
    }
}

/// One look at the Lease, and one write if it is ours or free. Says whether this replica holds it.
async fn attempt(
    api: &Api<Lease>,
    name: &str,
    me: &str,
    seen: &mut Observation,
) -> Result<bool, kube::Error> {
    let present = api.get_opt(name).await?;
    seen.see(
        present.as_ref().and_then(|lease| lease.spec.as_ref()),
        Instant::now(),
    );
    let Decision::Write(spec) = decide(seen, me, Instant::now(), Timestamp::now()) else {
        return Ok(false);
    };
    let parameters = PostParams::default();
    let written = if let Some(mut lease) = present {
        lease.spec = Some(spec);
        // The resource version in it makes this fail when another replica was faster.
        api.replace(name, &parameters, &lease).await
    } else {
        let metadata = ObjectMeta {
            name: Some(name.to_owned()),
            ..ObjectMeta::default()
        };
        let lease = Lease {
            metadata,
            spec: Some(spec),
        };
        api.create(&parameters, &lease).await
    };
    match written {
        Ok(lease) => {
            seen.see(lease.spec.as_ref(), Instant::now());
            Ok(true)
        }
        Err(kube::Error::Api(answer)) if answer.code == 409 => Ok(false),
        Err(error) => Err(error),
    }
}

async fn release(api: &Api<Lease>, name: &str, me: &str) -> Result<(), kube::Error> {
    let Some(mut lease) = api.get_opt(name).await? else {
        return Ok(());
    };
    let Some(spec) = lease.spec.as_mut() else {
        return Ok(());
    };
    if spec.holder_identity.as_deref() != Some(me) {
        return Ok(());
    }
    spec.holder_identity = Some(String::new());
    api.replace(name, &PostParams::default(), &lease)
        .await
        .map(drop)
}

#[cfg(test)]
mod tests;
