use netlink_packet_core::{NetlinkMessage, NetlinkPayload};

use super::*;

fn device() -> VirtualDevice {
    VirtualDevice::of(Family::Ipv4, 51, 2).expect("a short name")
}

fn encoded(change: &DeviceChange) -> Vec<u8> {
    let mut buffer = Vec::new();
    change.encode(9, &mut buffer);
    buffer
}

fn message(change: &DeviceChange) -> LinkMessage {
    let message = NetlinkMessage::deserialize(&encoded(change)).expect("a message");
    match message.payload {
        NetlinkPayload::InnerMessage(
            RouteNetlinkMessage::NewLink(message) | RouteNetlinkMessage::DelLink(message),
        ) => message,
        other => panic!("{other:?}"),
    }
}

#[test]
fn names_tell_family_vrid_and_interface_and_fit() {
    let longest = VirtualDevice::of(Family::Ipv6, 255, 99_999).expect("15 bytes");
    assert_eq!(longest.name, "vrrp6-255-99999");
    assert_eq!(longest.hardware, [0, 0, 0x5e, 0, 2, 255]);
    assert_eq!(VirtualDevice::of(Family::Ipv6, 255, 100_000), None);
    assert_eq!(device().name, "vrrp4-51-2");
}

/// What `ip link add link 2 name vrrp4-51-2 address 00:00:5e:00:01:33 type macvlan mode vepa` sends
/// (`linux/if_link.h`), byte by byte.
#[test]
fn a_device_is_made_with_its_address_and_mode() {
    #[rustfmt::skip]
    let expected = [
        96, 0, 0, 0,  16, 0,  0x01, 0x06,  9, 0, 0, 0,  0, 0, 0, 0, // RTM_NEWLINK, CREATE|EXCL
        0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
        15, 0, 3, 0,  b'v', b'r', b'r', b'p', b'4', b'-', b'5', b'1', b'-', b'2', 0, 0, // IFLA_IFNAME
        8, 0, 5, 0,  2, 0, 0, 0, // IFLA_LINK
        10, 0, 1, 0,  0, 0, 0x5e, 0, 1, 51, 0, 0, // IFLA_ADDRESS
        28, 0, 18, 0, // IFLA_LINKINFO
        12, 0, 1, 0,  b'm', b'a', b'c', b'v', b'l', b'a', b'n', 0, // IFLA_INFO_KIND
        12, 0, 2, 0,  8, 0, 1, 0,  2, 0, 0, 0, // IFLA_INFO_DATA: IFLA_MACVLAN_MODE vepa
    ];
    assert_eq!(encoded(&DeviceChange::Add(device())), expected);
}

#[test]
fn its_ipv4_settings_are_those_of_linux_ip_h() {
    #[rustfmt::skip]
    let expected = [
        60, 0, 0, 0,  16, 0,  0x01, 0x00,  9, 0, 0, 0,  0, 0, 0, 0, // RTM_NEWLINK
        0, 0, 0, 0,  7, 0, 0, 0,  0, 0, 0, 0,  0, 0, 0, 0,
        28, 0, 26, 0,  24, 0, 2, 0,  20, 0, 1, 0, // IFLA_AF_SPEC, AF_INET, IFLA_INET_CONF
        8, 0, 8, 0,  2, 0, 0, 0, // rp_filter
        8, 0, 19, 0,  1, 0, 0, 0, // arp_ignore
    ];
    assert_eq!(encoded(&DeviceChange::SetIpv4 { index: 7 }), expected);
    let ipv6 = encoded(&DeviceChange::SetIpv6 { index: 7 });
    #[rustfmt::skip]
    let attributes = [
        16, 0, 26, 0,  12, 0, 10, 0,  5, 0, 8, 0,  1, 0, 0, 0, // IFLA_INET6_ADDR_GEN_MODE none
    ];
    assert_eq!(ipv6[32..], attributes);
}

#[test]
fn up_and_down_change_nothing_else() {
    let up = message(&DeviceChange::Up { index: 7 });
    assert_eq!(up.header.flags, LinkFlags::Up);
    assert_eq!(up.header.change_mask, LinkFlags::Up);
    let down = message(&DeviceChange::Down { index: 7 });
    assert_eq!(down.header.flags, LinkFlags::empty());
    assert_eq!(down.header.change_mask, LinkFlags::Up);
    assert_eq!(down.attributes, []);
}

#[test]
fn ours_is_what_has_name_kind_parent_and_address() {
    let made = message(&DeviceChange::Add(device()));
    let ours = KernelDevice::from_message(&made);
    assert!(ours.is(&device()) && ours.is_ours());
    let other = VirtualDevice::of(Family::Ipv4, 52, 2).expect("a short name");
    assert!(!ours.is(&other));
    for position in 0..made.attributes.len() {
        let mut changed = made.clone();
        changed.attributes.remove(position);
        let found = KernelDevice::from_message(&changed);
        assert!(!found.is(&device()) && !found.is_ours(), "{changed:?}");
    }
    // keepalived's: another name.
    let mut named = made;
    named
        .attributes
        .push(LinkAttribute::IfName("vrrp.51".into()));
    assert!(!KernelDevice::from_message(&named).is_ours());
}
