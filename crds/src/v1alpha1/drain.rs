//! Taking real servers out of service without breaking connections.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What happens to connections that are still open when the time is over.
#[derive(
    Clone,
    Copy,
    Debug,
    Default,
    PartialEq,
    Eq,
    Hash,
    PartialOrd,
    Ord,
    Serialize,
    Deserialize,
    JsonSchema,
)]
pub enum DrainTimeoutAction {
    /// The member is removed, and its connections with it.
    #[default]
    Remove,
    /// The member stays at weight 0 until its last connection has ended.
    Keep,
}

/// How a member leaves: weight 0, so that no new connections come; removal as soon as its
/// connections and persistence templates are gone, or when the time is over.
#[derive(
    Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, KubeSchema,
)]
#[serde(rename_all = "camelCase")]
pub struct Drain {
    /// Seconds that connections have to end, 0 to 2678400 (31 days).
    #[serde(default = "default_timeout_seconds")]
    #[schemars(range(min = 0, max = 2_678_400))]
    pub timeout_seconds: i32,
    /// What happens to connections that are still open then.
    #[serde(default)]
    pub on_timeout: DrainTimeoutAction,
}

impl Default for Drain {
    fn default() -> Self {
        Self {
            timeout_seconds: default_timeout_seconds(),
            on_timeout: DrainTimeoutAction::default(),
        }
    }
}

fn default_timeout_seconds() -> i32 {
    300
}
