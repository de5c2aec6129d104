//! Condition types and reasons, and the rule that a status changes only when its meaning does.

/// `status.observedGeneration` before the first reconcile, so that `kubectl wait`, Argo CD and Flux
/// never take an object for done that nobody has looked at.
#[must_use]
pub fn unobserved() -> i64 {
    -1
}
