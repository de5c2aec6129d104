//! How the record of what is ours is written down.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::num::NonZeroU32;

use lvs_ipvs::{Family, Protocol, ServiceKey};
use serde::{Deserialize, Serialize};

/// A service of the kernel.
#[derive(Debug, Serialize, Deserialize)]
#[serde(untagged)]
enum OwnedService {
    /// By address and port.
    Address {
        protocol: u16,
        address: IpAddr,
        port: u16,
    },
    /// By firewall mark, with the VIPs that lead to it.
    #[serde(rename_all = "camelCase")]
    Mark {
        firewall_mark: NonZeroU32,
        is_ipv6: bool,
        vips: Vec<IpAddr>,
    },
}

impl OwnedService {
    fn new(key: ServiceKey, vips: &[IpAddr]) -> Self {
        match key {
            ServiceKey::Address {
                protocol,
                address,
                port,
            } => Self::Address {
                protocol: protocol.number(),
                address,
                port,
            },
            ServiceKey::Mark { mark, family } => Self::Mark {
                firewall_mark: mark,
                is_ipv6: family == Family::Ipv6,
                vips: vips.to_vec(),
            },
        }
    }

    fn into_parts(self) -> (ServiceKey, Vec<IpAddr>) {
        match self {
            Self::Address {
                protocol,
                address,
                port,
            } => {
                let key = ServiceKey::Address {
                    protocol: Protocol::from_number(protocol),
                    address,
                    port,
                };
                (key, Vec::new())
            }
            Self::Mark {
                firewall_mark,
                is_ipv6,
                vips,
            } => {
                let family = if is_ipv6 { Family::Ipv6 } else { Family::Ipv4 };
                let mark = firewall_mark;
                (ServiceKey::Mark { mark, family }, vips)
            }
        }
    }
}

/// Services, as a list.
pub(super) mod services {
    use serde::{Deserializer, Serializer};

    use super::{BTreeMap, Deserialize, IpAddr, OwnedService, ServiceKey};

    pub(in crate::ownership) fn serialize<S: Serializer>(
        services: &BTreeMap<ServiceKey, Vec<IpAddr>>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(
            services
                .iter()
                .map(|(key, vips)| OwnedService::new(*key, vips)),
        )
    }

    pub(in crate::ownership) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<BTreeMap<ServiceKey, Vec<IpAddr>>, D::Error> {
        let services = Vec::<OwnedService>::deserialize(deserializer)?;
        Ok(services.into_iter().map(OwnedService::into_parts).collect())
    }
}

/// Timeouts in seconds: TCP, TCP after FIN, UDP.
pub(super) mod timeouts {
    use lvs_ipvs::Timeouts;
    use serde::{Deserializer, Serializer};

    use super::{Deserialize, Serialize};
    use crate::ownership::RecordedTimeouts;

    #[derive(Serialize, Deserialize)]
    struct Record {
        original: [u32; 3],
        ours: [u32; 3],
    }

    fn seconds(timeouts: Timeouts) -> [u32; 3] {
        [
            timeouts.tcp_seconds,
            timeouts.tcp_fin_seconds,
            timeouts.udp_seconds,
        ]
    }

    fn timeouts([tcp_seconds, tcp_fin_seconds, udp_seconds]: [u32; 3]) -> Timeouts {
        Timeouts {
            tcp_seconds,
            tcp_fin_seconds,
            udp_seconds,
        }
    }

    #[allow(clippy::ref_option, reason = "serde passes fields by reference")]
    pub(in crate::ownership) fn serialize<S: Serializer>(
        recorded: &Option<RecordedTimeouts>,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        recorded
            .map(|recorded| Record {
                original: seconds(recorded.original),
                ours: seconds(recorded.ours),
            })
            .serialize(serializer)
    }

    pub(in crate::ownership) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Option<RecordedTimeouts>, D::Error> {
        let record = Option::<Record>::deserialize(deserializer)?;
        Ok(record.map(|record| RecordedTimeouts {
            original: timeouts(record.original),
            ours: timeouts(record.ours),
        }))
    }
}

/// Members that leave, as a list.
pub(super) mod drains {
    use serde::{Deserializer, Serializer};

    use super::{Deserialize, Serialize};
    use crate::plan::drain::{Drains, LeavingMember};

    #[derive(Serialize, Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Record {
        #[serde(flatten)]
        member: LeavingMember,
        since_unix_seconds: i64,
    }

    pub(in crate::ownership) fn serialize<S: Serializer>(
        drains: &Drains,
        serializer: S,
    ) -> Result<S::Ok, S::Error> {
        serializer.collect_seq(drains.iter().map(|(member, since_unix_seconds)| Record {
            member: member.clone(),
            since_unix_seconds,
        }))
    }

    pub(in crate::ownership) fn deserialize<'de, D: Deserializer<'de>>(
        deserializer: D,
    ) -> Result<Drains, D::Error> {
        let records = Vec::<Record>::deserialize(deserializer)?;
        let entries = records
            .into_iter()
            .map(|record| (record.member, record.since_unix_seconds));
        Ok(Drains::new(entries))
    }
}
