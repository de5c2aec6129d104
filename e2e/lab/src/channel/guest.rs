//! The node's end of the command channel.

use std::net::SocketAddr;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, Result};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{
    AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWriteExt as _, BufReader,
};
use tokio::net::{TcpListener, TcpStream};
use tokio::process::Command;
use tokio::sync::mpsc;

use super::{Kind, MAX_PAYLOAD, Request, frame};
use crate::command::exit_code;

/// How long output may still come after the command has ended: a daemon that it left may hold the pipe open.
const AFTER_END: Duration = Duration::from_millis(200);

/// Serves the command channel until the process ends.
///
/// # Errors
/// When the address cannot be listened on.
pub async fn serve(listen: SocketAddr) -> Result<()> {
    let listener = TcpListener::bind(listen)
        .await
        .with_context(|| format!("cannot listen on {listen}"))?;
    loop {
        let (stream, _) = listener.accept().await?;
        tokio::spawn(async move {
            // A caller that went away is no fault of the node; the command has been killed.
            drop(session(stream).await);
        });
    }
}

async fn session(mut stream: TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let (reader, mut writer) = stream.split();
    let mut reader = BufReader::new(reader);
    let mut line = String::new();
    reader.read_line(&mut line).await?;
    let Request { command } = serde_json::from_str(&line)?;
    let (program, arguments) = command.split_first().context("no command")?;

    let started = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn();
    let mut child = match started {
        Ok(child) => child,
        Err(error) => {
            // The shell's convention for a program that cannot be run.
            writer
                .write_all(&frame(
                    Kind::Stderr,
                    format!("{program}: {error}\n").as_bytes(),
                ))
                .await?;
            writer
                .write_all(&frame(Kind::Exit, &127_i32.to_be_bytes()))
                .await?;
            return Ok(());
        }
    };
    let group = child
        .id()
        .and_then(|pid| Pid::from_raw(i32::try_from(pid).ok()?))
        .context("no process")?;

    let (sender, mut frames) = mpsc::channel(16);
    if let Some(pipe) = child.stdout.take() {
        tokio::spawn(forward(Kind::Stdout, pipe, sender.clone()));
    }
    if let Some(pipe) = child.stderr.take() {
        tokio::spawn(forward(Kind::Stderr, pipe, sender));
    }

    let mut order = Box::pin(next_signal(reader));
    let status = loop {
        tokio::select! {
            Some(frame) = frames.recv() => writer.write_all(&frame).await?,
            (reader, signal) = &mut order => match signal {
                Ok(signal) => {
                    // A group that has just ended needs no signal.
                    _ = kill_process_group(group, signal);
                    order = Box::pin(next_signal(reader));
                }
                Err(closed) => {
                    _ = kill_process_group(group, Signal::KILL);
                    child.wait().await?;
                    return Err(closed);
                }
            },
            status = child.wait() => break status?,
        }
    };
    while let Ok(Some(frame)) = tokio::time::timeout(AFTER_END, frames.recv()).await {
        writer.write_all(&frame).await?;
    }
    writer
        .write_all(&frame(Kind::Exit, &exit_code(status).to_be_bytes()))
        .await?;
    Ok(())
}

/// The next signal that the caller sends, and the reader for the one after it.
async fn next_signal<R: AsyncRead + Unpin>(mut reader: R) -> (R, Result<Signal>) {
    let mut octets = [0; 6];
    let read = reader.read_exact(&mut octets).await;
    let signal = read.map_err(Into::into).and_then(|_| {
        let [header @ .., number] = octets;
        anyhow::ensure!(
            super::header(header) == Some((Kind::Signal, 1)),
            "not a signal"
        );
        Signal::from_named_raw(number.into()).with_context(|| format!("no signal {number}"))
    });
    (reader, signal)
}

/// Makes frames of what a pipe delivers, until it is closed or nobody wants them.
async fn forward(kind: Kind, mut pipe: impl AsyncRead + Unpin, frames: mpsc::Sender<Vec<u8>>) {
    let mut buffer = vec![0; MAX_PAYLOAD];
    while let Ok(length @ 1..) = pipe.read(&mut buffer).await {
        let payload = buffer.get(..length).unwrap_or_default();
        if frames.send(frame(kind, payload)).await.is_err() {
            return;
        }
    }
}
