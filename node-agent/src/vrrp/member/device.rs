//! The device of a router whose VIPs have a MAC address of their own: there as long as the router,
//! up while it holds VIPs.

use std::io;

use lvs_vrrp::{Monotonic, Output, Role};
use nix::libc;

use super::super::device::{DeviceChange, KernelDevice, VirtualDevice};
use super::super::report::VrrpEventKind;
use super::super::shell::Shell;
use super::Member;

/// What the kernel has of the device.
#[derive(Debug, Default)]
pub(super) struct Device {
    /// Its index, while it is there.
    index: Option<u32>,
    is_up: bool,
}

impl Member {
    /// Index of the device, while it is there.
    pub(in super::super) fn device(&self) -> Option<u32> {
        self.device.index
    }

    /// Index of the interface that has the VIPs; `None` while that is a device that is not there.
    pub(super) fn vip_interface(&self) -> Option<u32> {
        match self.plan.virtual_device {
            Some(_) => self.device.index,
            None => Some(self.plan.interface_index),
        }
    }

    /// Name of the interface that an event is about.
    pub(super) fn interface_of(&self, kind: &VrrpEventKind) -> &str {
        let is_of_vip = matches!(
            kind,
            VrrpEventKind::VipAdded(..)
                | VrrpEventKind::VipRemoved(..)
                | VrrpEventKind::VipRestored(..)
                | VrrpEventKind::VipFoughtOver(_)
                | VrrpEventKind::VipForeign(_)
        );
        match &self.plan.virtual_device {
            Some(device) if is_of_vip => &device.name,
            _ => &self.plan.interface_name,
        }
    }

    /// Sees that the device is there, which an earlier run may have made. When it was another before,
    /// or was set down by somebody else, the VIPs went with it and are put back.
    ///
    /// # Errors
    /// When its name belongs to something else, or the kernel does not make it.
    pub(super) fn ensure_device(&mut self, shell: &mut Shell<'_>) -> io::Result<()> {
        let Some(planned) = self.plan.virtual_device.clone() else {
            return Ok(());
        };
        let before = std::mem::take(&mut self.device);
        let device = match self.find_or_add(&planned, shell) {
            // It was about to go when it was found.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => {
                self.find_or_add(&planned, shell)?
            }
            found => found?,
        };
        let is_another = before.index.is_some() && before.index != device.index;
        let has_lost_vips = is_another || (before.is_up && !device.is_up);
        self.device = device;
        if has_lost_vips {
            self.vips.forget();
            // Routes that had them as their source are not what they were.
            self.settle_routes(&[], shell);
            if self.router.role() == Role::Active {
                let all = self.plan.config.virtual_addresses.clone();
                self.perform(Output::AddVips(all.clone()), shell);
                self.perform(Output::Announce(all), shell);
            }
            self.tell(VrrpEventKind::DeviceRestored(planned), shell);
        }
        Ok(())
    }

    fn find_or_add(
        &mut self,
        planned: &VirtualDevice,
        shell: &mut Shell<'_>,
    ) -> io::Result<Device> {
        let found = if let Some(found) = find(planned, shell)? {
            found
        } else {
            change(&DeviceChange::Add(planned.clone()), shell)
                .map_err(|error| cannot_make(planned, &error))?;
            self.tell(VrrpEventKind::DeviceAdded(planned.clone()), shell);
            find(planned, shell)?.ok_or_else(|| io::Error::from_raw_os_error(libc::ENODEV))?
        };
        let index = found.index;
        change(&DeviceChange::SetIpv4 { index }, shell)?;
        match change(&DeviceChange::SetIpv6 { index }, shell) {
            // No IPv6 here, which IPv4 can do without.
            Err(error) if error.raw_os_error() == Some(libc::EAFNOSUPPORT) => {}
            result => result?,
        }
        Ok(Device {
            index: Some(index),
            is_up: found.is_up,
        })
    }

    /// Sets the device up, before VIPs come.
    pub(super) fn raise_device(&mut self, shell: &mut Shell<'_>) {
        let Some(index) = self.device.index else {
            return;
        };
        if !self.device.is_up {
            self.device.is_up = self.change_device(&DeviceChange::Up { index }, shell);
        }
    }

    /// Sets the device down, when no VIPs are left.
    pub(super) fn rest_device(&mut self, shell: &mut Shell<'_>) {
        let Some(index) = self.device.index else {
            return;
        };
        if self.device.is_up && self.vips.held().next().is_none() {
            self.device.is_up = !self.change_device(&DeviceChange::Down { index }, shell);
        }
    }

    /// Deletes the device, if it is there.
    pub(super) fn delete_device(&mut self, shell: &mut Shell<'_>) {
        let device = std::mem::take(&mut self.device);
        let (Some(index), Some(planned)) = (device.index, self.plan.virtual_device.clone()) else {
            return;
        };
        if self.change_device(&DeviceChange::Delete { index }, shell) {
            self.tell(VrrpEventKind::DeviceRemoved(planned), shell);
        }
    }

    /// The device is up or not; `None` when it is gone.
    pub(in super::super) fn device_changed(
        &mut self,
        is_up: Option<bool>,
        now: Monotonic,
        shell: &mut Shell<'_>,
    ) {
        // What it looks like now decides: the notice may be of our own making and long past.
        if is_up == Some(true) || (is_up == Some(false) && !self.device.is_up) {
            return;
        }
        self.changed = true;
        if self.socket.is_some() {
            self.link(true, now, shell);
        } else if is_up.is_none() {
            // It is made anew when the interface below works again.
            self.device = Device::default();
            self.vips.forget();
        }
    }

    /// Makes a change that nothing but its failure is told of. Returns whether it was made.
    fn change_device(&mut self, wanted: &DeviceChange, shell: &mut Shell<'_>) -> bool {
        match change(wanted, shell) {
            Ok(()) => true,
            // It went with the interface below; its notice follows.
            Err(error) if error.raw_os_error() == Some(libc::ENODEV) => false,
            Err(error) => {
                let action = "change the device of the virtual MAC address";
                let error = error.to_string();
                self.tell(VrrpEventKind::Failed { action, error }, shell);
                false
            }
        }
    }
}

fn find(planned: &VirtualDevice, shell: &mut Shell<'_>) -> io::Result<Option<KernelDevice>> {
    let name = &planned.name;
    let found = shell.netlink.device_named(name)?;
    if found.as_ref().is_none_or(|found| found.is(planned)) {
        return Ok(found);
    }
    Err(io::Error::other(format!(
        "device {name} is there and not the macvlan with the virtual MAC address that it should be: \
         remove or rename it"
    )))
}

fn change(change: &DeviceChange, shell: &mut Shell<'_>) -> io::Result<()> {
    let failed = shell.netlink.apply(std::slice::from_ref(change))?;
    failed
        .into_iter()
        .next()
        .map_or(Ok(()), |(_, error)| Err(error))
}

fn cannot_make(device: &VirtualDevice, error: &io::Error) -> io::Error {
    let name = &device.name;
    let hint = match error.raw_os_error() {
        Some(libc::EOPNOTSUPP) => "; this kernel has no macvlan: install or load that module",
        Some(libc::EBUSY) => "; an interface that belongs to a bridge or bond cannot carry macvlan",
        Some(libc::EADDRINUSE) => "; another device has its virtual MAC address: remove that",
        _ => "",
    };
    io::Error::new(
        error.kind(),
        format!("cannot make device {name}: {error}{hint}"),
    )
}
