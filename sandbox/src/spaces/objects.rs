//! Objects: put, get, head, delete, copy.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue};
use s3s::crypto::{Checksum as _, Crc32, Crc32c, Crc64Nvme, Md5, Sha1, Sha256};
use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopySource, DeleteObjectInput,
    DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject, ETag,
    ETagCondition, GetObjectAclInput, GetObjectAclOutput, GetObjectInput, GetObjectOutput,
    HeadObjectInput, HeadObjectOutput, IfMatch, IfNoneMatch, Metadata, MetadataDirective,
    ObjectCannedACL, Owner, PutObjectInput, PutObjectOutput, StreamingBlob, Timestamp,
};
use s3s::{Body, S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};

use super::MAX_OBJECT_BYTES;
use super::access::Caller;
use super::acl::{canned_acl, grants};
use super::buckets::{Bucket, Change, NULL_VERSION, Shared};
use super::presigned::to_hex;
use super::records::{Content, ObjectHeaders, PRIVATE, VersionRecord, Versioning, default_type};

/// Most keys one request deletes.
const MAX_KEYS_PER_DELETE: usize = 1000;

/// A time as the protocol library wants it.
pub(super) fn to_dto(time: jiff::Timestamp) -> Timestamp {
    Timestamp::from(SystemTime::from(time))
}

/// The account that owns every bucket.
pub(super) fn to_dto_owner() -> Owner {
    Owner {
        display_name: Some("sandbox".to_owned()),
        id: Some("sandbox".to_owned()),
    }
}

/// The version id as answers carry it: not at all for objects that were never versioned.
fn shown_version(bucket: &Bucket, version: &VersionRecord) -> Option<String> {
    (bucket.record.versioning != Versioning::Never).then(|| version.version_id.clone())
}

/// Reads a body up to the sandbox's limit.
pub(super) async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(mut body) = body else {
        return Ok(Bytes::new());
    };
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk =
            chunk.map_err(|source| S3Error::with_source(S3ErrorCode::IncompleteBody, source))?;
        if bytes.len() + chunk.len() > MAX_OBJECT_BYTES {
            return Err(s3_error!(
                EntityTooLarge,
                "the sandbox takes at most {MAX_OBJECT_BYTES} bytes in one request"
            ));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(bytes.freeze())
}

/// Digests a client sent along with its bytes.
pub(super) struct Digests {
    pub md5: Option<String>,
    pub crc32: Option<String>,
    pub crc32c: Option<String>,
    pub crc64nvme: Option<String>,
    pub sha1: Option<String>,
    pub sha256: Option<String>,
}

impl Digests {
    /// Adds the digests that came after a streamed body.
    fn with_trailers(mut self, trailers: Option<&HeaderMap>) -> Digests {
        let get = |name: &str| Some(trailers?.get(name)?.to_str().ok()?.to_owned());
        self.crc32 = self.crc32.or_else(|| get("x-amz-checksum-crc32"));
        self.crc32c = self.crc32c.or_else(|| get("x-amz-checksum-crc32c"));
        self.crc64nvme = self.crc64nvme.or_else(|| get("x-amz-checksum-crc64nvme"));
        self.sha1 = self.sha1.or_else(|| get("x-amz-checksum-sha1"));
        self.sha256 = self.sha256.or_else(|| get("x-amz-checksum-sha256"));
        self
    }

    /// Refuses bytes that are not the ones the client meant.
    pub(super) fn check(&self, bytes: &[u8]) -> S3Result<()> {
        let base64 = |digest: &[u8]| {
            use base64::Engine as _;
            base64::engine::general_purpose::STANDARD.encode(digest)
        };
        let differs = |sent: &Option<String>, compute: &dyn Fn() -> String| {
            sent.as_ref().is_some_and(|sent| *sent != compute())
        };
        let wrong = differs(&self.md5, &|| base64(&Md5::checksum(bytes)))
            || differs(&self.crc32, &|| base64(&Crc32::checksum(bytes)))
            || differs(&self.crc32c, &|| base64(&Crc32c::checksum(bytes)))
            || differs(&self.crc64nvme, &|| base64(&Crc64Nvme::checksum(bytes)))
            || differs(&self.sha1, &|| base64(Sha1::checksum(bytes).as_ref()))
            || differs(&self.sha256, &|| base64(Sha256::checksum(bytes).as_ref()));
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

/// Whether a conditional write may go on.
pub(super) fn check_write(
    bucket: &Bucket,
    key: &str,
    if_none_match: Option<&IfNoneMatch>,
    if_match: Option<&IfMatch>,
) -> S3Result<()> {
    let current = bucket
        .current(key)
        .map(|(_, content)| content.etag.as_str());
    let failed = match (if_none_match, current) {
        (Some(ETagCondition::Any), Some(_)) => true,
        (Some(ETagCondition::ETag(unwanted)), Some(etag)) => unwanted.value() == etag,
        _ => false,
    } || match (if_match, current) {
        (Some(_), None) => true,
        (Some(ETagCondition::ETag(wanted)), Some(etag)) => wanted.value() != etag,
        _ => false,
    };
    if failed {
        return Err(s3_error!(
            PreconditionFailed,
            "At least one of the preconditions you specified did not hold."
        ));
    }
    Ok(())
}

pub(super) async fn put(
    shared: &Shared,
    caller: &Caller,
    input: PutObjectInput,
    trailers: Option<TrailingHeaders>,
) -> S3Result<PutObjectOutput> {
    if input.sse_customer_key.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "the sandbox does not encrypt with customer keys"
        ));
    }
    let bytes = collect(input.body).await?;
    let trailers = trailers.and_then(|trailers| trailers.take());
    let digests = Digests {
        md5: input.content_md5,
        crc32: input.checksum_crc32,
        crc32c: input.checksum_crc32c,
        crc64nvme: input.checksum_crc64nvme,
        sha1: input.checksum_sha1,
        sha256: input.checksum_sha256,
    };
    digests.with_trailers(trailers.as_ref()).check(&bytes)?;
    let headers = ObjectHeaders {
        content_type: Some(input.content_type.unwrap_or_else(default_type)),
        cache_control: input.cache_control,
        content_disposition: input.content_disposition,
        content_encoding: input.content_encoding,
        content_language: input.content_language,
        metadata: input.metadata.into_iter().flatten().collect(),
        acl: canned_acl(input.acl.as_ref().map(ObjectCannedACL::as_str))?,
    };
    let content = Content {
        blob: String::new(),
        size: bytes.len() as u64,
        etag: etag(&bytes),
        headers,
    };
    let name = input.bucket;
    let (etag, version_id) = write(
        shared,
        caller,
        &name,
        bytes,
        content,
        |bucket, change, content| {
            check_write(
                bucket,
                &input.key,
                input.if_none_match.as_ref(),
                input.if_match.as_ref(),
            )?;
            bucket.write(change, &input.key, Some(content))
        },
    )?;
    Ok(PutObjectOutput {
        e_tag: Some(ETag::Strong(etag)),
        version_id,
        ..PutObjectOutput::default()
    })
}

/// Puts bytes on disk, then the record that refers to them; unused bytes are freed.
pub(super) fn write(
    shared: &Shared,
    caller: &Caller,
    name: &str,
    bytes: Bytes,
    mut content: Content,
    record: impl FnOnce(&mut Bucket, &mut Change<'_>, Content) -> S3Result<VersionRecord>,
) -> S3Result<(String, Option<String>)> {
    let blob = shared.store_bytes(caller, name, bytes)?;
    content.blob.clone_from(&blob);
    let etag = content.etag.clone();
    let written = shared.in_bucket(caller, name, |bucket, change| {
        let version = record(bucket, change, content)?;
        Ok(shown_version(bucket, &version))
    });
    match written {
        Ok(version_id) => Ok((etag, version_id)),
        Err(error) => {
            shared.discard_bytes(name, &blob);
            Err(error)
        }
    }
}

/// Finds the version a read asks for.
fn find(
    shared: &Shared,
    caller: &Caller,
    name: &str,
    key: &str,
    version_id: Option<&str>,
) -> S3Result<(VersionRecord, Content, Option<String>)> {
    shared.in_bucket(caller, name, |bucket, _| {
        let versions = bucket.keys.get(key).map(Vec::as_slice).unwrap_or_default();
        let found = match version_id {
            None => versions.last(),
            Some(id) => Some(
                versions
                    .iter()
                    .find(|version| version.version_id == id)
                    .ok_or_else(|| {
                        s3_error!(NoSuchVersion, "the version {id} of {key:?} does not exist")
                    })?,
            ),
        };
        let Some(version) = found else {
            return Err(s3_error!(
                NoSuchKey,
                "the key {key:?} does not exist in {name}"
            ));
        };
        let Some(content) = version.content.clone() else {
            let mut error = match version_id {
                None => s3_error!(
                    NoSuchKey,
                    "the latest version of {key:?} is a delete marker"
                ),
                Some(_) => s3_error!(MethodNotAllowed, "a delete marker has no content"),
            };
            let headers = [("x-amz-delete-marker", HeaderValue::from_static("true"))];
            error.set_headers(
                headers
                    .into_iter()
                    .map(|(k, v)| (http::HeaderName::from_static(k), v))
                    .collect(),
            );
            return Err(error);
        };
        Ok((version.clone(), content, shown_version(bucket, version)))
    })
}

/// The conditions of a read, named as the headers.
#[expect(clippy::struct_field_names, reason = "the headers' names")]
struct Conditions {
    if_match: Option<IfMatch>,
    if_none_match: Option<IfNoneMatch>,
    if_modified_since: Option<Timestamp>,
    if_unmodified_since: Option<Timestamp>,
}

impl Conditions {
    fn check(&self, version: &VersionRecord, content: &Content) -> S3Result<()> {
        // HTTP dates have seconds.
        let modified = jiff::Timestamp::from_second(version.modified.as_second())
            .map(to_dto)
            .ok();
        let failed = match &self.if_match {
            Some(ETagCondition::ETag(wanted)) => wanted.value() != content.etag,
            Some(ETagCondition::Any) => false,
            None => self
                .if_unmodified_since
                .as_ref()
                .is_some_and(|since| modified.as_ref() > Some(since)),
        };
        if failed {
            return Err(s3_error!(
                PreconditionFailed,
                "At least one of the preconditions you specified did not hold."
            ));
        }
        let unchanged = match &self.if_none_match {
            Some(ETagCondition::ETag(known)) => known.value() == content.etag,
            Some(ETagCondition::Any) => true,
            None => self
                .if_modified_since
                .as_ref()
                .is_some_and(|since| modified.as_ref() <= Some(since)),
        };
        if unchanged {
            let mut error = S3Error::new(S3ErrorCode::NotModified);
            error.set_status_code(http::StatusCode::NOT_MODIFIED);
            return Err(error);
        }
        Ok(())
    }
}

fn metadata(headers: &ObjectHeaders) -> Option<Metadata> {
    let pairs: BTreeMap<String, String> = headers.metadata.clone();
    (!pairs.is_empty()).then(|| pairs.into_iter().collect())
}

fn length(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok()
}

pub(super) fn get(
    shared: &Shared,
    caller: &Caller,
    input: GetObjectInput,
) -> S3Result<GetObjectOutput> {
    let (version, content, version_id) = find(
        shared,
        caller,
        &input.bucket,
        &input.key,
        input.version_id.as_deref(),
    )?;
    let conditions = Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    conditions.check(&version, &content)?;
    let mut bytes = shared.load_bytes(&input.bucket, &content.blob)?;
    let mut content_range = None;
    if let Some(range) = input.range {
        let part = range.check(content.size)?;
        content_range = Some(format!(
            "bytes {}-{}/{}",
            part.start,
            part.end.saturating_sub(1),
            content.size
        ));
        let (start, end) = (usize::try_from(part.start), usize::try_from(part.end));
        bytes = match (start, end) {
            (Ok(start), Ok(end)) if end <= bytes.len() => bytes.slice(start..end),
            _ => return Err(s3_error!(InvalidRange)),
        };
    }
    Ok(GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: length(bytes.len() as u64),
        body: Some(StreamingBlob::from(Body::from(bytes))),
        content_range,
        metadata: metadata(&content.headers),
        content_type: content.headers.content_type,
        cache_control: content.headers.cache_control,
        content_disposition: content.headers.content_disposition,
        content_encoding: content.headers.content_encoding,
        content_language: content.headers.content_language,
        e_tag: Some(ETag::Strong(content.etag)),
        last_modified: Some(to_dto(version.modified)),
        version_id,
        ..GetObjectOutput::default()
    })
}

pub(super) fn head(
    shared: &Shared,
    caller: &Caller,
    input: HeadObjectInput,
) -> S3Result<HeadObjectOutput> {
    let (version, content, version_id) = find(
        shared,
        caller,
        &input.bucket,
        &input.key,
        input.version_id.as_deref(),
    )?;
    let conditions = Conditions {
        if_match: input.if_match,
        if_none_match: input.if_none_match,
        if_modified_since: input.if_modified_since,
        if_unmodified_since: input.if_unmodified_since,
    };
    conditions.check(&version, &content)?;
    Ok(HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: length(content.size),
        metadata: metadata(&content.headers),
        content_type: content.headers.content_type,
        cache_control: content.headers.cache_control,
        content_disposition: content.headers.content_disposition,
        content_encoding: content.headers.content_encoding,
        content_language: content.headers.content_language,
        e_tag: Some(ETag::Strong(content.etag)),
        last_modified: Some(to_dto(version.modified)),
        version_id,
        ..HeadObjectOutput::default()
    })
}

pub(super) fn get_acl(
    shared: &Shared,
    caller: &Caller,
    input: GetObjectAclInput,
) -> S3Result<GetObjectAclOutput> {
    let (_, content, _) = find(
        shared,
        caller,
        &input.bucket,
        &input.key,
        input.version_id.as_deref(),
    )?;
    Ok(GetObjectAclOutput {
        grants: Some(grants(&content.headers.acl)),
        owner: Some(to_dto_owner()),
        ..GetObjectAclOutput::default()
    })
}

/// What a deletion did: the version it removed or made, and whether that is a delete marker.
struct Deleted {
    version_id: Option<String>,
    marker: bool,
}

fn delete_one(
    bucket: &mut Bucket,
    change: &mut Change<'_>,
    key: &str,
    version_id: Option<&str>,
) -> S3Result<Deleted> {
    if let Some(id) = version_id {
        // Deleting what is not there succeeds, as everywhere in S3.
        let removed = bucket.remove_version(change, key, id);
        let marker = removed.is_some_and(|version| version.content.is_none());
        return Ok(Deleted {
            version_id: Some(id.to_owned()),
            marker,
        });
    }
    let made = bucket.delete(change, key)?;
    Ok(Deleted {
        marker: made.is_some(),
        version_id: made.map(|version| version.version_id),
    })
}

pub(super) fn delete(
    shared: &Shared,
    caller: &Caller,
    input: DeleteObjectInput,
) -> S3Result<DeleteObjectOutput> {
    let deleted = shared.in_bucket(caller, &input.bucket, |bucket, change| {
        delete_one(bucket, change, &input.key, input.version_id.as_deref())
    })?;
    Ok(DeleteObjectOutput {
        delete_marker: deleted.marker.then_some(true),
        version_id: deleted.version_id,
        ..DeleteObjectOutput::default()
    })
}

pub(super) fn delete_many(
    shared: &Shared,
    caller: &Caller,
    input: DeleteObjectsInput,
) -> S3Result<DeleteObjectsOutput> {
    if input.delete.objects.len() > MAX_KEYS_PER_DELETE {
        return Err(s3_error!(
            MalformedXML,
            "one request deletes at most {MAX_KEYS_PER_DELETE} objects"
        ));
    }
    let quiet = input.delete.quiet == Some(true);
    let deleted = shared.in_bucket(caller, &input.bucket, |bucket, change| {
        let mut answers = Vec::new();
        for object in input.delete.objects {
            let asked = object.version_id;
            let done = delete_one(bucket, change, &object.key, asked.as_deref())?;
            answers.push(DeletedObject {
                delete_marker: done.marker.then_some(true),
                delete_marker_version_id: done.version_id.filter(|_| done.marker),
                key: Some(object.key),
                version_id: asked,
            });
        }
        Ok(answers)
    })?;
    Ok(DeleteObjectsOutput {
        deleted: (!quiet).then_some(deleted),
        ..DeleteObjectsOutput::default()
    })
}

pub(super) fn copy(
    shared: &Shared,
    caller: &Caller,
    input: CopyObjectInput,
) -> S3Result<CopyObjectOutput> {
    let CopySource::Bucket {
        bucket: source,
        key: source_key,
        version_id,
    } = &input.copy_source
    else {
        return Err(s3_error!(NotImplemented, "Spaces copies from buckets only"));
    };
    if !caller.may_read(source) {
        return Err(s3_error!(
            AccessDenied,
            "the key may not read the source bucket {source}"
        ));
    }
    let (_, mut content, _) = find(shared, caller, source, source_key, version_id.as_deref())?;
    if input
        .metadata_directive
        .as_ref()
        .is_some_and(|d| d.as_str() == MetadataDirective::REPLACE)
    {
        content.headers = ObjectHeaders {
            content_type: Some(input.content_type.unwrap_or_else(default_type)),
            cache_control: input.cache_control,
            content_disposition: input.content_disposition,
            content_encoding: input.content_encoding,
            content_language: input.content_language,
            metadata: input.metadata.into_iter().flatten().collect(),
            acl: PRIVATE.to_owned(),
        };
    }
    content.headers.acl = canned_acl(input.acl.as_ref().map(ObjectCannedACL::as_str))?;
    let bytes = shared.load_bytes(source, &content.blob)?;
    let (etag, version_id) = write(
        shared,
        caller,
        &input.bucket,
        bytes,
        content,
        |bucket, change, content| bucket.write(change, &input.key, Some(content)),
    )?;
    let result = CopyObjectResult {
        e_tag: Some(ETag::Strong(etag)),
        last_modified: Some(to_dto(shared.clock.now())),
        ..CopyObjectResult::default()
    };
    Ok(CopyObjectOutput {
        copy_object_result: Some(result),
        version_id: version_id.filter(|id| id != NULL_VERSION),
        ..CopyObjectOutput::default()
    })
}
