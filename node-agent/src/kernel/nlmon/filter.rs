//! Programs for the kernel's packet filter (classic BPF, `Documentation/networking/filter.rst`). Pure.
//!
//! A program reads numbers as big-endian ones, and netlink writes them in the machine's order: so the numbers that it
//! compares with are turned round here.

use lvs_ipvs::Origin;
use lvs_ipvs::wire::CommandCode;
use netlink_packet_core::{NLM_F_REQUEST, NLMSG_ERROR};
use nix::libc;
use socket2::SockFilter;

use super::notice::{FLAGS, PAYLOAD, PORT, REQUEST, TYPE};

/// How much of a message is shown: an acknowledgement up to the request's port.
pub(super) const SHOWN_BYTES: usize = REQUEST + PORT + 4;

/// The commands that change the table, its timeouts or its daemons. Zeroed counters are no change.
const CHANGES: [CommandCode; 10] = [
    CommandCode::NEW_SERVICE,
    CommandCode::SET_SERVICE,
    CommandCode::DEL_SERVICE,
    CommandCode::NEW_DEST,
    CommandCode::SET_DEST,
    CommandCode::DEL_DEST,
    CommandCode::NEW_DAEMON,
    CommandCode::DEL_DAEMON,
    CommandCode::SET_CONFIG,
    CommandCode::FLUSH,
];

/// What can be compared.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Field {
    /// 1 byte of the message.
    Byte(usize),
    /// 2 bytes of the message.
    Half(usize),
    /// 4 bytes of the message.
    Word(usize),
    /// The netlink protocol.
    Protocol,
    /// Index of the device.
    Interface,
}

/// Where a program goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Target {
    Next,
    Acknowledgement,
    Show,
    Drop,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Step {
    /// Loads a field. A message that ends before it is dropped.
    Load(Field),
    /// Whether the loaded number is this one.
    IsEqual(u32, Target, Target),
    /// Whether the loaded number has this bit.
    HasBit(u32, Target, Target),
}

/// A program: it ends by showing [`SHOWN_BYTES`] of the message, or by dropping it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Program {
    steps: Vec<Step>,
    /// Position of the steps at [`Target::Acknowledgement`].
    acknowledgement: usize,
}

impl Program {
    /// Shows changes of IPVS that somebody else asks for: the requests, and the acknowledgements of all successful
    /// requests to IPVS.
    pub(super) fn changes(origin: Origin) -> Self {
        let family = u32::from(origin.family.to_be());
        let generic = u32::try_from(libc::NETLINK_GENERIC).unwrap_or_default();
        let mut steps = vec![
            Step::Load(Field::Protocol),
            Step::IsEqual(generic, Target::Next, Target::Drop),
            // Who asks, or who is answered.
            Step::Load(Field::Word(PORT)),
            Step::IsEqual(origin.port.to_be(), Target::Drop, Target::Next),
            Step::Load(Field::Half(TYPE)),
            Step::IsEqual(
                u32::from(NLMSG_ERROR.to_be()),
                Target::Acknowledgement,
                Target::Next,
            ),
            Step::IsEqual(family, Target::Next, Target::Drop),
            // What a dump lists has the command that would make it.
            Step::Load(Field::Half(FLAGS)),
            Step::HasBit(u32::from(NLM_F_REQUEST.to_be()), Target::Next, Target::Drop),
            Step::Load(Field::Byte(PAYLOAD)),
        ];
        let last = CHANGES.len() - 1;
        steps.extend(CHANGES.iter().enumerate().map(|(position, command)| {
            let otherwise = if position == last {
                Target::Drop
            } else {
                Target::Next
            };
            Step::IsEqual(u32::from(command.0), Target::Show, otherwise)
        }));
        let acknowledgement = steps.len();
        steps.extend([
            Step::Load(Field::Word(PAYLOAD)),
            Step::IsEqual(0, Target::Next, Target::Drop),
            Step::Load(Field::Half(REQUEST + TYPE)),
            Step::IsEqual(family, Target::Show, Target::Drop),
        ]);
        Self {
            steps,
            acknowledgement,
        }
    }

    /// Shows the messages of the routing family on a device.
    pub(super) fn routing_messages(interface: u32) -> Self {
        let routing = u32::try_from(libc::NETLINK_ROUTE).unwrap_or_default();
        let steps = vec![
            Step::Load(Field::Interface),
            Step::IsEqual(interface, Target::Next, Target::Drop),
            Step::Load(Field::Protocol),
            Step::IsEqual(routing, Target::Show, Target::Drop),
        ];
        Self {
            acknowledgement: steps.len(),
            steps,
        }
    }

    /// The instructions: the steps, then showing, then dropping.
    pub(super) fn encode(&self) -> Vec<SockFilter> {
        let steps = self.steps.iter().enumerate();
        let mut instructions: Vec<_> = steps
            .map(|(position, step)| {
                let distance = |target| self.distance(position, target);
                match *step {
                    Step::Load(field) => load(field),
                    Step::IsEqual(number, yes, no) => instruction(
                        libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K,
                        distance(yes),
                        distance(no),
                        number,
                    ),
                    Step::HasBit(bit, yes, no) => instruction(
                        libc::BPF_JMP | libc::BPF_JSET | libc::BPF_K,
                        distance(yes),
                        distance(no),
                        bit,
                    ),
                }
            })
            .collect();
        let end = libc::BPF_RET | libc::BPF_K;
        instructions.push(instruction(end, 0, 0, number(SHOWN_BYTES)));
        instructions.push(instruction(end, 0, 0, 0));
        instructions
    }

    /// How many instructions a jump from `position` skips.
    fn distance(&self, position: usize, target: Target) -> u8 {
        let target = match target {
            Target::Next => position + 1,
            Target::Acknowledgement => self.acknowledgement,
            Target::Show => self.steps.len(),
            Target::Drop => self.steps.len() + 1,
        };
        // The kernel refuses a program that jumps beyond its end.
        u8::try_from(target - position - 1).unwrap_or(u8::MAX)
    }
}

fn load(field: Field) -> SockFilter {
    // Beyond the message, as a negative position, is what the kernel knows about it.
    let beyond = |what: libc::c_int| (libc::SKF_AD_OFF + what).cast_unsigned();
    let (size, position) = match field {
        Field::Byte(position) => (libc::BPF_B, number(position)),
        Field::Half(position) => (libc::BPF_H, number(position)),
        Field::Word(position) => (libc::BPF_W, number(position)),
        Field::Protocol => (libc::BPF_H, beyond(libc::SKF_AD_PROTOCOL)),
        Field::Interface => (libc::BPF_W, beyond(libc::SKF_AD_IFINDEX)),
    };
    instruction(libc::BPF_LD | size | libc::BPF_ABS, 0, 0, position)
}

fn instruction(code: u32, yes: u8, no: u8, operand: u32) -> SockFilter {
    // Codes have 16 bits; the constants are wider.
    SockFilter::new(u16::try_from(code).unwrap_or_default(), yes, no, operand)
}

fn number(position: usize) -> u32 {
    u32::try_from(position).unwrap_or_default()
}

#[cfg(test)]
mod tests;
