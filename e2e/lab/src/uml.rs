//! The command line of a user-mode Linux kernel.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

/// One kernel to start. Its root is the machine's own file system, read-only.
#[derive(Debug)]
pub(crate) struct Kernel {
    /// Name in the directory of kernels, unique there.
    pub(crate) name: String,
    /// Memory in MiB; taken from the machine only as it is used.
    pub(crate) memory_mib: u32,
    /// PID 1, a path on the machine.
    pub(crate) init: PathBuf,
    /// Directory for the kernel's own pid file and control socket.
    pub(crate) uml_directory: PathBuf,
    /// Further words: consoles, network cards, disks, and `key=value` for PID 1.
    pub(crate) words: Vec<OsString>,
}

impl Kernel {
    /// Program and arguments. The kernel is the first process of a PID namespace: one kernel is several
    /// processes, and killing that first one takes all of them away at once, as loss of power does.
    pub(crate) fn command_line(&self) -> Vec<OsString> {
        let mut line: Vec<OsString> = ["unshare", "--pid", "--fork", "--kill-child", "linux.uml"]
            .map(OsString::from)
            .into();
        line.push(format!("mem={}M", self.memory_mib).into());
        line.extend(["rootfstype=hostfs", "rootflags=/", "quiet"].map(OsString::from));
        line.push(word("init=", &self.init));
        line.push(format!("umid={}", self.name).into());
        line.push(word("uml_dir=", &self.uml_directory));
        line.extend(self.words.iter().cloned());
        line
    }
}

/// `key` followed by a path.
pub(crate) fn word(key: &str, path: &Path) -> OsString {
    let mut word = OsString::from(key);
    word.push(path);
    word
}
