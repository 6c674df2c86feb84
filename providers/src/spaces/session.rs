//! The S3 client of one region with one pair of keys, and how its calls are repeated.

use super::connector::{Clock, Connector};
use super::errors::{Does, map};
use super::{Keys, SpacesConfig};
use crate::http::Now;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{
    BehaviorVersion, Credentials, IdentityCache, Region, RequestChecksumCalculation,
    ResponseChecksumValidation, StalledStreamProtectionConfig,
};
use aws_sdk_s3::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::retry::RetryConfig;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan_model::{ErrorKind, ProviderError};
use md5::{Digest, Md5};
use std::future::Future;
use std::net::IpAddr;
use std::time::Duration;

/// How often a call that reads is made at most.
const ATTEMPTS: u32 = 4;
/// The first pause between attempts; each later one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// How long a new bucket may refuse to be set up: it is not known everywhere at once. Terraform
/// waits as long.
const SETTLES: Duration = Duration::from_mins(5);

/// The S3 client of one region with one pair of keys.
#[derive(Clone)]
pub(super) struct Session {
    pub(super) s3: Client,
    pub(super) now: Now,
    scale: u32,
}

impl Session {
    pub(super) fn new(
        config: &SpacesConfig,
        endpoint: &str,
        region: &str,
        keys: &Keys,
    ) -> Result<Self, ProviderError> {
        let secret = keys.secret_key.expose().ok_or_else(|| {
            ProviderError::new(ErrorKind::Denied, "the Spaces key's secret is not readable")
                .help("the identity that opens the state's secrets is missing on this machine")
        })?;
        let credentials = Credentials::new(&keys.access_key, secret, None, None, "kplan");
        let s3 = aws_sdk_s3::Config::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region.to_owned()))
            .endpoint_url(endpoint)
            // A bucket cannot be a label in front of an address.
            .force_path_style(is_address(endpoint))
            .credentials_provider(credentials)
            .identity_cache(IdentityCache::no_cache())
            .http_client(Connector::new(config))
            .time_source(Clock(config.now.clone()))
            .retry_config(RetryConfig::disabled())
            .stalled_stream_protection(StalledStreamProtectionConfig::disabled())
            // Spaces and other S3s refuse the checksums that only Amazon's knows.
            .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
            .response_checksum_validation(ResponseChecksumValidation::WhenRequired)
            .build();
        Ok(Self {
            s3: Client::from_conf(s3),
            now: config.now.clone(),
            scale: config.scale.max(1),
        })
    }

    async fn pause(&self, cloud: Duration) {
        tokio::time::sleep(cloud / self.scale).await;
    }

    /// Makes a call that reads, repeated a few times where that may help.
    pub(super) async fn read<T, E, F>(
        &self,
        what: &str,
        call: impl Fn() -> F,
    ) -> Result<T, ProviderError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let mut pause = FIRST_PAUSE;
        for _ in 1..ATTEMPTS {
            match call().await.map_err(|error| map(what, Does::Read, error)) {
                Err(error) if matches!(error.kind, ErrorKind::Transient | ErrorKind::Throttled) => {
                }
                other => return other,
            }
            self.pause(pause).await;
            pause *= 2;
        }
        call().await.map_err(|error| map(what, Does::Read, error))
    }

    /// A read whose thing may not be there.
    pub(super) async fn read_optional<T, E, F>(
        &self,
        what: &str,
        call: impl Fn() -> F,
    ) -> Result<Option<T>, ProviderError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        match self.read(what, call).await {
            Ok(value) => Ok(Some(value)),
            Err(error) if error.kind == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }

    /// Sets up a bucket that may be new: every such call can be repeated, and is for as long as
    /// the bucket may not be known everywhere.
    pub(super) async fn settle<T, E, F>(
        &self,
        what: &str,
        call: impl Fn() -> F,
    ) -> Result<T, ProviderError>
    where
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
        E: ProvideErrorMetadata + std::error::Error + Send + Sync + 'static,
    {
        let mut pause = FIRST_PAUSE;
        let mut waited = Duration::ZERO;
        loop {
            let error = match call().await {
                Ok(value) => return Ok(value),
                Err(error) => map(what, Does::Write, error),
            };
            let passes = matches!(
                error.kind,
                ErrorKind::NotFound
                    | ErrorKind::Busy
                    | ErrorKind::Throttled
                    | ErrorKind::Transient
                    | ErrorKind::OutcomeUnknown
            );
            if !passes || waited >= SETTLES {
                return Err(error);
            }
            self.pause(pause).await;
            waited += pause;
            pause = (pause * 2).min(Duration::from_secs(20));
        }
    }
}

/// Whether an endpoint is a bare address or this machine.
fn is_address(endpoint: &str) -> bool {
    let rest = endpoint
        .split_once("://")
        .map_or(endpoint, |(_, rest)| rest);
    let authority = rest.split('/').next().unwrap_or(rest);
    if let Some(bracketed) = authority.strip_prefix('[') {
        return bracketed
            .split(']')
            .next()
            .is_some_and(|host| host.parse::<IpAddr>().is_ok());
    }
    let host = authority.split(':').next().unwrap_or(authority);
    host == "localhost" || host.parse::<IpAddr>().is_ok()
}

/// Adds Content-MD5, which older S3s demand for settings in XML, to a request.
pub(super) fn content_md5(request: &mut HttpRequest) {
    if let Some(digest) = request
        .body()
        .bytes()
        .map(|body| STANDARD.encode(Md5::digest(body)))
    {
        request.headers_mut().insert("content-md5", digest);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_can_carry_a_bucket_in_front() {
        for endpoint in [
            "http://127.0.0.1:9000",
            "http://[::1]:9000/",
            "http://localhost:1",
        ] {
            assert!(is_address(endpoint), "{endpoint}");
        }
        for endpoint in [
            "https://fra1.digitaloceanspaces.com",
            "https://s3.example:9000/x",
        ] {
            assert!(!is_address(endpoint), "{endpoint}");
        }
    }
}
