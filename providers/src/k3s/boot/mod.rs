//! What a droplet is told at its first boot: a cloud-config without any secret that makes it poll
//! for its signed bundle. `docs/internals/node-boot.md` is the contract.

use super::grant::DatastoreAdmin;
use aws_lc_rs::hmac;
use kplan_model::{ErrorKind, Input, ProviderError, Secret};
use std::fmt::Write as _;
use std::time::Duration;

#[cfg(test)]
pub(crate) mod tests;

/// How long the presigned addresses in `user_data` are valid.
pub const ADDRESS_VALID: Duration = Duration::from_hours(1);

/// `user_data` larger than this is refused: `DigitalOcean` takes 64 KiB, and 4 KiB stay free for
/// longer addresses.
pub const MAX_USER_DATA: usize = 60 * 1024;

/// Everything for one node lies under this prefix of the boot bucket; the bucket's lifecycle
/// removes what is a day old there.
pub const PREFIX: &str = "boot/";

const SCRIPT: &str = include_str!("kplan-boot.sh");
const BOOT_UNIT: &str = include_str!("kplan-boot.service");
const METADATA_RULES: &str = include_str!("kplan-metadata.nft");
const METADATA_UNIT: &str = include_str!("kplan-metadata.service");
/// The number puts it behind the distribution's own, so that it decides.
const UPDATES: &str = include_str!("kplan-updates.conf");

kplan_model::object! {
    /// What a droplet needs to become a node, and where its bundle and its reports lie.
    pub struct BootArgs {
        /// The owner id, such as `demo-3f9a1c2e`.
        pub cluster: String,
        /// The node's name, which is the droplet's.
        pub node: String,
        /// `server` or `agent`.
        pub role: String,
        /// The boot bucket.
        pub bucket: Input<String>,
        /// The storage's address, such as `https://fra1.digitaloceanspaces.com`.
        pub endpoint: Input<String>,
        /// The storage's region.
        pub region: Input<String>,
        /// The id of the storage key that signs the addresses.
        pub access_key: Input<String>,
        /// The storage key itself.
        pub secret_key: Input<Secret>,
        /// The key that verifies bundles, PEM `SubjectPublicKeyInfo`.
        pub public_key: Input<String>,
        /// Packages of the distribution that are installed before the boot script runs.
        pub packages: Option<Vec<String>>,
        /// Where the datastore has to be prepared for K3s: who can. Part of a server's bundle
        /// alone, so a droplet is declared without it and does not wait for its database.
        pub datastore_admin: Option<DatastoreAdmin>,
    }
}

/// The two addresses a node is given.
#[derive(Clone, Debug)]
pub struct Addresses {
    /// Presigned GET of [`object_key`].
    pub bundle: String,
    /// Presigned PUT of [`report_key`].
    pub report: String,
}

/// The name of a node's bundle in the boot bucket. Whoever has the storage key finds the same
/// name; nobody else can guess it.
pub fn object_key(cluster: &str, node: &str, secret_key: &str) -> String {
    let key = hmac::Key::new(hmac::HMAC_SHA256, secret_key.as_bytes());
    let tag = hmac::sign(&key, format!("kplan boot {cluster}{node}").as_bytes());
    let mut name = format!("{PREFIX}{node}-");
    for byte in tag.as_ref().iter().take(8) {
        // Writing to a String cannot fail.
        let _ = write!(name, "{byte:02x}");
    }
    name
}

/// The name under which a node leaves its reports: beside its bundle, so that one list shows both.
pub fn report_key(bundle_key: &str) -> String {
    format!("{bundle_key}.report")
}

impl BootArgs {
    /// [`object_key`] of this node.
    pub fn bundle_key(&self) -> Result<String, ProviderError> {
        let secret = exposed(self.secret_key.known()?)?;
        Ok(object_key(&self.cluster, &self.node, secret))
    }
}

fn exposed(secret: &Secret) -> Result<&str, ProviderError> {
    secret.expose().ok_or_else(|| {
        ProviderError::new(
            ErrorKind::Denied,
            "the storage key of the boot bucket cannot be read without the state's identity",
        )
    })
}

fn refused(what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Invalid,
        format!("the boot script of a node cannot be written: {what}"),
    )
}

/// The whole `user_data`: a cloud-config with the node's identity, the public key, the boot script
/// and the block of the metadata service. Same arguments and addresses, same bytes.
///
/// Fails when a value does not fit on one line or the text is larger than [`MAX_USER_DATA`].
pub fn render(args: &BootArgs, addresses: &Addresses) -> Result<String, ProviderError> {
    if !matches!(args.role.as_str(), "server" | "agent") {
        return Err(refused("a node is a `server` or an `agent`"));
    }
    let mut env = String::from("FORMAT=1\n");
    for (name, value) in [
        ("CLUSTER", args.cluster.as_str()),
        ("NODE", &args.node),
        ("ROLE", &args.role),
        ("BUNDLE_URL", &addresses.bundle),
        ("REPORT_URL", &addresses.report),
    ] {
        if value.is_empty() || !value.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(refused(&format!("{name} is empty or holds a space")));
        }
        let _ = writeln!(env, "{name}={value}");
    }
    let public_key = args.public_key.known()?;
    if !public_key.starts_with("-----BEGIN PUBLIC KEY-----") {
        return Err(refused("the public key is not PEM"));
    }
    let text = document(&env, public_key, &packages(args)?);
    if !text.is_ascii() {
        return Err(refused("it holds a character that is not ASCII"));
    }
    if text.len() > MAX_USER_DATA {
        return Err(refused(&format!(
            "{} bytes are more than {MAX_USER_DATA}",
            text.len()
        )));
    }
    Ok(text)
}

/// What cloud-init installs; nothing where no package is asked for.
fn packages(args: &BootArgs) -> Result<String, ProviderError> {
    let mut text = String::new();
    for package in args.packages.iter().flatten() {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if package.is_empty() || package.starts_with('-') || !package.bytes().all(plain) {
            return Err(refused(&format!(
                "`{package}` is not the name of a package"
            )));
        }
        if text.is_empty() {
            text.push_str("package_update: true\npackages:\n");
        }
        let _ = writeln!(text, "  - {package}");
    }
    Ok(text)
}

fn document(env: &str, public_key: &str, packages: &str) -> String {
    let files = [
        ("/etc/kplan/node.env", "0644", env),
        ("/etc/kplan/bundle.pub", "0644", public_key),
        ("/usr/local/sbin/kplan-boot", "0755", SCRIPT),
        ("/etc/systemd/system/kplan-boot.service", "0644", BOOT_UNIT),
        ("/etc/nftables.d/kplan-metadata.nft", "0644", METADATA_RULES),
        (
            "/etc/systemd/system/kplan-metadata.service",
            "0644",
            METADATA_UNIT,
        ),
        ("/etc/apt/apt.conf.d/90kplan-updates", "0644", UPDATES),
    ];
    let mut text = format!("#cloud-config\nssh_pwauth: false\n{packages}write_files:\n");
    for (path, mode, content) in files {
        let _ = write!(
            text,
            "  - path: {path}\n    owner: root:root\n    permissions: \"{mode}\"\n    content: |\n"
        );
        for line in content.lines() {
            if line.is_empty() {
                text.push('\n');
            } else {
                let _ = writeln!(text, "      {line}");
            }
        }
    }
    text.push_str(
        "runcmd:\n  - [systemctl, daemon-reload]\n  \
         - [systemctl, enable, --now, kplan-metadata.service]\n  \
         - [systemctl, enable, kplan-boot.service]\n  \
         - [systemctl, start, --no-block, kplan-boot.service]\n",
    );
    text
}
