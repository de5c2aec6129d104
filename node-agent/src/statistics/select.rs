//! What is shown within the limits. Pure.

use std::collections::BTreeMap;

use lvs_ipvs::ServiceKey;

use super::{Level, Limits, Named, Names};

/// Series of one service.
pub(super) const SERIES_OF_SERVICE: usize = 10;
/// Series of one real server of one service.
pub(super) const SERIES_OF_SERVER: usize = 14;

/// What is to be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Selection<'a> {
    /// The services.
    pub(super) services: BTreeMap<&'a ServiceKey, &'a Named>,
    /// How many real servers there may be: none if not all that are planned would fit.
    pub(super) servers: usize,
    /// Series that are left out.
    pub(super) dropped: usize,
}

/// Selects the services with their real servers if all fit, else the services alone, and of those the first that fit.
pub(super) fn select(names: &Names, limits: Limits) -> Selection<'_> {
    if limits.level == Level::None {
        return Selection {
            services: BTreeMap::new(),
            servers: 0,
            dropped: 0,
        };
    }
    let count = names.0.len();
    let fitting = count.min(limits.maximum_series / SERIES_OF_SERVICE);
    let planned = match limits.level {
        Level::RealServers => names.0.values().map(|named| named.servers).sum(),
        Level::None | Level::VirtualServices => 0,
    };
    let rest = limits
        .maximum_series
        .saturating_sub(fitting.saturating_mul(SERIES_OF_SERVICE));
    let room = rest / SERIES_OF_SERVER;
    let are_servers_shown =
        limits.level == Level::RealServers && fitting == count && planned <= room;
    Selection {
        services: names.0.iter().take(fitting).collect(),
        servers: if are_servers_shown { room } else { 0 },
        dropped: (count - fitting).saturating_mul(SERIES_OF_SERVICE)
            + if are_servers_shown {
                0
            } else {
                planned.saturating_mul(SERIES_OF_SERVER)
            },
    }
}
