//! The document.

use std::fmt::Write as _;

use anyhow::{Context as _, Result};

use crate::table::Size;
use crate::{Beside, Figures, Outcome};

pub(crate) fn markdown(beside: &[Beside], shared_pools: &[(Size, Outcome)]) -> Result<String> {
    let (_, any) = shared_pools.first().context("a measurement")?;
    let mut text = String::from(
        "# Programming IPVS\n\n\
         `make bench-ipvs` makes this file. Each figure's side had a fresh kernel for each table, with the same\n\
         services (TCP, wlc, direct routing, no health checks) and, for the agent and keepalived, from a file.\n",
    );
    for each in beside {
        text.push_str(&table(each)?);
    }
    text.push_str(
        "\nA node of the lab is a user-mode Linux kernel with one CPU, where a system call costs about fifty\n\
         microseconds: hence the count of system calls, from the start until the table is complete.\n\
         \"One weight\" begins when the new file is in place (the agent), when SIGHUP is sent (keepalived), or when the\n\
         program starts (ipvsadm). The agent's own part of it goes from the receipt of the plan until the kernel\n\
         has acknowledged the change; the rest is reading the file, which a cluster's agent gets in slices, and waiting\n\
         for the CPU.\n\
         \"Read and compare\" is what the agent does when somebody else has changed the table: it reads the\n\
         kernel's whole table and compares it with the plan. `ipvsadm -Sn` reads and prints it.\n\n\
         ## Large tables\n\n\
         The agent alone; the services share 100 pools of 100 servers, so that one changed weight is a change of\n\
         every hundredth service. A pass without change is what the agent does on every notice that turns out to\n\
         be none of its business; it reads and compares the whole table when somebody else has changed it, and\n\
         now and then in case that went unnoticed, at no more than 1 % of a CPU.\n\n\
         | services × servers | resident memory, MiB | from empty, s | one weight, own part of it, s | pass without change, s | read and compare, s |\n\
         | --- | --- | --- | --- | --- | --- |\n",
    );
    for (size, outcome) in shared_pools {
        let Figures {
            from_empty_s,
            weight_own_s,
            pass_s,
            dump_s,
            resident_mib,
            ..
        } = outcome.figures;
        writeln!(
            text,
            "| {size} | {:.1} | {:.1} | {:.2} | {:.3} | {:.2} |",
            resident_mib.context("memory")?,
            from_empty_s.context("from empty")?,
            weight_own_s.context("one weight")?,
            pass_s.context("a pass")?,
            dump_s.context("dump")?,
        )?;
    }
    writeln!(
        text,
        "\n{}, Linux {} (user-mode), {}, {}.",
        any.date, any.kernel, any.keepalived_version, any.ipvsadm_version
    )?;
    Ok(text)
}

fn table(beside: &Beside) -> Result<String> {
    let Beside {
        size,
        agent,
        keepalived,
        ipvsadm,
    } = beside;
    let text_or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let milliseconds =
        |figure: Option<f64>| text_or_dash(figure.map(|s| format!("{:.1}", s * 1000.0)));
    let mut text = format!(
        "\n## {size}\n\n\
         | | from empty, ms | one weight, ms | own part of it, ms | read and compare, ms | system calls | resident memory, MiB |\n\
         | --- | --- | --- | --- | --- | --- | --- |\n"
    );
    let sides = [
        ("lvs-node-agent", agent),
        ("keepalived", keepalived),
        ("ipvsadm", ipvsadm),
    ];
    for (name, figures) in sides {
        writeln!(
            text,
            "| {name} | {} | {} | {} | {} | {} | {} |",
            milliseconds(figures.from_empty_s),
            milliseconds(figures.weight_s),
            milliseconds(figures.weight_own_s),
            milliseconds(figures.dump_s),
            text_or_dash(figures.system_calls.map(|calls| calls.to_string())),
            text_or_dash(figures.resident_mib.map(|mib| format!("{mib:.1}"))),
        )?;
    }
    for (name, rival) in sides.into_iter().skip(1) {
        let ratio = |theirs: Option<f64>, ours: Option<f64>| match (theirs, ours) {
            (Some(theirs), Some(ours)) => format!("{:.1}", theirs / ours),
            _ => "–".to_owned(),
        };
        let count = |figures: &Figures| {
            figures
                .system_calls
                .and_then(|calls| u32::try_from(calls).ok())
                .map(f64::from)
        };
        writeln!(
            text,
            "| {name} ÷ agent | {} | {} | {} | {} | {} | {} |",
            ratio(rival.from_empty_s, agent.from_empty_s),
            ratio(rival.weight_s, agent.weight_s),
            ratio(rival.weight_s, agent.weight_own_s),
            ratio(rival.dump_s, agent.dump_s),
            ratio(count(rival), count(agent)),
            ratio(rival.resident_mib, agent.resident_mib),
        )?;
    }
    Ok(text)
}
