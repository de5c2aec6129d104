//! Ethernet frames about the router's VIPs: announcements and probes.

use std::net::IpAddr;

use lvs_vrrp::announcement;
use lvs_vrrp::announcement::HardwareAddress;

use super::super::shell::Shell;
use super::Member;

/// A frame that is to be sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Frame {
    /// Gratuitous ARP or an unsolicited Neighbor Advertisement.
    Announce(IpAddr),
    /// Who else has it? By ARP or a Neighbor Solicitation.
    Probe(IpAddr),
}

impl Frame {
    fn address(self) -> IpAddr {
        match self {
            Self::Announce(address) | Self::Probe(address) => address,
        }
    }

    fn bytes(self, hardware: HardwareAddress) -> Vec<u8> {
        match self {
            Self::Announce(address) => announcement::frame(hardware, address),
            Self::Probe(address) => announcement::probe(hardware, address),
        }
    }
}

impl Member {
    /// Announces these addresses at once.
    pub(super) fn announce(&mut self, addresses: &[IpAddr], shell: &mut Shell<'_>) {
        for address in addresses {
            self.send(Frame::Announce(*address), shell);
        }
    }

    /// Sends these when all advertisements that are due have been sent.
    pub(super) fn send_later(&mut self, frames: impl IntoIterator<Item = Frame>) {
        self.frames.extend(frames);
    }

    /// Whether frames wait to be sent.
    pub(in super::super) fn has_frames(&self) -> bool {
        !self.frames.is_empty()
    }

    /// Sends of the frames that wait at most so many; returns how many.
    pub(in super::super) fn send_frames(&mut self, most: usize, shell: &mut Shell<'_>) -> usize {
        let count = most.min(self.frames.len());
        for _ in 0..count {
            if let Some(frame) = self.frames.pop_front() {
                self.send(frame, shell);
            }
        }
        count
    }

    /// Sends nothing more about these addresses.
    pub(super) fn forget_frames(&mut self, addresses: &[IpAddr]) {
        self.frames
            .retain(|frame| !addresses.contains(&frame.address()));
    }

    /// Where the VIPs are announced, while the interface runs.
    pub(super) fn announced_hardware(&self) -> Option<HardwareAddress> {
        let device = self.plan.virtual_device.as_ref();
        let port = self.port?;
        Some(device.map_or_else(|| port.hardware(), |device| device.hardware))
    }

    fn send(&mut self, frame: Frame, shell: &mut Shell<'_>) {
        let (Some(port), Some(hardware)) = (self.port, self.announced_hardware()) else {
            return;
        };
        let sent = shell.packets.send(&port, &frame.bytes(hardware));
        let has_left = self.note_sent(
            sent,
            "announce a VIP",
            |sending| &mut sending.announcement,
            shell,
        );
        if has_left && matches!(frame, Frame::Announce(_)) {
            shell.metrics.announcements_sent.increment();
        }
    }
}
