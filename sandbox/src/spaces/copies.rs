//! Copies: of objects, and of ranges of objects into parts of an upload.
//!
//! Source and destination are in one region: Spaces copies nowhere else.

use s3s::dto::{
    CopyObjectInput, CopyObjectOutput, CopyObjectResult, CopyPartResult, CopySource, ETag,
    MetadataDirective, TaggingDirective, UploadPartCopyInput, UploadPartCopyOutput,
};
use s3s::{S3Result, s3_error};

use super::access::Caller;
use super::buckets::{NULL_VERSION, Shared};
use super::conditions::{Conditions, copy_conditions};
use super::digests::etag;
use super::headers::described;
use super::multipart;
use super::objects::{Found, find, to_dto, write};
use super::rights::{self, Wish};

/// Finds what is to be copied, if the caller may read it and it is the one meant.
fn source(
    shared: &Shared,
    caller: &Caller,
    source: &CopySource,
    conditions: &Conditions,
) -> S3Result<(String, String, Found)> {
    let CopySource::Bucket {
        bucket,
        key,
        version_id,
    } = source
    else {
        return Err(s3_error!(NotImplemented, "Spaces copies from buckets only"));
    };
    let version_id = version_id.as_deref();
    let wish = Wish {
        op: "GetObject",
        bucket,
        key: Some(key),
        version_id,
    };
    rights::decide(shared, caller, &wish)?;
    let found = find(shared, caller, bucket, key, version_id)?;
    conditions.check_source(&found.version, &found.content)?;
    Ok((bucket.to_string(), key.to_string(), found))
}

pub(super) fn object(
    shared: &Shared,
    caller: &Caller,
    mut input: CopyObjectInput,
) -> S3Result<CopyObjectOutput> {
    let conditions = copy_conditions!(input);
    let (bucket, key, found) = source(shared, caller, &input.copy_source, &conditions)?;
    let directive = input.metadata_directive.as_ref();
    let replaced = directive.is_some_and(|d| d.as_str() == MetadataDirective::REPLACE);
    let tagging = input.tagging_directive.as_ref();
    let retagged = tagging.is_some_and(|d| d.as_str() == TaggingDirective::REPLACE);
    let current = matches!(
        &input.copy_source,
        CopySource::Bucket {
            version_id: None,
            ..
        }
    );
    let same = bucket == input.bucket && key == input.key && current;
    if same && !replaced && !retagged {
        return Err(s3_error!(
            InvalidRequest,
            "This copy request is illegal because it is trying to copy an object to itself without \
             changing the object's metadata, storage class, website redirect location or encryption \
             attributes."
        ));
    }
    let said = described!(input).headers()?;
    let mut content = found.content;
    // A copy is private unless the request says something else, and keeps the rest.
    content.headers.acl.clone_from(&said.acl);
    if retagged {
        content.headers.tags.clone_from(&said.tags);
    }
    if replaced {
        let tags = content.headers.tags;
        content.headers = said;
        content.headers.tags = tags;
    }
    let bytes = shared.load_bytes(&bucket, &content.blob)?;
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
        copy_source_version_id: found.version_id,
        version_id: version_id.filter(|id| id != NULL_VERSION),
        ..CopyObjectOutput::default()
    })
}

pub(super) fn part(
    shared: &Shared,
    caller: &Caller,
    mut input: UploadPartCopyInput,
) -> S3Result<UploadPartCopyOutput> {
    let encrypted = input.sse_customer_key.is_some() || input.sse_customer_algorithm.is_some();
    if encrypted || input.copy_source_sse_customer_key.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "the sandbox does not encrypt with customer keys"
        ));
    }
    let conditions = copy_conditions!(input);
    let (bucket, _, found) = source(shared, caller, &input.copy_source, &conditions)?;
    let bytes = shared.load_bytes(&bucket, &found.content.blob)?;
    let bytes = match input.copy_source_range.as_deref() {
        None => bytes,
        Some(range) => {
            let (first, last) = first_and_last(range)?;
            if first > last || last >= bytes.len() {
                return Err(s3_error!(
                    InvalidRange,
                    "the range {range} is not within the source, which has {} bytes",
                    bytes.len()
                ));
            }
            bytes.slice(first..=last)
        }
    };
    let etag = etag(&bytes);
    let modified = multipart::store_part(
        shared,
        caller,
        (&input.bucket, &input.key, &input.upload_id),
        input.part_number,
        bytes,
        &etag,
    )?;
    Ok(UploadPartCopyOutput {
        copy_part_result: Some(CopyPartResult {
            e_tag: Some(ETag::Strong(etag)),
            last_modified: Some(to_dto(modified)),
            ..CopyPartResult::default()
        }),
        copy_source_version_id: found.version_id,
        ..UploadPartCopyOutput::default()
    })
}

/// Reads `bytes=<first>-<last>`, the only form this header has.
fn first_and_last(range: &str) -> S3Result<(usize, usize)> {
    let ends = range
        .strip_prefix("bytes=")
        .and_then(|range| range.split_once('-'));
    let numbers = ends.and_then(|(first, last)| Some((first.parse().ok()?, last.parse().ok()?)));
    numbers.ok_or_else(|| {
        s3_error!(
            InvalidArgument,
            "x-amz-copy-source-range is bytes=<first>-<last>, not {range:?}"
        )
    })
}
