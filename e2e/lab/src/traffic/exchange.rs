//! One request of each protocol: connect, ask, learn who answered.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream, UdpSocket};
use tokio::time::timeout;

use super::report::Failure;
use super::{Sizes, Traffic};
use crate::serve::{Protocol, line, sctp_socket};

/// Connects by TCP, from `source` if given.
pub(super) async fn connect(
    target: SocketAddr,
    source: Option<IpAddr>,
    limit: Duration,
) -> Result<TcpStream, Failure> {
    connect_by(tcp_socket(target)?, target, source, limit).await
}

fn tcp_socket(target: SocketAddr) -> Result<TcpSocket, Failure> {
    let socket = if target.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    Ok(socket)
}

async fn connect_by(
    socket: TcpSocket,
    target: SocketAddr,
    source: Option<IpAddr>,
    limit: Duration,
) -> Result<TcpStream, Failure> {
    if let Some(source) = source {
        socket.bind((source, 0).into())?;
    }
    timeout(limit, socket.connect(target))
        .await
        .map_err(|_elapsed| Failure::ConnectTimeout)?
        .map_err(Into::into)
}

/// Connects, asks and returns the name of the server.
pub(super) async fn exchange(traffic: &Traffic) -> Result<String, Failure> {
    let Traffic {
        target,
        protocol,
        connect_timeout,
        answer_timeout,
        source,
        sizes,
        ..
    } = *traffic;
    if protocol == Protocol::Udp {
        let dialogue = udp(target, source, sizes);
        return timeout(answer_timeout, dialogue)
            .await
            .map_err(|_elapsed| Failure::AnswerTimeout)?;
    }
    let socket = match protocol {
        Protocol::Sctp => TcpSocket::from_std_stream(sctp_socket(target)?.into()),
        _ => tcp_socket(target)?,
    };
    let stream = BufReader::new(connect_by(socket, target, source, connect_timeout).await?);
    let dialogue = async {
        match protocol {
            Protocol::Http => http(stream, target, sizes).await,
            Protocol::Echo | Protocol::Sctp => expect(stream).await.map(|(name, _)| name),
            Protocol::Smtp => smtp(stream).await,
            Protocol::Ftp => ftp(stream, target, answer_timeout).await,
            Protocol::Udp => Err(Failure::Other("has no connections".into())),
        }
    };
    timeout(answer_timeout, dialogue)
        .await
        .map_err(|_elapsed| Failure::AnswerTimeout)?
}

type Stream = BufReader<TcpStream>;

async fn udp(target: SocketAddr, source: Option<IpAddr>, sizes: Sizes) -> Result<String, Failure> {
    let any: IpAddr = if target.is_ipv4() {
        Ipv4Addr::UNSPECIFIED.into()
    } else {
        Ipv6Addr::UNSPECIFIED.into()
    };
    let socket = UdpSocket::bind((source.unwrap_or(any), 0)).await?;
    socket.connect(target).await?;
    let request = format!("{:<1$}", sizes.answer, sizes.request.max(1));
    socket.send(request.as_bytes()).await?;
    let mut answer = vec![0; usize::from(u16::MAX)];
    let length = socket.recv(&mut answer).await?;
    signed(answer.get(..length).unwrap_or_default(), sizes.answer)
}

async fn http(mut stream: Stream, target: SocketAddr, sizes: Sizes) -> Result<String, Failure> {
    let Sizes { request, answer } = sizes;
    let head = format!(
        "POST /{answer} HTTP/1.1\r\nHost: {target}\r\nContent-Length: {request}\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).await?;
    stream.write_all(&vec![b'.'; request]).await?;
    let (status, mut stream) = expect(stream).await?;
    if status.split(' ').nth(1) != Some("200") {
        return Err(Failure::Malformed(status));
    }
    while !line(&mut stream).await?.ok_or(Failure::Closed)?.is_empty() {}
    let mut body = Vec::new();
    stream.read_to_end(&mut body).await?;
    signed(&body, answer)
}

/// The server's name in an answer of at least this length.
fn signed(answer: &[u8], length: usize) -> Result<String, Failure> {
    if answer.len() < length {
        let got = answer.len();
        return Err(Failure::Malformed(format!("{got} of {length} octets")));
    }
    first_word(&String::from_utf8_lossy(answer))
}

async fn smtp(stream: Stream) -> Result<String, Failure> {
    let (greeting, stream) = reply(stream, "220").await?;
    let (_, _) = command(stream, "QUIT", "221").await?;
    second_word(&greeting)
}

async fn ftp(stream: Stream, target: SocketAddr, limit: Duration) -> Result<String, Failure> {
    let (greeting, stream) = reply(stream, "220").await?;
    let server = second_word(&greeting)?;
    let (_, stream) = command(stream, "USER lab", "331").await?;
    let (_, stream) = command(stream, "PASS lab", "230").await?;
    let (passive, stream) = command(stream, "EPSV", "229").await?;
    let port = passive.split('|').nth(3).and_then(|port| port.parse().ok());
    let port: u16 = port.ok_or(Failure::Malformed(passive))?;
    let mut data = connect((target.ip(), port).into(), None, limit).await?;
    let (_, stream) = command(stream, "RETR name", "150").await?;
    let mut name = String::new();
    data.read_to_string(&mut name).await?;
    let (_, stream) = reply(stream, "226").await?;
    command(stream, "QUIT", "221").await?;
    // Control and data connection that reach different servers are a failure of the load balancer.
    if first_word(&name)? == server {
        Ok(server)
    } else {
        Err(Failure::Malformed(format!("data from {name}")))
    }
}

async fn command(mut stream: Stream, words: &str, code: &str) -> Result<(String, Stream), Failure> {
    stream.write_all(format!("{words}\r\n").as_bytes()).await?;
    reply(stream, code).await
}

async fn reply(stream: Stream, code: &str) -> Result<(String, Stream), Failure> {
    let (text, stream) = expect(stream).await?;
    if text.starts_with(code) {
        Ok((text, stream))
    } else {
        Err(Failure::Malformed(text))
    }
}

async fn expect(mut stream: Stream) -> Result<(String, Stream), Failure> {
    let text = line(&mut stream).await?.ok_or(Failure::Closed)?;
    Ok((text, stream))
}

fn first_word(text: &str) -> Result<String, Failure> {
    word(text, 0)
}

fn second_word(text: &str) -> Result<String, Failure> {
    word(text, 1)
}

fn word(text: &str, index: usize) -> Result<String, Failure> {
    let word = text.split_whitespace().nth(index);
    word.map(str::to_owned)
        .ok_or_else(|| Failure::Malformed(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::serve::serve;

    /// A free port of 127.0.0.1, for datagrams too.
    fn free() -> SocketAddr {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        free.local_addr().unwrap()
    }

    /// Requests of each protocol to this crate's own server, small ones and large ones.
    #[tokio::test]
    async fn each_protocol_tells_the_server_by_name() {
        for protocol in [
            Protocol::Http,
            Protocol::Udp,
            Protocol::Echo,
            Protocol::Smtp,
            Protocol::Ftp,
        ] {
            let target = free();
            let (ready, listening) = tokio::sync::oneshot::channel();
            let server = tokio::spawn(async move {
                serve("web-1", protocol, &[target], || {
                    ready.send(()).map_err(|()| std::io::Error::other("gone"))
                })
                .await
            });
            listening.await.unwrap();
            let mut traffic = Traffic::http(target).protocol(protocol);
            traffic.answer_timeout = Duration::from_secs(5);
            for traffic in [traffic.clone(), traffic.sizes(40_000, 50_000)] {
                assert_eq!(
                    exchange(&traffic).await,
                    Ok("web-1".to_owned()),
                    "{traffic:?}"
                );
            }
            server.abort();
        }
    }

    #[test]
    fn an_answer_that_is_cut_short_is_noticed() {
        assert_eq!(signed(b"web-1 10.0.0.1\n", 15), Ok("web-1".to_owned()));
        assert!(matches!(
            signed(b"web-1 10.0.0.1\n", 16),
            Err(Failure::Malformed(_))
        ));
    }

    #[tokio::test]
    async fn nobody_listening_is_refused_and_a_mute_server_times_out() {
        let mute = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let mut traffic = Traffic::http(mute.local_addr().unwrap());
        traffic.answer_timeout = Duration::from_millis(50);
        assert_eq!(exchange(&traffic).await, Err(Failure::AnswerTimeout));
        drop(mute);
        for protocol in [Protocol::Http, Protocol::Udp] {
            let traffic = traffic.clone().protocol(protocol);
            assert_eq!(
                exchange(&traffic).await,
                Err(Failure::Refused),
                "{protocol}"
            );
        }
    }
}
