//! Objects of one bucket: what boots a droplet is handed over here.

use super::errors::{Does, map};
use super::session::{Session, content_md5};
use aws_sdk_s3::error::SdkError;
use aws_sdk_s3::operation::get_object::{GetObjectError, GetObjectOutput};
use aws_sdk_s3::operation::list_objects_v2::builders::ListObjectsV2FluentBuilder;
use aws_sdk_s3::operation::put_object::{PutObjectError, PutObjectOutput};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use bytes::Bytes;
use kplan_model::{ErrorKind, Permit, ProviderError, Timestamp};
use std::time::{Duration, UNIX_EPOCH};

/// 10 million versions; more than a bucket of ours may hold.
const MAX_PAGES: u32 = 10_000;

/// One object of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectInfo {
    /// Its key.
    pub key: String,
    /// Its size in bytes.
    pub size: u64,
    /// When it was written last.
    pub modified: Option<Timestamp>,
}

/// One version of an object, or a mark that it was deleted.
pub(super) struct Version {
    key: String,
    id: Option<String>,
}

impl Version {
    /// The one that is read when nobody names a version.
    pub(super) fn newest(key: String) -> Self {
        Self { key, id: None }
    }
}

/// The objects of one bucket.
#[derive(Clone)]
pub struct Objects {
    session: Session,
    bucket: String,
}

impl Objects {
    pub(super) fn new(session: Session, bucket: &str) -> Self {
        Self {
            session,
            bucket: bucket.to_owned(),
        }
    }

    pub(super) fn what(&self, call: &str, key: &str) -> String {
        format!("{call} {}/{key}", self.bucket)
    }

    /// Writes an object. May be repeated.
    pub async fn put(
        &self,
        _permit: &Permit,
        key: &str,
        bytes: Bytes,
    ) -> Result<(), ProviderError> {
        let put = || {
            self.session
                .s3
                .put_object()
                .bucket(&self.bucket)
                .key(key)
                .body(ByteStream::from(bytes.clone()))
                .send()
        };
        self.session
            .settle(&self.what("PUT", key), put)
            .await
            .map(drop)
    }

    /// The call that creates an object, or is refused when it is there.
    pub(super) async fn send_new(
        &self,
        key: &str,
        bytes: Bytes,
    ) -> Result<PutObjectOutput, SdkError<PutObjectError, HttpResponse>> {
        self.session
            .s3
            .put_object()
            .bucket(&self.bucket)
            .key(key)
            .if_none_match("*")
            .body(ByteStream::from(bytes))
            .send()
            .await
    }

    /// The call that reads an object.
    pub(super) async fn send_get(
        &self,
        key: &str,
    ) -> Result<GetObjectOutput, SdkError<GetObjectError, HttpResponse>> {
        let get = self.session.s3.get_object();
        get.bucket(&self.bucket).key(key).send().await
    }

    /// The call that lists one page.
    pub(super) fn page(&self, prefix: &str) -> ListObjectsV2FluentBuilder {
        self.session
            .s3
            .list_objects_v2()
            .bucket(&self.bucket)
            .prefix(prefix)
    }

    /// Writes an object that must not be there yet; `false` when it is.
    pub async fn put_if_absent(
        &self,
        _permit: &Permit,
        key: &str,
        bytes: Bytes,
    ) -> Result<bool, ProviderError> {
        match self
            .send_new(key, bytes)
            .await
            .map_err(|error| map(&self.what("PUT", key), Does::Write, error))
        {
            Ok(_) => Ok(true),
            Err(error) if error.kind == ErrorKind::Exists => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// An object's bytes; `None` when it is not there.
    pub async fn get(&self, key: &str) -> Result<Option<Bytes>, ProviderError> {
        let what = self.what("GET", key);
        let get = || self.send_get(key);
        let Some(answer) = self.session.read_optional(&what, get).await? else {
            return Ok(None);
        };
        let body = answer.body.collect().await.map_err(|_| cut_off(&what))?;
        Ok(Some(body.into_bytes()))
    }

    /// An object's bytes where it has at most `limit` of them: for what strangers may have
    /// written. `None` when it is not there.
    ///
    /// `Invalid` when it is larger; no more than `limit` bytes are fetched.
    pub async fn get_at_most(
        &self,
        key: &str,
        limit: usize,
    ) -> Result<Option<Bytes>, ProviderError> {
        let what = self.what("GET", key);
        // One byte more than allowed tells whether there is more.
        let range = format!("bytes=0-{limit}");
        let get = || {
            self.session
                .s3
                .get_object()
                .bucket(&self.bucket)
                .key(key)
                .range(&range)
                .send()
        };
        let answer = match self.session.read_optional(&what, get).await {
            // An empty object has no first byte.
            Err(error) if error.code.as_deref() == Some("InvalidRange") => {
                return Ok(Some(Bytes::new()));
            }
            other => other?,
        };
        let Some(answer) = answer else {
            return Ok(None);
        };
        let body = answer.body.collect().await.map_err(|_| cut_off(&what))?;
        let bytes = body.into_bytes();
        if bytes.len() > limit {
            return Err(ProviderError::new(
                ErrorKind::Invalid,
                format!("{}/{key} is larger than {limit} bytes", self.bucket),
            ));
        }
        Ok(Some(bytes))
    }

    /// An object's size in bytes; `None` when it is not there.
    pub async fn head(&self, key: &str) -> Result<Option<u64>, ProviderError> {
        let head = || {
            self.session
                .s3
                .head_object()
                .bucket(&self.bucket)
                .key(key)
                .send()
        };
        let answer = self
            .session
            .read_optional(&self.what("HEAD", key), head)
            .await?;
        Ok(answer.map(|answer| size(answer.content_length)))
    }

    /// Every object whose key begins so, in the order of keys.
    pub async fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, ProviderError> {
        let mut found = Vec::new();
        let mut token: Option<String> = None;
        for _ in 0..MAX_PAGES {
            let list = || {
                self.page(prefix)
                    .set_continuation_token(token.clone())
                    .send()
            };
            let page = self.session.read(&self.what("LIST", prefix), list).await?;
            for object in page.contents() {
                found.push(ObjectInfo {
                    key: object.key().unwrap_or_default().to_owned(),
                    size: size(object.size()),
                    modified: object
                        .last_modified()
                        .and_then(|at| at.to_millis().ok())
                        .map(Timestamp),
                });
            }
            token = page.next_continuation_token().map(str::to_owned);
            if token.is_none() {
                return Ok(found);
            }
        }
        Err(self.endless(prefix))
    }

    /// Whether there is an object whose key begins so.
    pub async fn any(&self, prefix: &str) -> Result<bool, ProviderError> {
        let list = || self.page(prefix).max_keys(1).send();
        let page = self.session.read(&self.what("LIST", prefix), list).await?;
        Ok(!page.contents().is_empty())
    }

    /// Deletes every version of one object and checks that nothing is left; already gone is
    /// fine.
    pub async fn delete_versions(&self, permit: &Permit, key: &str) -> Result<(), ProviderError> {
        self.sweep(permit, key, |found| found == key).await?;
        if self.head(key).await?.is_some() {
            return Err(ProviderError::new(
                ErrorKind::Busy,
                format!("{}/{key} is still there after it was deleted", self.bucket),
            ));
        }
        Ok(())
    }

    /// Deletes every version of every object whose key begins so, and what was begun and not
    /// finished.
    pub async fn delete_prefix(&self, permit: &Permit, prefix: &str) -> Result<(), ProviderError> {
        self.sweep(permit, prefix, |_| true).await?;
        self.abort_uploads(prefix).await
    }

    async fn sweep(
        &self,
        _permit: &Permit,
        prefix: &str,
        takes: impl Fn(&str) -> bool,
    ) -> Result<(), ProviderError> {
        let (mut key, mut version): (Option<String>, Option<String>) = (None, None);
        for _ in 0..MAX_PAGES {
            let list = || {
                self.session
                    .s3
                    .list_object_versions()
                    .bucket(&self.bucket)
                    .prefix(prefix)
                    .set_key_marker(key.clone())
                    .set_version_id_marker(version.clone())
                    .send()
            };
            let what = self.what("LIST versions of", prefix);
            let page = self.session.read(&what, list).await?;
            let versions = page.versions().iter().map(|v| (v.key(), v.version_id()));
            let marks = page
                .delete_markers()
                .iter()
                .map(|m| (m.key(), m.version_id()));
            let doomed: Vec<Version> = versions
                .chain(marks)
                .map(|(key, id)| Version {
                    key: key.unwrap_or_default().to_owned(),
                    id: id.map(str::to_owned),
                })
                .filter(|version| takes(&version.key))
                .collect();
            self.delete(&doomed).await?;
            if page.is_truncated() != Some(true) {
                return Ok(());
            }
            key = page.next_key_marker().map(str::to_owned);
            version = page.next_version_id_marker().map(str::to_owned);
        }
        Err(self.endless(prefix))
    }

    /// Deletes versions, a thousand at a time as S3 allows.
    pub(super) async fn delete(&self, versions: &[Version]) -> Result<(), ProviderError> {
        for chunk in versions.chunks(1000) {
            let mut ids = Vec::with_capacity(chunk.len());
            for version in chunk {
                ids.push(
                    ObjectIdentifier::builder()
                        .key(&version.key)
                        .set_version_id(version.id.clone())
                        .build()
                        .map_err(|_| unbuildable())?,
                );
            }
            let delete = Delete::builder()
                .set_objects(Some(ids))
                .quiet(true)
                .build()
                .map_err(|_| unbuildable())?;
            let answer = self
                .session
                .s3
                .delete_objects()
                .bucket(&self.bucket)
                .delete(delete)
                .customize()
                .mutate_request(content_md5)
                .send()
                .await
                .map_err(|error| map(&self.what("DELETE", ""), Does::Write, error))?;
            if let Some(error) = answer.errors().first() {
                return Err(ProviderError::new(
                    ErrorKind::Busy,
                    format!(
                        "{} could not be deleted: {}",
                        self.what("", error.key().unwrap_or_default()).trim_start(),
                        error
                            .message()
                            .or(error.code())
                            .unwrap_or("no reason given")
                    ),
                ));
            }
        }
        Ok(())
    }

    async fn abort_uploads(&self, prefix: &str) -> Result<(), ProviderError> {
        let list = || {
            self.session
                .s3
                .list_multipart_uploads()
                .bucket(&self.bucket)
                .prefix(prefix)
                .send()
        };
        let what = self.what("LIST uploads of", prefix);
        for _ in 0..MAX_PAGES {
            let page = self.session.read(&what, list).await?;
            for upload in page.uploads() {
                let abort = self
                    .session
                    .s3
                    .abort_multipart_upload()
                    .bucket(&self.bucket)
                    .set_key(upload.key().map(str::to_owned))
                    .set_upload_id(upload.upload_id().map(str::to_owned))
                    .send();
                match abort
                    .await
                    .map_err(|error| map("abort an upload", Does::Write, error))
                {
                    Err(error) if error.kind != ErrorKind::NotFound => return Err(error),
                    _ => {}
                }
            }
            // What was listed is gone, so the next page is a first page again.
            if page.is_truncated() != Some(true) || page.uploads().is_empty() {
                return Ok(());
            }
        }
        Err(self.endless(prefix))
    }

    /// An address with which anybody may read this object until it expires. Computed here; no
    /// call is made.
    pub async fn presign_get(&self, key: &str, expires: Duration) -> Result<String, ProviderError> {
        let get = self.session.s3.get_object().bucket(&self.bucket).key(key);
        let signed = get.presigned(self.presigning(expires)?).await;
        let signed =
            signed.map_err(|error| map(&self.what("presign GET", key), Does::Read, error))?;
        Ok(signed.uri().to_owned())
    }

    /// An address with which anybody may write this object until it expires. Computed here; no
    /// call is made.
    pub async fn presign_put(&self, key: &str, expires: Duration) -> Result<String, ProviderError> {
        let put = self.session.s3.put_object().bucket(&self.bucket).key(key);
        let signed = put.presigned(self.presigning(expires)?).await;
        let signed =
            signed.map_err(|error| map(&self.what("presign PUT", key), Does::Read, error))?;
        Ok(signed.uri().to_owned())
    }

    fn presigning(&self, expires: Duration) -> Result<PresigningConfig, ProviderError> {
        let millis = u64::try_from((self.session.now)().0).unwrap_or(0);
        PresigningConfig::builder()
            .start_time(UNIX_EPOCH + Duration::from_millis(millis))
            .expires_in(expires)
            .build()
            .map_err(|_| {
                ProviderError::new(
                    ErrorKind::Bug,
                    "a presigned address can be good for a week at most",
                )
            })
    }

    fn endless(&self, prefix: &str) -> ProviderError {
        ProviderError::new(
            ErrorKind::Bug,
            format!("the list of {}/{prefix} does not end", self.bucket),
        )
    }
}

fn cut_off(what: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Transient,
        format!("{what}: the answer was cut off"),
    )
}

fn unbuildable() -> ProviderError {
    ProviderError::new(ErrorKind::Bug, "an object without a key cannot be deleted")
}

fn size(bytes: Option<i64>) -> u64 {
    bytes
        .and_then(|bytes| u64::try_from(bytes).ok())
        .unwrap_or(0)
}
