//! TCP connect, then optionally send and expect.

use std::net::SocketAddr;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};
use tokio::time::{Instant, timeout_at};

use crate::Failure;
use crate::escape::Excerpt;

/// How much of an answer is searched for the expected bytes.
pub const ANSWER_LIMIT_BYTES: u64 = 4096;

/// Connects to `to`, writes `send`, and reads until the answer contains `expect`; all of it within
/// `timeout`.
///
/// # Errors
/// When the connection does not open, the answer is another, or the time is over.
pub async fn run(
    to: SocketAddr,
    send: &[u8],
    expect: &[u8],
    timeout: Duration,
) -> Result<(), Failure> {
    let deadline = Instant::now() + timeout;
    let mut stream = timeout_at(deadline, connect(to))
        .await
        .unwrap_or(Err(Failure::NoAnswer(timeout)))?;
    let mut answer = Vec::new();
    timeout_at(deadline, exchange(&mut stream, send, expect, &mut answer))
        .await
        .unwrap_or_else(|_| {
            Err(Failure::Silent {
                expected: Excerpt::of(expect),
                got: Excerpt::of(&answer),
                timeout,
            })
        })
}

async fn connect(to: SocketAddr) -> Result<TcpStream, Failure> {
    let open = || {
        let socket = match to {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // The side that closes first keeps the connection in TIME_WAIT for a minute. With thousands
        // of probes every two seconds that would be hundreds of thousands of sockets and, per
        // server, the local ports too. A reset ends the connection on both sides at once.
        socket.set_zero_linger()?;
        Ok(socket)
    };
    let socket = open().map_err(|error| Failure::from_io(&error))?;
    socket
        .connect(to)
        .await
        .map_err(|error| Failure::from_io(&error))
}

async fn exchange(
    stream: &mut TcpStream,
    send: &[u8],
    expect: &[u8],
    answer: &mut Vec<u8>,
) -> Result<(), Failure> {
    stream
        .write_all(send)
        .await
        .map_err(|error| Failure::from_io(&error))?;
    let mut limited = stream.take(ANSWER_LIMIT_BYTES);
    let mut searched = 0;
    while !contains(answer, expect, searched) {
        searched = answer.len();
        let length = limited
            .read_buf(answer)
            .await
            .map_err(|error| Failure::from_io(&error))?;
        if length == 0 {
            return Err(Failure::Unexpected {
                expected: Excerpt::of(expect),
                got: Excerpt::of(answer),
            });
        }
    }
    Ok(())
}

/// Whether `answer` contains `expect`, when it is known not to lie within the first `searched`
/// bytes.
fn contains(answer: &[u8], expect: &[u8], searched: usize) -> bool {
    let from = (searched + 1).saturating_sub(expect.len());
    expect.is_empty()
        || answer
            .get(from..)
            .is_some_and(|rest| rest.windows(expect.len()).any(|window| window == expect))
}

#[cfg(test)]
mod tests;
