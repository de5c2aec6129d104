//! Filters in the kernel (socket(7), `SO_ATTACH_FILTER`): what is of no use here wakes nobody.

use std::net::Ipv4Addr;

use nix::libc::{
    BPF_ABS, BPF_ALU, BPF_B, BPF_H, BPF_IND, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_JSET, BPF_K, BPF_LD,
    BPF_LDX, BPF_LEN, BPF_MSH, BPF_RET, BPF_SUB, BPF_W, BPF_X, NLM_F_MULTI, RTM_NEWADDR,
};
use socket2::SockFilter;

use super::plan::Family;

/// Offset of the virtual router id in the message (RFC 9568 section 5.1).
const ID_AT: u32 = 1;
/// Offset of the sender's protocol address in an ARP packet for Ethernet and IPv4 (RFC 826).
const ARP_SENDER_AT: u32 = 14;
/// Most addresses of a filter for ARP: a socket has some kilobytes for it (socket(7), `optmem_max`).
const MOST_ADDRESSES: usize = 256;
/// Accepts the whole packet.
const ALL: u32 = u32::MAX;

/// Lets the messages of one virtual router through, and those that are too short to name one: they are counted.
/// Every raw socket on an interface is given those of all virtual routers there, which for 255 of them is 65,025
/// packets in each interval.
pub(super) fn advertisements(family: Family, virtual_router_id: u8) -> Vec<SockFilter> {
    let begin = match family {
        // The packet begins with its IP header: X is the length of that, A the length of what follows.
        Family::Ipv4 => vec![
            step(BPF_LDX | BPF_B | BPF_MSH, 0),
            step(BPF_LD | BPF_W | BPF_LEN, 0),
            step(BPF_ALU | BPF_SUB | BPF_X, 0),
        ],
        // It begins with the message; X is 0.
        Family::Ipv6 => vec![step(BPF_LD | BPF_W | BPF_LEN, 0)],
    };
    let rest = [
        jump(BPF_JGE, ID_AT + 1, 0, 2),
        step(BPF_LD | BPF_B | BPF_IND, ID_AT),
        jump(BPF_JEQ, virtual_router_id.into(), 0, 1),
        step(BPF_RET | BPF_K, ALL),
        step(BPF_RET | BPF_K, 0),
    ];
    begin.into_iter().chain(rest).collect()
}

/// Lets ARP packets through whose sender says that it has one of these addresses (RFC 826). With more than fit into a
/// filter, all.
pub(super) fn claims(addresses: &[Ipv4Addr]) -> Vec<SockFilter> {
    if addresses.len() > MOST_ADDRESSES {
        return vec![step(BPF_RET | BPF_K, ALL)];
    }
    let load = step(BPF_LD | BPF_W | BPF_ABS, ARP_SENDER_AT);
    let compare = addresses.iter().flat_map(|address| {
        [
            jump(BPF_JEQ, (*address).into(), 0, 1),
            step(BPF_RET | BPF_K, ALL),
        ]
    });
    let rest = step(BPF_RET | BPF_K, 0);
    std::iter::once(load).chain(compare).chain([rest]).collect()
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
