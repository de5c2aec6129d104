//! How real servers are checked.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::format;

/// How the results of several checks combine.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CheckMode {
    /// A server is up while every check passes.
    #[default]
    All,
    /// A server is up while at least one check passes.
    Any,
    /// No checks run; every server counts as up.
    Disabled,
}

/// State of a server that has never been seen before, until its first result.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum InitialState {
    /// No traffic until `successThreshold` checks have passed.
    #[default]
    Down,
    /// Traffic at once.
    Up,
}

/// What happens to a server whose checks fail.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum FailureAction {
    /// Weight 0: no new connections, existing ones stay.
    #[default]
    Quiesce,
    /// Taken out of the table.
    Remove,
}

/// Kind of check.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
pub enum CheckType {
    /// TCP connect, then optionally `send` and `expect`.
    TCP,
    /// ICMP or `ICMPv6` echo.
    Ping,
}

/// One check of a real server.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
#[x_kube(
    validation = Rule::new("self.type == 'TCP' || !has(self.port)")
        .message("port is for checks of type TCP: remove it, or set type to TCP")
        .field_path(".port"),
    validation = Rule::new("self.type == 'TCP' || !has(self.send)")
        .message("send is for checks of type TCP: remove it, or set type to TCP")
        .field_path(".send"),
    validation = Rule::new("self.type == 'TCP' || !has(self.expect)")
        .message("expect is for checks of type TCP: remove it, or set type to TCP")
        .field_path(".expect")
)]
pub struct Check {
    /// Name, unique in the list; it appears in the reason of an unhealthy server.
    #[schemars(with = "format::EntryName")]
    pub name: String,
    /// Kind of check.
    #[serde(rename = "type")]
    pub type_: CheckType,
    /// Port to connect to, 1 to 65535; absent = the server's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub port: Option<i32>,
    /// TCP: text sent after the connection is open. Escapes `\r`, `\n`, `\t`, `\\` and `\xHH`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::EscapedText>")]
    pub send: Option<String>,
    /// TCP: text that the first 4096 bytes of the answer must contain. Same escapes as `send`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<format::EscapedText>")]
    pub expect: Option<String>,
}

/// Health checks of a virtual service. Absent = no checks, members are always in.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, KubeSchema)]
#[serde(rename_all = "camelCase")]
pub struct HealthCheck {
    /// How several checks combine.
    #[serde(default)]
    pub mode: CheckMode,
    /// Milliseconds from one check's start to the next while its result does not change, 100 to 3600000.
    #[serde(default = "default_interval")]
    #[schemars(range(min = 100, max = 3_600_000))]
    pub interval_milliseconds: i32,
    /// Milliseconds after which a check without a result has failed, 10 to 300000.
    #[serde(default = "default_timeout")]
    #[schemars(range(min = 10, max = 300_000))]
    pub timeout_milliseconds: i32,
    /// Successes in a row that bring a server up, 1 to 100.
    #[serde(default = "default_success_threshold")]
    #[schemars(range(min = 1, max = 100))]
    pub success_threshold: i32,
    /// Failures in a row that take a server down, 1 to 100.
    #[serde(default = "default_failure_threshold")]
    #[schemars(range(min = 1, max = 100))]
    pub failure_threshold: i32,
    /// Milliseconds from a failed check's end to the next, until the threshold, 10 to 3600000.
    #[serde(default = "default_retry_interval")]
    #[schemars(range(min = 10, max = 3_600_000))]
    pub retry_interval_milliseconds: i32,
    /// State of a member never seen before; adopted members keep their state.
    #[serde(default)]
    pub initial_state: InitialState,
    /// What happens to a server whose checks fail.
    #[serde(default)]
    pub on_failure: FailureAction,
    /// The checks, 1 to 8, key `name`; absent = one TCP connect.
    #[serde(default = "default_checks")]
    #[schemars(length(min = 1, max = 8))]
    #[x_kube(merge_strategy = ListMerge::Map(vec!["name".into()]))]
    pub checks: Vec<Check>,
}

fn default_interval() -> i32 {
    2000
}

fn default_timeout() -> i32 {
    1000
}

fn default_success_threshold() -> i32 {
    1
}

fn default_failure_threshold() -> i32 {
    3
}

fn default_retry_interval() -> i32 {
    250
}

fn default_checks() -> Vec<Check> {
    vec![Check {
        name: "tcp".into(),
        type_: CheckType::TCP,
        port: None,
        send: None,
        expect: None,
    }]
}
