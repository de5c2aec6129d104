//! Keeps a value on disk without ever waiting long for the disk.
//!
//! The newest value wins. One that could not be written is tried again, so a disk that was full or slow
//! for a while has the newest value afterwards.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::spawn_blocking;
use tokio::time::{sleep, timeout};

use super::StoreError;

/// A disk that takes longer to keep a value is not waited for.
const PATIENCE: Duration = Duration::from_secs(1);
/// Pause before a write that failed is tried again.
const RETRY: Duration = Duration::from_secs(10);

/// Writes values in the background.
pub struct Writer<T> {
    values: watch::Sender<(u64, Option<Arc<T>>)>,
    kept: watch::Receiver<u64>,
}

impl<T: Send + Sync + 'static> Writer<T> {
    /// Starts to keep values; `save` writes one, on a thread that may block. `what` stands in the log,
    /// as in "the plan". Must be called within a tokio runtime.
    pub fn start(
        what: &'static str,
        save: impl FnMut(&T) -> Result<(), StoreError> + Send + 'static,
    ) -> Self {
        let (values, to_write) = watch::channel((0, None));
        let (tell, kept) = watch::channel(0);
        tokio::spawn(write(what, to_write, tell, save));
        Self { values, kept }
    }

    /// Hands a value over and waits a moment for the disk: not at all if that has a value before this
    /// one to keep still. Says whether the value is on disk.
    pub async fn keep(&self, value: T) -> bool {
        let mut kept = self.kept.clone();
        let is_behind = *kept.borrow_and_update() != self.values.borrow().0;
        let number = self.submit(value);
        !is_behind
            && timeout(PATIENCE, kept.wait_for(|kept| *kept >= number))
                .await
                .is_ok_and(|waited| waited.is_ok())
    }

    /// Hands a value over without waiting. Returns its number.
    pub fn submit(&self, value: T) -> u64 {
        let mut number = 0;
        self.values.send_modify(|(last, newest)| {
            *last += 1;
            number = *last;
            *newest = Some(Arc::new(value));
        });
        number
    }
}

impl<T> fmt::Debug for Writer<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer")
            .field("newest", &self.values.borrow().0)
            .field("kept", &*self.kept.borrow())
            .finish()
    }
}

/// Ends when there will be no more values.
async fn write<T: Send + Sync + 'static>(
    what: &'static str,
    mut values: watch::Receiver<(u64, Option<Arc<T>>)>,
    tell: watch::Sender<u64>,
    mut save: impl FnMut(&T) -> Result<(), StoreError> + Send + 'static,
) {
    let mut is_failing = false;
    while values.changed().await.is_ok() {
        loop {
            let (number, value) = values.borrow_and_update().clone();
            let Some(value) = value else { break };
            let saving = spawn_blocking(move || {
                let saved = save(&value);
                (save, saved)
            });
            let saved = match saving.await {
                Ok((returned, saved)) => {
                    save = returned;
                    saved
                }
                Err(error) => {
                    tracing::error!(%error, "{what} is not kept on disk any more");
                    return;
                }
            };
            match saved {
                Ok(()) => {
                    if std::mem::take(&mut is_failing) {
                        tracing::info!("{what} is kept on disk again");
                    }
                    // Nobody may be waiting.
                    tell.send_replace(number);
                    break;
                }
                Err(error) => {
                    if !std::mem::replace(&mut is_failing, true) {
                        tracing::error!(%error, "{what} is not kept on disk; it is tried again");
                    }
                }
            }
            tokio::select! {
                changed = values.changed() => if changed.is_err() { return },
                () = sleep(RETRY) => {}
            }
        }
    }
}

#[cfg(test)]
mod tests;
