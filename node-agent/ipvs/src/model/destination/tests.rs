use super::*;

fn web(forwarding: Forwarding) -> Destination {
    let key = DestinationKey {
        address: [198, 51, 100, 21].into(),
        port: 80,
    };
    Destination::new(key, forwarding, 1)
}

#[test]
fn a_destination_reads_as_ipvsadm_takes_it() {
    assert_eq!(
        web(Forwarding::DirectRouting).to_string(),
        "-r 198.51.100.21:80 -g -w 1"
    );
    assert_eq!(
        web(Forwarding::Nat).to_string(),
        "-r 198.51.100.21:80 -m -w 1"
    );
    let limited = Destination {
        upper_threshold: 100,
        lower_threshold: 50,
        ..web(Forwarding::DirectRouting)
    };
    assert_eq!(
        limited.to_string(),
        "-r 198.51.100.21:80 -g -w 1 -x 100 -y 50"
    );
}

#[test]
fn tunnels_read_as_ipvsadm_takes_them() {
    let tunnel =
        |kind, port, flags| web(Forwarding::Tunnel(Tunnel { kind, port, flags })).to_string();
    assert_eq!(
        tunnel(TunnelKind::IpIp, 0, TunnelFlags::empty()),
        "-r 198.51.100.21:80 -i -w 1 --tun-type ipip"
    );
    assert_eq!(
        tunnel(TunnelKind::Gue, 6080, TunnelFlags::REMOTE_CHECKSUM),
        "-r 198.51.100.21:80 -i -w 1 --tun-type gue --tun-port 6080 --tun-remcsum"
    );
    assert_eq!(
        tunnel(TunnelKind::Gre, 0, TunnelFlags::empty()),
        "-r 198.51.100.21:80 -i -w 1 --tun-type gre --tun-nocsum"
    );
}

#[test]
fn a_million_destinations_take_forty_megabytes() {
    assert!(size_of::<Destination>() <= 40);
}
