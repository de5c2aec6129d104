//! What `ipvsadm` can do, declared: persistence in three forms (`examples/04-fwmark`, `examples/05-persistence`), all
//! schedulers, datagrams, drain, changes under load, connections over a failover. One cluster for all.

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

use lvs_e2e::example::PERSISTENCE;
use lvs_e2e::scenario;
use lvs_lab::Topology;

#[path = "data_plane/associations.rs"]
mod associations;
#[path = "data_plane/changes.rs"]
mod changes;
#[path = "data_plane/clients.rs"]
mod clients;
#[path = "data_plane/datagrams.rs"]
mod datagrams;
#[path = "data_plane/drain.rs"]
mod drain;
#[path = "data_plane/ipvsadm.rs"]
mod ipvsadm;
#[path = "data_plane/persistence.rs"]
mod persistence;
#[path = "data_plane/schedulers.rs"]
mod schedulers;
#[path = "data_plane/synchronisation.rs"]
mod synchronisation;

/// VIP of the services without persistence.
const PLAIN_VIP: &str = "192.168.159.112";
/// Its web page as `ipvsadm` shows it.
const PLAIN: &str = "TCP 192.168.159.112:80";
/// Its echo service.
const ECHO: &str = "TCP 192.168.159.112:7";
/// Where the echo service is.
const ECHO_TARGET: &str = "192.168.159.112:7";
/// The director that is preferred.
const PREFERRED: &str = "lb-1";
/// The other one.
const OTHER: &str = "lb-2";
/// Nodes and addresses of the real servers.
const SERVERS: [(&str, &str); 2] = [("web-1", "192.168.159.120"), ("web-2", "192.168.159.121")];

fn main() -> ExitCode {
    scenario::main(
        "e2e-s4",
        Topology::s4(),
        PERSISTENCE,
        &[
            (
                "persistence_per_port_keeps_a_client_for_each_port",
                persistence::per_port,
            ),
            (
                "persistence_over_all_ports_keeps_a_client_for_all",
                persistence::per_client,
            ),
            (
                "a_firewall_mark_joins_two_ports_until_the_time_is_over",
                persistence::by_mark,
            ),
            (
                "every_scheduler_is_taken_by_the_live_service",
                schedulers::every_one,
            ),
            (
                "schedulers_distribute_as_documented",
                schedulers::distribution,
            ),
            (
                "a_scheduler_that_the_kernel_lacks_is_named",
                schedulers::unsupported,
            ),
            ("datagrams_reach_every_server", datagrams::reach),
            (
                "associations_of_sctp_reach_every_server",
                associations::reach,
            ),
            (
                "ipvsadm_shows_what_is_declared_and_measured",
                ipvsadm::shows,
            ),
            ("ipvsadm_works_beside_the_product", ipvsadm::works_beside),
            (
                "a_drained_server_keeps_its_connections_and_leaves_after_them",
                drain::until_the_last,
            ),
            (
                "a_drained_server_leaves_when_the_time_is_over",
                drain::until_the_deadline,
            ),
            (
                "five_hundred_connections_survive_every_kind_of_change",
                changes::each_kind,
            ),
            (
                "a_thousand_changes_in_a_row_fail_no_request",
                changes::a_thousand,
            ),
            (
                "connections_survive_the_death_and_the_return_of_a_director",
                synchronisation::death_and_return,
            ),
        ],
    )
}
