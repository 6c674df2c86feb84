//! DigitalOcean Spaces: an S3 server whose keys, buckets and objects belong to the sandbox.
//!
//! Signatures, grants, versions, conditions and lifecycle rules are real. Not simulated, and
//! answered with `NotImplemented`: browser form uploads, Signature Version 2, encryption with
//! customer keys, bucket websites, logging, tagging, copying parts, and ACL documents that say
//! something else than the canned ACLs.
//! Bucket policies and CORS rules are stored and returned but decide nothing.

mod access;
mod acl;
mod api;
mod blobs;
mod buckets;
mod lifecycle;
mod listing;
mod multipart;
mod objects;
mod presigned;
mod records;
mod settings;
#[cfg(test)]
pub(crate) mod testkit;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, s3_error};
use tokio::net::TcpListener;

pub(crate) use presigned::{percent_decode, to_hex};

use crate::facts::CloudFacts;
use crate::store::StoreError;
use crate::{Clock, Store};

/// Largest object the sandbox takes in one request: real Spaces takes 5 GiB, but a sandbox holds
/// a request in memory.
const MAX_OBJECT_BYTES: usize = 256 * 1024 * 1024;

/// How this Spaces behaves.
#[derive(Clone, Debug, Default)]
pub struct SpacesConfig {
    /// The sandbox's folder; objects go under `spaces/<bucket>/`. `None`: in memory.
    pub dir: Option<PathBuf>,
    /// Whether the name of a deleted bucket can be used again at once. On DigitalOcean it cannot
    /// for a week or more; tests that create, destroy and create again need it.
    pub reuse_deleted_names: bool,
    /// How long (cloud time) after its creation a bucket is missed by other operations. On
    /// DigitalOcean this can be minutes; zero switches it off.
    pub settle: Duration,
}

/// Why Spaces could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum SpacesError {
    /// The recorded state could not be read.
    #[error("the recorded buckets and objects could not be read")]
    Store(#[from] StoreError),
}

/// A bucket, for `inspect`.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct BucketSummary {
    /// Name, global.
    pub name: String,
    /// Region whose endpoint has it.
    pub region: String,
    /// Whether overwritten objects are kept.
    pub versioned: bool,
    /// Number of keys whose latest version is an object.
    pub objects: usize,
    /// Number of versions and delete markers.
    pub versions: usize,
}

/// The service; clones share it.
#[derive(Clone)]
pub struct Spaces {
    service: S3Service,
    shared: Arc<buckets::Shared>,
}

impl std::fmt::Debug for Spaces {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Spaces")
            .field("config", &self.shared.config)
            .finish_non_exhaustive()
    }
}

impl Spaces {
    /// Opens the service over what the store has recorded.
    pub fn open(
        config: SpacesConfig,
        facts: Arc<dyn CloudFacts>,
        store: Store,
        clock: Clock,
    ) -> Result<Spaces, SpacesError> {
        let shared = Arc::new(buckets::Shared::open(config, facts, store, clock)?);
        let mut builder = S3ServiceBuilder::new(api::Api(Arc::clone(&shared)));
        builder.set_auth(access::Keys(Arc::clone(&shared)));
        builder.set_access(access::Grants(Arc::clone(&shared)));
        builder.set_host(access::Hosts);
        // Ages of signatures are judged by the sandbox's clock, in `access` and `presigned`.
        let mut limits = S3Config::default();
        limits.presigned_url_max_skew_time_secs = u32::MAX;
        builder.set_config(Arc::new(StaticConfigProvider::new(Arc::new(limits))));
        Ok(Spaces {
            service: builder.build(),
            shared,
        })
    }

    /// Answers one request.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let answer = match self.admit(request) {
            Ok(request) => match self.service.call(request).await {
                Ok(response) => return response,
                Err(error) => S3Error::internal_error(std::io::Error::other(format!("{error:?}"))),
            },
            Err(error) => error,
        };
        answer.to_http_response().unwrap_or_else(|_unserializable| {
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        })
    }

    /// Answers a request whose body is at hand, and collects the answer's body: how a booting
    /// node and in-memory clients reach the service, by the same way as a socket.
    pub async fn call(&self, request: Request<Bytes>) -> Response<Bytes> {
        let length = request.body().len();
        let head = request.method() == http::Method::HEAD;
        let mut request = request.map(Body::from);
        let headers = request.headers_mut();
        headers
            .entry(http::header::CONTENT_LENGTH)
            .or_insert(http::HeaderValue::from(length));
        let (parts, body) = self.handle(request).await.into_parts();
        match body.collect().await {
            // A socket would not carry the body of an answer to HEAD either.
            Ok(_) if head => Response::from_parts(parts, Bytes::new()),
            Ok(collected) => Response::from_parts(parts, collected.to_bytes()),
            Err(_lost) => {
                let mut response = Response::new(Bytes::new());
                *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
                response
            }
        }
    }

    /// Checks a signature in the query; other requests go through as they are.
    fn admit(&self, mut request: Request<Body>) -> Result<Request<Body>, S3Error> {
        if let Some(presigned) = presigned::Presigned::parse(request.uri()) {
            let presigned = presigned?;
            let caller = access::presigned_caller(&self.shared, &request, &presigned)?;
            *request.uri_mut() = presigned.stripped(request.uri())?;
            request.extensions_mut().insert(caller);
            return Ok(request);
        }
        if let Some(target) = request.uri().path_and_query().cloned() {
            *request.uri_mut() = Uri::from(target);
        }
        if request.method() == http::Method::OPTIONS {
            return Err(s3_error!(
                NotImplemented,
                "the sandbox answers no CORS preflight requests"
            ));
        }
        Ok(request)
    }

    /// Serves HTTP/1 on a listener until the task is dropped.
    pub async fn serve(self, listener: TcpListener) {
        loop {
            // A failed accept (such as no file descriptors left) concerns one connection.
            let Ok((stream, _peer)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            let spaces = self.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(
                    move |request: Request<hyper::body::Incoming>| {
                        let spaces = spaces.clone();
                        async move { Ok::<_, Infallible>(spaces.handle(request.map(Body::from)).await) }
                    },
                );
                let connection = hyper::server::conn::http1::Builder::new();
                // A client that goes away ends its own connection only.
                drop(
                    connection
                        .serve_connection(TokioIo::new(stream), service)
                        .await,
                );
            });
        }
    }

    /// Whether a key can write to a bucket at a region's endpoint; the error is what an answer
    /// would say.
    pub fn check_bucket(
        &self,
        bucket: &str,
        region: &str,
        access_key: &str,
        secret_key: &str,
    ) -> Result<(), String> {
        let key = access::find_key(&self.shared, access_key).map_err(|error| said(&error))?;
        if key.secret_key != secret_key {
            return Err(
                "SignatureDoesNotMatch: the secret key is not this access key's".to_owned(),
            );
        }
        let caller = access::Caller::with_key(&key, region.to_owned());
        if !caller.may_write(bucket) {
            return Err(format!(
                "AccessDenied: the key has no grant to write to the bucket {bucket:?}"
            ));
        }
        self.shared
            .in_bucket(&caller, bucket, |_, _| Ok(()))
            .map_err(|error| said(&error))
    }

    /// Every bucket of the account.
    pub fn buckets(&self) -> Vec<BucketSummary> {
        self.shared.read(|state| {
            let summary = |bucket: &buckets::Bucket| BucketSummary {
                name: bucket.record.name.clone(),
                region: bucket.record.region.clone(),
                versioned: bucket.record.versioning == records::Versioning::Enabled,
                objects: bucket
                    .keys
                    .keys()
                    .filter(|key| bucket.current(key).is_some())
                    .count(),
                versions: bucket.keys.values().map(Vec::len).sum(),
            };
            state.buckets.values().map(summary).collect()
        })
    }
}

fn said(error: &S3Error) -> String {
    format!(
        "{}: {}",
        error.code().as_str(),
        error.message().unwrap_or_default()
    )
}
