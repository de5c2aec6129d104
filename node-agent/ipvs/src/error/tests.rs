use super::*;
use crate::model::{
    Destination, DestinationKey, Forwarding, Protocol, Service, ServiceKey, SyncDaemon, Timeouts,
};

fn name(name: &str) -> Name {
    Name::new(name).unwrap()
}

fn key() -> ServiceKey {
    ServiceKey::Address {
        protocol: Protocol::Tcp,
        address: [192, 0, 2, 10].into(),
        port: 80,
    }
}

fn add_service() -> Command {
    Command::AddService(Service::new(key(), name("wlc")))
}

fn set_destination() -> Command {
    let server = DestinationKey {
        address: [198, 51, 100, 21].into(),
        port: 80,
    };
    Command::SetDestination {
        service: key(),
        destination: Destination::new(server, Forwarding::Nat, 1),
    }
}

fn refusal(errno: Errno, command: &Command) -> Refusal {
    Refusal::from_errno(errno.raw_os_error(), Some(command))
}

#[test]
fn no_entry_depends_on_what_was_asked() {
    assert_eq!(
        refusal(Errno::NOENT, &add_service()),
        Refusal::UnknownScheduler {
            scheduler: name("wlc")
        }
    );
    let service = Service {
        persistence_engine: Some(name("sip")),
        ..Service::new(key(), name("rr"))
    };
    assert_eq!(
        refusal(Errno::NOENT, &Command::SetService(service)),
        Refusal::UnknownSchedulerOrEngine {
            scheduler: name("rr"),
            engine: name("sip")
        }
    );
    assert_eq!(
        refusal(Errno::NOENT, &set_destination()),
        Refusal::NoSuchDestination
    );
    assert_eq!(
        refusal(Errno::NOENT, &Command::SetTimeouts(Timeouts::default())),
        Refusal::Other { errno: 2 }
    );
}

#[test]
fn no_such_process_depends_on_what_was_asked() {
    assert_eq!(
        refusal(Errno::SRCH, &set_destination()),
        Refusal::NoSuchService
    );
    assert_eq!(
        refusal(Errno::SRCH, &Command::StopDaemon(SyncRole::Master)),
        Refusal::NoSuchDaemon {
            role: SyncRole::Master
        }
    );
}

#[test]
fn the_other_answers_have_one_meaning() {
    let daemon = SyncDaemon::new(SyncRole::Master, name("eth9"), 0);
    assert_eq!(
        refusal(Errno::NODEV, &Command::StartDaemon(daemon)),
        Refusal::NoSuchInterface {
            interface: name("eth9")
        }
    );
    let cases = [
        (Errno::EXIST, Refusal::Exists),
        (Errno::RANGE, Refusal::OutOfRange),
        (Errno::INVAL, Refusal::Invalid),
        (Errno::AFNOSUPPORT, Refusal::FamilyNotSupported),
        (Errno::PERM, Refusal::NotPermitted),
        (Errno::NOMEM, Refusal::OutOfMemory),
        (Errno::IO, Refusal::Other { errno: 5 }),
    ];
    for (errno, meaning) in cases {
        assert_eq!(refusal(errno, &set_destination()), meaning);
    }
}

#[test]
fn a_message_names_the_command_the_reason_and_the_kernels_words() {
    let refused = |detail| Error::Refused {
        request: add_service().to_string(),
        reason: refusal(Errno::NOENT, &add_service()),
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
