//! A kit's outer form: one line of JSON that says what it is and who signed it, then the encrypted
//! contents. The signature covers both, and is checked before anything is decrypted.

use crate::error::{Failure, Problem};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::ProviderError;
use kplan_providers::k3s::pki::secret::sha256_hex;
use kplan_providers::recovery::{Signer, is_signed_by};
use serde::{Deserialize, Serialize};

/// The format this kplan writes.
const FORMAT: u32 = 1;
/// Begins what is signed: a signature of a kit is good for nothing else.
const DOMAIN: &[u8] = b"kplan recovery kit 1\n";
/// Bytes the first line may have.
const MAX_HEADER: usize = 4096;

/// What a kit says about itself. Believed once its signature was found to be by a key that is
/// trusted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Header {
    format: u32,
    /// The cluster's name.
    pub cluster: String,
    /// The state's lineage.
    pub lineage: String,
    /// The state's serial.
    pub serial: u64,
    /// When it was made, in milliseconds since 1970.
    pub at: i64,
    /// The key that signed it: 32 bytes in base64.
    pub public_key: String,
    /// SHA-256 of the encrypted contents, hexadecimal.
    contents: String,
}

#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Signed {
    kit: Header,
    signature: String,
}

/// A kit as it lies in a bucket or on a disk.
pub struct Frame {
    /// What it says.
    pub header: Header,
    /// SHA-256 of the whole kit, hexadecimal: names exactly this one.
    pub digest: String,
    contents: Vec<u8>,
}

fn signed_bytes(header: &Header) -> Result<Vec<u8>, serde_json::Error> {
    let mut bytes = DOMAIN.to_vec();
    bytes.extend(serde_json::to_vec(header)?);
    Ok(bytes)
}

/// Signs encrypted contents of the state with that lineage and serial; gives the kit's bytes.
///
/// # Errors
/// Where the key cannot sign.
pub fn seal(
    cluster: &str,
    (lineage, serial): (&str, u64),
    at: i64,
    contents: &[u8],
    signer: &Signer,
) -> Result<Vec<u8>, ProviderError> {
    let header = Header {
        format: FORMAT,
        cluster: cluster.to_owned(),
        lineage: lineage.to_owned(),
        serial,
        at,
        public_key: signer.public_key.clone(),
        contents: sha256_hex(contents),
    };
    let bug = |error: serde_json::Error| {
        ProviderError::new(
            kplan_model::ErrorKind::Bug,
            format!("no kit could be written: {error}"),
        )
    };
    let signature = signer.sign(&signed_bytes(&header).map_err(bug)?)?;
    let signed = Signed {
        kit: header,
        signature: STANDARD.encode(signature),
    };
    let mut bytes = serde_json::to_vec(&signed).map_err(bug)?;
    bytes.push(b'\n');
    bytes.extend_from_slice(contents);
    Ok(bytes)
}

/// Takes a kit apart. `what` is where it came from, for messages.
///
/// # Errors
/// `kit::damaged` for what is no kit, or not as it was when it was signed.
pub fn open(bytes: &[u8], what: &str) -> Result<Frame, Failure> {
    let damaged = |why: &str| {
        Failure::from(
            Problem::error(
                "kit::damaged",
                format!("{what} is no recovery kit, or damaged: {why}"),
            )
            .help("take another one with `--kit`; older ones lie beside it in the bucket"),
        )
    };
    let end = bytes
        .iter()
        .take(MAX_HEADER)
        .position(|byte| *byte == b'\n')
        .ok_or_else(|| damaged("it has no first line"))?;
    let signed: Signed =
        serde_json::from_slice(&bytes[..end]).map_err(|error| damaged(&error.to_string()))?;
    let header = signed.kit;
    if header.format != FORMAT {
        let why = format!(
            "it has format {}, and this kplan reads {FORMAT}",
            header.format
        );
        return Err(damaged(&why));
    }
    let contents = &bytes[end + 1..];
    if sha256_hex(contents) != header.contents {
        return Err(damaged("its contents are not those that were signed"));
    }
    let whole = STANDARD
        .decode(&signed.signature)
        .ok()
        .zip(signed_bytes(&header).ok())
        .is_some_and(|(signature, message)| is_signed_by(&header.public_key, &message, &signature));
    if !whole {
        return Err(damaged("its signature does not fit"));
    }
    Ok(Frame {
        header,
        digest: sha256_hex(bytes),
        contents: contents.to_vec(),
    })
}

impl Frame {
    /// The encrypted contents.
    pub fn contents(&self) -> &[u8] {
        &self.contents
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use kplan_providers::local::{Made as _, Signing};

    fn signer() -> Signer {
        let made = Signing::make(
            &kplan_providers::local::RandomPasswordArgs {
                purpose: "kits".to_owned(),
            },
            kplan_model::Timestamp(0),
        )
        .unwrap();
        Signer {
            private_key: made.private_key,
            public_key: made.public_key,
        }
    }

    #[test]
    fn no_byte_of_a_kit_can_be_changed() {
        let kit = seal("demo", ("lineage", 7), 1, b"contents", &signer()).unwrap();
        let frame = open(&kit, "it").unwrap();
        assert_eq!(
            (frame.header.serial, frame.contents()),
            (7, &b"contents"[..])
        );
        for at in 0..kit.len() {
            let mut forged = kit.clone();
            forged[at] ^= 1;
            // Spaces between tokens are the only bytes that say nothing, and there are none.
            assert!(open(&forged, "it").is_err(), "byte {at}");
        }
        for length in 0..kit.len() {
            assert!(open(&kit[..length], "it").is_err(), "cut at {length}");
        }
    }

    #[test]
    fn somebody_elses_key_is_named_and_gives_another_digest() {
        let ours = open(&seal("demo", ("l", 7), 1, b"c", &signer()).unwrap(), "it").unwrap();
        let theirs = open(&seal("demo", ("l", 7), 1, b"c", &signer()).unwrap(), "it").unwrap();
        assert_ne!(ours.header.public_key, theirs.header.public_key);
        assert_ne!(ours.digest, theirs.digest);
    }
}
