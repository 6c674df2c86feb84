//! DigitalOcean Spaces: an S3 server whose keys, buckets and objects belong to the sandbox.
//!
//! Signatures, grants, ACLs, policies, CORS rules, versions, conditions and lifecycle rules decide.
//! Not simulated, and answered with `NotImplemented`: browser form uploads, Signature Version 2,
//! encryption, object locks, bucket websites, logging, reading by part number, ACLs that say
//! something else than the canned ones, and policies that say what `policy.rs` does not judge.

mod access;
mod acl;
mod actions;
mod api;
mod blobs;
mod buckets;
mod conditions;
mod copies;
mod cors;
mod digests;
mod headers;
mod lifecycle;
mod listing;
mod multipart;
mod objects;
mod pattern;
mod policy;
mod presigned;
mod records;
mod rights;
mod session;
mod settings;
mod tagging;
#[cfg(test)]
pub(crate) mod testkit;
#[cfg(test)]
mod tests;

use std::convert::Infallible;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode, Uri};
use http_body_util::BodyExt as _;
use hyper_util::rt::TokioIo;
use s3s::config::{S3Config, StaticConfigProvider};
use s3s::dto::CORSRule;
use s3s::service::{S3Service, S3ServiceBuilder};
use s3s::{Body, S3Error, s3_error};
use tokio::net::TcpListener;

pub(crate) use access::Peer;
pub(crate) use presigned::{percent_decode, to_hex};
pub(crate) use session::Session;

use cors::Crossing;

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

    /// Answers one request. Where it comes from, for bucket policies, is what `Peer` in its
    /// extensions says.
    pub async fn handle(&self, request: Request<Body>) -> Response<Body> {
        let mut response = self.answer(request).await;
        let number = self.shared.requests.fetch_add(1, Ordering::Relaxed);
        // The form of Ceph's: a transaction, counted from the start of the process.
        if let Ok(id) = HeaderValue::from_str(&format!("tx{number:021x}-sandbox")) {
            response.headers_mut().insert("x-amz-request-id", id);
        }
        response
    }

    async fn answer(&self, request: Request<Body>) -> Response<Body> {
        let target = access::target(&request);
        if request.method() == http::Method::OPTIONS {
            return self.preflight(target.as_deref(), request.headers());
        }
        let crossing = Crossing::of(request.method(), request.headers());
        let mut response = match self.admit(request) {
            Ok(request) => match self.service.call(request).await {
                Ok(response) => response,
                Err(error) => refusal(S3Error::internal_error(std::io::Error::other(format!(
                    "{error:?}"
                )))),
            },
            Err(error) => refusal(error),
        };
        if let (Some(crossing), Some(bucket)) = (crossing, target) {
            let answer = crossing.answer(&self.cors_rules(&bucket));
            response.headers_mut().extend(answer.unwrap_or_default());
        }
        response
    }

    /// Answers a browser that asks whether it may send a request to another origin. That needs no
    /// permission; what it asks about may still be refused.
    fn preflight(&self, bucket: Option<&str>, headers: &HeaderMap) -> Response<Body> {
        let crossing = match Crossing::preflight(headers) {
            Ok(crossing) => crossing,
            Err(error) => return refusal(error),
        };
        let rules = bucket.map(|bucket| self.cors_rules(bucket));
        match crossing.answer(&rules.unwrap_or_default()) {
            Some(headers) => {
                let mut response = Response::new(Body::empty());
                *response.headers_mut() = headers;
                response
            }
            None => refusal(s3_error!(
                AccessDenied,
                "no CORS rule of the bucket allows this origin, method and headers"
            )),
        }
    }

    fn cors_rules(&self, bucket: &str) -> Vec<CORSRule> {
        self.shared.read(|state| {
            let cors = state
                .buckets
                .get(bucket)
                .and_then(|bucket| bucket.record.cors.as_ref());
            cors.map(|cors| cors.cors_rules.clone()).unwrap_or_default()
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
        presigned::refuse_chunks_unless_signed(request.headers())?;
        if let Some(presigned) = presigned::Presigned::parse(request.uri()) {
            let presigned = presigned?;
            let caller = access::presigned_caller(&self.shared, &request, &presigned)?;
            *request.uri_mut() = presigned.stripped(request.uri())?;
            request.extensions_mut().insert(caller);
            return Ok(request);
        }
        presigned::refuse_version_2(request.uri(), request.headers())?;
        if let Some(target) = request.uri().path_and_query().cloned() {
            *request.uri_mut() = Uri::from(target);
        }
        Ok(request)
    }

    /// Serves HTTP/1 on a listener until the task is dropped.
    pub async fn serve(self, listener: TcpListener) {
        loop {
            // A failed accept (such as no file descriptors left) concerns one connection.
            let Ok((stream, peer)) = listener.accept().await else {
                tokio::task::yield_now().await;
                continue;
            };
            let spaces = self.clone();
            tokio::spawn(async move {
                let service = hyper::service::service_fn(
                    move |mut request: Request<hyper::body::Incoming>| {
                        let spaces = spaces.clone();
                        request.extensions_mut().insert(Peer(peer.ip()));
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

    /// The names of all buckets, without a look at what is in them.
    pub(crate) fn bucket_names(&self) -> Vec<String> {
        self.shared
            .read(|state| state.buckets.keys().cloned().collect())
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

fn refusal(error: S3Error) -> Response<Body> {
    error.to_http_response().unwrap_or_else(|_unserializable| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
        response
    })
}

fn said(error: &S3Error) -> String {
    format!(
        "{}: {}",
        error.code().as_str(),
        error.message().unwrap_or_default()
    )
}
