//! The document.

use std::fmt::Write as _;
use std::fs;

use anyhow::Result;
use lvs_e2e::cluster::repository;

use super::Soak;
use crate::document::provenance;

const INTRODUCTION: &str = "\
# Soak

`make soak` makes this file. Two directors and a third host, which watches, share one user-mode Linux kernel with one
CPU. Two processes compute all the time, one for each director, so that there is never a moment without work: whoever
should speak and whoever should listen wait for the same CPU. VRRP of both sides has real-time priority 50
(`agent.vrrp.realtimePriority`, `vrrp_rt_priority`). Without it neither side can keep 10 ms on such a CPU: the kernel
looks for a process that has waited longer a hundred times a second only. The kernel's thread for soft interrupts has
priority 60, because it is the LAN here, and no switch of iron waits for the CPU of a director. The kernel's limit of
real-time work, 950 ms of each second, is off (`kernel.sched_rt_runtime_us`): this kernel counts by its ticks of 10 ms, and
with intervals of 10 ms a tick often finds a real-time thread at work.

A pair of agents and a pair of keepalived run beside each other at the same time, each with a VRID and a VIP of its
own: VRRP version 3, advertisements every 10 ms, equal priorities of 100, no preemption. Who hears nothing for 36.1 ms
takes over. Nobody dies, so every take-over is a false one. An agent that has itself been stopped for so long steps back
if it hears another, and for 56.1 ms steps back in any case and listens for 20 ms before it speaks; keepalived goes on.

Who advertises and when is seen on the LAN, with the kernel's time of each frame. What happens until nothing has changed
for a second is one false failover. At the end the Active director of each pair is killed and the other one must take
over, which shows that it could have.

";

/// Writes `docs/benchmarks/soak.md`.
pub(super) fn write(soak: &Soak) -> Result<()> {
    let mut text = format!(
        "{INTRODUCTION}\
         | | minutes | advertisements | false failovers | longest gap between two, ms | p99.9, ms |\n\
         | --- | --- | --- | --- | --- | --- |\n"
    );
    for (side, figures) in &soak.pairs {
        writeln!(
            text,
            "| {side} | {} | {} | {} | {:.1} | {:.1} |",
            soak.minutes,
            figures.advertisements,
            figures.false_failovers,
            figures.gap_max_ms,
            figures.gap_p999_ms
        )?;
    }
    writeln!(text, "\n{}.", provenance()?)?;
    let directory = repository().join("docs/benchmarks");
    fs::create_dir_all(&directory)?;
    fs::write(directory.join("soak.md"), &text)?;
    println!("\n{text}");
    Ok(())
}
