//! Objects: put, get, head, delete.

use std::collections::BTreeMap;
use std::time::SystemTime;

use bytes::{Bytes, BytesMut};
use futures_util::StreamExt as _;
use http::{HeaderMap, HeaderValue};
use s3s::dto::{
    DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput, DeleteObjectsOutput, DeletedObject,
    ETag, GetObjectAclInput, GetObjectAclOutput, GetObjectInput, GetObjectOutput, HeadObjectInput,
    HeadObjectOutput, Metadata, Owner, PutObjectInput, PutObjectOutput, Range, StreamingBlob,
    Timestamp,
};
use s3s::{Body, S3Error, S3ErrorCode, S3Result, TrailingHeaders, s3_error};

use super::MAX_OBJECT_BYTES;
use super::access::Caller;
use super::acl::grants;
use super::buckets::{Bucket, Change, Shared};
use super::conditions::{check_write, read_conditions};
use super::digests::{digests, etag};
use super::headers::{described, expires};
use super::records::{Content, ObjectHeaders, VersionRecord, Versioning};
use super::rights::{self, Wish};
use super::tagging;

/// The id of the account, which owns every bucket and object.
pub(super) const OWNER: &str = "sandbox";
/// Most keys one request deletes.
const MAX_KEYS_PER_DELETE: usize = 1000;

/// A time as the protocol library wants it.
pub(super) fn to_dto(time: jiff::Timestamp) -> Timestamp {
    Timestamp::from(SystemTime::from(time))
}

/// The account that owns every bucket.
pub(super) fn to_dto_owner() -> Owner {
    Owner {
        display_name: Some(OWNER.to_owned()),
        id: Some(OWNER.to_owned()),
    }
}

/// The version id as answers carry it: not at all for objects that were never versioned.
pub(super) fn shown_version(bucket: &Bucket, version: &VersionRecord) -> Option<String> {
    (bucket.record.versioning != Versioning::Never).then(|| version.version_id.clone())
}

/// Reads a body up to the sandbox's limit.
pub(super) async fn collect(body: Option<StreamingBlob>) -> S3Result<Bytes> {
    let Some(mut body) = body else {
        return Ok(Bytes::new());
    };
    let mut bytes = BytesMut::new();
    while let Some(chunk) = body.next().await {
        let chunk = chunk.map_err(broken)?;
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

/// Why a body could not be read. The library's types for it are private, their texts are not.
fn broken(source: Box<dyn std::error::Error + Send + Sync>) -> S3Error {
    let said = source.to_string();
    if said.ends_with("Sha256Mismatch") {
        let code = S3ErrorCode::Custom("XAmzContentSHA256Mismatch".into());
        let what = "The provided 'x-amz-content-sha256' header does not match what was computed.";
        let mut error = S3Error::with_message(code, what);
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        return error;
    }
    if said.ends_with("SignatureMismatch") {
        return s3_error!(
            SignatureDoesNotMatch,
            "a chunk of the body does not have the signature it came with"
        );
    }
    S3Error::with_source(S3ErrorCode::IncompleteBody, source)
}

pub(super) async fn put(
    shared: &Shared,
    caller: &Caller,
    mut input: PutObjectInput,
    trailers: Option<TrailingHeaders>,
) -> S3Result<PutObjectOutput> {
    if input.write_offset_bytes.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "Spaces does not append to objects"
        ));
    }
    let headers = described!(input).headers()?;
    let bytes = collect(input.body).await?;
    digests!(input).check(&bytes, trailers)?;
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

/// A version that has content.
pub(super) struct Found {
    pub version: VersionRecord,
    pub content: Content,
    /// The version id as answers carry it.
    pub version_id: Option<String>,
}

/// Finds the version a read asks for.
pub(super) fn find(
    shared: &Shared,
    caller: &Caller,
    name: &str,
    key: &str,
    version_id: Option<&str>,
) -> S3Result<Found> {
    shared.in_bucket(caller, name, |bucket, _| {
        let version = bucket.version(key, version_id)?;
        let content = version.content.clone();
        Ok(Found {
            content: content.ok_or_else(|| marker(key, version_id))?,
            version: version.clone(),
            version_id: shown_version(bucket, version),
        })
    })
}

/// What is answered to a read of a delete marker.
fn marker(key: &str, version_id: Option<&str>) -> S3Error {
    let mut error = match version_id {
        None => s3_error!(
            NoSuchKey,
            "the latest version of {key:?} is a delete marker"
        ),
        Some(_) => s3_error!(MethodNotAllowed, "a delete marker has no content"),
    };
    let mut headers = HeaderMap::new();
    headers.insert("x-amz-delete-marker", HeaderValue::from_static("true"));
    error.set_headers(headers);
    error
}

fn metadata(headers: &ObjectHeaders) -> Option<Metadata> {
    let pairs: BTreeMap<String, String> = headers.metadata.clone();
    (!pairs.is_empty()).then(|| pairs.into_iter().collect())
}

fn length(bytes: u64) -> Option<i64> {
    i64::try_from(bytes).ok()
}

/// The bytes a request asks for, and `Content-Range` when these are not all.
fn part_of(size: u64, range: Option<&Range>) -> S3Result<(u64, u64, Option<String>)> {
    let Some(range) = range else {
        return Ok((0, size, None));
    };
    let part = range.check(size)?;
    let last = part.end.saturating_sub(1);
    let shown = format!("bytes {}-{last}/{size}", part.start);
    Ok((part.start, part.end, Some(shown)))
}

fn whole_objects_only(part_number: Option<i32>) -> S3Result<()> {
    match part_number {
        Some(_) => Err(s3_error!(
            NotImplemented,
            "the sandbox does not read objects by part number"
        )),
        None => Ok(()),
    }
}

pub(super) fn get(
    shared: &Shared,
    caller: &Caller,
    mut input: GetObjectInput,
) -> S3Result<GetObjectOutput> {
    whole_objects_only(input.part_number)?;
    let asked = input.version_id.as_deref();
    let found = find(shared, caller, &input.bucket, &input.key, asked)?;
    let content = found.content;
    read_conditions!(input).check_read(&found.version, &content)?;
    let (start, end, content_range) = part_of(content.size, input.range.as_ref())?;
    let bytes = shared.load_bytes(&input.bucket, &content.blob)?;
    let bytes = match (usize::try_from(start), usize::try_from(end)) {
        (Ok(start), Ok(end)) if end <= bytes.len() => bytes.slice(start..end),
        _ => return Err(s3_error!(InvalidRange)),
    };
    Ok(GetObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: length(end - start),
        body: Some(StreamingBlob::from(Body::from(bytes))),
        content_range,
        metadata: metadata(&content.headers),
        expires: expires(&content.headers),
        tag_count: tagging::count(&content.headers.tags),
        content_type: content.headers.content_type,
        cache_control: content.headers.cache_control,
        content_disposition: content.headers.content_disposition,
        content_encoding: content.headers.content_encoding,
        content_language: content.headers.content_language,
        e_tag: Some(ETag::Strong(content.etag)),
        last_modified: Some(to_dto(found.version.modified)),
        version_id: found.version_id,
        ..GetObjectOutput::default()
    })
}

pub(super) fn head(
    shared: &Shared,
    caller: &Caller,
    mut input: HeadObjectInput,
) -> S3Result<HeadObjectOutput> {
    whole_objects_only(input.part_number)?;
    let asked = input.version_id.as_deref();
    let found = find(shared, caller, &input.bucket, &input.key, asked)?;
    let content = found.content;
    read_conditions!(input).check_read(&found.version, &content)?;
    let (start, end, content_range) = part_of(content.size, input.range.as_ref())?;
    Ok(HeadObjectOutput {
        accept_ranges: Some("bytes".to_owned()),
        content_length: length(end - start),
        content_range,
        metadata: metadata(&content.headers),
        expires: expires(&content.headers),
        content_type: content.headers.content_type,
        cache_control: content.headers.cache_control,
        content_disposition: content.headers.content_disposition,
        content_encoding: content.headers.content_encoding,
        content_language: content.headers.content_language,
        e_tag: Some(ETag::Strong(content.etag)),
        last_modified: Some(to_dto(found.version.modified)),
        version_id: found.version_id,
        ..HeadObjectOutput::default()
    })
}

pub(super) fn get_acl(
    shared: &Shared,
    caller: &Caller,
    input: GetObjectAclInput,
) -> S3Result<GetObjectAclOutput> {
    let asked = input.version_id.as_deref();
    let found = find(shared, caller, &input.bucket, &input.key, asked)?;
    Ok(GetObjectAclOutput {
        grants: Some(grants(&found.content.headers.acl)),
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
    let asked = input.delete.objects;
    if asked.is_empty() || asked.len() > MAX_KEYS_PER_DELETE {
        return Err(s3_error!(
            MalformedXML,
            "one request deletes 1 to {MAX_KEYS_PER_DELETE} objects"
        ));
    }
    let quiet = input.delete.quiet == Some(true);
    let (mut allowed, mut errors) = (Vec::new(), Vec::new());
    for object in asked {
        let wish = Wish {
            op: "DeleteObject",
            bucket: &input.bucket,
            key: Some(&object.key),
            version_id: object.version_id.as_deref(),
        };
        match rights::decide(shared, caller, &wish) {
            Ok(()) => allowed.push(object),
            Err(error) => errors.push(s3s::dto::Error {
                code: Some(error.code().as_str().to_owned()),
                message: error.message().map(str::to_owned),
                key: Some(object.key),
                version_id: object.version_id,
            }),
        }
    }
    let deleted = shared.in_bucket(caller, &input.bucket, |bucket, change| {
        let mut answers = Vec::new();
        for object in allowed {
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
        errors: (!errors.is_empty()).then_some(errors),
        ..DeleteObjectsOutput::default()
    })
}
