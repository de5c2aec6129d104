//! What the kernel refuses, in words that lead on. Pure.

use lvs_crds::v1alpha1::condition::reason;
use lvs_ipvs::Refusal;

use crate::kernel::marks::Unsupported;

/// What a node's messages name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeKernel {
    /// The node.
    pub node: String,
    /// Release of its kernel, as `uname -r`.
    pub release: String,
}

/// Why a virtual service cannot be carried out, or not in full.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refused {
    /// One word in `CamelCase`.
    pub reason: &'static str,
    /// What is lacking and what to do.
    pub message: String,
    /// Modules that would help.
    pub modules: Vec<String>,
}

/// What a refusal calls for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The table is not as it was when it was read: read it again.
    Stale,
    /// The same command will be refused again until somebody changes the kernel or the plan.
    Refused(Refused),
    /// Neither: it may pass.
    Failed,
}

impl NodeKernel {
    /// What the error of a command calls for.
    #[must_use]
    pub fn verdict(&self, error: &lvs_ipvs::Error) -> Verdict {
        let Some(refusal) = error.refusal() else {
            return Verdict::Failed;
        };
        match refusal {
            Refusal::NoSuchService | Refusal::NoSuchDestination | Refusal::Exists => Verdict::Stale,
            Refusal::NotPermitted | Refusal::OutOfMemory => Verdict::Failed,
            Refusal::UnknownScheduler { scheduler } => Verdict::Refused(self.lacks(
                &format!("scheduler {scheduler}"),
                vec![format!("ip_vs_{scheduler}")],
            )),
            Refusal::UnknownSchedulerOrEngine { scheduler, engine } => {
                Verdict::Refused(self.lacks(
                    &format!("scheduler {scheduler} or no persistence engine {engine}"),
                    vec![format!("ip_vs_{scheduler}"), format!("ip_vs_pe_{engine}")],
                ))
            }
            Refusal::FamilyNotSupported => Verdict::Refused(Refused {
                reason: reason::UNSUPPORTED_BY_KERNEL,
                message: format!(
                    "{self}: its IPVS was built without IPv6 (CONFIG_IP_VS_IPV6): {error}"
                ),
                modules: Vec::new(),
            }),
            _ => Verdict::Refused(Refused {
                reason: reason::KERNEL_ERROR,
                message: format!("{self}: {error}"),
                modules: Vec::new(),
            }),
        }
    }

    /// The kernel has no IPVS.
    #[must_use]
    pub fn lacks_ipvs(&self) -> Refused {
        self.lacks("IPVS", vec!["ip_vs".to_owned()])
    }

    /// The kernel cannot set firewall marks.
    #[must_use]
    pub fn lacks_marks(&self, unsupported: &Unsupported) -> Refused {
        Refused {
            reason: reason::UNSUPPORTED_BY_KERNEL,
            message: format!("{self}: firewall marks: {}", unsupported.message),
            modules: vec![unsupported.module.to_owned()],
        }
    }

    fn lacks(&self, what: &str, modules: Vec<String>) -> Refused {
        let release = &self.release;
        let (noun, verb) = match modules.len() {
            1 => ("module", "is missing"),
            _ => ("one of the modules", "is missing"),
        };
        let message = format!(
            "{self} has no {what}: {noun} {} {verb}. Load it with `modprobe {}`, or install the package that \
             has it (Debian: linux-image-{release}, Ubuntu: linux-modules-extra-{release})",
            modules.join(", "),
            modules.join(" "),
        );
        Refused {
            reason: reason::UNSUPPORTED_BY_KERNEL,
            message,
            modules,
        }
    }
}

impl std::fmt::Display for NodeKernel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "node {} (Linux {})", self.node, self.release)
    }
}

#[cfg(test)]
mod tests {
    use lvs_ipvs::{Error, Name};

    use super::*;

    fn refused(reason: Refusal) -> Verdict {
        let kernel = NodeKernel {
            node: "lb-1".into(),
            release: "6.1.176".into(),
        };
        kernel.verdict(&Error::Refused {
            request: "ipvsadm -A -t 192.0.2.1:80 -s twos".into(),
            reason,
            detail: None,
        })
    }

    #[test]
    fn a_missing_module_is_named_with_the_way_to_get_it() {
        let scheduler = Name::new("twos").expect("a name");
        let Verdict::Refused(found) = refused(Refusal::UnknownScheduler { scheduler }) else {
            panic!("not refused");
        };
        assert_eq!(found.reason, "UnsupportedByKernel");
        assert_eq!(found.modules, ["ip_vs_twos"]);
        assert_eq!(
            found.message,
            "node lb-1 (Linux 6.1.176) has no scheduler twos: module ip_vs_twos is missing. Load it with \
             `modprobe ip_vs_twos`, or install the package that has it (Debian: linux-image-6.1.176, Ubuntu: \
             linux-modules-extra-6.1.176)"
        );
    }

    #[test]
    fn what_will_not_pass_is_told_from_what_may() {
        assert_eq!(refused(Refusal::Exists), Verdict::Stale);
        assert_eq!(refused(Refusal::NoSuchService), Verdict::Stale);
        assert_eq!(refused(Refusal::OutOfMemory), Verdict::Failed);
        let address = [10, 0, 0, 1].into();
        let Verdict::Refused(found) = refused(Refusal::NotUnicast { address }) else {
            panic!("not refused");
        };
        assert_eq!(found.reason, "KernelError");
        assert!(found.message.contains("10.0.0.1"), "{found:?}");
    }
}
