//! The signed archive a node installs: `docs/internals/node-boot.md`, section 2.

use super::pki::authority::sign_bytes;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::{ErrorKind, ProviderError};
use std::collections::BTreeMap;
use std::io::Read as _;

/// A bundle larger than this is refused by the node.
pub const MAX_BUNDLE: usize = 1 << 20;

/// Whom a bundle is for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// The owner id.
    pub cluster: String,
    /// The node's name.
    pub node: String,
    /// The droplet's id.
    pub droplet_id: String,
    /// `server` or `agent`.
    pub role: String,
}

/// One file.
#[derive(Clone, PartialEq, Eq)]
pub struct File {
    /// Its mode, such as 0o600.
    pub mode: u32,
    /// Its bytes.
    pub content: String,
}

/// Files by absolute path without the leading slash.
pub type Files = BTreeMap<String, File>;

fn failed(error: &std::io::Error) -> ProviderError {
    ProviderError::new(
        ErrorKind::Bug,
        format!("a bundle could not be packed: {error}"),
    )
}

fn append(
    archive: &mut tar::Builder<Vec<u8>>,
    path: &str,
    mode: u32,
    content: &[u8],
) -> Result<(), ProviderError> {
    let mut header = tar::Header::new_ustar();
    header.set_size(u64::try_from(content.len()).unwrap_or(u64::MAX));
    header.set_mode(mode);
    header.set_uid(0);
    header.set_gid(0);
    header.set_mtime(0);
    header.set_entry_type(tar::EntryType::Regular);
    archive
        .append_data(&mut header, path, content)
        .map_err(|error| failed(&error))
}

/// Packs and signs. Same header, files and key: same bytes.
///
/// `key` is the cluster's Ed25519 key, PKCS #8 in PEM. Fails when the bundle would be larger than
/// [`MAX_BUNDLE`].
pub fn pack(header: &Header, files: &Files, key: &str) -> Result<Vec<u8>, ProviderError> {
    let mut archive = tar::Builder::new(Vec::new());
    let lines = format!(
        "format=1\ncluster={}\nnode={}\ndroplet_id={}\nrole={}\n",
        header.cluster, header.node, header.droplet_id, header.role
    );
    append(&mut archive, "header", 0o644, lines.as_bytes())?;
    for (path, file) in files {
        append(
            &mut archive,
            &format!("files/{path}"),
            file.mode,
            file.content.as_bytes(),
        )?;
    }
    let payload = archive.into_inner().map_err(|error| failed(&error))?;
    let mut bundle = STANDARD.encode(sign_bytes(key, &payload)?).into_bytes();
    bundle.push(b'\n');
    bundle.extend_from_slice(&payload);
    if bundle.len() > MAX_BUNDLE {
        return Err(ProviderError::new(
            ErrorKind::Invalid,
            format!(
                "the bundle of {} has {} bytes; a node takes {MAX_BUNDLE}",
                header.node,
                bundle.len()
            ),
        ));
    }
    Ok(bundle)
}

/// The droplet that a bundle is for, by its header; `None` for what is no bundle.
pub fn droplet_of(bundle: &[u8]) -> Option<String> {
    /// The header [`pack`] writes has about 120 bytes.
    const LONGEST: u64 = 4096;
    let end = bundle.iter().position(|byte| *byte == b'\n')?;
    let mut archive = tar::Archive::new(bundle.get(end + 1..)?);
    let first = archive.entries().ok()?.next()?.ok()?;
    let mut header = String::new();
    first.take(LONGEST).read_to_string(&mut header).ok()?;
    let id = header
        .lines()
        .find_map(|line| line.strip_prefix("droplet_id="))?;
    Some(id.to_owned())
}
