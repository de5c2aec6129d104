//! Placeholder replaced by the first module.
fn main() {}
