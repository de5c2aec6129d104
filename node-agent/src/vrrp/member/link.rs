//! A router's interface: its sockets come and go with it.

use std::io;

use lvs_vrrp::{Input, Monotonic};

use super::super::announce::Port;
use super::super::report::VrrpEventKind;
use super::super::shell::Shell;
use super::{Life, Member};

impl Member {
    /// The interface works, or does not any more.
    pub(in super::super) fn link(&mut self, running: bool, now: Monotonic, shell: &mut Shell<'_>) {
        // Its device is gone for good, and the interface below says that something changed.
        if self.life == Life::Stopped {
            return;
        }
        if running {
            let known = self.socket.is_some();
            // Its hardware address may be new even if the link is not.
            self.open(shell);
            if self.fault.is_some() {
                // As long as there is a socket, the router can say that it leaves.
                if known {
                    self.input(Input::InterfaceDown, now, shell);
                }
                self.socket = None;
                self.port = None;
            } else if !known {
                self.input(Input::InterfaceUp, now, shell);
            }
        } else if self.running || self.socket.is_some() {
            self.running = false;
            self.changed = true;
            self.input(Input::InterfaceDown, now, shell);
            self.socket = None;
            self.port = None;
        }
        self.schedule_retry(now);
    }

    /// Opens what is not open.
    pub(super) fn open(&mut self, shell: &mut Shell<'_>) {
        self.running = true;
        self.changed = true;
        let opened = self.open_sockets(shell);
        let fault = opened.as_ref().err().map(ToString::to_string);
        let is_news = fault != self.fault;
        self.fault = fault;
        if let Err(error) = opened
            && is_news
        {
            let kind = VrrpEventKind::Failed {
                action: "use the interface",
                error: error.to_string(),
            };
            self.tell(kind, shell);
        }
    }

    fn open_sockets(&mut self, shell: &mut Shell<'_>) -> io::Result<()> {
        self.port = Some(Port::find(&self.plan.interface_name)?);
        self.ensure_device(shell)?;
        if self.socket.is_none() {
            self.socket = Some(shell.sockets.open(
                &self.plan.interface_name,
                self.plan.interface_index,
                self.plan.family,
            )?);
        }
        Ok(())
    }
}
