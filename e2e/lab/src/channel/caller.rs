//! The caller's end of the command channel.

use std::io::{Read as _, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use anyhow::{Context as _, Result, bail};
use rustix::net::sockopt;
use rustix::process::Signal;

use super::{Kind, Request, frame, header};
use crate::command::Output;
use crate::netns::Namespace;

/// How long a node may take to accept the connection.
const CONNECT_LIMIT: Duration = Duration::from_secs(2);

/// Where a node's channel is.
#[derive(Debug, Clone)]
pub(crate) struct Address {
    pub(crate) namespace: Namespace,
    pub(crate) socket: SocketAddr,
}

/// A command that runs on a node. Dropping it kills the command.
#[derive(Debug)]
pub(crate) struct Remote {
    stream: TcpStream,
}

impl Address {
    /// Starts a command.
    pub(crate) fn start(&self, command: &[&str]) -> Result<Remote> {
        let stream = self
            .namespace
            .within(|| Ok(TcpStream::connect_timeout(&self.socket, CONNECT_LIMIT)?))
            .context("the node's command channel does not answer")?;
        stream.set_nodelay(true)?;
        // A node without power does not close its connections: silence for five seconds is the end of one.
        sockopt::set_socket_keepalive(&stream, true)?;
        sockopt::set_tcp_keepidle(&stream, Duration::from_secs(2))?;
        sockopt::set_tcp_keepintvl(&stream, Duration::from_secs(1))?;
        sockopt::set_tcp_keepcnt(&stream, 3)?;
        sockopt::set_tcp_user_timeout(&stream, 5000)?;
        let command = command.iter().map(|&word| word.to_owned()).collect();
        let mut request = serde_json::to_vec(&Request { command })?;
        request.push(b'\n');
        (&stream).write_all(&request)?;
        Ok(Remote { stream })
    }
}

impl Remote {
    /// A second handle on the same command, for the thread that reads its output.
    pub(crate) fn try_clone(&self) -> Result<Self> {
        Ok(Self {
            stream: self.stream.try_clone()?,
        })
    }

    /// Sends the command's process group a signal.
    pub(crate) fn signal(&self, signal: Signal) -> Result<()> {
        let number = u8::try_from(signal.as_raw())?;
        (&self.stream)
            .write_all(&frame(Kind::Signal, &[number]))
            .context("the command has ended")
    }

    /// Kills the command by ending the connection.
    pub(crate) fn hang_up(&self) {
        // An error means that the connection is gone already.
        drop(self.stream.shutdown(std::net::Shutdown::Both));
    }

    /// Waits for the command's end; an error when it takes longer than `limit`.
    pub(crate) fn output(self, limit: Duration) -> Result<Output> {
        let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
        self.stream.set_read_timeout(Some(limit))?;
        let code = self.copy(&mut stdout, &mut stderr)?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        Ok(Output {
            code,
            stdout: text(&stdout),
            stderr: text(&stderr),
        })
    }

    /// Copies the command's output as it comes and returns its exit status.
    pub(crate) fn copy(&self, stdout: &mut dyn Write, stderr: &mut dyn Write) -> Result<i32> {
        loop {
            let mut octets = [0; 5];
            (&self.stream)
                .read_exact(&mut octets)
                .context("the command gave no exit status")?;
            let Some((kind, length)) = header(octets) else {
                bail!("no frame begins with {octets:?}")
            };
            let mut payload = vec![0; length];
            (&self.stream).read_exact(&mut payload)?;
            match kind {
                Kind::Stdout => stdout.write_all(&payload).and_then(|()| stdout.flush())?,
                Kind::Stderr => stderr.write_all(&payload).and_then(|()| stderr.flush())?,
                Kind::Exit => {
                    let octets = payload
                        .as_slice()
                        .try_into()
                        .context("an exit status has four octets")?;
                    return Ok(i32::from_be_bytes(octets));
                }
                Kind::Signal => bail!("a node sends no signal"),
            }
        }
    }
}
