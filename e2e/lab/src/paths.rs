//! Where the lab's files are.

use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};

/// The directory of everything that labs make: `target/lab` of this checkout, or `LVS_LAB_DIR`.
pub(crate) fn root() -> PathBuf {
    if let Some(directory) = std::env::var_os("LVS_LAB_DIR") {
        return directory.into();
    }
    let crate_directory = Path::new(env!("CARGO_MANIFEST_DIR"));
    let checkout = crate_directory
        .ancestors()
        .nth(2)
        .unwrap_or(crate_directory);
    checkout.join("target/lab")
}

/// A program that `build-tools.sh` built.
pub(crate) fn tool(name: &str) -> Result<PathBuf> {
    let path = root().join("bin").join(name);
    if !path.exists() {
        bail!(
            "{} is missing: run e2e/lab/build-tools.sh first",
            path.display()
        );
    }
    Ok(path)
}

/// Refuses to go on where the lab cannot work, and says what to do.
pub(crate) fn check_machine() -> Result<()> {
    if !rustix::process::geteuid().is_root() {
        bail!("the lab makes network namespaces and taps: run it as root");
    }
    if !Path::new("/usr/lib/uml/modules").exists() || !Path::new("/lib/modules").exists() {
        bail!(
            "the package user-mode-linux or the directory /lib/modules is missing: run e2e/lab/setup.sh"
        );
    }
    Ok(())
}

/// Makes a directory with its parents; the error names it.
pub(crate) fn make_directory(path: &Path) -> Result<()> {
    std::fs::create_dir_all(path)
        .with_context(|| format!("cannot make the directory {}", path.display()))
}

/// Writes a file; the error names it.
pub(crate) fn write(path: &Path, content: impl AsRef<[u8]>) -> Result<()> {
    std::fs::write(path, content).with_context(|| format!("cannot write {}", path.display()))
}

/// The program `lab` itself, which also runs in the background and on the nodes. A test finds it beside its own
/// binary (`target/debug/deps/..`), where `cargo build -p lvs-lab` puts it.
pub(crate) fn own_binary() -> Result<PathBuf> {
    let this = std::env::current_exe().context("cannot tell which program this is")?;
    let directories = this
        .ancestors()
        .skip(1)
        .take(2)
        .map(|directory| directory.join("lab"));
    let candidates = std::env::var_os("LVS_LAB_PROGRAM")
        .map(PathBuf::from)
        .into_iter()
        .chain(directories);
    candidates
        .into_iter()
        .find(|path| path.is_file())
        .with_context(|| {
            format!(
                "no program `lab` beside {}: run cargo build -p lvs-lab first",
                this.display()
            )
        })
}
