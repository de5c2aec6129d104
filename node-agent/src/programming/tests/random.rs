//! Random plans, the same for a model of the kernel and for the kernel itself.

use serde_json::{Value, json};

/// Numbers that depend on the seed alone (xorshift64*).
#[derive(Clone, Debug)]
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(2).wrapping_add(0x9E37_79B9_7F4A_7C15) | 1)
    }

    /// 0 to `sides - 1`.
    pub(crate) fn roll(&mut self, sides: u64) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        (self.0.wrapping_mul(0x2545_F491_4F6C_DD1D) >> 33) % sides
    }

    pub(crate) fn one_in(&mut self, sides: u64) -> bool {
        self.roll(sides) == 0
    }

    pub(crate) fn pick<'a, T>(&mut self, of: &'a [T]) -> &'a T {
        let count = u64::try_from(of.len()).expect("few");
        &of[usize::try_from(self.roll(count)).expect("few")]
    }
}

const KINDS: u64 = 6;

/// Services of every kind and the pools that they draw from.
pub(crate) fn plan(dice: &mut Dice) -> (Value, Value) {
    let pools: Vec<Value> = (0..3)
        .map(|pool| json!({"name": format!("p{pool}"), "members": members(dice)}))
        .collect();
    let mut services = Vec::new();
    for kind in 0..KINDS {
        if !dice.one_in(4) {
            services.push(service(dice, kind));
        }
    }
    (json!(services), json!(pools))
}

fn members(dice: &mut Dice) -> Vec<Value> {
    let mut members = Vec::new();
    for number in 1..6_u8 {
        if dice.one_in(2) {
            continue;
        }
        let family = dice.roll(4);
        let address = match family {
            0 => format!("fd00::{number}"),
            _ => format!("10.0.0.{number}"),
        };
        let mut member = json!({
            "address": address, "weight": dice.roll(4), "checked": !dice.one_in(5),
        });
        if dice.one_in(4) {
            let upper = 1 + dice.roll(9);
            member["connectionLimits"] = json!({"upper": upper, "lower": dice.roll(upper)});
        }
        if dice.one_in(4) {
            member["forwarding"] = forwarding(dice);
        }
        if dice.one_in(5) {
            member["drain"] = drain(dice);
        }
        members.push(member);
    }
    members
}

fn forwarding(dice: &mut Dice) -> Value {
    dice.pick(&[
        json!({"method": "DR"}),
        json!({"method": "NAT"}),
        json!({"method": "TUN"}),
        json!({"method": "TUN", "tunnel": {"type": "GUE", "port": 6080, "checksum": "Checksum"}}),
        json!({"method": "TUN", "tunnel": {"type": "GRE", "checksum": "None"}}),
    ])
    .clone()
}

fn drain(dice: &mut Dice) -> Value {
    let on_timeout = *dice.pick(&["Remove", "Keep"]);
    json!({"timeoutSeconds": *dice.pick(&[0, 10, 1000]), "onTimeout": on_timeout})
}

fn service(dice: &mut Dice, kind: u64) -> Value {
    let name = *dice.pick(&["rr", "wlc", "sh", "mh", "dh", "fo"]);
    let flags = match name {
        "sh" if dice.one_in(2) => json!(["SHFallback"]),
        "mh" if dice.one_in(2) => json!(["MHPort", "MHFallback"]),
        _ => json!([]),
    };
    let (protocol, vip) = match kind {
        1 => ("UDP", "10.99.0.1"),
        2 => ("SCTP", "10.99.0.2"),
        3 => ("TCP", "fd00:99::3"),
        _ => ("TCP", "10.99.0.4"),
    };
    let first = 80 + kind;
    let pools = dice
        .pick(&[vec!["p0"], vec!["p1"], vec!["p2", "p0"]])
        .clone();
    let mut service = json!({
        "name": format!("default/s{kind}"), "uid": format!("u{kind}"), "instance": "default",
        "addresses": [vip], "ports": [{"name": "a", "port": first, "protocol": protocol}],
        "forwarding": forwarding(dice), "scheduler": {"name": name, "flags": flags},
        "healthCheck": {"onFailure": *dice.pick(&["Quiesce", "Remove"])},
        "quorum": {"minimumWeight": 1 + dice.roll(4), "hysteresis": 0}, "pools": pools,
    });
    if dice.one_in(3) {
        service["ports"][0]["endPort"] = json!(first + 2);
        service["ports"][0]["port"] = json!(first);
    }
    if dice.one_in(3) {
        service["persistence"] = json!({
            "timeoutSeconds": 1 + dice.roll(500), "ipv4PrefixLength": *dice.pick(&[24, 32]),
            "ipv6PrefixLength": *dice.pick(&[64, 128]),
        });
    }
    if kind == 1 && dice.one_in(2) {
        service["scheduler"]["onePacket"] = json!(true);
    }
    if kind == 5 {
        let family = *dice.pick(&["IPv4", "IPv6"]);
        service["firewallMark"] = json!({"mark": 7, "family": family, "managed": false});
        service["addresses"] = json!([]);
        service["ports"] = json!([]);
    }
    if dice.one_in(2) {
        service["fallback"] = json!({"address": "10.0.0.99", "forwarding": {"method": "DR"}});
    }
    if dice.one_in(8) {
        service["drain"] = drain(dice);
    }
    service
}
