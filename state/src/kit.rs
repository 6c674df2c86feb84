//! What is in a recovery kit, and its encryption: the file, the lock and the whole state, readable
//! for the state's recipients alone. Who made a kit is for its caller to prove; encryption to public
//! keys proves nothing.

use crate::error::{code, error, error_help};
use crate::identity::Identity;
use crate::keyring::encryptor;
use crate::local::Document;
use kplan_model::StoreError;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::io::{Read as _, Write as _};
use zeroize::Zeroizing;

/// Bytes a kit may have once it is open: several times a state of 100,000 resources.
const MAX_OPEN: u64 = 4 * 1024 * 1024 * 1024;

/// What is in a kit.
#[derive(Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KitContents {
    /// The cluster's name.
    pub cluster: String,
    /// The version of the kplan that made it.
    pub kplan: String,
    /// Files as they were, by name: `cluster.toml`, `kplan.lock`.
    pub files: BTreeMap<String, String>,
    /// The state, as `kplan state pull` prints it; its secrets are sealed in it once more.
    pub state: String,
}

impl KitContents {
    /// Encrypts it to those recipients.
    ///
    /// # Errors
    /// `state::identity` where a recipient is no age key.
    pub fn seal(&self, recipients: &[String]) -> Result<Vec<u8>, StoreError> {
        let failed = |cause: &dyn std::fmt::Display| {
            error(
                code::IDENTITY,
                format!("a recovery kit cannot be encrypted: {cause}"),
            )
        };
        let mut bytes = Vec::new();
        let mut writer = encryptor(recipients)?
            .wrap_output(&mut bytes)
            .map_err(|cause| failed(&cause))?;
        let plain = Zeroizing::new(serde_json::to_vec(self).map_err(|cause| failed(&cause))?);
        writer.write_all(&plain).map_err(|cause| failed(&cause))?;
        writer.finish().map_err(|cause| failed(&cause))?;
        Ok(bytes)
    }

    /// Decrypts one.
    ///
    /// # Errors
    /// `state::wrong_key` for an identity it is not encrypted to, `state::damaged` for what is no
    /// kit.
    pub fn open(bytes: &[u8], identity: &Identity) -> Result<Self, StoreError> {
        let broken = |what: &dyn std::fmt::Display| {
            error(
                code::DAMAGED,
                format!("this is no recovery kit, or a damaged one: {what}"),
            )
        };
        let decryptor = age::Decryptor::new_buffered(bytes).map_err(|cause| broken(&cause))?;
        let reader = match decryptor.decrypt(identity.keys()) {
            Ok(reader) => reader,
            Err(age::DecryptError::NoMatchingKeys) => {
                return Err(error_help(
                    code::WRONG_KEY,
                    "the recovery kit is encrypted to other identities than the one given",
                    "give the identity the cluster was applied with: ~/.config/kplan/identity of \
                     that machine, or your copy of it, as KPLAN_IDENTITY",
                ));
            }
            Err(cause) => return Err(broken(&cause)),
        };
        let mut plain = Zeroizing::new(Vec::new());
        reader
            .take(MAX_OPEN)
            .read_to_end(&mut plain)
            .map_err(|cause| broken(&cause))?;
        serde_json::from_slice(&plain).map_err(|cause| broken(&cause))
    }

    /// The state in it.
    ///
    /// # Errors
    /// As [`Document::parse`].
    pub fn document(&self) -> Result<Document, StoreError> {
        Document::parse(&self.state)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents() -> KitContents {
        KitContents {
            cluster: "demo".to_owned(),
            kplan: "0.1.0".to_owned(),
            files: BTreeMap::from([("cluster.toml".to_owned(), "[cluster]\n".to_owned())]),
            state: "{}".to_owned(),
        }
    }

    #[test]
    fn only_recipients_open_it_and_damage_is_told() {
        let (ours, theirs) = (Identity::generate(), Identity::generate());
        let sealed = contents().seal(&ours.recipients()).unwrap();
        let shown = String::from_utf8_lossy(&sealed);
        assert!(!shown.contains("cluster.toml"));
        let back = KitContents::open(&sealed, &ours).unwrap();
        assert_eq!(back.files, contents().files);
        let refused = KitContents::open(&sealed, &theirs).unwrap_err();
        assert_eq!(refused.code, code::WRONG_KEY);
        for cut in [0, 10, sealed.len() - 1] {
            let refused = KitContents::open(&sealed[..cut], &ours).unwrap_err();
            assert_eq!(refused.code, code::DAMAGED, "cut at {cut}");
        }
        let mut flipped = sealed.clone();
        *flipped.last_mut().unwrap() ^= 1;
        assert_eq!(
            KitContents::open(&flipped, &ours).unwrap_err().code,
            code::DAMAGED
        );
    }
}
