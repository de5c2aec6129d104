//! The door from the machine's network to the lab's API server.

use std::net::{SocketAddr, TcpListener};

use anyhow::{Context as _, Result};
use tokio::net::TcpStream;

use crate::netns::Namespace;

/// Passes connections that `listener` accepts on to `target` in a network namespace, until the process ends.
///
/// The listener keeps the namespace in which it was made, so it may belong to the machine.
///
/// # Errors
/// When the namespace cannot be entered or the listener fails.
pub fn serve(listener: TcpListener, namespace: &str, target: SocketAddr) -> Result<()> {
    // Before the runtime exists: it has this thread alone, so all that it connects is made in the namespace.
    Namespace::new(namespace.to_owned()).enter()?;
    listener.set_nonblocking(true)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        loop {
            let (mut near, _) = listener.accept().await.context("the proxy cannot accept")?;
            tokio::spawn(async move {
                // An API server that is down closes the connection, and that is what the caller shall see.
                let Ok(mut far) = TcpStream::connect(target).await else {
                    return;
                };
                // Without it the connection is only slower.
                _ = near.set_nodelay(true);
                _ = far.set_nodelay(true);
                drop(tokio::io::copy_bidirectional(&mut near, &mut far).await);
            });
        }
    })
}
