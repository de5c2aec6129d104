//! Per-interface and global network sysctls, as files below `/proc/sys/net`.

use std::fmt;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// A network sysctl, named by the components of its path below `/proc/sys/net`: an interface's name
/// may contain dots, so a dotted name would be ambiguous.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Sysctl(Vec<String>);

impl Sysctl {
    /// `net.ipv4.conf.INTERFACE.NAME`.
    #[must_use]
    pub fn of_interface_ipv4(interface: &str, name: &str) -> Self {
        Self(["ipv4", "conf", interface, name].map(Into::into).into())
    }

    /// `net.ipv6.conf.INTERFACE.NAME`.
    #[must_use]
    pub fn of_interface_ipv6(interface: &str, name: &str) -> Self {
        Self(["ipv6", "conf", interface, name].map(Into::into).into())
    }

    /// `net.ipv4.vs.NAME`, there once the module `ip_vs` is loaded.
    #[must_use]
    pub fn of_ipvs(name: &str) -> Self {
        Self(["ipv4", "vs", name].map(Into::into).into())
    }

    /// The switch that lets the host forward packets of the address's family.
    #[must_use]
    pub fn forwarding(family: IpAddr) -> Self {
        match family {
            IpAddr::V4(_) => Self(["ipv4", "ip_forward"].map(Into::into).into()),
            IpAddr::V6(_) => Self(["ipv6", "conf", "all", "forwarding"].map(Into::into).into()),
        }
    }
}

/// As sysctl(8) writes it: dots between the components, and a slash for a dot within one.
impl fmt::Display for Sysctl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("net")?;
        self.0
            .iter()
            .try_for_each(|component| write!(f, ".{}", component.replace('.', "/")))
    }
}

/// The files.
#[derive(Clone, Debug)]
pub struct Sysctls {
    base: PathBuf,
}

impl Sysctls {
    /// The sysctls below `base`: `/proc/sys/net`, or where a pod sees the host's.
    #[must_use]
    pub fn new(base: &Path) -> Self {
        Self {
            base: base.to_owned(),
        }
    }

    /// The present value, without the final newline.
    ///
    /// # Errors
    /// Those of reading the file; `NotFound` when there is no such sysctl, for example because its
    /// interface is gone.
    pub fn read(&self, sysctl: &Sysctl) -> io::Result<String> {
        fs::read_to_string(self.path(sysctl)?).map(|value| value.trim_end().to_owned())
    }

    /// Opens the file, to read it again and again from its beginning.
    ///
    /// # Errors
    /// Those of opening the file, as of [`Sysctls::read`].
    pub fn open(&self, sysctl: &Sysctl) -> io::Result<fs::File> {
        fs::File::open(self.path(sysctl)?)
    }

    /// Writes a value.
    ///
    /// # Errors
    /// Those of writing the file.
    pub fn write(&self, sysctl: &Sysctl, value: &str) -> io::Result<()> {
        fs::write(self.path(sysctl)?, value)
    }

    fn path(&self, sysctl: &Sysctl) -> io::Result<PathBuf> {
        let escapes = |component: &String| {
            component.is_empty() || component.contains('/') || component == "." || component == ".."
        };
        if sysctl.0.iter().any(escapes) {
            return Err(io::Error::new(
                io::ErrorKind::InvalidInput,
                format!("{sysctl} is not the name of a sysctl"),
            ));
        }
        let mut path = self.base.clone();
        path.extend(&sysctl.0);
        Ok(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_interface_name_with_dots_stays_one_component() {
        let sysctl = Sysctl::of_interface_ipv4("eth0.100", "arp_ignore");
        assert_eq!(sysctl.to_string(), "net.ipv4.conf.eth0/100.arp_ignore");
        let path = Sysctls::new(Path::new("/proc/sys/net"))
            .path(&sysctl)
            .expect("a path");
        assert_eq!(
            path,
            Path::new("/proc/sys/net/ipv4/conf/eth0.100/arp_ignore")
        );
    }

    #[test]
    fn no_name_leads_out_of_the_directory() {
        let sysctls = Sysctls::new(Path::new("/proc/sys/net"));
        for interface in ["..", ".", "", "a/b"] {
            let error = sysctls
                .read(&Sysctl::of_interface_ipv4(interface, "x"))
                .expect_err("refused");
            assert_eq!(error.kind(), io::ErrorKind::InvalidInput, "{interface:?}");
        }
    }

    #[test]
    fn what_was_written_is_read_without_its_newline() {
        let base = std::env::temp_dir().join(format!("lvs-sysctls-{}", std::process::id()));
        let sysctl = Sysctl::of_interface_ipv4("eth0", "arp_ignore");
        let sysctls = Sysctls::new(&base);
        assert_eq!(
            sysctls.read(&sysctl).expect_err("missing").kind(),
            io::ErrorKind::NotFound
        );
        fs::create_dir_all(base.join("ipv4/conf/eth0")).expect("a directory");
        fs::write(base.join("ipv4/conf/eth0/arp_ignore"), "0\n").expect("a file");
        assert_eq!(sysctls.read(&sysctl).expect("a value"), "0");
        sysctls.write(&sysctl, "1").expect("written");
        assert_eq!(sysctls.read(&sysctl).expect("a value"), "1");
        fs::remove_dir_all(base).expect("removed");
    }
}
