//! The boot bucket as nodes and their cluster need it.

use crate::spaces::{Keys, Objects, Spaces};
use bytes::Bytes;
use kplan_model::{BoxFuture, ErrorKind, Permit, ProviderError, Secret, Timestamp};
use std::time::Duration;

/// Where a bucket is and with which key it is used.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// The storage's address.
    pub endpoint: String,
    /// Its region.
    pub region: String,
    /// The bucket.
    pub bucket: String,
    /// The id of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: Secret,
}

/// One object of a list.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    /// Its name.
    pub key: String,
    /// When it was written.
    pub modified: Option<Timestamp>,
}

/// Objects of a bucket.
pub trait BootStorage: Send + Sync + 'static {
    /// Writes an object.
    fn put<'a>(
        &'a self,
        place: &'a Place,
        key: &'a str,
        bytes: Bytes,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Reads an object of at most `limit` bytes; `None` when there is none.
    fn get<'a>(
        &'a self,
        place: &'a Place,
        key: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Option<Bytes>, ProviderError>>;

    /// Lists the objects whose names begin so, to the last page.
    fn list<'a>(
        &'a self,
        place: &'a Place,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Listed>, ProviderError>>;

    /// An address at which anybody can read an object for that long. No call is made.
    fn presign_get<'a>(
        &'a self,
        place: &'a Place,
        key: &'a str,
        valid: Duration,
    ) -> BoxFuture<'a, Result<String, ProviderError>>;

    /// Deletes an object in all its versions and makes sure that it is gone.
    fn remove<'a>(
        &'a self,
        place: &'a Place,
        key: &'a str,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;

    /// Deletes every object whose name begins so, in all its versions.
    fn remove_prefix<'a>(
        &'a self,
        place: &'a Place,
        prefix: &'a str,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>>;
}

fn objects(spaces: &Spaces, place: &Place) -> Result<Objects, ProviderError> {
    let keys = Keys {
        access_key: place.access_key.clone(),
        secret_key: place.secret_key.clone(),
    };
    spaces.objects(&place.region, &place.bucket, Some(&keys))
}

impl BootStorage for Spaces {
    fn put<'a>(
        &'a self,
        place: &'a Place,
        key: &'a str,
        bytes: Bytes,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move { objects(self, place)?.put(permit, key, bytes).await })
    }

    fn get<'a>(
        &'a self,
        place: &'a Place,
        key: &'a str,
        limit: usize,
    ) -> BoxFuture<'a, Result<Option<Bytes>, ProviderError>> {
        Box::pin(async move {
            let bytes = objects(self, place)?.get(key).await?;
            Ok(bytes.filter(|bytes| bytes.len() <= limit))
        })
    }

    fn list<'a>(
        &'a self,
        place: &'a Place,
        prefix: &'a str,
    ) -> BoxFuture<'a, Result<Vec<Listed>, ProviderError>> {
        Box::pin(async move {
            let found = objects(self, place)?.list(prefix).await?;
            let listed = found.into_iter().map(|one| Listed {
                key: one.key,
                modified: one.modified,
            });
            Ok(listed.collect())
        })
    }

    fn presign_get<'a>(
        &'a self,
        place: &'a Place,
        key: &'a str,
        valid: Duration,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        Box::pin(async move { objects(self, place)?.presign_get(key, valid).await })
    }

    fn remove<'a>(
        &'a self,
        place: &'a Place,
        key: &'a str,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move { objects(self, place)?.delete_versions(permit, key).await })
    }

    fn remove_prefix<'a>(
        &'a self,
        place: &'a Place,
        prefix: &'a str,
        permit: &'a Permit,
    ) -> BoxFuture<'a, Result<(), ProviderError>> {
        Box::pin(async move { objects(self, place)?.delete_prefix(permit, prefix).await })
    }
}

impl super::boot::BootArgs {
    /// Where this node's objects lie.
    pub fn place(&self) -> Result<Place, ProviderError> {
        let secret_key = self.secret_key.known()?.clone();
        if secret_key.expose().is_none() {
            return Err(ProviderError::new(
                ErrorKind::Denied,
                "the storage key of the boot bucket cannot be read without the state's identity",
            ));
        }
        Ok(Place {
            endpoint: self.endpoint.known()?.clone(),
            region: self.region.known()?.clone(),
            bucket: self.bucket.known()?.clone(),
            access_key: self.access_key.known()?.clone(),
            secret_key,
        })
    }
}
