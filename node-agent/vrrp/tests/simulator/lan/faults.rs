//! What is done to machines and segments.

use std::time::Duration;

use lvs_vrrp::{Adjustment, Input, Router, Wire};

use super::Lan;
use crate::machine::{Fault, Machine, Place};

impl Lan {
    /// Ends every fault and starts what does not run, so that the segments are whole.
    pub(crate) fn repair(&mut self) {
        self.loss_percent = 0;
        self.loss_limit = None;
        self.duplication_percent = 0;
        self.latency = Duration::from_micros(500);
        for machine in 0..self.machines.len() {
            self.machines[machine].paused_until = self.now;
            self.adjust(machine, |adjustment| adjustment.is_fault = false);
            for segment in 0..self.gaps.len() {
                self.mend(Place { machine, segment });
            }
            self.resume();
            for segment in 0..self.gaps.len() {
                let place = Place { machine, segment };
                if self.port(place).stopping {
                    self.handle(place, Input::Stop);
                }
            }
            self.start(machine, &[]);
        }
    }

    pub(crate) fn inflict(&mut self, fault: Fault) {
        match fault {
            Fault::PowerOff(number) => {
                for port in &mut self.machines[number].ports {
                    port.router = None;
                    port.holds_vip = false;
                    port.last_sent = None;
                    port.waiting.clear();
                }
            }
            Fault::PowerOn(number) | Fault::Start(number) => self.start(number, &[]),
            Fault::Unplug(place) => {
                self.port(place).unplugged = true;
                self.input(place, Input::InterfaceDown);
            }
            Fault::Cut(place) => {
                self.port(place).deaf = true;
                self.port(place).mute = true;
            }
            Fault::Deafen(place) => self.port(place).deaf = true,
            Fault::Mute(place) => self.port(place).mute = true,
            Fault::Mend(place) => self.mend(place),
            Fault::Pause(number, time) => self.machines[number].paused_until = self.now + time,
            Fault::Restart(number) => self.restart(number),
            Fault::Stop(number) => self.stop(number),
            Fault::Drain(number, drain) => {
                self.machines[number].drained = drain;
                self.input_all(number, &Input::Drain(drain));
            }
            Fault::Fail(number, is_fault) => {
                self.adjust(number, |adjustment| adjustment.is_fault = is_fault);
            }
            Fault::Weigh(number, weight) => {
                self.adjust(number, |adjustment| adjustment.weight = weight);
            }
            Fault::Hold(number, hold) => {
                self.machines[number].holds = hold;
                self.input_all(number, &Input::HoldPreemption(hold));
            }
            Fault::Loss(percent) => self.loss_percent = percent,
            Fault::Duplication(percent) => self.duplication_percent = percent,
            Fault::Latency(latency) => self.latency = latency,
        }
        self.note_gaps();
    }

    fn adjust(&mut self, machine: usize, change: impl FnOnce(&mut Adjustment)) {
        change(&mut self.machines[machine].adjustment);
        let input = Input::Priority(self.machines[machine].adjustment);
        self.input_all(machine, &input);
    }

    fn mend(&mut self, place: Place) {
        let port = self.port(place);
        port.deaf = false;
        port.mute = false;
        if std::mem::take(&mut port.unplugged) {
            self.input(place, Input::InterfaceUp);
        }
    }

    /// Starts a machine's routers that do not run, as Active on the segments named.
    pub(super) fn start(&mut self, machine: usize, resumed: &[usize]) {
        let ports = 0..self.machines[machine].ports.len();
        let drained = self.machines[machine].drained;
        for segment in ports {
            let place = Place { machine, segment };
            if self.port(place).router.is_some() {
                continue;
            }
            let config = self.port(place).config.clone();
            self.port(place).stopping = false;
            self.port(place).wire = Wire::new(config.clone());
            self.port(place).router = Some(Router::new(config));
            self.port(place).log.clear();
            self.port(place).split = None;
            self.handle(place, Input::Drain(drained));
            let Machine {
                adjustment, holds, ..
            } = self.machines[machine];
            self.handle(place, Input::Priority(adjustment));
            self.handle(place, Input::HoldPreemption(holds));
            if self.port(place).unplugged {
                self.handle(place, Input::InterfaceDown);
            }
            let how = if resumed.contains(&segment) {
                Input::StartActive
            } else {
                Input::Start
            };
            self.handle(place, how);
        }
        self.settle(machine);
    }

    fn stop(&mut self, machine: usize) {
        for segment in 0..self.gaps.len() {
            let place = Place { machine, segment };
            // A second stop would be an order to end at once.
            if !std::mem::replace(&mut self.port(place).stopping, true) {
                self.handle(place, Input::Stop);
            }
        }
        self.settle(machine);
    }

    fn restart(&mut self, machine: usize) {
        let now = self.machines[machine].clock(self.now);
        let ports = &mut self.machines[machine].ports;
        let resumed: Vec<_> = (0..ports.len())
            .filter(|segment| ports[*segment].resumes(now))
            .collect();
        let mut ran = false;
        for port in ports {
            ran |= port.router.take().is_some();
        }
        if ran {
            self.start(machine, &resumed);
        }
    }
}
