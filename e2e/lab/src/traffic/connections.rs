//! Connections that stay open while directors come and go.

use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::sync::{Barrier, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

use super::Connections;
use super::exchange::connect;
use super::report::Failure;
use crate::netns::Namespace;
use crate::serve::line;

/// What became of one connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Connection {
    /// The server's name; none when the connection never stood.
    pub server: Option<String>,
    /// Messages that came back.
    pub answers: u64,
    /// The longest that an answer was out.
    pub longest_wait: Duration,
    /// When and why it ended before it was asked to.
    pub broken: Option<(Instant, Failure)>,
}

/// Connections that are open. Dropping it closes them.
#[derive(Debug)]
pub struct OpenConnections {
    stop: watch::Sender<bool>,
    record: Arc<Mutex<Vec<Connection>>>,
    thread: Option<JoinHandle<Result<()>>>,
}

/// Opens the connections; returns when each of them stands or has failed.
pub(crate) fn open(namespace: Namespace, connections: Connections) -> Result<OpenConnections> {
    let (stop, stopped) = watch::channel(false);
    let fresh = Connection {
        server: None,
        answers: 0,
        longest_wait: Duration::ZERO,
        broken: None,
    };
    let record = Arc::new(Mutex::new(vec![fresh; connections.count]));
    let shared = Arc::clone(&record);
    let (opened, ready) = std::sync::mpsc::channel();
    let thread = std::thread::spawn(move || {
        namespace.enter()?;
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()?;
        runtime.block_on(async {
            let everybody = Arc::new(Barrier::new(connections.count + 1));
            let mut tasks = JoinSet::new();
            for index in 0..connections.count {
                let holder = Holder {
                    index,
                    record: Arc::clone(&shared),
                    connections: connections.clone(),
                };
                tasks.spawn(holder.hold(Arc::clone(&everybody), stopped.clone()));
            }
            everybody.wait().await;
            // A receiver that is gone has given up.
            _ = opened.send(());
            while tasks.join_next().await.is_some() {}
        });
        Ok(())
    });
    if ready.recv().is_err() {
        thread
            .join()
            .ok()
            .context("the connections' thread panicked")??;
        bail!("the connections were not opened");
    }
    Ok(OpenConnections {
        stop,
        record,
        thread: Some(thread),
    })
}

impl OpenConnections {
    /// What became of each connection by now.
    #[must_use]
    pub fn so_far(&self) -> Vec<Connection> {
        self.record
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Closes all connections and tells what became of each.
    ///
    /// # Errors
    /// When the sending thread failed.
    pub fn close(mut self) -> Result<Vec<Connection>> {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take() {
            thread
                .join()
                .ok()
                .context("the connections' thread panicked")??;
        }
        Ok(self.so_far())
    }
}

impl Drop for OpenConnections {
    fn drop(&mut self) {
        self.stop.send_replace(true);
    }
}

struct Holder {
    index: usize,
    record: Arc<Mutex<Vec<Connection>>>,
    connections: Connections,
}

impl Holder {
    async fn hold(self, everybody: Arc<Barrier>, mut stopped: watch::Receiver<bool>) {
        let greeted = self.greet().await;
        everybody.wait().await;
        let ended = match greeted {
            Ok(stream) => tokio::select! {
                Err(failure) = self.converse(stream) => Some(failure),
                _ = stopped.wait_for(|stop| *stop) => None,
            },
            Err(failure) => Some(failure),
        };
        self.note(|connection| connection.broken = ended.map(|failure| (Instant::now(), failure)));
    }

    async fn greet(&self) -> Result<BufReader<tokio::net::TcpStream>, Failure> {
        let Connections {
            target,
            timeout: limit,
            ..
        } = self.connections;
        let mut stream = BufReader::new(connect(target, None, limit).await?);
        let name = timeout(limit, line(&mut stream))
            .await
            .map_err(|_elapsed| Failure::AnswerTimeout)??;
        let name = name.ok_or(Failure::Closed)?;
        self.note(|connection| connection.server = Some(name));
        Ok(stream)
    }

    async fn converse(&self, mut stream: BufReader<tokio::net::TcpStream>) -> Result<(), Failure> {
        let Connections {
            interval,
            timeout: limit,
            ..
        } = self.connections;
        for number in 0_u64.. {
            let asked = Instant::now();
            let message = number.to_string();
            stream.write_all(format!("{message}\n").as_bytes()).await?;
            let answer = timeout(limit, line(&mut stream))
                .await
                .map_err(|_elapsed| Failure::AnswerTimeout)??;
            let answer = answer.ok_or(Failure::Closed)?;
            if answer != message {
                return Err(Failure::Malformed(answer));
            }
            self.note(|connection| {
                connection.answers += 1;
                connection.longest_wait = connection.longest_wait.max(asked.elapsed());
            });
            tokio::time::sleep(interval).await;
        }
        Ok(())
    }

    fn note(&self, change: impl FnOnce(&mut Connection)) {
        let mut connections = self.record.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(connection) = connections.get_mut(self.index) {
            change(connection);
        }
    }
}
