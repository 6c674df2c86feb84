//! The state of Spaces: buckets, versions, uploads, and the rules of S3 about them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use jiff::{SignedDuration, Timestamp};
use s3s::{S3Result, s3_error};

use super::access::Caller;
use super::blobs::Blobs;
use super::presigned::sha256_hex;
use super::records::{
    BUCKETS, BucketRecord, Content, RETIRED, UPLOADS, UploadRecord, VERSIONS, VersionRecord,
    Versioning,
};
use super::{SpacesConfig, SpacesError};
use crate::facts::CloudFacts;
use crate::store::Batch;
use crate::{Clock, Store};

/// The version id of objects written without versioning.
pub(super) const NULL_VERSION: &str = "null";

/// Everything the operations share.
pub(super) struct Shared {
    pub config: SpacesConfig,
    pub facts: Arc<dyn CloudFacts>,
    pub clock: Clock,
    /// How many requests were answered since the start.
    pub requests: AtomicU64,
    store: Store,
    blobs: Blobs,
    state: Mutex<State>,
}

/// All buckets of the account.
#[derive(Default)]
pub(super) struct State {
    pub buckets: BTreeMap<String, Bucket>,
    pub retired: BTreeSet<String>,
    sequence: u64,
}

/// One bucket with its contents.
pub(super) struct Bucket {
    pub record: BucketRecord,
    /// Versions of each key, oldest first; never empty.
    pub keys: BTreeMap<String, Vec<VersionRecord>>,
    pub uploads: BTreeMap<String, UploadRecord>,
}

/// What an operation changes: records for the disk, and blobs nothing refers to afterwards.
pub(super) struct Change<'a> {
    pub now: Timestamp,
    batch: Batch,
    garbage: Vec<(String, String)>,
    sequence: &'a mut u64,
}

impl Change<'_> {
    /// Writes a bucket's settings.
    pub(super) fn bucket(&mut self, record: &BucketRecord) -> S3Result<()> {
        self.batch
            .put(BUCKETS, &record.name, record)
            .map_err(internal)
    }

    /// Forgets a bucket, and retires its name.
    pub(super) fn forget_bucket(&mut self, name: &str, retire: bool) -> S3Result<()> {
        self.batch.delete(BUCKETS, name);
        if retire {
            self.batch.put(RETIRED, name, &self.now).map_err(internal)?;
        }
        Ok(())
    }

    /// Writes an upload.
    pub(super) fn upload(&mut self, upload: &UploadRecord) -> S3Result<()> {
        self.batch
            .put(UPLOADS, &upload.store_key(), upload)
            .map_err(internal)
    }

    /// Forgets an upload with its parts.
    pub(super) fn forget_upload(&mut self, upload: &UploadRecord) {
        self.batch.delete(UPLOADS, &upload.store_key());
        for part in upload.parts.values() {
            self.free(&upload.bucket, &part.blob);
        }
    }

    /// Frees a blob once the change is durable.
    pub(super) fn free(&mut self, bucket: &str, blob: &str) {
        self.garbage.push((bucket.to_owned(), blob.to_owned()));
    }

    fn forget_version(&mut self, version: &VersionRecord) {
        self.batch.delete(VERSIONS, &version.store_key());
        if let Some(content) = &version.content {
            self.free(&version.bucket, &content.blob);
        }
    }

    fn next(&mut self) -> u64 {
        *self.sequence += 1;
        *self.sequence
    }

    /// An identifier nobody can guess the next of, the same in a replayed run.
    pub(super) fn opaque_id(&mut self, what: &str) -> String {
        let seed = format!("{what}/{}/{}", self.next(), self.now.as_nanosecond());
        sha256_hex(seed.as_bytes())[..32].to_owned()
    }
}

/// Answers 500 and keeps the cause for the log.
pub(super) fn internal<E: std::error::Error + Send + Sync + 'static>(source: E) -> s3s::S3Error {
    s3s::S3Error::internal_error(source)
}

impl Shared {
    /// Reads the state back.
    pub(super) fn open(
        config: SpacesConfig,
        facts: Arc<dyn CloudFacts>,
        store: Store,
        clock: Clock,
    ) -> Result<Shared, SpacesError> {
        let blobs = Blobs::open(config.dir.as_deref());
        let state = State::load(&store)?;
        blobs.sweep(&state.blobs());
        Ok(Shared {
            config,
            facts,
            clock,
            requests: AtomicU64::new(1),
            store,
            blobs,
            state: Mutex::new(state),
        })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Looks at everything.
    pub(super) fn read<T>(&self, look: impl FnOnce(&State) -> T) -> T {
        look(&self.lock())
    }

    /// Changes the set of buckets; durable when this returns.
    pub(super) fn change<T>(
        &self,
        work: impl FnOnce(
            &mut BTreeMap<String, Bucket>,
            &mut BTreeSet<String>,
            &mut Change<'_>,
        ) -> S3Result<T>,
    ) -> S3Result<T> {
        let mut guard = self.lock();
        let State {
            buckets,
            retired,
            sequence,
        } = &mut *guard;
        let mut change = Change {
            now: self.clock.now(),
            batch: Batch::default(),
            garbage: Vec::new(),
            sequence,
        };
        let result = work(buckets, retired, &mut change);
        let Change { batch, garbage, .. } = change;
        let dirty = !batch.is_empty();
        self.store.append(batch).map_err(internal)?;
        drop(guard);
        if dirty {
            self.store.sync().map_err(internal)?;
        }
        for (bucket, blob) in garbage {
            self.blobs.discard(&bucket, &blob);
        }
        result
    }

    /// Works on one bucket that the caller's endpoint has; durable when this returns.
    pub(super) fn in_bucket<T>(
        &self,
        caller: &Caller,
        name: &str,
        work: impl FnOnce(&mut Bucket, &mut Change<'_>) -> S3Result<T>,
    ) -> S3Result<T> {
        self.change(|buckets, _, change| {
            let bucket = buckets
                .get_mut(name)
                .filter(|bucket| self.visible(bucket, caller, change.now));
            let bucket = bucket.ok_or_else(|| no_such_bucket(name, caller))?;
            super::lifecycle::expire(bucket, change);
            work(bucket, change)
        })
    }

    /// A bucket lives in one region, and after its creation other operations miss it for a while.
    fn visible(&self, bucket: &Bucket, caller: &Caller, now: Timestamp) -> bool {
        let here = caller
            .region
            .as_ref()
            .is_none_or(|region| *region == bucket.record.region);
        let age = now.duration_since(bucket.record.created);
        let settle = SignedDuration::try_from(self.clock.scaled(self.config.settle))
            .unwrap_or(SignedDuration::MAX);
        here && age >= settle
    }

    /// Looks at a bucket that the caller's endpoint has; `None` when it has not.
    pub(super) fn look<T>(
        &self,
        caller: &Caller,
        name: &str,
        look: impl FnOnce(&Bucket) -> T,
    ) -> Option<T> {
        let now = self.clock.now();
        self.read(|state| {
            state
                .buckets
                .get(name)
                .filter(|bucket| self.visible(bucket, caller, now))
                .map(look)
        })
    }

    /// Stores bytes under a fresh name; nothing refers to them until a record does.
    pub(super) fn store_bytes(
        &self,
        caller: &Caller,
        bucket: &str,
        bytes: Bytes,
    ) -> S3Result<String> {
        let blob = self.in_bucket(caller, bucket, |_, change| Ok(change.opaque_id("blob")))?;
        self.blobs.put(bucket, &blob, bytes).map_err(internal)?;
        Ok(blob)
    }

    /// Reads the bytes of a version or part.
    pub(super) fn load_bytes(&self, bucket: &str, blob: &str) -> S3Result<Bytes> {
        self.blobs.get(bucket, blob).map_err(internal)
    }

    /// Frees bytes that ended up unused.
    pub(super) fn discard_bytes(&self, bucket: &str, blob: &str) {
        self.blobs.discard(bucket, blob);
    }
}

pub(super) fn no_such_bucket(name: &str, caller: &Caller) -> s3s::S3Error {
    let region = caller.region.as_deref().unwrap_or("this endpoint's region");
    s3_error!(
        NoSuchBucket,
        "The bucket {name:?} does not exist in {region}"
    )
}

impl State {
    fn load(store: &Store) -> Result<State, SpacesError> {
        let mut state = State::default();
        for (name, record) in store.load::<BucketRecord>(BUCKETS)? {
            state.buckets.insert(name, Bucket::new(record));
        }
        for (_, version) in store.load::<VersionRecord>(VERSIONS)? {
            state.sequence = state.sequence.max(version.sequence);
            if let Some(bucket) = state.buckets.get_mut(&version.bucket) {
                bucket
                    .keys
                    .entry(version.key.clone())
                    .or_default()
                    .push(version);
            }
        }
        for (_, upload) in store.load::<UploadRecord>(UPLOADS)? {
            if let Some(bucket) = state.buckets.get_mut(&upload.bucket) {
                bucket.uploads.insert(upload.id.clone(), upload);
            }
        }
        state.retired = store.load::<Timestamp>(RETIRED)?.into_keys().collect();
        Ok(state)
    }

    /// Every blob a version or a part refers to, with its bucket.
    fn blobs(&self) -> BTreeSet<(String, String)> {
        let mut blobs = BTreeSet::new();
        for (name, bucket) in &self.buckets {
            let contents = bucket
                .keys
                .values()
                .flatten()
                .filter_map(|v| v.content.as_ref());
            let parts = bucket
                .uploads
                .values()
                .flat_map(|upload| upload.parts.values());
            let used = contents
                .map(|c| &c.blob)
                .chain(parts.map(|part| &part.blob));
            blobs.extend(used.map(|blob| (name.clone(), blob.clone())));
        }
        blobs
    }
}

impl Bucket {
    /// An empty bucket.
    pub(super) fn new(record: BucketRecord) -> Bucket {
        Bucket {
            record,
            keys: BTreeMap::new(),
            uploads: BTreeMap::new(),
        }
    }

    /// The latest version of a key, unless it is a delete marker.
    pub(super) fn current(&self, key: &str) -> Option<(&VersionRecord, &Content)> {
        let version = self.keys.get(key)?.last()?;
        version.content.as_ref().map(|content| (version, content))
    }

    /// Writes a new latest version and returns it.
    pub(super) fn write(
        &mut self,
        change: &mut Change<'_>,
        key: &str,
        content: Option<Content>,
    ) -> S3Result<VersionRecord> {
        let versioned = self.record.versioning == Versioning::Enabled;
        let version_id = if versioned {
            change.opaque_id(key)
        } else {
            NULL_VERSION.to_owned()
        };
        let version = VersionRecord {
            bucket: self.record.name.clone(),
            key: key.to_owned(),
            sequence: change.next(),
            version_id,
            modified: change.now,
            content,
        };
        change
            .batch
            .put(VERSIONS, &version.store_key(), &version)
            .map_err(internal)?;
        let versions = self.keys.entry(key.to_owned()).or_default();
        if !versioned {
            versions.retain(|old| {
                let kept = old.version_id != NULL_VERSION;
                if !kept {
                    change.forget_version(old);
                }
                kept
            });
        }
        versions.push(version.clone());
        Ok(version)
    }

    /// The latest version of a key, or the one with an id; it may be a delete marker.
    pub(super) fn version(&self, key: &str, version_id: Option<&str>) -> S3Result<&VersionRecord> {
        let versions = self.keys.get(key).map(Vec::as_slice).unwrap_or_default();
        match version_id {
            None => versions.last().ok_or_else(|| {
                let name = &self.record.name;
                s3_error!(NoSuchKey, "the key {key:?} does not exist in {name}")
            }),
            Some(id) => versions
                .iter()
                .find(|version| version.version_id == id)
                .ok_or_else(|| {
                    s3_error!(NoSuchVersion, "the version {id} of {key:?} does not exist")
                }),
        }
    }

    /// Changes what is recorded about a version's content, or about the latest one's.
    pub(super) fn edit(
        &mut self,
        change: &mut Change<'_>,
        key: &str,
        version_id: Option<&str>,
        edit: impl FnOnce(&mut Content),
    ) -> S3Result<()> {
        let mut version = self.version(key, version_id)?.clone();
        let Some(content) = &mut version.content else {
            return Err(match version_id {
                None => s3_error!(
                    NoSuchKey,
                    "the latest version of {key:?} is a delete marker"
                ),
                Some(_) => s3_error!(MethodNotAllowed, "a delete marker has no content"),
            });
        };
        edit(content);
        change
            .batch
            .put(VERSIONS, &version.store_key(), &version)
            .map_err(internal)?;
        let versions = self.keys.get_mut(key).map(Vec::as_mut_slice);
        for recorded in versions.unwrap_or_default() {
            if recorded.sequence == version.sequence {
                recorded.clone_from(&version);
            }
        }
        Ok(())
    }

    /// Deletes the key as `DeleteObject` without a version does. Returns the delete marker, when
    /// the bucket's versioning makes one.
    pub(super) fn delete(
        &mut self,
        change: &mut Change<'_>,
        key: &str,
    ) -> S3Result<Option<VersionRecord>> {
        if self.record.versioning == Versioning::Never {
            self.remove_version(change, key, NULL_VERSION);
            return Ok(None);
        }
        self.write(change, key, None).map(Some)
    }

    /// Removes one version for good and returns it.
    pub(super) fn remove_version(
        &mut self,
        change: &mut Change<'_>,
        key: &str,
        version_id: &str,
    ) -> Option<VersionRecord> {
        let versions = self.keys.get_mut(key)?;
        let at = versions
            .iter()
            .position(|version| version.version_id == version_id)?;
        let removed = versions.remove(at);
        change.forget_version(&removed);
        if versions.is_empty() {
            self.keys.remove(key);
        }
        Some(removed)
    }

    /// Removes an upload with its parts.
    pub(super) fn remove_upload(
        &mut self,
        change: &mut Change<'_>,
        id: &str,
    ) -> Option<UploadRecord> {
        let upload = self.uploads.remove(id)?;
        change.forget_upload(&upload);
        Some(upload)
    }
}
