//! Settings and facts of IPVS as a whole.

use netlink_packet_core::DecodeError;

use super::missing;
use crate::model::{Info, Timeouts};
use crate::wire::Attribute;

/// Timeouts from the answer to `GET_CONFIG`. One that the kernel leaves out, because it lacks the protocol, is 0.
#[must_use]
pub fn read_timeouts(attributes: &[Attribute]) -> Timeouts {
    let mut timeouts = Timeouts::default();
    for attribute in attributes {
        match attribute {
            Attribute::TimeoutTcp(seconds) => timeouts.tcp_seconds = *seconds,
            Attribute::TimeoutTcpFin(seconds) => timeouts.tcp_fin_seconds = *seconds,
            Attribute::TimeoutUdp(seconds) => timeouts.udp_seconds = *seconds,
            _ => {}
        }
    }
    timeouts
}

/// Version and size from the answer to `GET_INFO`.
///
/// # Errors
/// When an attribute is missing or its value means nothing.
pub fn read_info(attributes: &[Attribute]) -> Result<Info, DecodeError> {
    let (mut version, mut size) = (None, None);
    for attribute in attributes {
        match attribute {
            Attribute::Version(number) => version = Some(*number),
            Attribute::ConnectionTableSize(buckets) => size = Some(*buckets),
            _ => {}
        }
    }
    let [_, major, minor, patch] = version
        .ok_or_else(missing("IPVS_INFO_ATTR_VERSION"))?
        .to_be_bytes();
    Ok(Info {
        version: [major, minor, patch],
        connection_table_size: size.ok_or_else(missing("IPVS_INFO_ATTR_CONN_TAB_SIZE"))?,
    })
}
