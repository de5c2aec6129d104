//! The directories under `examples/`, as the tests use them.

use lvs_lab::serve::Protocol;

/// A directory under `examples/` and the servers that its real servers run.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    /// Name of the directory.
    pub directory: &'static str,
    /// Manifests that make the example, in order.
    pub manifests: &'static [&'static str],
    /// Manifests that a test wants beside them, as paths in the repository.
    pub besides: &'static [&'static str],
    /// Values of the chart that it needs.
    pub values: &'static [&'static str],
    /// Nodes that are real servers.
    pub real_servers: &'static [&'static str],
    /// Protocol and port of the servers on each of them.
    pub servers: &'static [(Protocol, u16)],
}

/// `examples/01-direct-routing`.
pub const DIRECT_ROUTING: Example = Example {
    directory: "01-direct-routing",
    manifests: &["manifests.yaml"],
    besides: &[],
    values: &[],
    real_servers: &["web-1", "web-2"],
    servers: &[(Protocol::Http, 80), (Protocol::Echo, 7)],
};

/// `examples/02-nat`.
pub const NAT: Example = Example {
    directory: "02-nat",
    manifests: &["manifests.yaml"],
    besides: &["e2e/tests/nat/echo.yaml"],
    values: &[],
    real_servers: &["web-1", "web-2"],
    servers: &[(Protocol::Http, 8080), (Protocol::Echo, 7)],
};

/// `examples/03-tunnel`.
pub const TUNNEL: Example = Example {
    directory: "03-tunnel",
    manifests: &["manifests.yaml"],
    besides: &[],
    values: &[],
    real_servers: &["web-1", "web-2"],
    servers: &[(Protocol::Http, 80)],
};

/// `examples/04-fwmark`.
pub const FWMARK: &str = "04-fwmark";

/// `examples/05-persistence`, and services without persistence.
pub const PERSISTENCE: Example = Example {
    directory: "05-persistence",
    manifests: &["manifests.yaml"],
    besides: &["e2e/tests/data_plane/services.yaml"],
    values: &[],
    real_servers: &["web-1", "web-2"],
    servers: &[
        (Protocol::Http, 80),
        (Protocol::Http, 443),
        (Protocol::Echo, 7),
    ],
};

/// `examples/06-three-services`.
pub const THREE_SERVICES: Example = Example {
    directory: "06-three-services",
    manifests: &["manifests.yaml"],
    besides: &[],
    values: &[],
    real_servers: &["rs-1", "rs-2", "rs-3"],
    servers: &[
        (Protocol::Http, 8080),
        (Protocol::Smtp, 25),
        (Protocol::Ftp, 21),
    ],
};

/// `examples/07-active-active`.
pub const ACTIVE_ACTIVE: Example = Example {
    directory: "07-active-active",
    manifests: &["manifests.yaml"],
    besides: &[],
    values: &[],
    real_servers: &["web-1", "web-2", "web-3"],
    servers: &[(Protocol::Http, 80)],
};

/// `examples/09-stickiness`.
pub const STICKINESS: Example = Example {
    directory: "09-stickiness",
    manifests: &["manifests.yaml"],
    besides: &[],
    // A node's /etc is this machine's, which is read-only there.
    values: &[
        "agent.hooks.enabled=true",
        "agent.hooks.directory=/run/hooks",
        "agent.processes.enabled=true",
    ],
    real_servers: &["web-1", "web-2"],
    servers: &[(Protocol::Http, 80)],
};
