//! Whatever datagram comes from the kernel, its messages can be told apart, and nothing in them panics.
//!
//! `cargo +nightly fuzz run datagram`

#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|datagram: &[u8]| lvs_ipvs::fuzzing::datagram(datagram));
