//! OCI images without a daemon: static programs on an empty base, as an archive that containerd imports
//! (OCI image layout 1.0, in a tar).

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

/// An image to build. The same input makes the same octets.
#[derive(Debug, Clone)]
pub struct Image {
    /// Full name with tag, `localhost/lvs-operator:dev` for example.
    pub name: String,
    /// Files as (path on this machine, absolute path in the image); all get mode 0755, owner 0, date 0.
    pub files: Vec<(PathBuf, String)>,
    /// The program that a container runs, an absolute path in the image.
    pub entrypoint: String,
    /// `UID` or `UID:GID` that it runs as.
    pub user: String,
}

impl Image {
    /// Writes the image's archive.
    ///
    /// # Errors
    /// When a file cannot be read, a path in the image is not absolute, or the archive cannot be written.
    pub fn write(&self, archive: &Path) -> Result<()> {
        let layer = self.layer()?;
        let layer_digest = digest(&layer);
        let config = serde_json::to_vec(&json!({
            "architecture": "amd64",
            "os": "linux",
            "config": {"Entrypoint": [self.entrypoint], "User": self.user, "WorkingDir": "/"},
            "rootfs": {"type": "layers", "diff_ids": [layer_digest]},
        }))?;
        let manifest = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.manifest.v1+json",
            "config": descriptor("application/vnd.oci.image.config.v1+json", &config),
            "layers": [descriptor("application/vnd.oci.image.layer.v1.tar", &layer)],
        }))?;
        let mut entry = descriptor("application/vnd.oci.image.manifest.v1+json", &manifest);
        // containerd takes the image's name from here.
        if let Some(entry) = entry.as_object_mut() {
            entry.insert(
                "annotations".into(),
                json!({"io.containerd.image.name": self.name}),
            );
        }
        let index = serde_json::to_vec(&json!({
            "schemaVersion": 2,
            "mediaType": "application/vnd.oci.image.index.v1+json",
            "manifests": [entry],
        }))?;

        let file =
            File::create(archive).with_context(|| format!("cannot make {}", archive.display()))?;
        let mut tar = tar::Builder::new(file);
        append(
            &mut tar,
            "oci-layout",
            0o644,
            br#"{"imageLayoutVersion":"1.0.0"}"#,
        )?;
        append(&mut tar, "index.json", 0o644, &index)?;
        for blob in [&config, &manifest, &layer] {
            append(
                &mut tar,
                &format!("blobs/{}", digest(blob).replace(':', "/")),
                0o644,
                blob,
            )?;
        }
        tar.finish()?;
        Ok(())
    }

    /// The only layer: a tar of the files.
    fn layer(&self) -> Result<Vec<u8>> {
        let mut tar = tar::Builder::new(Vec::new());
        for (source, target) in &self.files {
            let Some(path) = target.strip_prefix('/') else {
                bail!("{target}: a path in the image begins with /");
            };
            let mut content = Vec::new();
            let read = File::open(source).and_then(|mut file| file.read_to_end(&mut content));
            read.with_context(|| format!("cannot read {}", source.display()))?;
            append(&mut tar, path, 0o755, &content)?;
        }
        Ok(tar.into_inner()?)
    }
}

/// The image of the process that holds a pod's namespaces.
pub(crate) fn pause(program: &Path, archive: &Path) -> Result<()> {
    let image = Image {
        name: "localhost/pause:lab".into(),
        files: vec![(program.into(), "/pause".into())],
        entrypoint: "/pause".into(),
        user: "65535:65535".into(),
    };
    image.write(archive)
}

/// The name that an archive gives its image.
///
/// # Errors
/// When it is no archive that [`Image::write`] made.
pub fn name(archive: &Path) -> Result<String> {
    let content =
        File::open(archive).with_context(|| format!("cannot open {}", archive.display()))?;
    let mut tar = tar::Archive::new(content);
    for entry in tar.entries()? {
        let mut entry = entry?;
        if entry.path()? == Path::new("index.json") {
            let mut text = String::new();
            entry.read_to_string(&mut text)?;
            let index: Value = serde_json::from_str(&text)?;
            let name = index
                .pointer("/manifests/0/annotations/io.containerd.image.name")
                .and_then(Value::as_str);
            return name.map(str::to_owned).context("index.json names no image");
        }
    }
    bail!("{}: no index.json", archive.display())
}

fn descriptor(media_type: &str, content: &[u8]) -> Value {
    json!({"mediaType": media_type, "digest": digest(content), "size": content.len()})
}

fn digest(content: &[u8]) -> String {
    format!("sha256:{:x}", Sha256::digest(content))
}

fn append<W: std::io::Write>(
    tar: &mut tar::Builder<W>,
    path: &str,
    mode: u32,
    content: &[u8],
) -> Result<()> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(content.len())?);
    header.set_mode(mode);
    header.set_mtime(0);
    header.set_uid(0);
    header.set_gid(0);
    header.set_entry_type(tar::EntryType::Regular);
    tar.append_data(&mut header, path, content)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn image(directory: &Path) -> Image {
        let program = directory.join("program");
        fs::write(&program, b"\x7fELF").unwrap();
        Image {
            name: "localhost/agent:dev".into(),
            files: vec![(program, "/agent".into())],
            entrypoint: "/agent".into(),
            user: "0".into(),
        }
    }

    fn scratch(name: &str) -> PathBuf {
        let directory =
            std::env::temp_dir().join(format!("lvs-lab-image-{name}-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        directory
    }

    #[test]
    fn every_digest_in_the_archive_is_that_of_its_blob() {
        let directory = scratch("digests");
        let archive = directory.join("out.tar");
        image(&directory).write(&archive).unwrap();
        assert_eq!(name(&archive).unwrap(), "localhost/agent:dev");

        let mut blobs = 0;
        let mut tar = tar::Archive::new(File::open(&archive).unwrap());
        for entry in tar.entries().unwrap() {
            let mut entry = entry.unwrap();
            let path = entry.path().unwrap().display().to_string();
            if let Some(expected) = path.strip_prefix("blobs/sha256/") {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                assert_eq!(digest(&content), format!("sha256:{expected}"));
                blobs += 1;
            }
        }
        assert_eq!(blobs, 3);
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn the_same_input_makes_the_same_octets() {
        let directory = scratch("same");
        let (one, two) = (directory.join("1.tar"), directory.join("2.tar"));
        image(&directory).write(&one).unwrap();
        image(&directory).write(&two).unwrap();
        assert_eq!(fs::read(one).unwrap(), fs::read(two).unwrap());
        fs::remove_dir_all(directory).unwrap();
    }

    #[test]
    fn a_relative_path_in_the_image_is_refused() {
        let directory = scratch("relative");
        let mut image = image(&directory);
        image.files[0].1 = "agent".into();
        let error = image.write(&directory.join("out.tar")).unwrap_err();
        assert!(error.to_string().contains("begins with /"), "{error}");
        fs::remove_dir_all(directory).unwrap();
    }
}
