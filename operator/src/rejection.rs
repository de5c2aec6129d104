//! Why an object is not accepted.

/// The answer to an object that cannot be served: it becomes `Accepted=False` on the object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// Reason of the condition.
    pub reason: &'static str,
    /// What is wrong, with field and value, and what would be right.
    pub message: String,
}

impl Rejection {
    /// A rejection with this reason and message.
    #[must_use]
    pub fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}
