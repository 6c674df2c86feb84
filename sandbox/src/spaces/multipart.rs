//! Multipart uploads.

use bytes::{Bytes, BytesMut};
use jiff::Timestamp;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListPartsInput, ListPartsOutput, MultipartUpload, Part, StorageClass, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Result, TrailingHeaders, s3_error};

use super::access::Caller;
use super::buckets::{Bucket, Shared};
use super::conditions::check_write;
use super::digests::{digests, etag};
use super::headers::described;
use super::objects::{self, to_dto, to_dto_owner};
use super::presigned::to_hex;
use super::records::{Content, PartRecord, UploadRecord};

/// Smallest part but the last.
const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;
/// Most parts or uploads of one page.
const PAGE: i32 = 1000;
/// Highest part number.
const MAX_PART_NUMBER: i32 = 10_000;

fn find<'a>(bucket: &'a mut Bucket, key: &str, id: &str) -> S3Result<&'a mut UploadRecord> {
    let upload = bucket
        .uploads
        .get_mut(id)
        .filter(|upload| upload.key == key);
    upload.ok_or_else(|| {
        s3_error!(
            NoSuchUpload,
            "the upload {id} of {key:?} does not exist, or is finished"
        )
    })
}

pub(super) fn create(
    shared: &Shared,
    caller: &Caller,
    mut input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    let headers = described!(input).headers()?;
    let id = shared.in_bucket(caller, &input.bucket, |bucket, change| {
        let upload = UploadRecord {
            bucket: input.bucket.clone(),
            key: input.key.clone(),
            id: change.opaque_id("upload"),
            initiated: change.now,
            headers,
            parts: std::collections::BTreeMap::new(),
        };
        change.upload(&upload)?;
        let id = upload.id.clone();
        bucket.uploads.insert(id.clone(), upload);
        Ok(id)
    })?;
    Ok(CreateMultipartUploadOutput {
        bucket: Some(input.bucket),
        key: Some(input.key),
        upload_id: Some(id),
        ..CreateMultipartUploadOutput::default()
    })
}

pub(super) async fn upload_part(
    shared: &Shared,
    caller: &Caller,
    mut input: UploadPartInput,
    trailers: Option<TrailingHeaders>,
) -> S3Result<UploadPartOutput> {
    if input.sse_customer_key.is_some() || input.sse_customer_algorithm.is_some() {
        return Err(s3_error!(
            NotImplemented,
            "the sandbox does not encrypt with customer keys"
        ));
    }
    let bytes = objects::collect(input.body).await?;
    digests!(input).check(&bytes, trailers)?;
    let etag = etag(&bytes);
    store_part(
        shared,
        caller,
        (&input.bucket, &input.key, &input.upload_id),
        input.part_number,
        bytes,
        &etag,
    )?;
    Ok(UploadPartOutput {
        e_tag: Some(ETag::Strong(etag)),
        ..UploadPartOutput::default()
    })
}

/// Stores a part of the upload (bucket, key, id), in place of one with the same number.
pub(super) fn store_part(
    shared: &Shared,
    caller: &Caller,
    (bucket, key, id): (&str, &str, &str),
    number: i32,
    bytes: Bytes,
    etag: &str,
) -> S3Result<Timestamp> {
    if !(1..=MAX_PART_NUMBER).contains(&number) {
        return Err(s3_error!(
            InvalidArgument,
            "part numbers are 1 to {MAX_PART_NUMBER}"
        ));
    }
    shared.in_bucket(caller, bucket, |bucket, _| find(bucket, key, id).map(drop))?;
    let size = bytes.len() as u64;
    let blob = shared.store_bytes(caller, bucket, bytes)?;
    let recorded = shared.in_bucket(caller, bucket, |found, change| {
        let upload = find(found, key, id)?;
        let part = PartRecord {
            blob: blob.clone(),
            size,
            etag: etag.to_owned(),
            modified: change.now,
        };
        if let Some(replaced) = upload.parts.insert(number, part) {
            change.free(bucket, &replaced.blob);
        }
        change.upload(upload)?;
        Ok(change.now)
    });
    if recorded.is_err() {
        shared.discard_bytes(bucket, &blob);
    }
    recorded
}

/// The parts a completion names, checked against what was uploaded.
fn chosen(upload: &UploadRecord, asked: &[CompletedPart]) -> S3Result<Vec<PartRecord>> {
    let numbers: Vec<i32> = asked.iter().filter_map(|part| part.part_number).collect();
    if numbers.is_empty() || numbers.len() != asked.len() {
        return Err(s3_error!(
            MalformedXML,
            "a completion names at least one part, each with its number"
        ));
    }
    if !numbers.windows(2).all(|pair| pair[0] < pair[1]) {
        return Err(s3_error!(
            InvalidPartOrder,
            "parts are named in ascending order"
        ));
    }
    let mut parts = Vec::new();
    for (part, number) in asked.iter().zip(numbers) {
        let found = upload.parts.get(&number).filter(|found| {
            part.e_tag
                .as_ref()
                .is_none_or(|etag| etag.value() == found.etag)
        });
        let found = found.ok_or_else(|| {
            s3_error!(InvalidPart, "part {number} was not uploaded with this ETag")
        })?;
        parts.push(found.clone());
    }
    let all_but_last = parts.len() - 1;
    if parts
        .iter()
        .take(all_but_last)
        .any(|part| part.size < MIN_PART_BYTES)
    {
        return Err(s3_error!(
            EntityTooSmall,
            "every part but the last has at least {MIN_PART_BYTES} bytes"
        ));
    }
    Ok(parts)
}

pub(super) fn complete(
    shared: &Shared,
    caller: &Caller,
    input: CompleteMultipartUploadInput,
) -> S3Result<CompleteMultipartUploadOutput> {
    let asked = input
        .multipart_upload
        .and_then(|upload| upload.parts)
        .unwrap_or_default();
    let (parts, headers) = shared.in_bucket(caller, &input.bucket, |bucket, _| {
        let upload = find(bucket, &input.key, &input.upload_id)?;
        Ok((chosen(upload, &asked)?, upload.headers.clone()))
    })?;
    let (mut bytes, mut digests) = (BytesMut::new(), Vec::new());
    for part in &parts {
        let data = shared.load_bytes(&input.bucket, &part.blob)?;
        digests.extend_from_slice(Md5::checksum(&data).as_ref());
        bytes.extend_from_slice(&data);
    }
    let etag = format!(
        "{}-{}",
        to_hex(Md5::checksum(&digests).as_ref()),
        parts.len()
    );
    let content = Content {
        blob: String::new(),
        size: bytes.len() as u64,
        etag,
        headers,
    };
    let written = objects::write(
        shared,
        caller,
        &input.bucket,
        bytes.freeze(),
        content,
        |bucket, change, content| {
            find(bucket, &input.key, &input.upload_id)?;
            check_write(
                bucket,
                &input.key,
                input.if_none_match.as_ref(),
                input.if_match.as_ref(),
            )?;
            bucket.remove_upload(change, &input.upload_id);
            bucket.write(change, &input.key, Some(content))
        },
    );
    let (etag, version_id) = written?;
    Ok(CompleteMultipartUploadOutput {
        location: Some(format!("/{}/{}", input.bucket, input.key)),
        bucket: Some(input.bucket),
        key: Some(input.key),
        e_tag: Some(ETag::Strong(etag)),
        version_id,
        ..CompleteMultipartUploadOutput::default()
    })
}

pub(super) fn abort(
    shared: &Shared,
    caller: &Caller,
    input: AbortMultipartUploadInput,
) -> S3Result<AbortMultipartUploadOutput> {
    shared.in_bucket(caller, &input.bucket, |bucket, change| {
        find(bucket, &input.key, &input.upload_id)?;
        bucket.remove_upload(change, &input.upload_id);
        Ok(AbortMultipartUploadOutput::default())
    })
}

/// Most entries of a page that a request asks for.
fn limit(asked: Option<i32>) -> S3Result<usize> {
    usize::try_from(asked.unwrap_or(PAGE).min(PAGE))
        .map_err(|_negative| s3_error!(InvalidArgument, "the size of a page is not negative"))
}

pub(super) fn list_parts(
    shared: &Shared,
    caller: &Caller,
    input: ListPartsInput,
) -> S3Result<ListPartsOutput> {
    let limit = limit(input.max_parts)?;
    let after = input.part_number_marker.unwrap_or_default();
    shared.in_bucket(caller, &input.bucket, |bucket, _| {
        let upload = find(bucket, &input.key, &input.upload_id)?;
        let rest = upload.parts.iter().filter(|(number, _)| **number > after);
        let mut parts: Vec<Part> = rest
            .take(limit + 1)
            .map(|(number, part)| Part {
                e_tag: Some(ETag::Strong(part.etag.clone())),
                last_modified: Some(to_dto(part.modified)),
                part_number: Some(*number),
                size: i64::try_from(part.size).ok(),
                ..Part::default()
            })
            .collect();
        let more = parts.len() > limit;
        parts.truncate(limit);
        Ok(ListPartsOutput {
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(input.upload_id.clone()),
            max_parts: i32::try_from(limit).ok(),
            part_number_marker: Some(after),
            next_part_number_marker: parts.last().and_then(|part| part.part_number),
            is_truncated: Some(more && limit > 0),
            owner: Some(to_dto_owner()),
            storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
            parts: Some(parts),
            ..ListPartsOutput::default()
        })
    })
}

pub(super) fn list_uploads(
    shared: &Shared,
    caller: &Caller,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    if input
        .delimiter
        .as_ref()
        .is_some_and(|delimiter| !delimiter.is_empty())
    {
        return Err(s3_error!(
            NotImplemented,
            "the sandbox lists uploads without a delimiter only"
        ));
    }
    let limit = limit(input.max_uploads)?;
    let prefix = input.prefix.clone().unwrap_or_default();
    let after = input.key_marker.as_ref().map(|key| {
        let id = input.upload_id_marker.clone();
        (key.clone(), id.filter(|id| !id.is_empty()))
    });
    let is_after = |upload: &UploadRecord| match &after {
        None => true,
        Some((key, None)) => upload.key > *key,
        Some((key, Some(id))) => (&upload.key, &upload.id) > (key, id),
    };
    shared.in_bucket(caller, &input.bucket, |bucket, _| {
        let mut uploads: Vec<&UploadRecord> = bucket
            .uploads
            .values()
            .filter(|upload| upload.key.starts_with(&prefix) && is_after(upload))
            .collect();
        uploads.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
        let more = limit > 0 && uploads.len() > limit;
        uploads.truncate(limit);
        let last = uploads.last().filter(|_| more);
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket.clone()),
            prefix: input.prefix.clone(),
            key_marker: input.key_marker.clone(),
            upload_id_marker: input.upload_id_marker.clone(),
            max_uploads: i32::try_from(limit).ok(),
            is_truncated: Some(more),
            next_key_marker: last.map(|upload| upload.key.clone()),
            next_upload_id_marker: last.map(|upload| upload.id.clone()),
            uploads: Some(uploads.into_iter().map(shown).collect()),
            ..ListMultipartUploadsOutput::default()
        })
    })
}

fn shown(upload: &UploadRecord) -> MultipartUpload {
    MultipartUpload {
        initiated: Some(to_dto(upload.initiated)),
        key: Some(upload.key.clone()),
        upload_id: Some(upload.id.clone()),
        owner: Some(to_dto_owner()),
        storage_class: Some(StorageClass::from_static(StorageClass::STANDARD)),
        ..MultipartUpload::default()
    }
}
