//! The web pair with direct routing (`examples/01-direct-routing`), from `helm install` to the last trace of it:
//! one VIP, two directors, two real servers.

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

use lvs_e2e::example::DIRECT_ROUTING;
use lvs_e2e::scenario;
use lvs_lab::Topology;

#[path = "direct_routing/bad_input.rs"]
mod bad_input;
#[path = "direct_routing/drift.rs"]
mod drift;
#[path = "direct_routing/failover.rs"]
mod failover;
#[path = "direct_routing/isolation.rs"]
mod isolation;
#[path = "direct_routing/placement.rs"]
mod placement;
#[path = "direct_routing/real_servers.rs"]
mod real_servers;
#[path = "direct_routing/release.rs"]
mod release;
#[path = "direct_routing/restart.rs"]
mod restart;
#[path = "direct_routing/without_api.rs"]
mod without_api;

/// The VIP of the example.
const VIP: &str = "192.168.1.222";
/// The virtual service of the example as `ipvsadm` shows it.
const SERVICE: &str = "TCP 192.168.1.222:80";
/// The director that is preferred.
const PREFERRED: &str = "lb-1";
/// The other one.
const OTHER: &str = "lb-2";

fn main() -> ExitCode {
    scenario::main(
        "e2e-s1",
        Topology::s1(),
        DIRECT_ROUTING,
        &[
            (
                "agents_run_on_exactly_the_nodes_with_a_role",
                placement::exactly_the_nodes_with_a_role,
            ),
            (
                "a_node_that_gains_a_role_gets_an_agent_and_restarts_no_other",
                placement::gains_a_role,
            ),
            (
                "requests_are_split_evenly_and_keep_the_client_address",
                real_servers::split_evenly,
            ),
            (
                "a_patched_weight_is_one_operation_within_a_second",
                real_servers::patched_weight,
            ),
            (
                "a_dead_real_server_gets_no_traffic_and_returns",
                real_servers::dead_and_back,
            ),
            (
                "a_silent_real_server_is_out_within_six_seconds",
                real_servers::silent,
            ),
            (
                "a_drained_director_hands_over_without_a_gap",
                failover::drain,
            ),
            (
                "a_deleted_agent_pod_hands_over_without_a_gap",
                failover::pod_deleted,
            ),
            (
                "a_director_without_power_is_replaced_within_the_bound",
                failover::power_loss,
            ),
            (
                "a_killed_agent_keeps_vip_and_connections",
                restart::agent_killed,
            ),
            (
                "a_killed_pod_fails_over_and_resets_no_connection",
                restart::pod_killed,
            ),
            (
                "a_pod_that_stays_dead_fails_over_and_resets_no_connection",
                restart::pod_stays_dead,
            ),
            (
                "without_the_api_checks_failover_and_repair_go_on",
                without_api::everything_goes_on,
            ),
            (
                "changes_by_hand_are_repaired_within_a_second",
                drift::repaired,
            ),
            (
                "wrong_manifests_are_refused_with_a_remedy",
                bad_input::refused_with_a_remedy,
            ),
            ("an_agent_token_reaches_its_own_node_only", isolation::token),
            (
                "deleting_the_objects_leaves_nothing_of_ours",
                release::leaves_nothing,
            ),
        ],
    )
}
