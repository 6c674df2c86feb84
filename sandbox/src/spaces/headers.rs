//! What a request says about the object it makes: headers, metadata, tags and ACL.
//!
//! What Spaces would act on and the sandbox does not is refused, not left out.

use std::collections::BTreeMap;

use s3s::dto::{
    Metadata, ObjectCannedACL, ServerSideEncryption, StorageClass, Timestamp, TimestampFormat,
};
use s3s::{S3Result, s3_error};

use super::acl;
use super::records::{ObjectHeaders, default_type};
use super::tagging;

/// The describing fields of a request that makes an object.
pub(super) struct Described {
    pub content_type: Option<String>,
    pub cache_control: Option<String>,
    pub content_disposition: Option<String>,
    pub content_encoding: Option<String>,
    pub content_language: Option<String>,
    pub expires: Option<Timestamp>,
    pub metadata: Option<Metadata>,
    pub tags: Option<String>,
    pub acl: Option<ObjectCannedACL>,
    pub grants: acl::Granted,
    pub storage_class: Option<StorageClass>,
    pub encryption: Option<ServerSideEncryption>,
    /// Whether the request has a key to encrypt with.
    pub customer_key: bool,
    /// Whether it asks for a retention or a legal hold.
    pub locked: bool,
    /// Whether it asks for a redirection of a bucket website.
    pub redirected: bool,
}

/// Takes the describing fields out of any of the three requests that have them.
macro_rules! described {
    ($input:ident) => {
        $crate::spaces::headers::Described {
            content_type: $input.content_type.take(),
            cache_control: $input.cache_control.take(),
            content_disposition: $input.content_disposition.take(),
            content_encoding: $input.content_encoding.take(),
            content_language: $input.content_language.take(),
            expires: $input.expires.take(),
            metadata: $input.metadata.take(),
            tags: $input.tagging.take(),
            acl: $input.acl.take(),
            grants: $crate::spaces::acl::Granted {
                full_control: $input.grant_full_control.take(),
                read: $input.grant_read.take(),
                other: $input.grant_read_acp.is_some() || $input.grant_write_acp.is_some(),
            },
            storage_class: $input.storage_class.take(),
            encryption: $input.server_side_encryption.take(),
            customer_key: $input.sse_customer_key.is_some()
                || $input.sse_customer_algorithm.is_some()
                || $input.ssekms_key_id.is_some(),
            locked: $input.object_lock_mode.is_some()
                || $input.object_lock_retain_until_date.is_some()
                || $input.object_lock_legal_hold_status.is_some(),
            redirected: $input.website_redirect_location.is_some(),
        }
    };
}
pub(super) use described;

impl Described {
    /// The headers of the new object.
    pub(super) fn headers(self) -> S3Result<ObjectHeaders> {
        self.refuse()?;
        Ok(ObjectHeaders {
            content_type: Some(self.content_type.unwrap_or_else(default_type)),
            cache_control: self.cache_control,
            content_disposition: self.content_disposition,
            content_encoding: self.content_encoding.and_then(|encoding| stored(&encoding)),
            content_language: self.content_language,
            expires: self.expires.and_then(http_date),
            metadata: self.metadata.into_iter().flatten().collect(),
            tags: self
                .tags
                .map_or(Ok(BTreeMap::new()), |tags| tagging::parse(&tags))?,
            acl: acl::requested(self.acl.as_ref().map(ObjectCannedACL::as_str), &self.grants)?,
        })
    }

    fn refuse(&self) -> S3Result<()> {
        let class = self.storage_class.as_ref().map(StorageClass::as_str);
        if class.is_some_and(|class| class != StorageClass::STANDARD) {
            return Err(s3_error!(
                InvalidStorageClass,
                "Spaces has the storage class STANDARD only"
            ));
        }
        let cases = [
            (self.customer_key, "encryption with customer keys"),
            (self.encryption.is_some(), "encryption by the service"),
            (self.locked, "object locks"),
            (self.redirected, "bucket websites"),
        ];
        match cases.into_iter().find(|(asked, _)| *asked) {
            Some((_, what)) => Err(s3_error!(
                NotImplemented,
                "the sandbox does not simulate {what}; nothing was stored"
            )),
            None => Ok(()),
        }
    }
}

/// The encodings of an object: how its bytes were sent is not one of them.
fn stored(encoding: &str) -> Option<String> {
    let kept: Vec<&str> = encoding
        .split(',')
        .map(str::trim)
        .filter(|encoding| !encoding.is_empty() && !encoding.eq_ignore_ascii_case("aws-chunked"))
        .collect();
    (!kept.is_empty()).then(|| kept.join(","))
}

fn http_date(time: Timestamp) -> Option<String> {
    let mut text = Vec::new();
    time.format(TimestampFormat::HttpDate, &mut text).ok()?;
    String::from_utf8(text).ok()
}

/// The `Expires` header of an object as answers want it.
pub(super) fn expires(headers: &ObjectHeaders) -> Option<Timestamp> {
    let text = headers.expires.as_deref()?;
    Timestamp::parse(TimestampFormat::HttpDate, text).ok()
}
