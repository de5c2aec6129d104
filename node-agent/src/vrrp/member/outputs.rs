//! Carries out what the state machine says.

use std::collections::BTreeMap;
use std::io;
use std::net::IpAddr;
use std::time::UNIX_EPOCH;

use lvs_vrrp::virtual_mac::advertisement_frame;
use lvs_vrrp::{Input, Monotonic, Output, Role};

use super::super::addresses::Vip;
use super::super::clock::clock;
use super::super::report::{LostPeer, SplitBrain, VrrpEvent, VrrpEventKind};
use super::super::shell::Shell;
use super::frames::Frame;
use super::{Life, Member, Sending};

impl Member {
    /// Has the router handle `input`, and carries out what it says.
    pub(super) fn input(&mut self, input: Input, now: Monotonic, shell: &mut Shell<'_>) {
        let due = self.router.advertisement_due();
        let mut has_advertised = false;
        // What takes a role over is announced at once, repetitions and refreshments when there is nothing more urgent.
        let mut may_wait = self.router.role() == Role::Active && input == Input::Tick;
        let outputs = self.recorder.handle(&mut self.router, input, now);
        let mut told = Vec::new();
        for output in outputs {
            let is_advertisement = matches!(output, Output::SendAdvertisement { .. });
            match output {
                Output::Announce(addresses) if may_wait => {
                    self.send_later(addresses.into_iter().map(Frame::Announce));
                }
                output => {
                    may_wait |= matches!(output, Output::Announce(_));
                    self.carry_out(output, &mut told, shell);
                }
            }
            if is_advertisement
                && !has_advertised
                && let Some(due) = due.filter(|due| *due <= now)
            {
                shell.sent_due.push(due);
            }
            has_advertised |= is_advertisement;
        }
        // Whoever is told is woken, which may cost this thread the CPU: the network comes first.
        self.tell_all(told, shell);
        if self.router.role() != Role::Active {
            self.refresh.end();
            self.rest_device(shell);
        } else if has_advertised && self.refresh.is_due(now) {
            self.refresh.want(now);
        }
        self.schedule_retry(now);
    }

    pub(super) fn perform(&mut self, output: Output, shell: &mut Shell<'_>) {
        let mut told = Vec::new();
        self.carry_out(output, &mut told, shell);
        self.tell_all(told, shell);
    }

    fn tell_all(&self, told: Vec<VrrpEventKind>, shell: &Shell<'_>) {
        for kind in told {
            self.tell(kind, shell);
        }
    }

    fn carry_out(&mut self, output: Output, told: &mut Vec<VrrpEventKind>, shell: &mut Shell<'_>) {
        match output {
            Output::SendAdvertisement {
                destination,
                advertisement,
            } => {
                let payload = self
                    .wire
                    .encode(&advertisement, destination, shell.time_of_day());
                self.advertise(&payload, destination, shell);
            }
            Output::AddVips(addresses) => {
                self.changed = true;
                self.refresh.outdate();
                self.raise_device(shell);
                let wanted = self.with_prefixes(&addresses);
                let lifetime = self.lifetime_seconds();
                self.vips.add(&wanted, lifetime, shell.netlink, told);
                self.settle_routes(&[], shell);
            }
            Output::RemoveVips(addresses) => {
                self.changed = true;
                self.refresh.outdate();
                self.forget_frames(&addresses);
                self.settle_routes(&addresses, shell);
                self.vips.remove(&addresses, shell.netlink, told);
            }
            Output::Announce(addresses) => self.announce(&addresses, shell),
            Output::RoleChanged { from, to, reason } => {
                self.changed = true;
                self.lost_peer = None;
                self.role_changed(to, clock(), shell);
                shell.metrics.role_changes.increment();
                told.push(VrrpEventKind::RoleChanged {
                    from: self.state(from),
                    to: self.state(to),
                    reason,
                });
                if from == Role::Active || to == Role::Active {
                    shell.record(|| self.recording());
                }
            }
            Output::PeerLost { peer, heard_at } => {
                // One whose packets have no valid signature any more is not silent.
                let is_alive = self
                    .unusable
                    .is_some_and(|(source, at)| source == peer && at > heard_at);
                self.changed = true;
                self.lost_peer = (!is_alive).then(|| LostPeer {
                    address: peer,
                    heard_at,
                    lost_at: clock(),
                });
            }
            Output::Rejected(reason) => shell.metrics.reject(reason),
            Output::SplitBrain { peer, priority, .. } => {
                self.changed = true;
                let since = UNIX_EPOCH + shell.time_of_day();
                self.split_brain = Some(SplitBrain { peer, since });
                told.push(VrrpEventKind::SplitBrain { peer, priority });
            }
            Output::PeerDiffers {
                source,
                differences,
            } => told.push(VrrpEventKind::PeerDiffers {
                source,
                differences,
            }),
            Output::SplitHealed { peer, since } => {
                self.changed = true;
                self.split_brain = None;
                let lasted = clock().saturating_since(since);
                told.push(VrrpEventKind::SplitHealed { peer, lasted });
            }
            Output::NoSuccessor => told.push(VrrpEventKind::NoSuccessor),
            Output::Stopped => {
                self.delete_device(shell);
                self.life = Life::Stopped;
            }
        }
    }

    pub(super) fn with_prefixes(&self, addresses: &[IpAddr]) -> Vec<Vip> {
        let lengths: &BTreeMap<IpAddr, u8> = &self.plan.prefix_lengths;
        addresses
            .iter()
            .map(|address| Vip {
                // No interface has index 0: the kernel refuses, and it is tried again.
                interface_index: self.vip_interface().unwrap_or_default(),
                address: *address,
                prefix_length: lengths.get(address).copied().unwrap_or(match address {
                    IpAddr::V4(_) => 32,
                    IpAddr::V6(_) => 128,
                }),
            })
            .collect()
    }

    fn advertise(&mut self, payload: &[u8], destination: IpAddr, shell: &mut Shell<'_>) {
        let Some(socket) = &self.socket else {
            return;
        };
        let source = self.plan.config.own_address;
        let frame =
            self.plan.virtual_device.as_ref().and_then(|device| {
                advertisement_frame(device.hardware, source, destination, payload)
            });
        let sent = match (frame, &self.port) {
            (Some(frame), Some(port)) => shell.packets.send(port, &frame),
            _ => socket.send(payload, source, destination),
        };
        let has_left = self.note_sent(
            sent,
            "send an advertisement",
            |sending| &mut sending.advertisement,
            shell,
        );
        if has_left {
            shell.metrics.advertisements_sent.increment();
        }
    }

    /// Takes in whether something has left, and says so. `last` is where its last error is kept, so that one that
    /// repeats is told once.
    pub(super) fn note_sent(
        &mut self,
        sent: io::Result<()>,
        action: &'static str,
        last: impl FnOnce(&mut Sending) -> &mut Option<String>,
        shell: &Shell<'_>,
    ) -> bool {
        let error = sent.err().map(|error| error.to_string());
        let now = error
            .as_ref()
            .map(|error| format!("cannot {action}: {error}"));
        let before = std::mem::replace(last(&mut self.sending), now);
        self.changed |= before.is_some() != error.is_some();
        let Some(error) = error else {
            return true;
        };
        shell.metrics.send_errors.increment();
        if before.is_none() {
            self.tell(VrrpEventKind::Failed { action, error }, shell);
        }
        false
    }

    pub(super) fn tell(&self, kind: VrrpEventKind, shell: &Shell<'_>) {
        shell.tell(VrrpEvent {
            instance: self.plan.instance.clone(),
            family: self.plan.family,
            interface: self.interface_of(&kind).to_owned(),
            kind,
        });
    }
}
