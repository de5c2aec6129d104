use super::*;
use crate::model::{Forwarding, Protocol};

#[test]
fn commands_read_as_ipvsadm_takes_them() {
    let service = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 0, 2, 10].into(),
        port: 80,
    };
    let key = DestinationKey {
        address: [198, 51, 100, 21].into(),
        port: 80,
    };
    let destination = Destination::new(key, Forwarding::DirectRouting, 0);
    let cases = [
        (
            Command::SetDestination {
                service,
                destination,
            },
            "ipvsadm -e -t 192.0.2.10:80 -r 198.51.100.21:80 -g -w 0",
        ),
        (
            Command::DeleteDestination {
                service,
                destination: key,
            },
            "ipvsadm -d -t 192.0.2.10:80 -r 198.51.100.21:80",
        ),
        (
            Command::DeleteService(service),
            "ipvsadm -D -t 192.0.2.10:80",
        ),
        (
            Command::StopDaemon(SyncRole::Backup),
            "ipvsadm --stop-daemon backup",
        ),
        (Command::Zero(None), "ipvsadm -Z"),
        (Command::Zero(Some(service)), "ipvsadm -Z -t 192.0.2.10:80"),
    ];
    for (command, line) in cases {
        assert_eq!(command.to_string(), line);
    }
}
