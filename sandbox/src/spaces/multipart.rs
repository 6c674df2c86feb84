//! Multipart uploads.

use bytes::BytesMut;
use s3s::crypto::{Checksum as _, Md5};
use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CompletedPart, CreateMultipartUploadInput,
    CreateMultipartUploadOutput, ETag, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListPartsInput, ListPartsOutput, MultipartUpload, ObjectCannedACL, Part, UploadPartInput,
    UploadPartOutput,
};
use s3s::{S3Result, s3_error};

use super::access::Caller;
use super::acl::canned_acl;
use super::buckets::{Bucket, Shared};
use super::objects::{self, Digests, check_write, to_dto};
use super::presigned::to_hex;
use super::records::{Content, ObjectHeaders, PartRecord, UploadRecord, default_type};

/// Smallest part but the last.
const MIN_PART_BYTES: u64 = 5 * 1024 * 1024;
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
    input: CreateMultipartUploadInput,
) -> S3Result<CreateMultipartUploadOutput> {
    let headers = ObjectHeaders {
        content_type: Some(input.content_type.unwrap_or_else(default_type)),
        cache_control: input.cache_control,
        content_disposition: input.content_disposition,
        content_encoding: input.content_encoding,
        content_language: input.content_language,
        metadata: input.metadata.into_iter().flatten().collect(),
        acl: canned_acl(input.acl.as_ref().map(ObjectCannedACL::as_str))?,
    };
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
    input: UploadPartInput,
) -> S3Result<UploadPartOutput> {
    if !(1..=MAX_PART_NUMBER).contains(&input.part_number) {
        return Err(s3_error!(
            InvalidArgument,
            "part numbers are 1 to {MAX_PART_NUMBER}"
        ));
    }
    let bytes = objects::collect(input.body).await?;
    let digests = Digests {
        md5: input.content_md5,
        crc32: input.checksum_crc32,
        crc32c: input.checksum_crc32c,
        crc64nvme: input.checksum_crc64nvme,
        sha1: input.checksum_sha1,
        sha256: input.checksum_sha256,
    };
    digests.check(&bytes)?;
    let (etag, size) = (objects::etag(&bytes), bytes.len() as u64);
    let blob = shared.store_bytes(caller, &input.bucket, bytes)?;
    let recorded = shared.in_bucket(caller, &input.bucket, |bucket, change| {
        let upload = find(bucket, &input.key, &input.upload_id)?;
        let part = PartRecord {
            blob: blob.clone(),
            size,
            etag: etag.clone(),
            modified: change.now,
        };
        if let Some(replaced) = upload.parts.insert(input.part_number, part) {
            change.free(&input.bucket, &replaced.blob);
        }
        change.upload(upload)
    });
    if let Err(error) = recorded {
        shared.discard_bytes(&input.bucket, &blob);
        return Err(error);
    }
    Ok(UploadPartOutput {
        e_tag: Some(ETag::Strong(etag)),
        ..UploadPartOutput::default()
    })
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

pub(super) fn list_parts(
    shared: &Shared,
    caller: &Caller,
    input: ListPartsInput,
) -> S3Result<ListPartsOutput> {
    shared.in_bucket(caller, &input.bucket, |bucket, _| {
        let upload = find(bucket, &input.key, &input.upload_id)?;
        let parts = upload.parts.iter().map(|(number, part)| Part {
            e_tag: Some(ETag::Strong(part.etag.clone())),
            last_modified: Some(to_dto(part.modified)),
            part_number: Some(*number),
            size: i64::try_from(part.size).ok(),
            ..Part::default()
        });
        Ok(ListPartsOutput {
            parts: Some(parts.collect()),
            bucket: Some(input.bucket.clone()),
            key: Some(input.key.clone()),
            upload_id: Some(input.upload_id.clone()),
            is_truncated: Some(false),
            ..ListPartsOutput::default()
        })
    })
}

pub(super) fn list_uploads(
    shared: &Shared,
    caller: &Caller,
    input: ListMultipartUploadsInput,
) -> S3Result<ListMultipartUploadsOutput> {
    let prefix = input.prefix.clone().unwrap_or_default();
    shared.in_bucket(caller, &input.bucket, |bucket, _| {
        let mut uploads: Vec<&UploadRecord> = bucket
            .uploads
            .values()
            .filter(|upload| upload.key.starts_with(&prefix))
            .collect();
        uploads.sort_by(|a, b| (&a.key, &a.id).cmp(&(&b.key, &b.id)));
        let uploads = uploads.into_iter().map(|upload| MultipartUpload {
            initiated: Some(to_dto(upload.initiated)),
            key: Some(upload.key.clone()),
            upload_id: Some(upload.id.clone()),
            ..MultipartUpload::default()
        });
        Ok(ListMultipartUploadsOutput {
            bucket: Some(input.bucket.clone()),
            uploads: Some(uploads.collect()),
            is_truncated: Some(false),
            ..ListMultipartUploadsOutput::default()
        })
    })
}
