//! The agents: two `DaemonSet`s whose pods follow the nodes' labels.
//!
//! Selecting by label keeps the pod template constant: a node that gets a role gets a pod, and no
//! other pod restarts. `template` → `rollout` → `apply`.

pub mod apply;
pub mod rollout;
pub mod template;
