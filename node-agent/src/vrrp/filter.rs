//! Filters in the kernel (socket(7), `SO_ATTACH_FILTER`): what is of no use here wakes nobody.

use std::net::IpAddr;

use lvs_vrrp::announcement::NEIGHBOR_ADVERTISEMENT;
use nix::libc::{
    BPF_ABS, BPF_B, BPF_H, BPF_JEQ, BPF_JMP, BPF_JSET, BPF_K, BPF_LD, BPF_RET, BPF_W, NLM_F_MULTI,
    RTM_NEWADDR,
};
use socket2::SockFilter;

use super::plan::Family;

/// Offset of the sender's protocol address in an ARP packet for Ethernet and IPv4 (RFC 826).
const ARP_SENDER_AT: u32 = 14;
/// Offset of the last word of the target in a Neighbor Advertisement (RFC 4861 section 4.4).
const LAST_WORD_OF_TARGET_AT: u32 = 20;
/// Most addresses of a filter: a socket has some kilobytes for it (socket(7), `optmem_max`).
const MOST_ADDRESSES: usize = 256;
/// Accepts the whole packet.
const ALL: u32 = u32::MAX;

/// Lets packets through that say where one of these addresses is: ARP whose sender has it (RFC 826), or a Neighbor
/// Advertisement for it (RFC 4861 section 4.4), of which the last word of the address is compared. With more than fit
/// into a filter, all.
pub(super) fn claims(family: Family, addresses: &[IpAddr]) -> Vec<SockFilter> {
    if addresses.len() > MOST_ADDRESSES {
        return vec![step(BPF_RET | BPF_K, ALL)];
    }
    let load = match family {
        Family::Ipv4 => vec![step(BPF_LD | BPF_W | BPF_ABS, ARP_SENDER_AT)],
        Family::Ipv6 => vec![
            step(BPF_LD | BPF_B | BPF_ABS, 0),
            jump(BPF_JEQ, NEIGHBOR_ADVERTISEMENT.into(), 1, 0),
            step(BPF_RET | BPF_K, 0),
            step(BPF_LD | BPF_W | BPF_ABS, LAST_WORD_OF_TARGET_AT),
        ],
    };
    let compare = addresses.iter().flat_map(|address| {
        [
            jump(BPF_JEQ, last_word(*address), 0, 1),
            step(BPF_RET | BPF_K, ALL),
        ]
    });
    let rest = step(BPF_RET | BPF_K, 0);
    load.into_iter().chain(compare).chain([rest]).collect()
}

fn last_word(address: IpAddr) -> u32 {
    match address {
        IpAddr::V4(address) => address.to_bits(),
        IpAddr::V6(address) => {
            let [.., a, b, c, d] = address.octets();
            u32::from_be_bytes([a, b, c, d])
        }
    }
}

/// Lets everything of rtnetlink through but the news of an address that was added or changed: each renewal of a VIP's
/// lifetime is one. Those that a dump lists pass.
pub(super) fn without_new_addresses() -> Vec<SockFilter> {
    // Offsets in `struct nlmsghdr`, whose fields have the byte order of the host; a load takes that of the network.
    let (type_at, flags_at) = (4, 6);
    let of_dump = u16::try_from(NLM_F_MULTI).unwrap_or_default();
    vec![
        step(BPF_LD | BPF_H | BPF_ABS, type_at),
        jump(BPF_JEQ, RTM_NEWADDR.to_be().into(), 0, 3),
        step(BPF_LD | BPF_H | BPF_ABS, flags_at),
        jump(BPF_JSET, of_dump.to_be().into(), 1, 0),
        step(BPF_RET | BPF_K, 0),
        step(BPF_RET | BPF_K, ALL),
    ]
}

fn step(code: u32, operand: u32) -> SockFilter {
    instruction(code, 0, 0, operand)
}

/// Skips so many instructions if the condition holds, and so many if it does not.
fn jump(condition: u32, operand: u32, if_so: u8, if_not: u8) -> SockFilter {
    instruction(BPF_JMP | condition | BPF_K, if_so, if_not, operand)
}

/// Codes have less than 16 bits (`linux/bpf_common.h`).
fn instruction(code: u32, if_so: u8, if_not: u8, operand: u32) -> SockFilter {
    let code = u16::try_from(code).unwrap_or_default();
    SockFilter::new(code, if_so, if_not, operand)
}
