//! Digests of bytes: those a client sends along, and entity tags.

use base64::Engine as _;
use http::HeaderMap;
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::presigned::to_hex;

/// Digests a client sent along with its bytes, in base64.
pub(super) struct Digests {
    pub md5: Option<String>,
    pub crc32: Option<String>,
    pub crc32c: Option<String>,
    pub crc64nvme: Option<String>,
    pub sha1: Option<String>,
    pub sha256: Option<String>,
}

/// Takes the digests out of a request that has a body.
macro_rules! digests {
    ($input:ident) => {
        $crate::spaces::digests::Digests {
            md5: $input.content_md5.take(),
            crc32: $input.checksum_crc32.take(),
            crc32c: $input.checksum_crc32c.take(),
            crc64nvme: $input.checksum_crc64nvme.take(),
            sha1: $input.checksum_sha1.take(),
            sha256: $input.checksum_sha256.take(),
        }
    };
}
pub(super) use digests;

impl Digests {
    /// Adds the digests that came after a streamed body, which has been read by now.
    fn trailed(mut self, trailers: Option<&HeaderMap>) -> Digests {
        let get = |name: &str| Some(trailers?.get(name)?.to_str().ok()?.to_owned());
        self.crc32 = self.crc32.or_else(|| get("x-amz-checksum-crc32"));
        self.crc32c = self.crc32c.or_else(|| get("x-amz-checksum-crc32c"));
        self.crc64nvme = self.crc64nvme.or_else(|| get("x-amz-checksum-crc64nvme"));
        self.sha1 = self.sha1.or_else(|| get("x-amz-checksum-sha1"));
        self.sha256 = self.sha256.or_else(|| get("x-amz-checksum-sha256"));
        self
    }

    /// Refuses bytes that are not the ones the client meant.
    pub(super) fn check(self, bytes: &[u8], trailers: Option<TrailingHeaders>) -> S3Result<()> {
        let sent = self.trailed(trailers.and_then(|trailers| trailers.take()).as_ref());
        let base64 = |digest: &[u8]| base64::engine::general_purpose::STANDARD.encode(digest);
        let differs = |sent: &Option<String>, compute: &dyn Fn() -> String| {
            sent.as_ref().is_some_and(|sent| *sent != compute())
        };
        let wrong = differs(&sent.md5, &|| base64(&Md5::checksum(bytes)))
            || differs(&sent.crc32, &|| base64(&Crc32::checksum(bytes)))
            || differs(&sent.crc32c, &|| base64(&Crc32c::checksum(bytes)))
            || differs(&sent.crc64nvme, &|| base64(&Crc64Nvme::checksum(bytes)))
            || differs(&sent.sha1, &|| base64(Sha1::checksum(bytes).as_ref()))
            || differs(&sent.sha256, &|| base64(Sha256::checksum(bytes).as_ref()));
        if wrong {
            return Err(s3_error!(
                BadDigest,
                "the bytes received do not have the digest the request names"
            ));
        }
        Ok(())
    }
}

/// The entity tag of bytes: their MD5.
pub(super) fn etag(bytes: &[u8]) -> String {
    to_hex(Md5::checksum(bytes).as_ref())
}
