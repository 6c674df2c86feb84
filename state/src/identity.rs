//! `Identity`: the private `age` keys that open states. It is given as text, or lies in a file
//! that only its owner can read.

use crate::error::{code, error, error_help, io_error};
use crate::keyring::Keyring;
use age::secrecy::ExposeSecret as _;
use kplan_model::StoreError;
use std::fmt;
use std::fs;
use std::io::{self, Write as _};
use std::path::Path;
use zeroize::Zeroizing;

/// Bytes an identity file may have; an age key is 74 characters.
const MAX_FILE: u64 = 64 * 1024;

/// One or more private keys. The first is the one new states are encrypted to.
#[derive(Clone)]
pub struct Identity(Vec<age::x25519::Identity>);

impl fmt::Debug for Identity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Identity").field(&self.recipients()).finish()
    }
}

impl Identity {
    /// A fresh random identity.
    pub fn generate() -> Self {
        Self(vec![age::x25519::Identity::generate()])
    }

    /// From the text of an age identity file: one `AGE-SECRET-KEY-1…` a line, `#` comments.
    pub fn parse(text: &str) -> Result<Self, StoreError> {
        let mut keys = Vec::new();
        for (index, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            // The line is a private key: it is never quoted.
            let key = line.parse().map_err(|cause| {
                error_help(
                    code::IDENTITY,
                    format!(
                        "line {} of the identity is not an age key: {cause}",
                        index + 1
                    ),
                    "an identity is one line AGE-SECRET-KEY-1…, as `age-keygen` makes it",
                )
            })?;
            keys.push(key);
        }
        if keys.is_empty() {
            return Err(error_help(
                code::IDENTITY,
                "the identity is empty",
                "an identity is one line AGE-SECRET-KEY-1…, as `age-keygen` makes it",
            ));
        }
        Ok(Self(keys))
    }

    /// From the value of a setting such as `KPLAN_IDENTITY`: the key itself, or the path of a
    /// file that holds it. A path that does not exist is an error.
    pub fn from_setting(value: &str) -> Result<Self, StoreError> {
        let value = value.trim();
        if value.starts_with("AGE-SECRET-KEY-") || value.starts_with('#') {
            return Self::parse(value);
        }
        let path = Path::new(value);
        Self::load(path)?.ok_or_else(|| {
            error_help(
                code::IDENTITY,
                format!("there is no identity at {}", path.display()),
                "give the text of an age key or the path of a file that holds one",
            )
        })
    }

    /// From a file; `None` when there is none. Refused when others than its owner can read it.
    pub fn load(path: &Path) -> Result<Option<Self>, StoreError> {
        let metadata = match fs::metadata(path) {
            Ok(metadata) => metadata,
            Err(cause) if cause.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(cause) => return Err(io_error("read", path, &cause)),
        };
        refuse_readable_by_others(path, &metadata)?;
        if metadata.len() > MAX_FILE {
            return Err(error(
                code::IDENTITY,
                format!("{} is too large to be an identity", path.display()),
            ));
        }
        let text = fs::read_to_string(path)
            .map(Zeroizing::new)
            .map_err(|cause| io_error("read", path, &cause))?;
        let identity = Self::parse(&text).map_err(|mut refused| {
            refused.message = format!("{}: {}", path.display(), refused.message);
            refused
        })?;
        Ok(Some(identity))
    }

    /// From a file, which is made (0600, in a folder of 0700) when there is none. The flag says
    /// whether it was made: then its owner should hear of it, for without it the state's secrets
    /// are lost.
    pub fn load_or_create(path: &Path) -> Result<(Self, bool), StoreError> {
        if let Some(identity) = Self::load(path)? {
            return Ok((identity, false));
        }
        let identity = Self::generate();
        match identity.write_new(path) {
            Ok(()) => Ok((identity, true)),
            // Another first run was faster; its identity counts.
            Err(cause) if cause.kind() == io::ErrorKind::AlreadyExists => {
                let found = Self::load(path)?;
                found
                    .map(|identity| (identity, false))
                    .ok_or_else(|| io_error("read", path, &cause))
            }
            Err(cause) => Err(io_error("create", path, &cause)),
        }
    }

    /// The keys with which a plan is sealed for a state that does not exist yet, and whose they are
    /// (`age1…`): of the first of these identities, or of the one that is named. Nothing where it
    /// is not among them.
    pub fn plan_keys(&self, of: Option<&str>, lineage: &str) -> Option<(String, Keyring)> {
        let mut named = self.0.iter().map(|key| (key.to_public().to_string(), key));
        let (recipient, key) = named.find(|(name, _)| of.is_none_or(|of| of == name))?;
        let secret = key.to_string();
        Some((
            recipient,
            Keyring::of_identity(secret.expose_secret(), lineage),
        ))
    }

    /// Writes the identity where nothing is yet. The file appears whole or not at all: a name is
    /// given to it only after its bytes are on disk.
    fn write_new(&self, path: &Path) -> io::Result<()> {
        let dir = path.parent().unwrap_or(Path::new("."));
        private_dir().create(dir)?;
        let temporary = path.with_extension(format!("new-{}", std::process::id()));
        let written = write_private(&temporary, self.to_text().as_bytes())
            .and_then(|()| fs::hard_link(&temporary, path));
        let removed = fs::remove_file(&temporary);
        match written {
            // A file system without hard links: the name must still not be taken.
            Err(cause) if cause.kind() == io::ErrorKind::Unsupported => {
                write_private(path, self.to_text().as_bytes())
            }
            other => other.and(removed),
        }
    }

    fn to_text(&self) -> Zeroizing<String> {
        let mut text = Zeroizing::new(String::from(
            "# kplan identity: opens the secrets of your states. Keep a copy in a safe place.\n",
        ));
        for key in &self.0 {
            text.push_str("# public key: ");
            text.push_str(&key.to_public().to_string());
            text.push('\n');
            text.push_str(key.to_string().expose_secret());
            text.push('\n');
        }
        text
    }

    /// The public keys, `age1…`, in order.
    pub fn recipients(&self) -> Vec<String> {
        self.0
            .iter()
            .map(|key| key.to_public().to_string())
            .collect()
    }

    pub(crate) fn keys(&self) -> impl Iterator<Item = &dyn age::Identity> {
        self.0.iter().map(|key| key as &dyn age::Identity)
    }
}

fn write_private(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Makes folders that only their owner can enter.
pub(crate) fn private_dir() -> fs::DirBuilder {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder
}

#[cfg(unix)]
fn refuse_readable_by_others(path: &Path, metadata: &fs::Metadata) -> Result<(), StoreError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = metadata.permissions().mode() & 0o777;
    let others = mode & 0o077;
    if others == 0 {
        return Ok(());
    }
    Err(error_help(
        code::IDENTITY,
        format!(
            "others can read the identity {} (mode {mode:04o}): it opens every secret of your \
             states",
            path.display()
        ),
        format!("run `chmod 600 {}`", path.display()),
    ))
}

#[cfg(not(unix))]
fn refuse_readable_by_others(_: &Path, _: &fs::Metadata) -> Result<(), StoreError> {
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_made_once_private_and_read_again() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("config/identity");
        assert!(Identity::load(&path).unwrap().is_none());
        let (first, made) = Identity::load_or_create(&path).unwrap();
        assert!(made);
        let (second, made) = Identity::load_or_create(&path).unwrap();
        assert!(!made);
        assert_eq!(first.recipients(), second.recipients());
        assert_eq!(fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
        let by_path = Identity::from_setting(path.to_str().unwrap()).unwrap();
        assert_eq!(by_path.recipients(), first.recipients());
        let by_text = Identity::from_setting(&first.to_text()).unwrap();
        assert_eq!(by_text.recipients(), first.recipients());
    }

    #[cfg(unix)]
    #[test]
    fn a_file_others_can_read_is_refused_with_the_remedy() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("identity");
        Identity::load_or_create(&path).unwrap();
        let mode = |mode| fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        assert_eq!(
            fs::metadata(&path).unwrap().permissions().mode() & 0o777,
            0o600
        );
        for bad in [0o640, 0o604, 0o660] {
            mode(bad);
            let refused = Identity::load(&path).unwrap_err();
            assert_eq!(refused.code, code::IDENTITY);
            assert!(refused.help.unwrap().contains("chmod 600"));
        }
        mode(0o400);
        assert!(Identity::load(&path).unwrap().is_some());
    }

    #[test]
    fn errors_never_quote_the_key() {
        let text = "AGE-SECRET-KEY-1NOTAKEYATALL";
        let refused = Identity::parse(text).unwrap_err();
        assert!(!format!("{refused:?}").contains("NOTAKEY"));
        assert_eq!(
            Identity::parse("# nothing\n").unwrap_err().code,
            code::IDENTITY
        );
        let missing = Identity::from_setting("/nowhere/identity").unwrap_err();
        assert_eq!(missing.code, code::IDENTITY);
        assert!(!format!("{:?}", Identity::generate()).contains("SECRET"));
    }
}
