//! A snapshot of etcd that a cluster's first server begins from: `docs/internals/node-boot.md`,
//! section 2.2.

use super::bundle::{File, Files};
use super::node::NodeArgs;
use super::storage::{BootStorage, Place};
use kplan_model::{ErrorKind, Input, ProviderError, Secret};
use std::fmt::Write as _;
use std::time::Duration;

/// Where the file lies on the node, until K3s began.
const PATH: &str = "etc/kplan/etcd-restore.env";

/// How long the snapshot's address is valid from the moment at which the bundle is written: the node
/// looks for its bundle for an hour at most, and comes to this minutes after it has it.
const ADDRESS_VALID: Duration = Duration::from_hours(1);

/// Hexadecimal digits of a SHA-256.
const DIGEST: usize = 64;

kplan_model::object! {
    /// A snapshot of etcd as a bucket has it.
    pub struct EtcdRestore {
        /// The bucket.
        pub bucket: Input<String>,
        /// The storage's address.
        pub endpoint: Input<String>,
        /// The storage's region.
        pub region: String,
        /// The id of a key that reads the bucket.
        pub access_key: Input<String>,
        /// The key itself. It signs an address, and no node has it.
        pub secret_key: Input<Secret>,
        /// The object.
        pub key: String,
        /// Its size in bytes.
        pub size: i64,
        /// The SHA-256 of its bytes, in hexadecimal digits.
        pub sha256: String,
    }
}

impl EtcdRestore {
    fn place(&self) -> Result<Place, ProviderError> {
        Ok(Place {
            endpoint: self.endpoint.known()?.clone(),
            region: self.region.clone(),
            bucket: self.bucket.known()?.clone(),
            access_key: self.access_key.known()?.clone(),
            secret_key: self.secret_key.known()?.clone(),
        })
    }

    /// The file's content: `KEY=value` lines, the values as they are.
    fn text(&self, url: &str) -> Result<String, ProviderError> {
        let refused = |what: &str| {
            ProviderError::new(
                ErrorKind::Invalid,
                format!("{} cannot be restored: {what}", self.key),
            )
        };
        let name = self.key.rsplit('/').next().unwrap_or_default();
        let plain = |c: char| c.is_ascii_alphanumeric() || "._-".contains(c);
        if name.is_empty() || name.starts_with('.') || !name.chars().all(plain) {
            return Err(refused("its name is no plain file name"));
        }
        let digits = self.sha256.chars().all(|c| c.is_ascii_hexdigit());
        if self.size <= 0 || self.sha256.len() != DIGEST || !digits {
            return Err(refused("its size or its digest is not known"));
        }
        if url.is_empty() || !url.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused("its address does not fit on a line"));
        }
        let mut text = String::new();
        for (key, value) in [
            ("NAME", name),
            ("URL", url),
            ("SIZE", &self.size.to_string()),
            ("SHA256", &self.sha256),
        ] {
            let _ = writeln!(text, "{key}={value}");
        }
        Ok(text)
    }
}

/// Adds the file to the bundle of a server that begins from a snapshot. One that was declared so and
/// joins all the same, because the cluster answered, gets none.
pub(super) async fn add(
    files: &mut Files,
    args: &NodeArgs,
    storage: &dyn BootStorage,
) -> Result<(), ProviderError> {
    let Some(restore) = args.restore.as_ref().filter(|_| args.init) else {
        return Ok(());
    };
    let place = restore.place()?;
    let url = storage.presign_get(&place, &restore.key, ADDRESS_VALID);
    let content = restore.text(&url.await?)?;
    let mode = 0o600;
    files.insert(PATH.to_owned(), File { mode, content });
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn restore() -> EtcdRestore {
        EtcdRestore {
            bucket: "acme-backup".to_owned().into(),
            endpoint: "https://fra1.digitaloceanspaces.com".to_owned().into(),
            region: "fra1".to_owned(),
            access_key: "DO00ABC".to_owned().into(),
            secret_key: Secret::new("the-bucket's-key").into(),
            key: "plugins/k3s/demo/etcd-snapshot-demo-servers-0-1790000000".to_owned(),
            size: 4711,
            sha256: "ab".repeat(32),
        }
    }

    #[test]
    fn a_node_is_told_an_address_a_size_and_a_digest_and_no_key() {
        let text = restore()
            .text("https://b.example/x?X-Amz-Signature=1")
            .unwrap();
        assert_eq!(
            text,
            format!(
                "NAME=etcd-snapshot-demo-servers-0-1790000000\n\
                 URL=https://b.example/x?X-Amz-Signature=1\nSIZE=4711\nSHA256={}\n",
                "ab".repeat(32)
            )
        );
    }

    #[test]
    fn what_the_node_could_not_read_or_check_is_refused() {
        let refused = |change: &dyn Fn(&mut EtcdRestore), url: &str| {
            let mut restore = restore();
            change(&mut restore);
            restore.text(url).unwrap_err().message
        };
        let url = "https://b.example/x";
        for key in ["plugins/k3s/demo/", "x/..", "x/a b", "x/a\nURL=y"] {
            let message = refused(&|restore| key.clone_into(&mut restore.key), url);
            assert!(message.contains("no plain file name"), "{message}");
        }
        assert!(refused(&|restore| restore.size = 0, url).contains("size"));
        assert!(refused(&|restore| restore.sha256.truncate(10), url).contains("digest"));
        assert!(refused(&|_| (), "https://b.example/x y").contains("address"));
    }
}
