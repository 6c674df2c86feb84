//! Spaces, DigitalOcean's object storage: the bucket as a resource, and objects for what boots
//! droplets. Spoken with the S3 client over our own transport and clock.

mod bucket;
mod connector;
mod errors;
mod objects;
mod session;
mod shared;
mod taken;
#[cfg(test)]
mod tests;

pub use bucket::{Bucket, BucketArgs, BucketAttrs, LifecycleRule};
pub use objects::{ObjectInfo, Objects};
pub use shared::SharedObjects;

use crate::http::{Now, Statistics, Transport};
use kplan_model::{ErrorKind, ProviderError, Secret, Timestamp};
use session::Session;
use std::sync::Arc;

/// The two halves of a Spaces key.
#[derive(Clone, Debug)]
pub struct Keys {
    /// The public half.
    pub access_key: String,
    /// The secret half.
    pub secret_key: Secret,
}

/// What a connection to Spaces is made of; nothing is read from the environment.
#[derive(Clone)]
pub struct SpacesConfig {
    /// One address for every region, such as a sandbox's or another S3's; DigitalOcean's own
    /// (`https://<region>.digitaloceanspaces.com`) when left out.
    pub endpoint: Option<String>,
    /// Keys for buckets that name none of their own.
    pub keys: Option<Keys>,
    /// Carries the requests.
    pub transport: Arc<dyn Transport>,
    /// Counts the requests.
    pub statistics: Arc<Statistics>,
    /// The current moment, which is part of every signature.
    pub now: Now,
    /// How many times faster than the real cloud's the remote side's clock runs; 1 for the real
    /// one.
    pub scale: u32,
}

/// A connection to Spaces.
#[derive(Clone)]
pub struct Spaces {
    config: Arc<SpacesConfig>,
}

impl Spaces {
    /// A connection.
    pub fn new(config: SpacesConfig) -> Self {
        Self {
            config: Arc::new(config),
        }
    }

    /// The objects of one bucket.
    ///
    /// `Denied` when there are no keys, or their secret is not readable.
    pub fn objects(
        &self,
        region: &str,
        bucket: &str,
        keys: Option<&Keys>,
    ) -> Result<Objects, ProviderError> {
        Ok(Objects::new(self.session(region, keys)?, bucket))
    }

    /// The objects of a bucket in any store that speaks S3, at its address. An endpoint of the
    /// configuration's goes before: nothing but the embedded cloud is asked then.
    ///
    /// `Denied` when the key's secret is not readable.
    pub fn objects_at(
        &self,
        endpoint: &str,
        region: &str,
        bucket: &str,
        keys: &Keys,
    ) -> Result<Objects, ProviderError> {
        let endpoint = self.config.endpoint.as_deref().unwrap_or(endpoint);
        let session = Session::new(&self.config, endpoint, region, keys)?;
        Ok(Objects::new(session, bucket))
    }

    /// The buckets that a key sees in a region, by name, each with its creation.
    pub(crate) async fn buckets(
        &self,
        region: &str,
        keys: &Keys,
    ) -> Result<Vec<(String, Option<Timestamp>)>, ProviderError> {
        bucket::owned(&self.session(region, Some(keys))?).await
    }

    /// A bucket as it is, whoever made it; nothing where it is gone.
    pub(crate) async fn bucket(
        &self,
        region: &str,
        name: &str,
        keys: &Keys,
    ) -> Result<Option<BucketAttrs>, ProviderError> {
        let session = self.session(region, Some(keys))?;
        Bucket(self.clone()).look((region, name), session).await
    }

    /// The endpoint of a region.
    pub(crate) fn endpoint(&self, region: &str) -> String {
        self.config
            .endpoint
            .clone()
            .unwrap_or_else(|| format!("https://{region}.digitaloceanspaces.com"))
    }

    fn session(&self, region: &str, keys: Option<&Keys>) -> Result<Session, ProviderError> {
        let keys = keys.or(self.config.keys.as_ref()).ok_or_else(|| {
            ProviderError::new(ErrorKind::Denied, "there is no Spaces key for this bucket")
                .help("give one, or let kplan mint one from the DigitalOcean token")
        })?;
        Session::new(&self.config, &self.endpoint(region), region, keys)
    }
}
