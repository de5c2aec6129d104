//! The kinds of lvs-operator: types, schema and validation rules.
//!
//! People write [`v1alpha1::DirectorPair`], [`v1alpha1::VirtualService`] and
//! [`v1alpha1::RealServer`]; the operator compiles them into
//! [`v1alpha1::NodePlan`] and [`v1alpha1::PlanSlice`], which the node agents carry out.
//! This crate has no client and no runtime: it is the contract and nothing else.

pub mod chart;
pub mod definition;
pub mod v1alpha1;

/// API group of every kind in this crate.
pub const GROUP: &str = "lvs-operator.dev";
