//! Tags of objects. (Spaces has none for buckets, and lifecycle rules do not see them.)

use std::collections::BTreeMap;

use s3s::dto::{
    DeleteObjectTaggingInput, DeleteObjectTaggingOutput, GetObjectTaggingInput,
    GetObjectTaggingOutput, PutObjectTaggingInput, PutObjectTaggingOutput, Tag,
};
use s3s::{S3Error, S3ErrorCode, S3Result, s3_error};

use super::access::Caller;
use super::buckets::Shared;
use super::objects;

/// Most tags of an object, and most characters of their names and values, as everywhere in S3.
const MAX_TAGS: usize = 10;
const MAX_NAME: usize = 128;
const MAX_VALUE: usize = 256;

type Tags = BTreeMap<String, String>;

/// Reads the header `x-amz-tagging`: `a=1&b=2`.
pub(super) fn parse(header: &str) -> S3Result<Tags> {
    let pairs = form_urlencoded::parse(header.as_bytes());
    checked(pairs.map(|(name, value)| (name.into_owned(), value.into_owned())))
}

fn checked(pairs: impl Iterator<Item = (String, String)>) -> S3Result<Tags> {
    let mut tags = Tags::new();
    for (name, value) in pairs {
        let long = name.chars().count() > MAX_NAME || value.chars().count() > MAX_VALUE;
        if name.is_empty() || long || tags.contains_key(&name) {
            return Err(s3_error!(
                InvalidTag,
                "tags have names of 1 to {MAX_NAME} characters, no name twice, and values of at most {MAX_VALUE}"
            ));
        }
        tags.insert(name, value);
    }
    if tags.len() > MAX_TAGS {
        let what = format!("an object has at most {MAX_TAGS} tags");
        let mut error = S3Error::with_message(S3ErrorCode::Custom("BadRequest".into()), what);
        error.set_status_code(http::StatusCode::BAD_REQUEST);
        return Err(error);
    }
    Ok(tags)
}

/// Number of tags, for the header `x-amz-tagging-count`.
pub(super) fn count(tags: &Tags) -> Option<i32> {
    i32::try_from(tags.len()).ok().filter(|count| *count > 0)
}

pub(super) fn get(
    shared: &Shared,
    caller: &Caller,
    input: GetObjectTaggingInput,
) -> S3Result<GetObjectTaggingOutput> {
    let asked = input.version_id.as_deref();
    let found = objects::find(shared, caller, &input.bucket, &input.key, asked)?;
    let tags = found.content.headers.tags.into_iter();
    Ok(GetObjectTaggingOutput {
        tag_set: tags
            .map(|(name, value)| Tag {
                key: Some(name),
                value: Some(value),
            })
            .collect(),
        version_id: found.version_id,
    })
}

fn set(
    shared: &Shared,
    caller: &Caller,
    (bucket, key): (&str, &str),
    version_id: Option<&str>,
    tags: Tags,
) -> S3Result<()> {
    shared.in_bucket(caller, bucket, |bucket, change| {
        bucket.edit(change, key, version_id, |content| {
            content.headers.tags = tags;
        })
    })
}

pub(super) fn put(
    shared: &Shared,
    caller: &Caller,
    input: PutObjectTaggingInput,
) -> S3Result<PutObjectTaggingOutput> {
    let pairs = input.tagging.tag_set.into_iter();
    let tags =
        checked(pairs.map(|tag| (tag.key.unwrap_or_default(), tag.value.unwrap_or_default())))?;
    let at = (input.bucket.as_str(), input.key.as_str());
    set(shared, caller, at, input.version_id.as_deref(), tags)?;
    Ok(PutObjectTaggingOutput {
        version_id: input.version_id,
    })
}

pub(super) fn delete(
    shared: &Shared,
    caller: &Caller,
    input: DeleteObjectTaggingInput,
) -> S3Result<DeleteObjectTaggingOutput> {
    let at = (input.bucket.as_str(), input.key.as_str());
    set(shared, caller, at, input.version_id.as_deref(), Tags::new())?;
    Ok(DeleteObjectTaggingOutput {
        version_id: input.version_id,
    })
}
