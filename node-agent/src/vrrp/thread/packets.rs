//! What comes in from the network, and whose it is.

use std::io;
use std::sync::Arc;

use lvs_vrrp::{Monotonic, virtual_router_id};
use nix::errno::Errno;

use super::super::member::Member;
use super::super::socket::{AdvertisementSocket, Received};
use super::VrrpThread;

/// Most packets that are taken from one socket before timers are served again: what 255 routers of an interface hear
/// in some intervals.
const PACKETS_PER_TURN: usize = 1024;
/// Longest IP packet that an advertisement fits into, with room for options.
const PACKET_BYTES: usize = 4096;

impl VrrpThread {
    /// Advertisements.
    pub(super) fn take_packets(&mut self, now: Monotonic) -> io::Result<()> {
        let Self {
            shared, members, ..
        } = self;
        let mut buffer = [0_u8; PACKET_BYTES];
        let is_wanted = |socket: &Arc<AdvertisementSocket>| {
            let mut on_it = members.iter().filter(|member| member.is_on(socket));
            on_it.any(|member| member.is_to_be_heard(now))
        };
        let to_be_read = shared.sockets.take_readable(is_wanted);
        let mut shell = shared.shell();
        for socket in to_be_read {
            for _ in 0..PACKETS_PER_TURN {
                let received = match socket.receive(&mut buffer) {
                    Ok(Some(received)) => received,
                    Ok(None) => break,
                    // The interface went away; its notice follows.
                    Err(error) if is_interface_error(&error) => break,
                    Err(error) => return Err(error),
                };
                let addressed = match received {
                    Received::Packet(header, payload) => {
                        virtual_router_id(payload).map(|id| (header, payload, id))
                    }
                    Received::Unreadable(reason) => Err(reason),
                };
                let (header, payload, id) = match addressed {
                    Ok(addressed) => addressed,
                    Err(reason) => {
                        shell.metrics.reject(reason);
                        continue;
                    }
                };
                // Other virtual routers of the segment are nothing to us.
                let of_it = |member: &&mut Member| member.is_on(&socket) && member.has_id(id);
                if let Some(member) = members.iter_mut().find(of_it) {
                    member.received(&header, payload, now, &mut shell);
                }
            }
        }
        Ok(())
    }

    /// Other hosts that claim VIPs.
    pub(super) fn take_claims(&mut self, now: Monotonic) -> io::Result<()> {
        for _ in 0..PACKETS_PER_TURN {
            let Some(claim) = self.claims.receive()? else {
                break;
            };
            self.each(|member, shell| member.claimed(&claim, now, shell));
        }
        Ok(())
    }
}

fn is_interface_error(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error().map(Errno::from_raw),
        Some(Errno::ENETDOWN | Errno::ENODEV | Errno::ENXIO)
    )
}
