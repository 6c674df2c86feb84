//! Who sends a request: signatures in headers through the protocol library, times here.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use http::{HeaderMap, header};
use jiff::Timestamp;
use s3s::access::{S3Access, S3AccessContext};
use s3s::auth::{S3Auth, SecretKey};
use s3s::host::{S3Host, VirtualHost};
use s3s::{S3Result, s3_error};

use super::buckets::Shared;
use super::presigned::{MAX_SKEW, Presigned, Scope, parse_amz_date, percent_decode, query_value};
use super::rights::{Wish, decide};
use crate::facts::SpacesKeyFacts;

/// Regions that have Spaces, as DigitalOcean lists them.
pub(super) const REGIONS: [&str; 11] = [
    "ams3", "atl1", "blr1", "fra1", "lon1", "nyc3", "sfo2", "sfo3", "sgp1", "syd1", "tor1",
];

/// Domains below which a host name's first labels are a bucket and its last is a region.
const DOMAINS: [&str; 2] = ["digitaloceanspaces.com", "localhost"];

/// Who sends a request, and to which region's endpoint.
#[derive(Clone, Debug)]
pub(super) struct Caller {
    /// The key's grants; `None` for an unsigned request.
    grants: Option<Vec<(String, String)>>,
    /// Region of the endpoint; `None` when an unsigned request goes to an address without one.
    pub region: Option<String>,
    /// Where the request comes from, where that is known.
    pub source: Option<IpAddr>,
}

/// The address a request comes from, left in its extensions by who accepted the connection.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Peer(pub IpAddr);

impl Caller {
    /// A caller with a key of the account.
    pub(super) fn with_key(key: &SpacesKeyFacts, region: String) -> Caller {
        Caller {
            grants: Some(key.grants.clone()),
            region: Some(region),
            source: None,
        }
    }

    /// Somebody without a key.
    pub(super) fn anonymous(region: Option<String>) -> Caller {
        Caller {
            grants: None,
            region,
            source: None,
        }
    }

    /// The caller, known to come from somewhere.
    pub(super) fn from(mut self, peer: Option<&Peer>) -> Caller {
        self.source = peer.map(|peer| peer.0);
        self
    }

    /// Whether a key of the account signed the request.
    pub(super) fn is_known(&self) -> bool {
        self.grants.is_some()
    }

    fn has(&self, bucket: &str, permissions: &[&str]) -> bool {
        self.grants.iter().flatten().any(|(name, permission)| {
            permission == "fullaccess"
                || (name == bucket && permissions.contains(&permission.as_str()))
        })
    }

    /// Whether the key reaches every bucket and every setting.
    pub(super) fn is_full(&self) -> bool {
        self.grants
            .iter()
            .flatten()
            .any(|(_, permission)| permission == "fullaccess")
    }

    /// Whether the key may read objects and settings of a bucket.
    pub(super) fn may_read(&self, bucket: &str) -> bool {
        self.has(bucket, &["read", "readwrite"])
    }

    /// Whether the key may write objects and settings of a bucket.
    pub(super) fn may_write(&self, bucket: &str) -> bool {
        self.has(bucket, &["readwrite"])
    }
}

/// Finds secrets among the account's keys.
pub(super) struct Keys(pub Arc<Shared>);

/// The account's key with this public half.
pub(super) fn find_key(shared: &Shared, access_key: &str) -> S3Result<SpacesKeyFacts> {
    shared
        .facts
        .spaces_keys()
        .into_iter()
        .find(|key| key.access_key == access_key)
        .ok_or_else(|| {
            s3_error!(
                InvalidAccessKeyId,
                "the Spaces key {access_key} does not exist in this account (it may be deleted)"
            )
        })
}

#[async_trait::async_trait]
impl S3Auth for Keys {
    async fn get_secret_key(&self, access_key: &str) -> S3Result<SecretKey> {
        find_key(&self.0, access_key).map(|key| SecretKey::from(key.secret_key))
    }
}

/// Judges every operation before it runs.
pub(super) struct Grants(pub Arc<Shared>);

#[async_trait::async_trait]
impl S3Access for Grants {
    async fn check(&self, cx: &mut S3AccessContext<'_>) -> S3Result<()> {
        let presigned = cx.extensions_mut().get::<Caller>().cloned();
        let caller = match presigned {
            Some(caller) => caller,
            None => self.caller(cx)?,
        };
        let caller = caller.from(cx.extensions_mut().get::<Peer>());
        let path = cx.s3_path();
        let version_id = query_value(cx.uri(), "versionId");
        let wish = Wish {
            op: cx.s3_op().name(),
            bucket: path.get_bucket_name().unwrap_or_default(),
            key: path.get_object_key(),
            version_id: version_id.as_deref(),
        };
        decide(&self.0, &caller, &wish)?;
        cx.extensions_mut().insert(caller);
        Ok(())
    }
}

impl Grants {
    fn caller(&self, cx: &S3AccessContext<'_>) -> S3Result<Caller> {
        let host = host_region(cx.headers());
        let Some(credentials) = cx.credentials() else {
            return Ok(Caller::anonymous(host));
        };
        let scope = header_scope(cx.headers()).ok_or_else(|| {
            s3_error!(
                NotImplemented,
                "the sandbox checks AWS Signature Version 4 only, in headers or in the query"
            )
        })?;
        check_skew(cx.headers(), self.0.clock.now())?;
        let key = find_key(&self.0, &credentials.access_key)?;
        Ok(Caller::with_key(&key, host.unwrap_or(scope.region)))
    }
}

/// Verifies a request whose signature is in its query and says who sent it.
pub(super) fn presigned_caller<B>(
    shared: &Shared,
    request: &http::Request<B>,
    presigned: &Presigned,
) -> S3Result<Caller> {
    let key = find_key(shared, &presigned.scope.access_key)?;
    let (method, uri, headers) = (request.method(), request.uri(), request.headers());
    presigned.verify(method, uri, headers, &key.secret_key, shared.clock.now())?;
    let region = host_region(headers).unwrap_or_else(|| presigned.scope.region.clone());
    Ok(Caller::with_key(&key, region))
}

fn header_scope(headers: &HeaderMap) -> Option<Scope> {
    let authorization = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let fields = authorization.strip_prefix("AWS4-HMAC-SHA256")?;
    fields
        .split(',')
        .find_map(|field| Scope::parse(field.trim().strip_prefix("Credential=")?))
}

fn check_skew(headers: &HeaderMap, now: Timestamp) -> S3Result<()> {
    let date = headers
        .get("x-amz-date")
        .and_then(|value| value.to_str().ok())
        .and_then(parse_amz_date);
    let Some(signed) = date else {
        return Err(s3_error!(
            AccessDenied,
            "a signed request needs the header x-amz-date"
        ));
    };
    let skew = Duration::try_from(now.duration_since(signed).abs()).unwrap_or(Duration::MAX);
    if skew > MAX_SKEW {
        return Err(s3_error!(
            RequestTimeTooSkewed,
            "the request is signed for {signed}, the server's time is {now}: more than 15 minutes apart"
        ));
    }
    Ok(())
}

/// Path-style at an address, `<bucket>.<region>.<domain>` at a name.
pub(super) struct Hosts;

impl S3Host for Hosts {
    fn parse_host_header<'a>(&'a self, host: &'a str) -> S3Result<VirtualHost<'a>> {
        let (bucket, region) = split_host(host).ok_or_else(|| {
            s3_error!(
                InvalidRequest,
                "the host {host:?} is not an endpoint of the sandbox's Spaces"
            )
        })?;
        let mut found = VirtualHost::new(host);
        if let Some(bucket) = bucket {
            found = found.with_bucket(bucket);
        }
        if let Some(region) = region {
            found = found.with_region(region);
        }
        Ok(found)
    }
}

/// The bucket a request is about.
pub(super) fn target<B>(request: &http::Request<B>) -> Option<String> {
    let host = request.headers().get(header::HOST);
    let host = host.and_then(|host| host.to_str().ok());
    if let Some((Some(bucket), _)) = host.and_then(split_host) {
        return Some(bucket.to_owned());
    }
    let path = request.uri().path().strip_prefix('/')?;
    let bucket = path.split('/').next().filter(|bucket| !bucket.is_empty());
    bucket.map(percent_decode)
}

pub(super) fn host_region(headers: &HeaderMap) -> Option<String> {
    let host = headers.get(header::HOST)?.to_str().ok()?;
    split_host(host)?.1.map(str::to_owned)
}

/// Splits a host name into bucket and region; `None` when it is below no known domain.
pub(super) fn split_host(host: &str) -> Option<(Option<&str>, Option<&str>)> {
    let name = host.rsplit_once(':').map_or(host, |(name, _port)| name);
    let labels = DOMAINS.iter().find_map(|domain| {
        let rest = name.strip_suffix(domain)?;
        if rest.is_empty() {
            Some("")
        } else {
            rest.strip_suffix('.')
        }
    })?;
    let (bucket, last) = labels
        .rsplit_once('.')
        .map_or(("", labels), |(bucket, last)| (bucket, last));
    let present = |text: &'_ str| !text.is_empty();
    if REGIONS.contains(&last) {
        return Some((Some(bucket).filter(|b| present(b)), Some(last)));
    }
    Some((Some(labels).filter(|b| present(b)), None))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_are_split_into_bucket_and_region() {
        assert_eq!(
            split_host("b.fra1.digitaloceanspaces.com"),
            Some((Some("b"), Some("fra1")))
        );
        assert_eq!(
            split_host("fra1.localhost:9000"),
            Some((None, Some("fra1")))
        );
        assert_eq!(split_host("a.b.localhost:9000"), Some((Some("a.b"), None)));
        assert_eq!(split_host("localhost"), Some((None, None)));
        assert_eq!(split_host("example.com"), None);
    }
}
