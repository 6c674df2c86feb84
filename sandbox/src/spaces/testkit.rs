//! An account and the official S3 client, for the tests of Spaces and of booting nodes.

use std::collections::BTreeMap;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use aws_credential_types::Credentials;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::{Region, RequestChecksumCalculation};
use aws_sdk_s3::presigning::PresigningConfig;
use aws_smithy_runtime_api::client::http::{
    HttpConnector, HttpConnectorFuture, SharedHttpConnector, http_client_fn,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::retry::RetryConfig;
use bytes::Bytes;
use http_body_util::BodyExt as _;

use super::{Peer, Spaces, presigned};
use crate::facts::{CloudFacts, DatabaseFacts, SpacesKeyFacts};
use crate::store::StoreError;

/// Facts a test sets.
#[derive(Debug, Default)]
pub(crate) struct TestCloud {
    pub keys: Mutex<Vec<SpacesKeyFacts>>,
    pub databases: Mutex<BTreeMap<String, DatabaseFacts>>,
    pub balancers: Mutex<BTreeMap<Ipv4Addr, Vec<Ipv4Addr>>>,
    pub names: Mutex<BTreeMap<String, Vec<Ipv4Addr>>>,
    pub droplets: Mutex<BTreeMap<Ipv4Addr, u64>>,
}

impl TestCloud {
    /// Adds a key with grants; its secret is `secret-of-<key>`.
    pub(crate) fn add_key(&self, access_key: &str, grants: &[(&str, &str)]) {
        let grants = grants
            .iter()
            .map(|(b, p)| ((*b).to_owned(), (*p).to_owned()))
            .collect();
        let secret_key = format!("secret-of-{access_key}");
        self.keys.lock().unwrap().push(SpacesKeyFacts {
            access_key: access_key.to_owned(),
            secret_key,
            grants,
        });
    }

    /// An account with the key `ADMIN`, which may do everything.
    pub(crate) fn with_admin() -> Arc<TestCloud> {
        let cloud = TestCloud::default();
        cloud.add_key("ADMIN", &[("", "fullaccess")]);
        Arc::new(cloud)
    }
}

impl CloudFacts for TestCloud {
    fn database_by_private_host(&self, host: &str) -> Option<DatabaseFacts> {
        self.databases.lock().unwrap().get(host).cloned()
    }

    fn let_create(&self, host: &str, database: &str, user: &str) -> Result<(), StoreError> {
        if let Some(facts) = self.databases.lock().unwrap().get_mut(host) {
            facts
                .creators
                .insert((database.to_owned(), user.to_owned()));
        }
        Ok(())
    }

    fn load_balancer_targets(&self, ip: Ipv4Addr) -> Option<Vec<Ipv4Addr>> {
        self.balancers.lock().unwrap().get(&ip).cloned()
    }

    fn droplet_by_ip(&self, ip: Ipv4Addr) -> Option<u64> {
        self.droplets.lock().unwrap().get(&ip).copied()
    }

    fn addresses_of(&self, name: &str) -> Vec<Ipv4Addr> {
        let names = self.names.lock().unwrap();
        names.get(name).cloned().unwrap_or_default()
    }

    fn spaces_keys(&self) -> Vec<SpacesKeyFacts> {
        self.keys.lock().unwrap().clone()
    }
}

/// Carries the client's requests to the service without a socket.
#[derive(Debug)]
struct InMemory(Spaces);

impl HttpConnector for InMemory {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let spaces = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().unwrap();
            let (mut parts, body) = request.into_parts();
            let authority = parts.uri.authority().unwrap().to_string();
            parts
                .headers
                .insert(http::header::HOST, authority.parse().unwrap());
            let body = body.collect().await.unwrap().to_bytes();
            let response = spaces.call(http::Request::from_parts(parts, body)).await;
            let response = response.map(|bytes: Bytes| SdkBody::from(bytes));
            Ok(HttpResponse::try_from(response).unwrap())
        })
    }
}

/// The official client with a key of the account, path-style at an address.
pub(crate) fn client(spaces: &Spaces, access_key: &str, region: &str) -> Client {
    client_at(spaces, access_key, region, "http://127.0.0.1:9000", true)
}

/// The official client at any endpoint.
pub(crate) fn client_at(
    spaces: &Spaces,
    key: &str,
    region: &str,
    endpoint: &str,
    path_style: bool,
) -> Client {
    let connector = SharedHttpConnector::new(InMemory(spaces.clone()));
    let config = aws_sdk_s3::Config::builder()
        .behavior_version_latest()
        .region(Region::new(region.to_owned()))
        .endpoint_url(endpoint)
        .force_path_style(path_style)
        .credentials_provider(Credentials::from_keys(
            key,
            format!("secret-of-{key}"),
            None,
        ))
        .request_checksum_calculation(RequestChecksumCalculation::WhenRequired)
        .retry_config(RetryConfig::disabled())
        .http_client(http_client_fn(move |_, _| connector.clone()));
    Client::from_conf(config.build())
}

/// A presigned URL for reading an object, valid from `start`.
pub(crate) async fn presign_get(
    client: &Client,
    bucket: &str,
    key: &str,
    start: SystemTime,
    valid: Duration,
) -> String {
    let config = PresigningConfig::builder()
        .start_time(start)
        .expires_in(valid)
        .build()
        .unwrap();
    let request = client
        .get_object()
        .bucket(bucket)
        .key(key)
        .presigned(config)
        .await
        .unwrap();
    request.uri().to_owned()
}

/// A presigned URL for writing an object, valid from `start`.
pub(crate) async fn presign_put(
    client: &Client,
    bucket: &str,
    key: &str,
    start: SystemTime,
    valid: Duration,
) -> String {
    let config = PresigningConfig::builder()
        .start_time(start)
        .expires_in(valid)
        .build()
        .unwrap();
    let request = client
        .put_object()
        .bucket(bucket)
        .key(key)
        .presigned(config)
        .await
        .unwrap();
    request.uri().to_owned()
}

/// Sends a request to a URL as a plain HTTP client would.
pub(crate) async fn send(
    spaces: &Spaces,
    method: &str,
    url: &str,
    body: &'static [u8],
) -> http::Response<Bytes> {
    send_with(spaces, method, url, &[], body).await
}

/// The same with headers, from this machine.
pub(crate) async fn send_with(
    spaces: &Spaces,
    method: &str,
    url: &str,
    headers: &[(&str, &str)],
    body: &'static [u8],
) -> http::Response<Bytes> {
    let uri: http::Uri = url.parse().unwrap();
    let host = uri.authority().unwrap().to_string();
    let mut request = http::Request::builder()
        .method(method)
        .uri(uri)
        .header("host", host)
        .extension(Peer(Ipv4Addr::LOCALHOST.into()));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    spaces
        .call(request.body(Bytes::from_static(body)).unwrap())
        .await
}

/// Authorization for a request of the key `ADMIN` that signs its host and these headers. The path
/// may have one parameter, as in `/bucket?acl`.
pub(crate) fn authorization(
    method: &str,
    path: &str,
    host: &str,
    date: &str,
    payload: &str,
) -> String {
    let signed = "host;x-amz-content-sha256;x-amz-date";
    let headers = format!("host:{host}\nx-amz-content-sha256:{payload}\nx-amz-date:{date}\n");
    let (path, query) = path.split_once('?').unwrap_or((path, ""));
    let equals = if query.is_empty() || query.contains('=') {
        ""
    } else {
        "="
    };
    let canonical = format!("{method}\n{path}\n{query}{equals}\n{headers}\n{signed}\n{payload}");
    let scope = format!("{}/fra1/s3/aws4_request", &date[..8]);
    let digest = presigned::sha256_hex(canonical.as_bytes());
    let text = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{digest}");
    let credential = format!("ADMIN/{scope}");
    let scope = presigned::Scope::parse(&credential).unwrap();
    let key = presigned::signing_key("secret-of-ADMIN", &scope);
    let signature = presigned::to_hex(aws_lc_rs::hmac::sign(&key, text.as_bytes()).as_ref());
    format!(
        "AWS4-HMAC-SHA256 Credential={credential}, SignedHeaders={signed}, Signature={signature}"
    )
}
