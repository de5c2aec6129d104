//! The director's table of firewall marks, with a copy that is renewed when somebody else has changed
//! it.

use std::future::pending;
use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use lvs_nftables::{Change, Client, Error, Table, Watch};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;

/// What the kernel has of our table.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum ObservedMarks {
    /// It was not looked at: nothing of ours can be there, for example.
    #[default]
    Unknown,
    /// The kernel cannot do it.
    Unsupported(Unsupported),
    /// The table, if there is one.
    Known(Option<Table>),
}

/// What the kernel lacks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unsupported {
    /// The module that would help.
    pub module: &'static str,
    /// What is lacking, and how to get it.
    pub message: String,
}

/// The kernel's `nf_tables`. Nothing is opened until it is needed.
#[derive(Debug, Default)]
pub struct Marks {
    connection: Option<Connection>,
    /// What was found when it was looked at last.
    found: ObservedMarks,
}

#[derive(Debug)]
struct Connection {
    client: Client,
    watch: Watch,
    readable: AsyncFd<OwnedFd>,
}

impl Marks {
    /// The table: the copy, if it is still good. Must be called within a tokio runtime.
    ///
    /// # Errors
    /// When the kernel does not answer as it should. What it lacks is no error.
    pub fn observe(&mut self) -> Result<ObservedMarks, Error> {
        if self.found == ObservedMarks::Unknown {
            self.found = match self.connection().and_then(|it| it.client.observe()) {
                Ok(table) => ObservedMarks::Known(table),
                Err(error) => {
                    self.connection = None;
                    ObservedMarks::Unsupported(unsupported(&error).ok_or(error)?)
                }
            };
        }
        Ok(self.found.clone())
    }

    /// Applies changes in one transaction. What the kernel lacks is remembered.
    ///
    /// # Errors
    /// When the kernel refuses; then nothing was changed.
    pub fn commit(&mut self, changes: &[Change]) -> Result<(), Error> {
        let committed = self.connection().and_then(|it| it.client.commit(changes));
        let lacking = committed.as_ref().err().and_then(unsupported);
        self.found = lacking.map_or(ObservedMarks::Unknown, ObservedMarks::Unsupported);
        committed
    }

    /// What the kernel was found to lack.
    #[must_use]
    pub const fn unsupported(&self) -> Option<&Unsupported> {
        match &self.found {
            ObservedMarks::Unsupported(unsupported) => Some(unsupported),
            ObservedMarks::Unknown | ObservedMarks::Known(_) => None,
        }
    }

    /// Waits until somebody else has changed the table. May be dropped while it waits.
    pub async fn changed(&mut self) {
        let Some(connection) = &self.connection else {
            return pending().await;
        };
        let is_open = loop {
            match connection.readable.readable().await {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => break false,
            }
            match connection.watch.changed() {
                Ok(true) => break true,
                Ok(false) => {}
                Err(_) => break false,
            }
        };
        if !is_open {
            self.connection = None;
        }
        self.forget();
    }

    /// Reads everything anew the next time, and tries anew what was lacking.
    pub fn forget(&mut self) {
        self.found = ObservedMarks::Unknown;
    }

    /// Closes the connection: nothing of ours is there.
    pub fn close(&mut self) {
        *self = Self::default();
    }

    fn connection(&mut self) -> Result<&mut Connection, Error> {
        let connection = match self.connection.take() {
            Some(connection) => connection,
            None => Connection::open()?,
        };
        Ok(self.connection.insert(connection))
    }
}

impl Connection {
    fn open() -> Result<Self, Error> {
        let client = Client::connect()?;
        // Before the first look at the table, so that no change in between is missed.
        let watch = client.watch()?;
        let failed = |source: io::Error| Error::Socket {
            operation: "wait for notices",
            source,
        };
        let descriptor = watch.as_fd().try_clone_to_owned().map_err(failed)?;
        #[allow(
            deprecated,
            reason = "the successor is unsafe; this descriptor is owned by what it is registered with"
        )]
        let readable = AsyncFd::with_interest(descriptor, Interest::READABLE).map_err(failed)?;
        Ok(Self {
            client,
            watch,
            readable,
        })
    }
}

fn unsupported(error: &Error) -> Option<Unsupported> {
    match error {
        Error::Unsupported { module, .. } => Some(Unsupported {
            module,
            message: error.to_string(),
        }),
        _ => None,
    }
}
