//! Between advertisements and packets: what the configuration of a virtual router asks of bytes.

use std::net::IpAddr;
use std::time::Duration;

use crate::authentication::{Authentication, HmacConfig};
use crate::config::{CheckedConfig, Transport};
use crate::hmac::{self, AntiReplay, Binding, Senders, Sequence};
use crate::ip::IpHeader;
use crate::packet::{Advertisement, TIME_TO_LIVE};
use crate::reject::RejectReason;

#[cfg(test)]
mod tests;

/// Encodes what a [`crate::Router`] sends and decodes what it is to hear.
///
/// It remembers what signed messages it has sent and received, so that none counts twice. Time of day
/// is the time since the Unix epoch; without an HMAC it has no effect.
#[derive(Clone, Debug)]
pub struct Wire {
    config: CheckedConfig,
    senders: Senders,
    last_sent: Option<Sequence>,
}

impl Wire {
    /// The wire of a router of this configuration.
    #[must_use]
    pub fn new(config: CheckedConfig) -> Self {
        Self {
            senders: senders(&config),
            config,
            last_sent: None,
        }
    }

    /// Takes over a changed configuration. What was sent and heard stays known.
    pub fn reconfigure(&mut self, config: CheckedConfig) {
        let senders = senders(&config);
        if senders.anti_replay() != self.senders.anti_replay() {
            self.senders = senders;
        }
        self.config = config;
    }

    /// The payload of the IP packet that carries `advertisement` to `destination`.
    #[must_use]
    pub fn encode(
        &mut self,
        advertisement: &Advertisement,
        destination: IpAddr,
        time_of_day: Duration,
    ) -> Vec<u8> {
        let own_address = self.config.own_address;
        let Some(hmac) = hmac(&self.config).filter(|hmac| hmac.mode.sends()) else {
            return advertisement.encode(own_address, destination);
        };
        let sequence = self.last_sent.map_or_else(
            || Sequence::at(time_of_day),
            |last| last.next(hmac.anti_replay, time_of_day),
        );
        self.last_sent = Some(sequence);
        let binding = binding(advertisement, own_address);
        advertisement.encode_with_trailer(own_address, destination, |message| {
            hmac::sign(&hmac.keys, &binding, message, sequence).to_vec()
        })
    }

    /// The advertisement that a packet carries, to be handed to the router as
    /// [`crate::Input::Received`]. `None` if it is another virtual router's: a socket gets the packets
    /// of all VRIDs on its interface.
    ///
    /// # Errors
    /// The first check that failed, of [`Advertisement::decode`] and of those that the transport and
    /// the authentication by HMAC ask for.
    pub fn decode(
        &mut self,
        header: &IpHeader,
        payload: &[u8],
        time_of_day: Duration,
    ) -> Result<Option<Advertisement>, RejectReason> {
        if virtual_router_id(payload)? != self.config.virtual_router_id {
            return Ok(None);
        }
        let minimum_ttl = match &self.config.transport {
            Transport::Multicast => TIME_TO_LIVE,
            Transport::Unicast { peers, .. } if !peers.contains(&header.source) => {
                return Err(RejectReason::Peer);
            }
            Transport::Unicast { minimum_ttl, .. } => *minimum_ttl,
        };
        let advertisement = Advertisement::decode_from(header, payload, minimum_ttl)?;
        if let Some(hmac) = hmac(&self.config) {
            let (message, behind) = payload
                .split_at_checked(advertisement.message_bytes())
                .ok_or(RejectReason::Length)?;
            hmac::verify(
                &hmac.keys,
                hmac.mode,
                &binding(&advertisement, header.source),
                message,
                behind,
                &mut self.senders,
                time_of_day,
            )?;
        }
        Ok(Some(advertisement))
    }
}

/// Whose advertisement an IP packet of protocol 112 carries (RFC 9568 section 5.2.3), before anything else is checked.
///
/// # Errors
/// When it is too short to say so.
pub fn virtual_router_id(payload: &[u8]) -> Result<u8, RejectReason> {
    payload.get(1).copied().ok_or(RejectReason::Length)
}

fn hmac(config: &CheckedConfig) -> Option<&HmacConfig> {
    match &config.authentication {
        Some(Authentication::Hmac(hmac)) => Some(hmac),
        Some(Authentication::Simple(_)) | None => None,
    }
}

fn senders(config: &CheckedConfig) -> Senders {
    Senders::new(hmac(config).map_or(AntiReplay::Monotonic, |hmac| hmac.anti_replay))
}

fn binding(advertisement: &Advertisement, source: IpAddr) -> Binding {
    Binding {
        version: advertisement.version,
        virtual_router_id: advertisement.virtual_router_id,
        source,
    }
}
