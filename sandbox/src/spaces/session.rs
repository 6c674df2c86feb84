//! What a pod does with a bucket: no signed requests, but the same keys, rights and storage.

use std::sync::Arc;

use bytes::Bytes;

use super::access::{Caller, find_key};
use super::buckets::Shared;
use super::digests::etag;
use super::objects;
use super::records::{Content, ObjectHeaders, PRIVATE};
use super::rights::{Wish, decide};
use super::{Spaces, said};

/// One key at one region's endpoint. Errors are what an answer would say, code first.
pub(crate) struct Session {
    shared: Arc<Shared>,
    caller: Caller,
}

impl Spaces {
    /// Opens a session; the bucket is not looked at yet.
    ///
    /// # Errors
    /// When the account has no such key, or its secret is another one.
    pub(crate) fn session(
        &self,
        region: &str,
        access_key: &str,
        secret_key: &str,
    ) -> Result<Session, String> {
        let key = find_key(&self.shared, access_key).map_err(|error| said(&error))?;
        if key.secret_key != secret_key {
            return Err(
                "SignatureDoesNotMatch: the secret key is not this access key's".to_owned(),
            );
        }
        Ok(Session {
            shared: Arc::clone(&self.shared),
            caller: Caller::with_key(&key, region.to_owned()),
        })
    }
}

impl Session {
    fn may(&self, op: &str, bucket: &str, key: Option<&str>) -> Result<(), String> {
        let wish = Wish {
            op,
            bucket,
            key,
            version_id: None,
        };
        decide(&self.shared, &self.caller, &wish).map_err(|error| said(&error))
    }

    /// `PutObject`.
    pub(crate) fn put(&self, bucket: &str, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        self.may("PutObject", bucket, Some(key))?;
        let bytes = Bytes::from(bytes);
        let content = Content {
            blob: String::new(),
            size: bytes.len() as u64,
            etag: etag(&bytes),
            headers: ObjectHeaders {
                acl: PRIVATE.to_owned(),
                ..ObjectHeaders::default()
            },
        };
        let written = objects::write(
            &self.shared,
            &self.caller,
            bucket,
            bytes,
            content,
            |found, change, content| found.write(change, key, Some(content)),
        );
        written.map(drop).map_err(|error| said(&error))
    }

    /// `GetObject`; `None` when there is no such key.
    pub(crate) fn get(&self, bucket: &str, key: &str) -> Result<Option<Bytes>, String> {
        self.may("GetObject", bucket, Some(key))?;
        match objects::find(&self.shared, &self.caller, bucket, key, None) {
            Ok(found) => self
                .shared
                .load_bytes(bucket, &found.content.blob)
                .map(Some)
                .map_err(|error| said(&error)),
            Err(error) if error.code().as_str() == "NoSuchKey" => Ok(None),
            Err(error) => Err(said(&error)),
        }
    }

    /// `ListObjectsV2` to its last page: every key that begins so.
    pub(crate) fn list(&self, bucket: &str, prefix: &str) -> Result<Vec<String>, String> {
        self.may("ListObjectsV2", bucket, None)?;
        let listed = self.shared.in_bucket(&self.caller, bucket, |found, _| {
            let keys = found.keys.range(prefix.to_owned()..);
            Ok(keys
                .map(|(key, _)| key)
                .take_while(|key| key.starts_with(prefix))
                .filter(|key| found.current(key).is_some())
                .cloned()
                .collect())
        });
        listed.map_err(|error| said(&error))
    }

    /// `DeleteObject`.
    pub(crate) fn delete(&self, bucket: &str, key: &str) -> Result<(), String> {
        self.may("DeleteObject", bucket, Some(key))?;
        let deleted = self
            .shared
            .in_bucket(&self.caller, bucket, |found, change| {
                found.delete(change, key).map(drop)
            });
        deleted.map_err(|error| said(&error))
    }
}
