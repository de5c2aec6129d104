//! The process that holds a pod's namespaces open: it waits until it is killed.
//!
//! One file without dependencies, so that `rustc` alone builds it as a static binary.

fn main() {
    loop {
        std::thread::park();
    }
}
