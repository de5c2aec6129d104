//! A filter in the kernel (socket(7), `SO_ATTACH_FILTER`): every raw socket on an interface is given the advertisements of
//! all virtual routers there, which for 255 of them is 65,025 packets in each interval.

use nix::libc::{
    BPF_ALU, BPF_B, BPF_IND, BPF_JEQ, BPF_JGE, BPF_JMP, BPF_K, BPF_LD, BPF_LDX, BPF_LEN, BPF_MSH,
    BPF_RET, BPF_SUB, BPF_W, BPF_X,
};
use socket2::SockFilter;

use super::super::plan::Family;

/// Offset of the virtual router id in the message (RFC 9568 section 5.1).
const ID_AT: u32 = 1;
/// Accepts the whole packet.
const ALL: u32 = u32::MAX;

/// Lets the messages of one virtual router through, and those that are too short to name one: they are counted.
pub(super) fn of(family: Family, virtual_router_id: u8) -> Vec<SockFilter> {
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
