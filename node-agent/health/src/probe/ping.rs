//! ICMP echo over one raw socket per IP version, shared by all pings.

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::net::{IpAddr, SocketAddr, UdpSocket as StdUdpSocket};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use tokio::net::UdpSocket;
use tokio::sync::{OnceCell, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use crate::Failure;
use crate::probe::echo::{self, Family, Token};

/// Sends pings and hands each reply to the one that waits for it. Needs `CAP_NET_RAW`.
#[derive(Debug, Default)]
pub struct Pinger {
    v4: OnceCell<EchoSocket>,
    v6: OnceCell<EchoSocket>,
}

impl Pinger {
    /// Sends one echo request to `to` and waits for its reply.
    ///
    /// # Errors
    /// When no reply comes within `time`, the network says that there is no way to the address, or
    /// the socket cannot be opened ([`Failure::is_local`]); opening is tried again next time.
    pub async fn run(&self, to: IpAddr, time: Duration) -> Result<(), Failure> {
        let family = Family::of(to);
        let cell = match family {
            Family::V4 => &self.v4,
            Family::V6 => &self.v6,
        };
        let socket = cell
            .get_or_try_init(async || EchoSocket::open(family))
            .await
            .map_err(|error| Failure::NotRun(format!("raw ICMP socket: {error}")))?;
        timeout(time, socket.ping(to))
            .await
            .unwrap_or(Err(Failure::NoAnswer(time)))
    }
}

#[derive(Debug)]
struct EchoSocket {
    family: Family,
    socket: Arc<UdpSocket>,
    waiting: Arc<Mutex<Waiting>>,
    receiver: JoinHandle<()>,
}

/// Pings that wait for a reply, by token.
#[derive(Debug)]
struct Waiting {
    replies: HashMap<Token, (IpAddr, oneshot::Sender<()>)>,
    next: u128,
}

impl EchoSocket {
    fn open(family: Family) -> io::Result<Self> {
        let (domain, protocol) = match family {
            Family::V4 => (Domain::IPV4, Protocol::ICMPV4),
            Family::V6 => (Domain::IPV6, Protocol::ICMPV6),
        };
        let socket = Socket::new(domain, Type::RAW, Some(protocol))?;
        socket.attach_filter(&replies_only(family))?;
        socket.set_nonblocking(true)?;
        // To the kernel every datagram socket takes sendto and recvfrom alike, so the runtime's UDP
        // type serves a raw socket as well; the port in its addresses is unused and 0.
        let socket = Arc::new(UdpSocket::from_std(StdUdpSocket::from(socket))?);
        let waiting = Arc::new(Mutex::new(Waiting {
            replies: HashMap::new(),
            // A start that no other process on the host has, so that its replies are not ours.
            next: u128::from(RandomState::new().hash_one(family.reply_type())) << 64,
        }));
        let receiver = tokio::spawn(receive(family, Arc::clone(&socket), Arc::clone(&waiting)));
        Ok(Self {
            family,
            socket,
            waiting,
            receiver,
        })
    }

    async fn ping(&self, to: IpAddr) -> Result<(), Failure> {
        let (sender, reply) = oneshot::channel();
        let expected = Expected::register(&self.waiting, to, sender);
        let message = echo::request(self.family, expected.token);
        self.socket
            .send_to(&message, SocketAddr::new(to, 0))
            .await
            .map_err(|error| Failure::from_io(&error))?;
        reply
            .await
            .map_err(|_closed| Failure::NotRun("the receiver of replies has ended".into()))
    }
}

impl Drop for EchoSocket {
    fn drop(&mut self) {
        self.receiver.abort();
    }
}

/// A registered ping; dropping it, for whatever reason the ping ends, forgets it.
struct Expected<'a> {
    waiting: &'a Mutex<Waiting>,
    token: Token,
}

impl<'a> Expected<'a> {
    fn register(waiting: &'a Mutex<Waiting>, from: IpAddr, sender: oneshot::Sender<()>) -> Self {
        let mut guard = lock(waiting);
        let token = Token(guard.next);
        guard.next = guard.next.wrapping_add(1);
        guard.replies.insert(token, (from, sender));
        drop(guard);
        Self { waiting, token }
    }
}

impl Drop for Expected<'_> {
    fn drop(&mut self) {
        lock(self.waiting).replies.remove(&self.token);
    }
}

/// No code panics while it holds the lock, and a table of waiting pings has no invariant to lose.
fn lock(waiting: &Mutex<Waiting>) -> MutexGuard<'_, Waiting> {
    waiting.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn receive(family: Family, socket: Arc<UdpSocket>, waiting: Arc<Mutex<Waiting>>) {
    // The largest IPv4 header and our message; a longer packet is cut, and is not ours.
    let mut buffer = [0; 60 + echo::LENGTH];
    loop {
        // An error here is an ICMP error for some earlier ping, reported on the shared socket; that
        // ping times out by itself.
        let Ok((length, from)) = socket.recv_from(&mut buffer).await else {
            continue;
        };
        let Some(token) = echo::reply_token(family, buffer.get(..length).unwrap_or_default())
        else {
            continue;
        };
        let mut guard = lock(&waiting);
        if guard
            .replies
            .get(&token)
            .is_some_and(|(to, _)| *to == from.ip())
            && let Some((_, sender)) = guard.replies.remove(&token)
        {
            // The ping may have timed out this moment.
            let _ = sender.send(());
        }
    }
}

/// Socket filter (classic BPF, `linux/filter.h`) that lets echo replies pass. A raw socket gets a
/// copy of every ICMP packet of the host; the rest should not wake this process.
fn replies_only(family: Family) -> Vec<SockFilter> {
    const LOAD_IPV4_HEADER_LENGTH: u16 = 0xb1; // BPF_LDX | BPF_B | BPF_MSH
    const LOAD_BYTE: u16 = 0x30; // BPF_LD | BPF_B | BPF_ABS
    const LOAD_BYTE_AFTER_HEADER: u16 = 0x50; // BPF_LD | BPF_B | BPF_IND
    const JUMP_IF_EQUAL: u16 = 0x15; // BPF_JMP | BPF_JEQ | BPF_K
    const RETURN: u16 = 0x06; // BPF_RET | BPF_K
    let load_type = match family {
        Family::V4 => vec![
            SockFilter::new(LOAD_IPV4_HEADER_LENGTH, 0, 0, 0),
            SockFilter::new(LOAD_BYTE_AFTER_HEADER, 0, 0, 0),
        ],
        Family::V6 => vec![SockFilter::new(LOAD_BYTE, 0, 0, 0)],
    };
    let pass_replies = [
        SockFilter::new(JUMP_IF_EQUAL, 0, 1, u32::from(family.reply_type())),
        SockFilter::new(RETURN, 0, 0, u32::MAX),
        SockFilter::new(RETURN, 0, 0, 0),
    ];
    load_type.into_iter().chain(pass_replies).collect()
}

#[cfg(test)]
mod tests;
