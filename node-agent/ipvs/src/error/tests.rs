use super::*;
use crate::Command;
use crate::model::{Name, Protocol, Service, ServiceKey};

#[test]
fn a_message_names_the_command_the_reason_and_the_kernels_words() {
    let key = ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 0, 2, 10].into(),
        port: 80,
    };
    let scheduler = Name::new("wlc").unwrap();
    let refused = |detail| Error::Refused {
        request: Command::AddService(Service::new(key, scheduler.clone())).to_string(),
        reason: Refusal::UnknownScheduler {
            scheduler: scheduler.clone(),
        },
        detail,
    };
    assert_eq!(
        refused(None).to_string(),
        "ipvsadm -A -t 192.0.2.10:80 -s wlc: scheduler wlc is unknown: load the module ip_vs_wlc on this host"
    );
    assert!(
        refused(Some("words".to_owned()))
            .to_string()
            .ends_with(" on this host (words)")
    );
}
