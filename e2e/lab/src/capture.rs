//! Packets seen on a wire of the lab, by tcpdump.

use std::io::{BufRead as _, BufReader, Read as _};
use std::process::{Child, Command, Stdio};
use std::thread::JoinHandle;

use anyhow::{Context as _, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

use crate::netns::Namespace;

/// A capture that is going on. Dropping it ends it.
#[derive(Debug)]
pub struct Capture {
    child: Child,
    stdout: Option<JoinHandle<std::io::Result<String>>>,
}

/// One packet as tcpdump prints it.
#[derive(Debug, Clone, PartialEq)]
pub struct Packet {
    /// Time of its arrival in seconds since 1970 (the machine's clock).
    pub time_s: f64,
    /// tcpdump's line without the time: link-layer header, then protocol and content (`tcpdump -e -n`).
    pub text: String,
}

impl Capture {
    pub(crate) fn start(namespace: &Namespace, interface: &str, filter: &str) -> Result<Self> {
        let mut command = Command::new("tcpdump");
        command
            .args([
                "-i",
                interface,
                "-n",
                "-e",
                "-tt",
                "-l",
                "--immediate-mode",
                "-s",
                "256",
                filter,
            ])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        let mut child = namespace.within(|| {
            command
                .spawn()
                .context("cannot start tcpdump (package tcpdump)")
        })?;
        let mut stdout = child.stdout.take().context("no output")?;
        let stdout = std::thread::spawn(move || {
            let mut text = String::new();
            stdout.read_to_string(&mut text).map(|_| text)
        });
        let mut capture = Self {
            child,
            stdout: Some(stdout),
        };
        // From the line "listening on …" on no packet is missed.
        let mut stderr = BufReader::new(capture.child.stderr.take().context("no error output")?);
        let mut said = String::new();
        while !said.contains("listening on") {
            if stderr.read_line(&mut said)? == 0 {
                bail!("tcpdump on {interface}: {}", said.trim());
            }
        }
        // What else it says must have somewhere to go.
        std::thread::spawn(move || std::io::copy(&mut stderr, &mut std::io::sink()));
        Ok(capture)
    }

    /// Ends the capture and returns its packets, oldest first.
    ///
    /// # Errors
    /// When tcpdump's output cannot be read.
    pub fn stop(mut self) -> Result<Vec<Packet>> {
        self.interrupt();
        let text = match self.stdout.take().map(JoinHandle::join) {
            Some(Ok(text)) => text?,
            _ => bail!("tcpdump's output was not read"),
        };
        Ok(packets(&text))
    }

    fn interrupt(&mut self) {
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(pid) = pid {
            // Its end is awaited below, so the number is still its own.
            _ = kill_process(pid, Signal::INT);
        }
        drop(self.child.wait());
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        if self.stdout.is_some() {
            self.interrupt();
        }
    }
}

/// One packet per line that begins with a time.
fn packets(text: &str) -> Vec<Packet> {
    text.lines()
        .filter_map(|line| {
            let (time, text) = line.split_once(' ')?;
            Some(Packet {
                time_s: time.parse().ok()?,
                text: text.to_owned(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_become_packets() {
        let text = "1700000000.250000 02:00:c0:a8:01:81 > 01:00:5e:00:00:12, ethertype IPv4 (0x0800), length 54: \
                    192.168.1.129 > 224.0.0.18: VRRPv2, Advertisement\n    continued\n";
        let packets = packets(text);
        assert_eq!(packets.len(), 1);
        assert!((packets[0].time_s - 1_700_000_000.25).abs() < 1e-6);
        assert!(packets[0].text.ends_with("VRRPv2, Advertisement"));
    }
}
