//! Recovery kits: what a cluster is made again from where nothing but a bucket, an identity and a
//! token is left. This knows where kits lie and who signs them; what is in one is its keeper's to
//! say.

mod kit;
mod memory;

use crate::k3s::pki::{authority, exposed};
use crate::spaces::Keys;
use aws_lc_rs::signature::{ED25519, UnparsedPublicKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::{BoxFuture, ProviderError, Secret};

pub use kit::{KitArgs, KitAttrs, RecoveryKit, of_record};
pub use memory::MemoryKits;

/// Where the kits of one cluster lie.
#[derive(Clone, Debug)]
pub struct KitPlace {
    /// The bucket.
    pub bucket: String,
    /// What their keys begin with; ends with a slash.
    pub prefix: String,
    /// The region requests are signed for.
    pub region: String,
    /// The store's address.
    pub endpoint: String,
    /// A key that may read, write, list and delete there.
    pub keys: Keys,
}

/// Who signs kits.
#[derive(Clone, Debug)]
pub struct Signer {
    /// Ed25519, PKCS #8 in PEM.
    pub private_key: Secret,
    /// The 32 bytes of the public half, in base64.
    pub public_key: String,
}

impl Signer {
    /// Signs.
    ///
    /// # Errors
    /// Where the key is not readable, or none.
    pub fn sign(&self, bytes: &[u8]) -> Result<Vec<u8>, ProviderError> {
        authority::sign_bytes(exposed(&self.private_key)?, bytes)
    }
}

/// Whether the signature is by the private half of that key (base64 of 32 bytes) and for these
/// bytes.
pub fn is_signed_by(public_key: &str, bytes: &[u8], signature: &[u8]) -> bool {
    let Ok(raw) = STANDARD.decode(public_key) else {
        return false;
    };
    let key = UnparsedPublicKey::new(&ED25519, raw);
    key.verify(bytes, signature).is_ok()
}

/// Makes kits of the state as it is recorded, and keeps them in buckets.
pub trait KitKeeper: Send + Sync {
    /// Makes one of the state as it is recorded now, and puts it there.
    fn land<'a>(
        &'a self,
        place: &'a KitPlace,
        signer: &'a Signer,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Whether there is one of this cluster.
    fn lies<'a>(&'a self, place: &'a KitPlace) -> BoxFuture<'a, Result<bool, ProviderError>>;

    /// Deletes them.
    fn remove<'a>(&'a self, place: &'a KitPlace) -> BoxFuture<'a, Result<(), ProviderError>>;
}
