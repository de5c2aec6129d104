//! One request of each protocol: connect, ask, learn who answered.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::timeout;

use super::report::Failure;
use crate::serve::{Protocol, line};

/// Connects, from `source` if given.
pub(super) async fn connect(
    target: SocketAddr,
    source: Option<IpAddr>,
    limit: Duration,
) -> Result<TcpStream, Failure> {
    let socket = if target.is_ipv4() {
        TcpSocket::new_v4()?
    } else {
        TcpSocket::new_v6()?
    };
    socket.set_nodelay(true)?;
    if let Some(source) = source {
        socket.bind((source, 0).into())?;
    }
    timeout(limit, socket.connect(target))
        .await
        .map_err(|_elapsed| Failure::ConnectTimeout)?
        .map_err(Into::into)
}

/// Asks and returns the name of the server.
pub(super) async fn ask(
    stream: TcpStream,
    protocol: Protocol,
    target: SocketAddr,
    limit: Duration,
) -> Result<String, Failure> {
    let dialogue = async {
        let stream = BufReader::new(stream);
        match protocol {
            Protocol::Http => http(stream, target).await,
            Protocol::Echo => expect(stream).await.map(|(name, _)| name),
            Protocol::Smtp => smtp(stream).await,
            Protocol::Ftp => ftp(stream, target, limit).await,
        }
    };
    timeout(limit, dialogue)
        .await
        .map_err(|_elapsed| Failure::AnswerTimeout)?
}

type Stream = BufReader<TcpStream>;

async fn http(mut stream: Stream, target: SocketAddr) -> Result<String, Failure> {
    let request = format!("GET / HTTP/1.1\r\nHost: {target}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let (status, mut stream) = expect(stream).await?;
    if status.split(' ').nth(1) != Some("200") {
        return Err(Failure::Malformed(status));
    }
    while !line(&mut stream).await?.ok_or(Failure::Closed)?.is_empty() {}
    let mut body = String::new();
    stream.read_to_string(&mut body).await?;
    first_word(&body)
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

    /// A request of each protocol to this crate's own server.
    #[tokio::test]
    async fn each_protocol_tells_the_server_by_name() {
        for protocol in [
            Protocol::Http,
            Protocol::Echo,
            Protocol::Smtp,
            Protocol::Ftp,
        ] {
            let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
            let target = free.local_addr().unwrap();
            drop(free);
            let (ready, listening) = tokio::sync::oneshot::channel();
            let server = tokio::spawn(async move {
                serve("web-1", protocol, &[target], || {
                    ready.send(()).map_err(|()| std::io::Error::other("gone"))
                })
                .await
            });
            listening.await.unwrap();
            let limit = Duration::from_secs(5);
            let stream = connect(target, None, limit).await.unwrap();
            assert_eq!(
                ask(stream, protocol, target, limit).await,
                Ok("web-1".to_owned()),
                "{protocol}"
            );
            server.abort();
        }
    }

    #[tokio::test]
    async fn nobody_listening_is_refused_and_a_mute_server_times_out() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let target = free.local_addr().unwrap();
        let limit = Duration::from_millis(50);
        let stream = connect(target, None, limit).await.unwrap();
        assert_eq!(
            ask(stream, Protocol::Http, target, limit).await,
            Err(Failure::AnswerTimeout)
        );
        drop(free);
        assert_eq!(
            connect(target, None, limit).await.unwrap_err(),
            Failure::Refused
        );
    }
}
