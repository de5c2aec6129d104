//! The files that a node reads at boot, from the templates in `guest/`.

use std::fmt::Write as _;
use std::fs;
use std::net::Ipv4Addr;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};

use anyhow::Result;

use crate::paths::write;

const INIT: &str = include_str!("../guest/init.sh");
const IMPORT: &str = include_str!("../guest/import.sh");
const CONTAINERD: &str = include_str!("../guest/containerd.toml");
const KUBELET: &str = include_str!("../guest/kubelet.yaml");
const CNI: &str = include_str!("../guest/cni.conflist");

/// What differs from node to node.
#[derive(Debug)]
pub(crate) struct Parameters {
    pub(crate) name: String,
    /// The `InternalIP`.
    pub(crate) address: Ipv4Addr,
    /// Data cards, `eth0` first.
    pub(crate) cards: Vec<CardParameters>,
    /// The control plane.
    pub(crate) control: Ipv4Addr,
    /// Where the default route leads.
    pub(crate) gateway: Ipv4Addr,
    pub(crate) management_address: Ipv4Addr,
    pub(crate) channel_port: u16,
    pub(crate) pod_subnet: String,
    /// Directory of the built programs.
    pub(crate) tools: PathBuf,
    /// The program `lab`.
    pub(crate) lab: PathBuf,
    /// Directory of image archives to import at boot.
    pub(crate) images: PathBuf,
}

/// What one data card gets.
#[derive(Debug)]
pub(crate) struct CardParameters {
    pub(crate) interface: String,
    pub(crate) mtu: u16,
    /// `ADDRESS/LENGTH`.
    pub(crate) addresses: [String; 2],
}

/// Writes all files of a node into its directory.
pub(crate) fn write_all(parameters: &Parameters, directory: &Path) -> Result<()> {
    let fill = |template: &str| {
        template
            .replace("@BIN@", &parameters.tools.display().to_string())
            .replace("@NODE_DIRECTORY@", &directory.display().to_string())
            .replace("@POD_SUBNET@", &parameters.pod_subnet)
    };
    write(&directory.join("containerd.toml"), fill(CONTAINERD))?;
    write(&directory.join("kubelet.yaml"), fill(KUBELET))?;
    write(&directory.join("cni/10-pods.conflist"), fill(CNI))?;
    write(&directory.join("parameters"), shell_variables(parameters)?)?;
    for (name, script) in [("init", INIT), ("import", IMPORT)] {
        let path = directory.join(name);
        write(
            &path,
            script.replace("@BIN@", &parameters.tools.display().to_string()),
        )?;
        fs::set_permissions(path, fs::Permissions::from_mode(0o755))?;
    }
    Ok(())
}

/// Assignments that a shell reads.
fn shell_variables(parameters: &Parameters) -> Result<String> {
    let Parameters {
        name,
        address,
        cards,
        control,
        gateway,
        management_address,
        channel_port,
        pod_subnet: _,
        tools,
        lab,
        images,
    } = parameters;
    let cards: Vec<_> = cards
        .iter()
        .map(|card| {
            let CardParameters {
                interface,
                mtu,
                addresses: [address, address6],
            } = card;
            format!("{interface} {mtu} {address} {address6}")
        })
        .collect();
    let variables = [
        ("NODE", name.clone()),
        ("ADDRESS", address.to_string()),
        ("CARDS", cards.join("\n")),
        ("CONTROL", control.to_string()),
        ("GATEWAY", gateway.to_string()),
        ("MANAGEMENT", management_address.to_string()),
        ("CHANNEL_PORT", channel_port.to_string()),
        ("BIN", tools.display().to_string()),
        ("LAB", lab.display().to_string()),
        ("IMAGES", images.display().to_string()),
    ];
    let mut text = String::new();
    for (name, value) in variables {
        writeln!(text, "{name}='{}'", value.replace('\'', r"'\''"))?;
    }
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_placeholder_is_left_and_paths_with_quotes_survive_the_shell() {
        let parameters = Parameters {
            name: "lb-1".into(),
            address: Ipv4Addr::new(192, 168, 1, 129),
            cards: vec![CardParameters {
                interface: "eth0".into(),
                mtu: 1500,
                addresses: ["192.168.1.129/24".into(), "fd00::1/64".into()],
            }],
            control: Ipv4Addr::new(192, 168, 1, 1),
            gateway: Ipv4Addr::new(192, 168, 1, 1),
            management_address: Ipv4Addr::new(10, 255, 0, 10),
            channel_port: 2222,
            pod_subnet: "10.244.1.0/24".into(),
            tools: "/it's/bin".into(),
            lab: "/lab".into(),
            images: "/images".into(),
        };
        let directory =
            std::env::temp_dir().join(format!("lvs-lab-node-files-{}", std::process::id()));
        fs::create_dir_all(directory.join("cni")).unwrap();
        write_all(&parameters, &directory).unwrap();
        for file in ["containerd.toml", "kubelet.yaml", "cni/10-pods.conflist"] {
            assert!(
                !fs::read_to_string(directory.join(file))
                    .unwrap()
                    .contains('@'),
                "{file}"
            );
        }
        let script = format!(". {}/parameters; printf %s \"$BIN\"", directory.display());
        let shell = std::process::Command::new("sh")
            .args(["-c", &script])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8_lossy(&shell.stdout), "/it's/bin");
        fs::remove_dir_all(directory).unwrap();
    }
}
