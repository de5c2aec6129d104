//! A server for the real servers of a test: it says its name.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use rustix::net;
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpSocket, TcpStream, UdpSocket};

/// Longest line that a client may send, in octets.
const MAX_LINE: u64 = 8192;

/// Connections that may wait to be accepted. With fewer, many that are opened at once meet SYN cookies; and when a
/// client's acknowledgement of a cookie is lost, it waits in vain for a server that speaks first.
const BACKLOG: i32 = 4096;

/// Longest answer of [`Protocol::Http`] and [`Protocol::Udp`], in octets.
const MAX_ANSWER: usize = 16 << 20;

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Any request is answered by 200 and a line `NAME CLIENT-ADDRESS`, which is made as long as the request's
    /// path says: `/2000`.
    Http,
    /// A datagram whose first word is a number is answered by one with a line `NAME CLIENT-ADDRESS`, made as long
    /// as the number says.
    Udp,
    /// As the first part of `Echo`, over an association of SCTP (RFC 9260) instead of TCP. The kernel needs the
    /// module `sctp`, which the nodes have.
    Sctp,
    /// A line with the name, then every line comes back: for connections that stay open.
    Echo,
    /// The greeting and enough of RFC 5321 to say goodbye.
    Smtp,
    /// Enough of RFC 959 to fetch a file that holds the name, in passive mode.
    Ftp,
}

impl FromStr for Protocol {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        Ok(match text {
            "http" => Self::Http,
            "udp" => Self::Udp,
            "sctp" => Self::Sctp,
            "echo" => Self::Echo,
            "smtp" => Self::Smtp,
            "ftp" => Self::Ftp,
            _ => bail!("protocol {text:?}: http, udp, sctp, echo, smtp or ftp is wanted"),
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
            Self::Echo => "echo",
            Self::Smtp => "smtp",
            Self::Ftp => "ftp",
        })
    }
}

/// Serves until the process ends. `listening` is called once all addresses are bound.
///
/// # Errors
/// When an address cannot be listened on.
pub async fn serve(
    name: &str,
    protocol: Protocol,
    listen: &[SocketAddr],
    listening: impl FnOnce() -> io::Result<()>,
) -> Result<()> {
    let name: Arc<str> = name.into();
    let mut servers = tokio::task::JoinSet::new();
    for address in listen {
        let cannot = || format!("cannot listen on {address}");
        let name = Arc::clone(&name);
        if protocol == Protocol::Udp {
            let socket = datagrams(*address).with_context(cannot)?;
            servers.spawn(answer_datagrams(socket, name));
            continue;
        }
        let listener = if protocol == Protocol::Sctp {
            associations(*address)
        } else {
            streams(*address)
        };
        servers.spawn(accept(listener.with_context(cannot)?, name, protocol));
    }
    listening()?;
    match servers.join_next().await {
        Some(ended) => Ok(ended??),
        None => bail!("no address to listen on"),
    }
}

/// A socket for datagrams to an address that the host may get later: an answer leaves from the address that its
/// socket is bound to, which of a socket for all addresses would be the route's and not the VIP.
fn datagrams(address: SocketAddr) -> io::Result<UdpSocket> {
    let socket = socket(address, net::SocketType::DGRAM, None)?;
    bind_early(&socket, address)?;
    UdpSocket::from_std(socket.into())
}

/// A listener whose backlog is deeper than the runtime's own.
fn streams(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(BACKLOG.unsigned_abs())
}

/// A listener for associations of SCTP. Bound to one address, which the host may get later, it tells a client of
/// no other.
fn associations(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = sctp_socket(address)?;
    bind_early(&socket, address)?;
    net::listen(&socket, BACKLOG)?;
    // To the runtime a stream is a stream.
    TcpListener::from_std(socket.into())
}

/// A socket for one association of SCTP that reads and writes as a stream does.
pub(crate) fn sctp_socket(address: SocketAddr) -> io::Result<OwnedFd> {
    socket(address, net::SocketType::STREAM, Some(net::ipproto::SCTP))
}

fn socket(
    address: SocketAddr,
    type_: net::SocketType,
    protocol: Option<net::Protocol>,
) -> io::Result<OwnedFd> {
    let family = if address.is_ipv4() {
        net::AddressFamily::INET
    } else {
        net::AddressFamily::INET6
    };
    let flags = net::SocketFlags::CLOEXEC | net::SocketFlags::NONBLOCK;
    Ok(net::socket_with(family, type_, flags, protocol)?)
}

/// Binds to an address that the host need not have yet.
fn bind_early(socket: &OwnedFd, address: SocketAddr) -> io::Result<()> {
    if address.is_ipv4() {
        net::sockopt::set_ip_freebind(socket, true)?;
    } else {
        net::sockopt::set_ipv6_freebind(socket, true)?;
    }
    Ok(net::bind(socket, &address)?)
}

async fn answer_datagrams(socket: UdpSocket, name: Arc<str>) -> io::Result<()> {
    let mut datagram = vec![0; usize::from(u16::MAX)];
    loop {
        let (length, client) = socket.recv_from(&mut datagram).await?;
        let text = String::from_utf8_lossy(datagram.get(..length).unwrap_or_default());
        let wanted = text.split_whitespace().next();
        let wanted = wanted.and_then(|word| word.parse().ok()).unwrap_or(0);
        let answer = signed(&name, client, wanted);
        // To a client that is gone it cannot be sent.
        drop(socket.send_to(answer.as_bytes(), client).await);
    }
}

/// `NAME CLIENT-ADDRESS` and as much filling as makes it `length` octets long.
fn signed(name: &str, client: SocketAddr, length: usize) -> String {
    let text = format!("{name} {}\n", client.ip().to_canonical());
    let filling = length.min(MAX_ANSWER).saturating_sub(text.len());
    text + &".".repeat(filling)
}

/// Reads an HTTP request; returns how long the answer is to be.
async fn http_request(stream: &mut BufReader<TcpStream>) -> io::Result<usize> {
    let first = line(stream).await?.unwrap_or_default();
    let path = first.split(' ').nth(1).unwrap_or_default();
    let wanted = path.trim_start_matches('/').parse().unwrap_or(0);
    let mut body = 0;
    while let Some(header) = line(stream).await?.filter(|header| !header.is_empty()) {
        if let Some((name, value)) = header.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            body = value.trim().parse().unwrap_or(0);
        }
    }
    tokio::io::copy(&mut stream.take(body), &mut tokio::io::sink()).await?;
    Ok(wanted)
}

async fn accept(listener: TcpListener, name: Arc<str>, protocol: Protocol) -> io::Result<()> {
    loop {
        let (stream, _) = listener.accept().await?;
        let name = Arc::clone(&name);
        tokio::spawn(async move {
            // A client that goes away in the middle is a normal end.
            drop(session(stream, &name, protocol).await);
        });
    }
}

async fn session(stream: TcpStream, name: &str, protocol: Protocol) -> io::Result<()> {
    if protocol != Protocol::Sctp {
        stream.set_nodelay(true)?;
    }
    let client = stream.peer_addr()?;
    let local = stream.local_addr()?;
    let mut stream = BufReader::new(stream);
    match protocol {
        Protocol::Http => {
            let length = http_request(&mut stream).await?;
            let body = signed(name, client, length);
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await?;
        }
        Protocol::Echo | Protocol::Sctp => {
            stream.write_all(format!("{name}\n").as_bytes()).await?;
            while let Some(text) = line(&mut stream).await? {
                stream.write_all((text + "\n").as_bytes()).await?;
            }
        }
        Protocol::Smtp => {
            stream
                .write_all(format!("220 {name} ESMTP\r\n").as_bytes())
                .await?;
            while let Some(text) = line(&mut stream).await? {
                let end = verb(&text) == "QUIT";
                let answer = if end {
                    format!("221 {name} closing\r\n")
                } else {
                    format!("250 {name}\r\n")
                };
                stream.write_all(answer.as_bytes()).await?;
                if end {
                    break;
                }
            }
        }
        Protocol::Ftp => ftp(&mut stream, name, local).await?,
        // Has no connections.
        Protocol::Udp => {}
    }
    stream.shutdown().await
}

async fn ftp(stream: &mut BufReader<TcpStream>, name: &str, local: SocketAddr) -> io::Result<()> {
    let mut passive: Option<TcpListener> = None;
    stream
        .write_all(format!("220 {name} FTP\r\n").as_bytes())
        .await?;
    while let Some(text) = line(stream).await? {
        let answer = match verb(&text).as_str() {
            "USER" => "331 any password\r\n".to_owned(),
            "PASS" => "230 logged in\r\n".to_owned(),
            "TYPE" | "NOOP" => "200 done\r\n".to_owned(),
            command @ ("PASV" | "EPSV") => {
                // The address that the client knows: with direct routing the VIP.
                let listener = TcpListener::bind((local.ip(), 0)).await?;
                let port = listener.local_addr()?.port();
                passive = Some(listener);
                if command == "EPSV" {
                    format!("229 Entering Extended Passive Mode (|||{port}|)\r\n")
                } else {
                    let address = local.ip().to_canonical().to_string().replace('.', ",");
                    format!(
                        "227 Entering Passive Mode ({address},{},{})\r\n",
                        port >> 8,
                        port & 0xff
                    )
                }
            }
            "RETR" | "LIST" => match passive.take() {
                Some(listener) => {
                    stream.write_all(b"150 here it comes\r\n").await?;
                    let (mut data, _) = listener.accept().await?;
                    data.write_all(format!("{name}\n").as_bytes()).await?;
                    data.shutdown().await?;
                    "226 complete\r\n".to_owned()
                }
                None => "425 use PASV first\r\n".to_owned(),
            },
            "QUIT" => {
                stream.write_all(b"221 goodbye\r\n").await?;
                break;
            }
            _ => "502 not implemented\r\n".to_owned(),
        };
        stream.write_all(answer.as_bytes()).await?;
    }
    Ok(())
}

/// The command's name in upper case.
fn verb(text: &str) -> String {
    text.split(' ')
        .next()
        .unwrap_or_default()
        .to_ascii_uppercase()
}

/// The next line without its end; none at the end of the stream.
pub(crate) async fn line<R: AsyncBufRead + Unpin>(stream: &mut R) -> io::Result<Option<String>> {
    let mut bytes = Vec::new();
    stream.take(MAX_LINE).read_until(b'\n', &mut bytes).await?;
    if bytes.is_empty() {
        return Ok(None);
    }
    let text = String::from_utf8_lossy(&bytes);
    Ok(Some(text.trim_end_matches(['\r', '\n']).to_owned()))
}
