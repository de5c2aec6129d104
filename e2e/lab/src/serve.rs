//! A server for the real servers of a test: it says its name.

use std::fmt;
use std::io;
use std::net::SocketAddr;
use std::str::FromStr;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use tokio::io::{
    AsyncBufRead, AsyncBufReadExt as _, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};

/// Longest line that a client may send, in octets.
const MAX_LINE: u64 = 8192;

/// What a server speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// Any request is answered by 200 and a line `NAME CLIENT-ADDRESS`.
    Http,
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
            "echo" => Self::Echo,
            "smtp" => Self::Smtp,
            "ftp" => Self::Ftp,
            _ => bail!("protocol {text:?}: http, echo, smtp or ftp is wanted"),
        })
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Http => "http",
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
        let listener = TcpListener::bind(address)
            .await
            .with_context(|| format!("cannot listen on {address}"))?;
        servers.spawn(accept(listener, Arc::clone(&name), protocol));
    }
    listening()?;
    match servers.join_next().await {
        Some(ended) => Ok(ended??),
        None => bail!("no address to listen on"),
    }
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
    stream.set_nodelay(true)?;
    let client = stream.peer_addr()?.ip().to_canonical();
    let local = stream.local_addr()?;
    let mut stream = BufReader::new(stream);
    match protocol {
        Protocol::Http => {
            while !matches!(line(&mut stream).await?.as_deref(), None | Some("")) {}
            let body = format!("{name} {client}\n");
            let head = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
                body.len()
            );
            stream.write_all((head + &body).as_bytes()).await?;
        }
        Protocol::Echo => {
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
