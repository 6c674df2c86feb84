//! What a droplet can reach: the sandbox's Spaces and its artifact mirror. There is no internet.

use bytes::Bytes;
use http::{Method, Request, StatusCode, Uri, header};

use crate::kubernetes::{BucketAccess, BucketKey};
use crate::mirror::Mirror;
use crate::spaces::{Session, Spaces};

/// The services droplets reach, by the authority (`host:port`) of the URLs that lead to them.
#[derive(Clone, Debug)]
pub struct Network {
    /// The object store.
    pub spaces: Spaces,
    /// Where the object store listens, such as `127.0.0.1:9000`; names under
    /// `digitaloceanspaces.com` lead to it as well.
    pub spaces_authority: String,
    /// The artifact mirror.
    pub mirror: Mirror,
    /// Where the mirror listens.
    pub mirror_authority: String,
}

/// Why a URL could not be fetched at all.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(super) enum NetworkError {
    #[error("{0:?} is not an http or https URL")]
    Url(String),
    #[error(
        "could not resolve host {0:?}: the sandbox has no internet, only its own Spaces and artifact mirror"
    )]
    NoInternet(String),
}

impl Network {
    /// Sends a request through the router of the service the URL names, as over a socket.
    pub(super) async fn send(
        &self,
        method: Method,
        url: &str,
        body: Bytes,
    ) -> Result<(StatusCode, Bytes), NetworkError> {
        let uri: Uri = url
            .parse()
            .map_err(|_invalid| NetworkError::Url(shown(url)))?;
        let web = matches!(uri.scheme_str(), Some("http" | "https"));
        let authority = uri
            .authority()
            .filter(|_| web)
            .ok_or_else(|| NetworkError::Url(shown(url)))?
            .to_string();
        let host = uri.host().unwrap_or_default();
        let target = uri.path_and_query().map_or("/", |target| target.as_str());
        let request = Request::builder()
            .method(method)
            .uri(target)
            .header(header::HOST, &authority)
            .body(body);
        let request = request.map_err(|_invalid| NetworkError::Url(shown(url)))?;
        let response =
            if authority == self.spaces_authority || host.ends_with(".digitaloceanspaces.com") {
                self.spaces.call(request).await
            } else if authority == self.mirror_authority {
                self.mirror.call(request).await
            } else {
                return Err(NetworkError::NoInternet(host.to_owned()));
            };
        let (parts, body) = response.into_parts();
        Ok((parts.status, body))
    }
}

impl Network {
    /// A session with the sandbox's Spaces, when the endpoint is theirs.
    fn session(&self, at: &BucketKey) -> Result<Session, String> {
        let endpoint = &at.endpoint;
        let uri: Uri = endpoint
            .parse()
            .map_err(|_invalid| format!("{endpoint:?} is not a URL"))?;
        let authority = uri.authority().map(ToString::to_string).unwrap_or_default();
        let named = uri
            .host()
            .and_then(|host| host.strip_suffix(".digitaloceanspaces.com"));
        let region = match named {
            Some(named) => named,
            None if authority == self.spaces_authority => &at.region,
            None => return Err(NetworkError::NoInternet(authority).to_string()),
        };
        self.spaces.session(region, &at.access_key, &at.secret_key)
    }
}

impl BucketAccess for Network {
    fn list(&self, at: &BucketKey, prefix: &str) -> Result<Vec<String>, String> {
        self.session(at)?.list(&at.bucket, prefix)
    }

    fn get(&self, at: &BucketKey, key: &str) -> Result<Option<Bytes>, String> {
        self.session(at)?.get(&at.bucket, key)
    }

    fn put(&self, at: &BucketKey, key: &str, bytes: Vec<u8>) -> Result<(), String> {
        self.session(at)?.put(&at.bucket, key, bytes)
    }

    fn delete(&self, at: &BucketKey, key: &str) -> Result<(), String> {
        self.session(at)?.delete(&at.bucket, key)
    }
}

/// A URL without its query, which may hold a signature.
pub(super) fn shown(url: &str) -> String {
    url.split('?').next().unwrap_or_default().to_owned()
}
