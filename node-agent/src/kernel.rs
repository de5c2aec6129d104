//! Thin shells around what the kernel offers. They decide nothing.

pub mod connections;
pub mod fou;
pub mod ipvs;
pub mod lookout;
pub mod marks;
pub mod modules;
pub mod network;
pub mod nlmon;
mod pace;
pub mod proc_ip_vs;
pub mod sysctls;
