//! End-to-end tests of lvs-operator; see `tests/`.
