//! Keeping the VRRP thread on time on a busy node: real-time scheduling and locked memory.

use std::io;

use rustix::mm::{MlockAllFlags, mlockall};
use rustix::process::{Resource, getrlimit};
use rustix::thread::{CapabilitySet, capabilities};
use thread_priority::unix::{set_thread_priority_and_policy, thread_native_id};
use thread_priority::{
    Error as PriorityError, RealtimeThreadSchedulePolicy, ThreadPriority, ThreadPriorityValue,
    ThreadSchedulePolicy,
};

use super::metrics::VrrpMetrics;

/// Makes the calling thread a real-time one as far as the system allows, and says in the log what it
/// does not. To be called before the first router runs: a log may block.
pub(super) fn begin(priority: u8, metrics: &VrrpMetrics) {
    let locked = lock_memory();
    metrics.memory_locked.set(u64::from(locked.is_ok()));
    if let Err(error) = locked {
        tracing::warn!(
            target: "vrrp",
            %error,
            "cannot lock the agent's memory: it lacks CAP_IPC_LOCK; --vrrp-realtime-priority=0 does \
             without"
        );
    }
    let scheduled = schedule(priority);
    let got = if scheduled.is_ok() { priority } else { 0 };
    metrics.realtime_priority.set(got.into());
    if let Err(error) = scheduled {
        tracing::warn!(
            target: "vrrp",
            %error,
            "cannot give VRRP real-time priority {priority}: the agent lacks CAP_SYS_NICE; \
             --vrrp-realtime-priority=0 does without"
        );
    }
}

/// Puts the calling thread on `SCHED_FIFO` (sched(7)), so that nothing of ordinary priority can hold
/// it up. `priority` is 1 to 99; threads of the kernel that interrupts run on usually have 50.
///
/// # Errors
/// `EPERM` without `CAP_SYS_NICE`, beyond `RLIMIT_RTPRIO`, or in a control group without real-time
/// budget (`CONFIG_RT_GROUP_SCHED`).
fn schedule(priority: u8) -> io::Result<()> {
    let priority = ThreadPriorityValue::try_from(priority).map_err(io::Error::other)?;
    set_thread_priority_and_policy(
        thread_native_id(),
        ThreadPriority::Crossplatform(priority),
        ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo),
    )
    .map_err(|error| match error {
        PriorityError::OS(number) => io::Error::from_raw_os_error(number),
        other => io::Error::other(format!("{other:?}")),
    })
}

/// Keeps every page of this process in memory from its first use on (mlockall(2)): under memory
/// pressure the kernel drops pages of a program that sleeps most of the time, and reads them back
/// when an advertisement is due.
///
/// # Errors
/// `EPERM` without `CAP_IPC_LOCK` and with a limit of locked memory (`RLIMIT_MEMLOCK`): under a limit
/// later allocations would fail.
fn lock_memory() -> io::Result<()> {
    let is_unlimited = getrlimit(Resource::Memlock).current.is_none();
    let may_lock = capabilities(None)?
        .effective
        .contains(CapabilitySet::IPC_LOCK);
    if !is_unlimited && !may_lock {
        return Err(rustix::io::Errno::PERM.into());
    }
    mlockall(MlockAllFlags::CURRENT | MlockAllFlags::FUTURE | MlockAllFlags::ONFAULT)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use nix::unistd::gettid;
    use thread_priority::unix::thread_schedule_policy;

    use super::*;

    /// Has the capabilities, or not: what the metrics say is what is the case.
    #[test]
    fn the_metrics_say_what_the_system_allowed() {
        let metrics = VrrpMetrics::default();
        std::thread::scope(|scope| {
            scope.spawn(|| {
                begin(1, &metrics);
                let fifo = ThreadSchedulePolicy::Realtime(RealtimeThreadSchedulePolicy::Fifo);
                let is_fifo = thread_schedule_policy().expect("a policy") == fifo;
                assert_eq!(metrics.realtime_priority.get(), u64::from(is_fifo));
                let status = format!("/proc/self/task/{}/status", gettid());
                let status = std::fs::read_to_string(status).expect("procfs");
                let locked = status.lines().find(|line| line.starts_with("VmLck:"));
                let is_locked = locked.expect("a line").trim() != "VmLck:\t       0 kB";
                assert_eq!(metrics.memory_locked.get(), u64::from(is_locked));
            });
        });
    }

    #[test]
    fn a_priority_that_does_not_exist_is_an_error() {
        assert!(schedule(100).is_err());
    }
}
