//! Messages.

use netlink_packet_core::{DecodeError, Emitable, NlasIterator, ParseableParametrized};
use netlink_packet_generic::{GenlFamily, GenlHeader, GenlMessage};

use super::Attribute;

/// Length of `struct genlmsghdr`.
const HEADER_BYTES: usize = 4;

/// Number of a command (`IPVS_CMD_*`).
///
/// In answers the kernel uses the number of the command that would make what it reports: a dump of services consists
/// of [`CommandCode::NEW_SERVICE`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct CommandCode(pub u8);

impl CommandCode {
    /// Adds a service.
    pub const NEW_SERVICE: Self = Self(1);
    /// Changes a service.
    pub const SET_SERVICE: Self = Self(2);
    /// Deletes a service.
    pub const DEL_SERVICE: Self = Self(3);
    /// Reads one service, or all in a dump.
    pub const GET_SERVICE: Self = Self(4);
    /// Adds a destination.
    pub const NEW_DEST: Self = Self(5);
    /// Changes a destination.
    pub const SET_DEST: Self = Self(6);
    /// Deletes a destination.
    pub const DEL_DEST: Self = Self(7);
    /// Reads all destinations of a service, in a dump.
    pub const GET_DEST: Self = Self(8);
    /// Starts a synchronisation daemon.
    pub const NEW_DAEMON: Self = Self(9);
    /// Stops a synchronisation daemon.
    pub const DEL_DAEMON: Self = Self(10);
    /// Reads the synchronisation daemons, in a dump.
    pub const GET_DAEMON: Self = Self(11);
    /// Sets timeouts.
    pub const SET_CONFIG: Self = Self(12);
    /// Reads timeouts.
    pub const GET_CONFIG: Self = Self(13);
    /// Answer to [`CommandCode::GET_INFO`].
    pub const SET_INFO: Self = Self(14);
    /// Reads version and size.
    pub const GET_INFO: Self = Self(15);
    /// Zeroes counters.
    pub const ZERO: Self = Self(16);
    /// Deletes all services, whoever made them. No [`Command`](crate::Command) leads to it.
    pub const FLUSH: Self = Self(17);
}

/// A message of the family `IPVS` without its headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    /// Its command.
    pub command: CommandCode,
    /// Its attributes.
    pub attributes: Vec<Attribute>,
}

impl Message {
    /// A message with attributes.
    #[must_use]
    pub const fn new(command: CommandCode, attributes: Vec<Attribute>) -> Self {
        Self {
            command,
            attributes,
        }
    }

    /// Reads a message from the payload of a netlink message: the header of generic netlink and attributes.
    ///
    /// # Errors
    /// When the payload ends early or a value has a wrong length.
    pub fn decode(payload: &[u8]) -> Result<Self, DecodeError> {
        // The family's number stands in the netlink header, which is not looked at here.
        GenlMessage::parse_with_param(payload, 0).map(|message| message.into_parts().1)
    }

    /// Decodes the first attribute of a kind straight from such a payload, without the message around it. `None` if
    /// there is no such attribute.
    pub(crate) fn decode_one<T>(
        payload: &[u8],
        kind: u16,
        decode: impl FnOnce(&[u8]) -> Result<T, DecodeError>,
    ) -> Result<Option<T>, DecodeError> {
        let attributes = payload
            .get(HEADER_BYTES..)
            .ok_or("the header of generic netlink is cut short")?;
        for attribute in NlasIterator::new(attributes) {
            let attribute = attribute?;
            if attribute.kind() == kind {
                return decode(attribute.value()).map(Some);
            }
        }
        Ok(None)
    }
}

impl GenlFamily for Message {
    fn family_name() -> &'static str {
        "IPVS"
    }

    fn command(&self) -> u8 {
        self.command.0
    }

    fn version(&self) -> u8 {
        1
    }
}

impl Emitable for Message {
    fn buffer_len(&self) -> usize {
        self.attributes.as_slice().buffer_len()
    }

    fn emit(&self, buffer: &mut [u8]) {
        self.attributes.as_slice().emit(buffer);
    }
}

impl ParseableParametrized<[u8], GenlHeader> for Message {
    fn parse_with_param(bytes: &[u8], header: GenlHeader) -> Result<Self, DecodeError> {
        let command = CommandCode(header.cmd);
        let attributes = NlasIterator::new(bytes)
            .map(|attribute| Attribute::parse_with_param(&attribute?, command))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            command,
            attributes,
        })
    }
}
