//! The watchdog device of a director.

use std::path::{Path, PathBuf};
use std::time::Duration;

use lvs_crds::v1alpha1::Fencing;

use crate::vrrp::WatchdogPlan;

/// What the kernel says of watchdog devices, each in a directory of its name.
const WATCHDOGS: &str = "/sys/class/watchdog";

/// The watchdog, with the kernel's name for it: `/dev/watchdog` is the first one.
pub(super) fn plan(fencing: &Fencing) -> Option<WatchdogPlan> {
    let watchdog = fencing.watchdog.as_ref()?;
    let device = PathBuf::from(&watchdog.device);
    let name = match device.file_name()?.to_str()? {
        "watchdog" => "watchdog0",
        name => name,
    };
    Some(WatchdogPlan {
        settings: Path::new(WATCHDOGS).join(name),
        timeout: Duration::from_secs(u64::try_from(watchdog.timeout_seconds).ok()?),
        device,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn the_first_watchdog_has_two_names() {
        let planned = |watchdog: Value| {
            let fencing = json!({"hook": {"name": "fence"}, "watchdog": watchdog});
            plan(&serde_json::from_value(fencing).expect("fencing"))
        };
        let second = json!({"device": "/dev/watchdog1", "timeoutSeconds": 4});
        for (watchdog, device, settings, seconds) in [
            (json!({}), "/dev/watchdog", "watchdog0", 10),
            (second, "/dev/watchdog1", "watchdog1", 4),
        ] {
            let expected = WatchdogPlan {
                device: device.into(),
                settings: Path::new(WATCHDOGS).join(settings),
                timeout: Duration::from_secs(seconds),
            };
            assert_eq!(planned(watchdog), Some(expected));
        }
        assert_eq!(planned(Value::Null), None);
    }
}
