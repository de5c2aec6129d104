//! Writes down what the VRRP thread tells: log, recent operations, metrics, Events. On the loop's side,
//! where a log that blocks delays no advertisement.

use std::sync::Arc;
use std::time::SystemTime;

use tokio::sync::{mpsc, watch};

use super::device::hardware_text;
use super::report::{VrrpEvent, VrrpEventKind};
use crate::bundle::PlanBundle;
use crate::metrics::{KindLabel, Metrics};
use crate::op_log::{Change, OpLog};
use crate::reporter::notice::Notice;

/// Where events are written down.
#[derive(Debug)]
pub struct Journal {
    /// Recent operations.
    pub ops: OpLog,
    /// Counters of operations.
    pub metrics: Metrics,
    /// Tells whose VIP it is.
    pub plans: watch::Receiver<Option<Arc<PlanBundle>>>,
    /// Takes what people should see; absent stand-alone.
    pub notices: Option<mpsc::Sender<Notice>>,
}

impl Journal {
    /// Writes events down until there are no more.
    pub async fn keep(self, mut events: mpsc::Receiver<VrrpEvent>) {
        while let Some(event) = events.recv().await {
            self.write(&event);
        }
    }

    fn write(&self, event: &VrrpEvent) {
        match command(event) {
            Some((kind, command)) => {
                let change = Change {
                    kind,
                    command,
                    error: None,
                };
                self.ops.record(SystemTime::now(), vec![change]);
                self.metrics.ops.get_or_create(&KindLabel { kind }).inc();
            }
            None => log(event),
        }
        let drift = match event.kind {
            VrrpEventKind::VipRestored(..) => Some("add_vip"),
            VrrpEventKind::RouteRestored(_) => Some("add_route"),
            VrrpEventKind::DeviceRestored(_) => Some("add_device"),
            _ => None,
        };
        if let Some(kind) = drift {
            log(event);
            self.metrics.drift.get_or_create(&KindLabel { kind }).inc();
        }
        let Some(notices) = &self.notices else {
            return;
        };
        let notice = Notice::from_vrrp(event, self.plans.borrow().as_deref());
        // Full: the API server is away, and Events are the least of it.
        if let Some(notice) = notice
            && notices.try_send(notice).is_err()
        {
            tracing::debug!("Event dropped: too many wait");
        }
    }
}

/// The command that would have done the same.
fn command(event: &VrrpEvent) -> Option<(&'static str, String)> {
    let interface = &event.interface;
    match &event.kind {
        VrrpEventKind::VipAdded(address, prefix_length)
        | VrrpEventKind::VipRestored(address, prefix_length) => Some((
            "add_vip",
            format!("ip addr add {address}/{prefix_length} dev {interface}"),
        )),
        VrrpEventKind::VipRemoved(address, prefix_length) => Some((
            "delete_vip",
            format!("ip addr del {address}/{prefix_length} dev {interface}"),
        )),
        VrrpEventKind::RouteAdded(route) | VrrpEventKind::RouteRestored(route) => {
            Some(("add_route", format!("ip route add {route} dev {interface}")))
        }
        VrrpEventKind::DeviceAdded(device) | VrrpEventKind::DeviceRestored(device) => Some((
            "add_device",
            format!(
                "ip link add link {interface} name {} address {} type macvlan mode vepa",
                device.name,
                hardware_text(device.hardware)
            ),
        )),
        VrrpEventKind::DeviceRemoved(device) => {
            Some(("delete_device", format!("ip link del {}", device.name)))
        }
        VrrpEventKind::RouteRemoved(route) => Some((
            "delete_route",
            format!("ip route del {route} dev {interface}"),
        )),
        _ => None,
    }
}

fn log(event: &VrrpEvent) {
    let (instance, family) = (event.instance.as_str(), event.family.label());
    let (interface, kind) = (event.interface.as_str(), &event.kind);
    match kind {
        VrrpEventKind::RoleChanged { .. }
        | VrrpEventKind::PeerDiffers { .. }
        | VrrpEventKind::SplitHealed { .. }
        | VrrpEventKind::ConflictOver { .. } => {
            tracing::info!(target: "vrrp", instance, family, interface, "{kind}");
        }
        _ => tracing::warn!(target: "vrrp", instance, family, interface, "{kind}"),
    }
}

#[cfg(test)]
mod tests {
    use prometheus_client::registry::Registry;

    use super::*;
    use crate::vrrp::Family;

    #[tokio::test]
    async fn vips_are_operations_and_a_restored_one_is_told() {
        let ops = OpLog::default();
        let (_plan, plans) = watch::channel(None);
        let (notices, mut told) = mpsc::channel(4);
        let journal = Journal {
            ops: ops.clone(),
            metrics: Metrics::register(&mut Registry::default()),
            plans,
            notices: Some(notices),
        };
        let (sender, events) = mpsc::channel(4);
        let vip = [192, 0, 2, 10].into();
        for kind in [
            VrrpEventKind::VipAdded(vip, 32),
            VrrpEventKind::VipRestored(vip, 32),
            VrrpEventKind::VipRemoved(vip, 32),
        ] {
            let event = VrrpEvent {
                instance: "default".into(),
                family: Family::Ipv4,
                interface: "eth0".into(),
                kind,
            };
            sender.try_send(event).expect("room");
        }
        drop(sender);
        journal.keep(events).await;
        let commands: Vec<_> = ops
            .last(9)
            .into_iter()
            .map(|entry| entry.change.command)
            .collect();
        let add = "ip addr add 192.0.2.10/32 dev eth0";
        assert_eq!(commands, [add, add, "ip addr del 192.0.2.10/32 dev eth0"]);
        assert_eq!(told.recv().await.expect("told").reason, "DriftRepaired");
        assert_eq!(told.recv().await, None);
    }
}
