use super::*;

const TCP: Protocol = Protocol::Tcp;

fn mark(number: u32) -> NonZeroU32 {
    NonZeroU32::new(number).unwrap()
}

fn range(first: u16, last: u16) -> Ports {
    Ports::Range {
        protocol: TCP,
        first,
        last,
    }
}

fn vip() -> IpAddr {
    [192, 0, 2, 1].into()
}

#[test]
fn the_same_ports_have_one_mark() {
    let mut rules = MarkRules::default();
    for ports in [Ports::Every(TCP), range(10, 20), Ports::one(TCP, 15)] {
        rules.insert(vip(), ports, mark(1)).unwrap();
        rules.insert(vip(), ports, mark(1)).unwrap();
        let before = rules.clone();
        let error = rules.insert(vip(), ports, mark(2)).unwrap_err();
        assert!(error.to_string().contains(&ports.to_string()), "{error}");
        assert_eq!(rules, before);
    }
    assert_eq!(rules.len(), 3);
}

#[test]
fn ranges_of_different_marks_do_not_overlap() {
    for (ports, fits) in [
        (range(1, 9), true),
        (range(1, 10), false),
        (range(12, 18), false),
        (range(5, 30), false),
        (range(20, 30), false),
        (range(21, 30), true),
        (Ports::one(TCP, 15), true),
        (Ports::Every(TCP), true),
    ] {
        let mut rules = MarkRules::default();
        rules.insert(vip(), range(10, 20), mark(1)).unwrap();
        assert_eq!(rules.insert(vip(), ports, mark(2)).is_ok(), fits, "{ports}");
        // Another address, another protocol and the same mark are in nobody's way.
        rules.insert([192, 0, 2, 2].into(), ports, mark(3)).unwrap();
        let Ports::Range { first, last, .. } = ports else {
            continue;
        };
        let udp = Ports::Range {
            protocol: Protocol::Udp,
            first,
            last,
        };
        rules.insert(vip(), udp, mark(4)).unwrap();
    }
}

#[test]
fn a_range_has_a_port() {
    let mut rules = MarkRules::default();
    let error = rules.insert(vip(), range(20, 10), mark(1)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "192.0.2.1: tcp ports 20-10: the last port is below the first"
    );
}
