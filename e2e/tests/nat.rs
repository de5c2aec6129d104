//! NAT between an outside and an inside network (`examples/02-nat`): the split of connections, the kernel's
//! counters, and two addresses that move together.

#![allow(
    clippy::indexing_slicing,
    reason = "JSON and YAML values answer a missing key with null"
)]
#![allow(
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "a run shows its figures"
)]

use std::process::ExitCode;

use lvs_e2e::example::NAT;
use lvs_e2e::scenario;
use lvs_lab::Topology;

#[path = "nat/failover.rs"]
mod failover;
#[path = "nat/forwarding.rs"]
mod forwarding;
#[path = "nat/split.rs"]
mod split;

/// The address that clients know.
const VIP: &str = "192.168.144.44";
/// The address that real servers know.
const GATEWAY: &str = "128.10.10.7";
/// The virtual service of the example as `ipvsadm` shows it.
const SERVICE: &str = "TCP 192.168.144.44:80";
/// The director that is preferred.
const PREFERRED: &str = "lb-1";
/// The other one.
const OTHER: &str = "lb-2";

fn main() -> ExitCode {
    scenario::main(
        "e2e-s3",
        Topology::s3(),
        NAT,
        &[
            (
                "a_thousand_requests_at_concurrency_100_split_evenly",
                split::evenly,
            ),
            (
                "weights_follow_on_the_live_service_and_break_nothing",
                split::by_weight,
            ),
            (
                "a_drained_director_hands_both_addresses_over",
                failover::drain,
            ),
            (
                "a_director_without_power_loses_both_addresses",
                failover::power_loss,
            ),
            (
                "a_director_that_loses_its_inside_gives_up_the_outside",
                failover::inside_down,
            ),
            (
                "ip_forward_is_switched_on_and_back_on_release",
                forwarding::on_and_back,
            ),
        ],
    )
}
