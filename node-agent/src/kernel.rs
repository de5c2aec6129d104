//! Thin shells around what the kernel offers. They decide nothing.

pub mod sysctls;
