//! Lists of objects and versions: prefixes, delimiters, pages.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use s3s::dto::{
    CommonPrefix, DeleteMarkerEntry, ETag, EncodingType, ListObjectVersionsInput,
    ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput, ListObjectsV2Input,
    ListObjectsV2Output, Object, ObjectStorageClass, ObjectVersion, ObjectVersionStorageClass,
};
use s3s::{S3Result, s3_error};

use super::access::Caller;
use super::buckets::{Bucket, Shared};
use super::objects::{to_dto, to_dto_owner};
use super::presigned::percent_encode;
use super::records::VersionRecord;

/// Most entries of one page.
const PAGE: i32 = 1000;

/// What a page holds: keys, and the prefixes that stand for the keys below them.
enum Entry {
    Key(String),
    Prefix(String),
}

impl Entry {
    fn name(&self) -> &str {
        match self {
            Entry::Key(name) | Entry::Prefix(name) => name,
        }
    }
}

/// How to walk the keys.
struct Walk<'a> {
    prefix: &'a str,
    delimiter: Option<&'a str>,
    /// Entries up to and including this one are left out.
    after: &'a str,
    limit: usize,
}

impl Walk<'_> {
    /// The prefix that stands for a key, when the delimiter comes again below the prefix asked for.
    fn below(&self, key: &str) -> Option<String> {
        let delimiter = self.delimiter?;
        let at = key[self.prefix.len()..].find(delimiter)?;
        Some(key[..self.prefix.len() + at + delimiter.len()].to_owned())
    }
}

/// One page, and whether there is more.
fn page(keys: impl Iterator<Item = String>, walk: &Walk<'_>) -> (Vec<Entry>, bool) {
    let mut entries: Vec<Entry> = Vec::new();
    for key in keys.filter(|key| key.starts_with(walk.prefix)) {
        let entry = walk
            .below(&key)
            .map_or_else(|| Entry::Key(key.clone()), Entry::Prefix);
        let repeated = entries
            .last()
            .is_some_and(|last| last.name() == entry.name());
        if repeated || entry.name() <= walk.after {
            continue;
        }
        if entries.len() == walk.limit {
            return (entries, true);
        }
        entries.push(entry);
    }
    (entries, false)
}

fn limit(max_keys: Option<i32>) -> S3Result<usize> {
    let asked = max_keys.unwrap_or(PAGE).min(PAGE);
    usize::try_from(asked)
        .map_err(|_negative| s3_error!(InvalidArgument, "max-keys is not negative"))
}

/// Encodes names where the client asked for it.
fn encoder(encoding: Option<&EncodingType>) -> impl Fn(&str) -> String {
    let url = encoding.is_some_and(|encoding| encoding.as_str() == EncodingType::URL);
    move |text| {
        if url {
            percent_encode(text, true)
        } else {
            text.to_owned()
        }
    }
}

fn object(
    bucket: &Bucket,
    key: &str,
    owner: bool,
    encode: &impl Fn(&str) -> String,
) -> Option<Object> {
    let (version, content) = bucket.current(key)?;
    Some(Object {
        e_tag: Some(ETag::Strong(content.etag.clone())),
        key: Some(encode(key)),
        last_modified: Some(to_dto(version.modified)),
        owner: owner.then(to_dto_owner),
        size: i64::try_from(content.size).ok(),
        storage_class: Some(ObjectStorageClass::from_static(
            ObjectStorageClass::STANDARD,
        )),
        ..Object::default()
    })
}

/// A page of current objects, its last name, and whether there is more.
struct Objects {
    contents: Vec<Object>,
    prefixes: Vec<CommonPrefix>,
    last: Option<String>,
    more: bool,
}

fn list(
    shared: &Shared,
    caller: &Caller,
    name: &str,
    walk: &Walk<'_>,
    owner: bool,
    encode: &impl Fn(&str) -> String,
) -> S3Result<Objects> {
    shared.in_bucket(caller, name, |bucket, _| {
        let live = bucket
            .keys
            .keys()
            .filter(|key| bucket.current(key).is_some())
            .cloned();
        let (entries, more) = page(live, walk);
        let last = entries.last().map(|entry| entry.name().to_owned());
        let (mut contents, mut prefixes) = (Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                Entry::Key(key) => contents.extend(object(bucket, &key, owner, encode)),
                Entry::Prefix(prefix) => prefixes.push(CommonPrefix {
                    prefix: Some(encode(&prefix)),
                }),
            }
        }
        Ok(Objects {
            contents,
            prefixes,
            last,
            more: more && walk.limit > 0,
        })
    })
}

/// A continuation token: opaque, as keys may hold what XML cannot.
fn token_of(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// The key in a continuation token.
fn key_of(token: &str) -> S3Result<String> {
    let bytes = URL_SAFE_NO_PAD.decode(token).ok();
    bytes
        .and_then(|bytes| String::from_utf8(bytes).ok())
        .ok_or_else(|| {
            s3_error!(
                InvalidArgument,
                "The continuation token provided is incorrect"
            )
        })
}

pub(super) fn objects_v2(
    shared: &Shared,
    caller: &Caller,
    input: ListObjectsV2Input,
) -> S3Result<ListObjectsV2Output> {
    let token = input
        .continuation_token
        .as_deref()
        .map(key_of)
        .transpose()?;
    let after = token
        .as_deref()
        .or(input.start_after.as_deref())
        .unwrap_or_default();
    let walk = Walk {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().filter(|d| !d.is_empty()),
        after,
        limit: limit(input.max_keys)?,
    };
    let encode = encoder(input.encoding_type.as_ref());
    let found = list(
        shared,
        caller,
        &input.bucket,
        &walk,
        input.fetch_owner == Some(true),
        &encode,
    )?;
    let count = found.contents.len() + found.prefixes.len();
    Ok(ListObjectsV2Output {
        name: Some(input.bucket.clone()),
        prefix: input.prefix.as_deref().map(&encode),
        max_keys: Some(input.max_keys.unwrap_or(PAGE).min(PAGE)),
        key_count: i32::try_from(count).ok(),
        continuation_token: input.continuation_token.clone(),
        is_truncated: Some(found.more),
        next_continuation_token: found.last.filter(|_| found.more).as_deref().map(token_of),
        contents: Some(found.contents),
        common_prefixes: Some(found.prefixes),
        delimiter: input.delimiter.as_deref().map(&encode),
        start_after: input.start_after.as_deref().map(&encode),
        encoding_type: input.encoding_type.clone(),
        ..ListObjectsV2Output::default()
    })
}

pub(super) fn objects_v1(
    shared: &Shared,
    caller: &Caller,
    input: ListObjectsInput,
) -> S3Result<ListObjectsOutput> {
    let walk = Walk {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().filter(|d| !d.is_empty()),
        after: input.marker.as_deref().unwrap_or_default(),
        limit: limit(input.max_keys)?,
    };
    let encode = encoder(input.encoding_type.as_ref());
    let found = list(shared, caller, &input.bucket, &walk, true, &encode)?;
    Ok(ListObjectsOutput {
        name: Some(input.bucket.clone()),
        prefix: input.prefix.as_deref().map(&encode),
        marker: input.marker.as_deref().map(&encode),
        max_keys: Some(input.max_keys.unwrap_or(PAGE).min(PAGE)),
        is_truncated: Some(found.more),
        next_marker: found.last.filter(|_| found.more).as_deref().map(&encode),
        contents: Some(found.contents),
        common_prefixes: Some(found.prefixes),
        delimiter: input.delimiter.as_deref().map(&encode),
        encoding_type: input.encoding_type.clone(),
        ..ListObjectsOutput::default()
    })
}

/// An entry of a list of versions.
enum Listed<'a> {
    /// A version, and whether it is its key's latest.
    Version(&'a VersionRecord, bool),
    Prefix(String),
}

/// Versions of the keys below a prefix that a page after a marker may have: keys in order, newest
/// first, and one entry for all that a delimiter puts together.
fn listed<'a>(bucket: &'a Bucket, walk: &Walk<'_>, version: Option<&str>) -> Vec<Listed<'a>> {
    let keys = bucket
        .keys
        .range(walk.prefix.to_owned()..)
        .take_while(|(key, _)| key.starts_with(walk.prefix));
    let mut entries: Vec<Listed<'a>> = Vec::new();
    for (key, versions) in keys {
        if let Some(below) = walk.below(key) {
            let repeated = matches!(entries.last(), Some(Listed::Prefix(last)) if *last == below);
            if !repeated && below.as_str() > walk.after {
                entries.push(Listed::Prefix(below));
            }
            continue;
        }
        let newest_first = versions.iter().rev().enumerate();
        let all = newest_first.map(|(at, version)| Listed::Version(version, at == 0));
        if key.as_str() > walk.after {
            entries.extend(all);
        } else if key == walk.after && version.is_some() {
            // The marked version may have been deleted since: the rest of its key is listed again.
            let marked = versions.iter().rev();
            let at = marked
                .map(|found| found.version_id.as_str())
                .position(|id| Some(id) == version);
            entries.extend(all.skip(at.map_or(0, |at| at + 1)));
        }
    }
    entries
}

fn shown_version(version: &VersionRecord, latest: bool, key: String) -> Option<ObjectVersion> {
    let content = version.content.as_ref()?;
    Some(ObjectVersion {
        e_tag: Some(ETag::Strong(content.etag.clone())),
        is_latest: Some(latest),
        key: Some(key),
        last_modified: Some(to_dto(version.modified)),
        owner: Some(to_dto_owner()),
        size: i64::try_from(content.size).ok(),
        storage_class: Some(ObjectVersionStorageClass::from_static(
            ObjectVersionStorageClass::STANDARD,
        )),
        version_id: Some(version.version_id.clone()),
        ..ObjectVersion::default()
    })
}

fn shown_marker(version: &VersionRecord, latest: bool, key: String) -> DeleteMarkerEntry {
    DeleteMarkerEntry {
        is_latest: Some(latest),
        key: Some(key),
        last_modified: Some(to_dto(version.modified)),
        owner: Some(to_dto_owner()),
        version_id: Some(version.version_id.clone()),
    }
}

pub(super) fn versions(
    shared: &Shared,
    caller: &Caller,
    input: ListObjectVersionsInput,
) -> S3Result<ListObjectVersionsOutput> {
    let walk = Walk {
        prefix: input.prefix.as_deref().unwrap_or_default(),
        delimiter: input.delimiter.as_deref().filter(|d| !d.is_empty()),
        after: input.key_marker.as_deref().unwrap_or_default(),
        limit: limit(input.max_keys)?,
    };
    let encode = encoder(input.encoding_type.as_ref());
    let marked = input
        .version_id_marker
        .as_deref()
        .filter(|id| !id.is_empty());
    shared.in_bucket(caller, &input.bucket, |bucket, _| {
        let mut entries = listed(bucket, &walk, marked);
        let more = walk.limit > 0 && entries.len() > walk.limit;
        entries.truncate(walk.limit);
        let (next_key, next_version) = match entries.last().filter(|_| more) {
            Some(Listed::Version(version, _)) => {
                (Some(encode(&version.key)), Some(version.version_id.clone()))
            }
            Some(Listed::Prefix(prefix)) => (Some(encode(prefix)), None),
            None => (None, None),
        };
        let (mut versions, mut markers, mut prefixes) = (Vec::new(), Vec::new(), Vec::new());
        for entry in entries {
            match entry {
                Listed::Version(version, latest) => {
                    let key = encode(&version.key);
                    match shown_version(version, latest, key.clone()) {
                        Some(shown) => versions.push(shown),
                        None => markers.push(shown_marker(version, latest, key)),
                    }
                }
                Listed::Prefix(prefix) => prefixes.push(CommonPrefix {
                    prefix: Some(encode(&prefix)),
                }),
            }
        }
        Ok(ListObjectVersionsOutput {
            name: Some(input.bucket.clone()),
            prefix: input.prefix.as_deref().map(&encode),
            delimiter: input.delimiter.as_deref().map(&encode),
            key_marker: input.key_marker.as_deref().map(&encode),
            version_id_marker: input.version_id_marker.clone(),
            max_keys: Some(input.max_keys.unwrap_or(PAGE).min(PAGE)),
            is_truncated: Some(more),
            next_key_marker: next_key,
            next_version_id_marker: next_version,
            versions: Some(versions),
            delete_markers: Some(markers),
            common_prefixes: Some(prefixes),
            encoding_type: input.encoding_type.clone(),
            ..ListObjectVersionsOutput::default()
        })
    })
}
