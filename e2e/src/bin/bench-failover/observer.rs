//! A client that looks at the directors from outside: it asks the VIP every two milliseconds by ICMP echo, and sees
//! who answers and who advertises.
//!
//! Times are the kernel's, taken when a frame arrives: how soon this program is scheduled plays no part in them.

use std::collections::VecDeque;
use std::fs::File;
use std::io::IoSliceMut;
use std::net::Ipv4Addr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::time::Duration;

use anyhow::{Context as _, Result};
use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, ppoll};
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{
    AddressFamily, ControlMessageOwned, MsgFlags, SockFlag, SockProtocol, SockType, SockaddrIn,
    recvmsg, sendto, setsockopt, socket, sockopt,
};
use nix::sys::time::{TimeSpec, TimeValLike as _};
use nix::time::{ClockId, clock_gettime};

/// Time between questions.
pub(crate) const PROBE_INTERVAL: Duration = Duration::from_millis(2);

/// Identifier of our questions.
const IDENTIFIER: [u8; 2] = [0x4c, 0x56];

/// Hardware address of a host.
pub(crate) type Hardware = [u8; 6];

/// Something seen on the LAN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Seen {
    /// When, since 1970.
    pub(crate) at: Duration,
    /// Whose frame it is.
    pub(crate) from: Hardware,
    /// What it is.
    pub(crate) what: What,
    /// Of an answer: since when one had been waited for. None if this one was not waited for any more.
    pub(crate) waiting_since: Option<Duration>,
}

/// What a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// The answer to one of our questions.
    Answer {
        /// Who is said to answer.
        address: Ipv4Addr,
        /// Which question it is.
        sequence: u16,
    },
    /// An advertisement.
    Advertisement { virtual_router_id: u8, priority: u8 },
    /// An ARP packet in which the sender announces its own address.
    GratuitousArp(Ipv4Addr),
}

/// The questions that wait for an answer, oldest first, and when they were asked.
///
/// How long the VIP was silent is counted from the first question that stayed without an answer, not from the last
/// answer: when the one CPU is busy, the client is late with its questions, and that is nobody's silence.
#[derive(Debug, Default)]
struct Unanswered(VecDeque<(u16, Duration)>);

impl Unanswered {
    fn asked(&mut self, sequence: u16, at: Duration) {
        self.0.push_back((sequence, at));
    }

    /// Takes in an answer: since when it had been waited for. None if nobody waits for it any more.
    fn answered(&mut self, sequence: u16) -> Option<Duration> {
        let place = self.0.iter().position(|(asked, _)| *asked == sequence)?;
        // The questions before it are lost: answers do not overtake each other.
        let mut answered = self.0.drain(..=place);
        answered.next().map(|(_, at)| at)
    }
}

/// The client.
pub(crate) struct Observer {
    questions: OwnedFd,
    frames: OwnedFd,
    vip: Option<Ipv4Addr>,
    next_question: Duration,
    sequence: u16,
    unanswered: Unanswered,
    buffer: [u8; 2048],
}

/// Now, on the clock of the kernel's timestamps.
pub(crate) fn now() -> Result<Duration> {
    Ok(duration(clock_gettime(ClockId::CLOCK_REALTIME)?))
}

fn duration(time: TimeSpec) -> Duration {
    Duration::from_nanos(u64::try_from(time.num_nanoseconds()).unwrap_or_default())
}

impl Observer {
    /// Becomes a program of the host: the calling thread enters its network namespace for good.
    pub(crate) fn on(host: &str) -> Result<Self> {
        let namespace = File::open(format!("/run/netns/{host}"))?;
        setns(namespace, CloneFlags::CLONE_NEWNET).context("setns")?;
        let questions = socket(
            AddressFamily::Inet,
            SockType::Raw,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            SockProtocol::Icmp,
        )
        .context("raw socket")?;
        // What it receives is read from the packet socket.
        setsockopt(&questions, sockopt::RcvBuf, &1)?;
        Ok(Self {
            questions,
            frames: packet_socket(SockProtocol::EthIp)?,
            vip: None,
            next_question: Duration::ZERO,
            sequence: 0,
            unanswered: Unanswered::default(),
            buffer: [0; 2048],
        })
    }

    /// Asks this VIP from now on, or none.
    pub(crate) fn ask(&mut self, vip: Option<Ipv4Addr>) {
        self.vip = vip;
        self.unanswered = Unanswered::default();
    }

    /// Looks at ARP too, or does not.
    pub(crate) fn watch_arp(&mut self, watch: bool) -> Result<()> {
        let protocol = if watch {
            SockProtocol::EthAll
        } else {
            SockProtocol::EthIp
        };
        self.frames = packet_socket(protocol)?;
        Ok(())
    }

    /// Neither asks nor looks before this moment. The kernel keeps what comes in.
    pub(crate) fn rest(until: Duration) -> Result<()> {
        std::thread::sleep(until.saturating_sub(now()?));
        Ok(())
    }

    /// Asks and looks until `each` returns something or the time comes (then `None`).
    pub(crate) fn until<T>(
        &mut self,
        deadline: Duration,
        mut each: impl FnMut(Seen) -> Option<T>,
    ) -> Result<Option<T>> {
        loop {
            while let Some(seen) = self.receive()? {
                if let Some(found) = each(seen) {
                    return Ok(Some(found));
                }
            }
            let mut time = now()?;
            if time >= deadline {
                return Ok(None);
            }
            let mut wake = deadline;
            if let Some(vip) = self.vip {
                if time >= self.next_question {
                    self.question(vip)?;
                    self.next_question = (self.next_question + PROBE_INTERVAL).max(time);
                    time = now()?;
                }
                wake = wake.min(self.next_question);
            }
            self.sleep(wake.saturating_sub(time))?;
        }
    }

    fn sleep(&self, time: Duration) -> Result<()> {
        let mut descriptors = [PollFd::new(self.frames.as_fd(), PollFlags::POLLIN)];
        match ppoll(&mut descriptors, Some(TimeSpec::from_duration(time)), None) {
            Ok(_) | Err(Errno::EINTR) => Ok(()),
            Err(reason) => Err(reason).context("ppoll"),
        }
    }

    /// Asks an address once.
    pub(crate) fn question(&mut self, address: Ipv4Addr) -> Result<()> {
        self.sequence = self.sequence.wrapping_add(1);
        let message = question(self.sequence);
        self.unanswered.asked(self.sequence, now()?);
        let [a, b, c, d] = address.octets();
        match sendto(
            self.questions.as_raw_fd(),
            &message,
            &SockaddrIn::new(a, b, c, d, 0),
            MsgFlags::empty(),
        ) {
            // Nobody answers ARP for the VIP at the moment: that is what is being measured.
            Ok(_) | Err(Errno::EHOSTUNREACH | Errno::EAGAIN | Errno::ENOBUFS) => Ok(()),
            Err(reason) => Err(reason).context("sendto"),
        }
    }

    fn receive(&mut self) -> Result<Option<Seen>> {
        loop {
            let mut control = nix::cmsg_space!(TimeSpec);
            let mut slices = [IoSliceMut::new(&mut self.buffer)];
            let received = recvmsg::<()>(
                self.frames.as_raw_fd(),
                &mut slices,
                Some(&mut control),
                MsgFlags::MSG_DONTWAIT,
            );
            let message = match received {
                Err(Errno::EAGAIN) => return Ok(None),
                other => other.context("recvmsg")?,
            };
            let at = message.cmsgs()?.find_map(|control| match control {
                ControlMessageOwned::ScmTimestampns(time) => Some(duration(time)),
                _ => None,
            });
            let at = at.context("a frame without a time")?;
            let frame = message.iovs().next().unwrap_or_default();
            if let Some((from, what)) = read(frame) {
                let waiting_since = match what {
                    What::Answer { sequence, .. } => self.unanswered.answered(sequence),
                    _ => None,
                };
                return Ok(Some(Seen {
                    at,
                    from,
                    what,
                    waiting_since,
                }));
            }
        }
    }
}

/// An ICMP echo request.
fn question(sequence: u16) -> [u8; 8] {
    let words = [0x0800, u16::from_be_bytes(IDENTIFIER), sequence];
    // RFC 1071: the ones' complement of the ones' complement sum.
    let sum = words.into_iter().fold(0, |sum: u16, word| {
        let (sum, carries) = sum.overflowing_add(word);
        sum + u16::from(carries)
    });
    let ([high, low], [first, second]) = ((!sum).to_be_bytes(), sequence.to_be_bytes());
    let [one, two] = IDENTIFIER;
    [8, 0, high, low, one, two, first, second]
}

fn packet_socket(protocol: SockProtocol) -> Result<OwnedFd> {
    let descriptor = socket(
        AddressFamily::Packet,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        protocol,
    )
    .context("packet socket")?;
    setsockopt(&descriptor, sockopt::ReceiveTimestampns, &true)?;
    setsockopt(&descriptor, sockopt::RcvBufForce, &(4 << 20))?;
    Ok(descriptor)
}

/// What an Ethernet frame is, if it is something to us.
fn read(frame: &[u8]) -> Option<(Hardware, What)> {
    let from = frame.get(6..12)?.try_into().ok()?;
    let packet = frame.get(14..)?;
    let what = match frame.get(12..14)? {
        [0x08, 0x00] => {
            let header = usize::from(packet.first()? & 0xf) * 4;
            let body = packet.get(header..)?;
            match *packet.get(9)? {
                1 if body.first() == Some(&0) && body.get(4..6)? == IDENTIFIER => What::Answer {
                    address: address(packet, 12)?,
                    sequence: u16::from_be_bytes(body.get(6..8)?.try_into().ok()?),
                },
                112 => What::Advertisement {
                    virtual_router_id: *body.get(1)?,
                    priority: *body.get(2)?,
                },
                _ => return None,
            }
        }
        // Ethernet, IPv4; sender and target are the same.
        [0x08, 0x06] if packet.get(14..18)? == packet.get(24..28)? => {
            What::GratuitousArp(address(packet, 14)?)
        }
        _ => return None,
    };
    Some((from, what))
}

fn address(packet: &[u8], offset: usize) -> Option<Ipv4Addr> {
    let bytes: [u8; 4] = packet.get(offset..offset + 4)?.try_into().ok()?;
    Some(bytes.into())
}

#[cfg(test)]
mod tests {
    use super::*;

    const MAC: Hardware = [2, 0, 0, 0, 0, 1];

    fn frame(ethertype: [u8; 2], packet: &[u8]) -> Vec<u8> {
        [&[0xff; 6], &MAC, &ethertype[..], packet].concat()
    }

    fn ip(protocol: u8, body: &[u8]) -> Vec<u8> {
        let mut packet = vec![0x45, 0, 0, 0, 0, 0, 0, 0, 64, protocol, 0, 0];
        packet.extend([192, 168, 1, 222, 192, 168, 1, 20]);
        packet.extend(body);
        frame([8, 0], &packet)
    }

    #[test]
    fn frames_are_told_apart() {
        let vip = Ipv4Addr::new(192, 168, 1, 222);
        let answer = ip(1, &[0, 0, 0, 0, 0x4c, 0x56, 1, 2]);
        let what = What::Answer {
            address: vip,
            sequence: 0x102,
        };
        assert_eq!(read(&answer), Some((MAC, what)));
        let of_another = ip(1, &[0, 0, 0, 0, 1, 2, 0, 0]);
        assert_eq!(read(&of_another), None);
        let advertisement = What::Advertisement {
            virtual_router_id: 51,
            priority: 100,
        };
        let bytes = ip(112, &[0x31, 51, 100, 1]);
        assert_eq!(read(&bytes), Some((MAC, advertisement)));
        let mut arp = vec![0, 1, 8, 0, 6, 4, 0, 1];
        arp.extend(MAC);
        arp.extend(vip.octets());
        arp.extend([0; 6]);
        arp.extend(vip.octets());
        assert_eq!(
            read(&frame([8, 6], &arp)),
            Some((MAC, What::GratuitousArp(vip)))
        );
        arp.truncate(24);
        arp.extend([192, 168, 1, 20]);
        assert_eq!(read(&frame([8, 6], &arp)), None);
    }

    #[test]
    fn questions_have_the_checksum_of_rfc_1071() {
        for sequence in [0, 1, 0xabcd, u16::MAX] {
            let words = question(sequence);
            let sum: u32 = words
                .chunks(2)
                .map(|word| u32::from(u16::from_be_bytes([word[0], word[1]])))
                .sum();
            assert_eq!((sum & 0xffff) + (sum >> 16), 0xffff, "{sequence}");
        }
    }

    #[test]
    fn silence_begins_with_the_first_question_that_is_not_answered() {
        let at = Duration::from_millis;
        let mut unanswered = Unanswered::default();
        unanswered.asked(1, at(0));
        assert_eq!(unanswered.answered(1), Some(at(0)));
        assert_eq!(unanswered.answered(1), None, "twice");
        for sequence in 2..=4 {
            unanswered.asked(sequence, at(u64::from(sequence) * 10));
        }
        assert_eq!(unanswered.answered(4), Some(at(20)), "two are lost");
        assert_eq!(unanswered.answered(3), None);
    }

    #[test]
    fn short_frames_are_nothing() {
        let whole = ip(112, &[0x31, 51, 100]);
        for length in 0..whole.len() {
            assert_eq!(read(&whole[..length]), None);
        }
    }
}
