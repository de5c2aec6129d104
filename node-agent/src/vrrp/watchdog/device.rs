//! The device and what the kernel says of it (Documentation/ABI/testing/sysfs-class-watchdog). Its
//! time-out is the driver's: setting it takes an ioctl, for which there is no safe interface.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::vrrp::plan::WatchdogPlan;

/// Any byte but this feeds alone.
const MAGIC_CLOSE: &[u8] = b"V";
const FOOD: &[u8] = b"\0";

/// Why a device is of no use.
#[derive(Debug, thiserror::Error)]
pub(super) enum DeviceError {
    /// The kernel says nothing of it.
    #[error("watchdog {}: {}: {error}: its driver must be loaded, for example softdog, in a kernel with CONFIG_WATCHDOG_SYSFS", .device.display(), .path.display())]
    Unknown {
        device: PathBuf,
        path: PathBuf,
        error: io::Error,
    },
    /// It would wait too long.
    #[error("watchdog {}: its time-out is {has} s and must be {wanted} s at most: load its driver with a shorter one (softdog: soft_margin={wanted} in /etc/modprobe.d), or raise fencing.watchdog.timeoutSeconds", .device.display())]
    TooLong {
        device: PathBuf,
        has: u64,
        wanted: u64,
    },
    /// It could not be stopped.
    #[error("watchdog {}: it cannot be stopped once it runs, so that every planned stop would reset the node: load its driver without nowayout", .device.display())]
    NoWayOut { device: PathBuf },
    /// The system refused.
    #[error("watchdog {}: cannot {action}: {error}", .device.display())]
    System {
        device: PathBuf,
        action: &'static str,
        error: io::Error,
    },
}

/// A device that runs.
#[derive(Debug)]
pub(super) struct Device {
    path: PathBuf,
    file: File,
}

impl Device {
    /// Looks whether it could be used, and stops it if it runs and nobody has it open.
    pub(super) fn look(plan: &WatchdogPlan) -> Result<(), DeviceError> {
        check(plan)?;
        if setting(plan, "state")? != "active" {
            return Ok(());
        }
        match Self::start(&plan.device) {
            Ok(device) => device.close(),
            Err(error) => Err(error),
        }
    }

    /// Starts it, and answers with its time-out.
    pub(super) fn open(plan: &WatchdogPlan) -> Result<(Self, Duration), DeviceError> {
        let timeout = check(plan)?;
        Ok((Self::start(&plan.device)?, timeout))
    }

    fn start(path: &Path) -> Result<Self, DeviceError> {
        let opened = OpenOptions::new().write(true).open(path);
        let file = opened.map_err(|error| DeviceError::System {
            device: path.to_owned(),
            action: "open it",
            error,
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Keeps it from resetting the node for another time-out.
    pub(super) fn feed(&mut self) -> Result<(), DeviceError> {
        self.write(FOOD, "feed it")
    }

    /// Stops it.
    pub(super) fn close(mut self) -> Result<(), DeviceError> {
        self.write(MAGIC_CLOSE, "stop it")
    }

    fn write(&mut self, bytes: &[u8], action: &'static str) -> Result<(), DeviceError> {
        self.file
            .write_all(bytes)
            .map_err(|error| DeviceError::System {
                device: self.path.clone(),
                action,
                error,
            })
    }
}

/// Its time-out, if it may be used.
fn check(plan: &WatchdogPlan) -> Result<Duration, DeviceError> {
    let device = || plan.device.clone();
    let seconds = setting(plan, "timeout")?;
    let has = seconds.parse().map_err(|error| DeviceError::Unknown {
        device: device(),
        path: plan.settings.join("timeout"),
        error: io::Error::new(io::ErrorKind::InvalidData, error),
    })?;
    let wanted = plan.timeout.as_secs();
    // 0: the driver does not know it.
    if has == 0 || has > wanted {
        return Err(DeviceError::TooLong {
            device: device(),
            has,
            wanted,
        });
    }
    if setting(plan, "nowayout")? != "0" {
        return Err(DeviceError::NoWayOut { device: device() });
    }
    Ok(Duration::from_secs(has))
}

fn setting(plan: &WatchdogPlan, name: &str) -> Result<String, DeviceError> {
    let path = plan.settings.join(name);
    match fs::read_to_string(&path) {
        Ok(text) => Ok(text.trim().to_owned()),
        Err(error) => Err(DeviceError::Unknown {
            device: plan.device.clone(),
            path,
            error,
        }),
    }
}
