//! Fetches artifacts from their address, a mirror or a folder, and checks them.

use super::cache::{Cache, Incoming, copy};
use super::lock::Lock;
use super::{ArtifactRef, ArtifactSource};
use bytes::Bytes;
use kplan_model::{BoxFuture, ErrorKind, ProviderError};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

/// Larger than any artifact: K3s has about 75 MB.
const MAX_BYTES: u64 = 512 << 20;
/// How often one download is tried.
const ATTEMPTS: u32 = 3;
/// How far an address may send us on: releases are two hops away from theirs.
const MAX_REDIRECTS: usize = 5;

/// Where artifacts come from instead of their own addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Mirror {
    /// `<address>/<component>/<version>/<file>`.
    Url(String),
    /// `<folder>/<component>/<version>/<file>`.
    Folder(PathBuf),
}

/// What a fetcher is made of.
#[derive(Clone, Debug)]
pub struct FetcherConfig {
    /// The folder of the cache.
    pub cache: PathBuf,
    /// `[mirror]`.
    pub mirror: Option<Mirror>,
    /// Addresses that begin so are fetched from themselves, whatever the mirror: those of a cloud
    /// that serves its own artifacts.
    pub direct: Option<String>,
}

/// Fetches, keeps and checks artifacts.
pub struct Fetcher {
    cache: Cache,
    pub(super) mirror: Option<Mirror>,
    direct: Option<String>,
    http: reqwest::Client,
    /// Digests computed in this run of what had none, by `component/version/file`.
    learned: Mutex<BTreeMap<String, (ArtifactRef, String)>>,
}

fn chain(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        text = format!("{text}: {cause}");
        source = cause.source();
    }
    text
}

/// Releases are a few hops away from their addresses. None may lead out of TLS: what is not pinned
/// yet would be whatever somebody between put there.
fn followed(attempt: reqwest::redirect::Attempt<'_>) -> reqwest::redirect::Action {
    let from = attempt.previous().last().map(reqwest::Url::scheme);
    if attempt.previous().len() > MAX_REDIRECTS {
        attempt.error("too many redirects")
    } else if from == Some("https") && attempt.url().scheme() != "https" {
        attempt.error("it is redirected out of TLS")
    } else {
        attempt.follow()
    }
}

/// A failed download, and whether trying again may help.
struct Failed {
    error: ProviderError,
    again: bool,
}

impl From<ProviderError> for Failed {
    fn from(error: ProviderError) -> Self {
        Self {
            error,
            again: false,
        }
    }
}

impl Fetcher {
    /// A fetcher. Fails when the system's TLS roots cannot be loaded.
    pub fn new(config: FetcherConfig) -> Result<Self, ProviderError> {
        let http = reqwest::Client::builder()
            .connect_timeout(Duration::from_secs(15))
            .read_timeout(Duration::from_mins(1))
            // The largest is some 70 MB: a line of 1 Mbit/s.
            .timeout(Duration::from_mins(10))
            .redirect(reqwest::redirect::Policy::custom(followed))
            .user_agent(concat!("kplan/", env!("CARGO_PKG_VERSION")))
            .build()
            .map_err(|error| {
                ProviderError::new(
                    ErrorKind::Bug,
                    format!("the HTTP client could not be made: {}", chain(&error)),
                )
            })?;
        Ok(Self {
            cache: Cache::new(config.cache),
            mirror: config.mirror,
            direct: config.direct,
            http,
            learned: Mutex::default(),
        })
    }

    /// The lock with the digests this fetcher computed added.
    #[must_use]
    pub fn locked(&self, mut lock: Lock) -> Lock {
        let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
        for (artifact, digest) in learned.values() {
            lock.record(artifact, digest.clone());
        }
        lock
    }

    fn known_digest(&self, artifact: &ArtifactRef) -> Option<String> {
        artifact.sha256.clone().or_else(|| {
            let learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
            learned
                .get(&artifact.path())
                .map(|(_, digest)| digest.clone())
        })
    }

    /// Brings the artifact into the cache and returns its digest.
    async fn bring(&self, artifact: &ArtifactRef) -> Result<String, ProviderError> {
        let mut attempt = 1;
        let incoming = loop {
            match self.download(artifact).await {
                Ok(incoming) => break incoming,
                Err(failed) if failed.again && attempt < ATTEMPTS => {
                    tokio::time::sleep(Duration::from_secs(1) * attempt).await;
                    attempt += 1;
                }
                Err(failed) => return Err(failed.error),
            }
        };
        let digest = incoming.digest();
        if let Some(wanted) = &artifact.sha256
            && *wanted != digest
        {
            return Err(mismatch(artifact, wanted, &digest));
        }
        incoming.finish()?;
        if artifact.sha256.is_none() {
            let mut learned = self.learned.lock().unwrap_or_else(PoisonError::into_inner);
            learned.insert(artifact.path(), (artifact.clone(), digest.clone()));
        }
        Ok(digest)
    }

    async fn download(&self, artifact: &ArtifactRef) -> Result<Incoming, Failed> {
        let mut incoming = self.cache.begin()?;
        let direct = |start: &String| artifact.url.starts_with(start.as_str());
        let mirror = self
            .mirror
            .as_ref()
            .filter(|_| !self.direct.as_ref().is_some_and(direct));
        let url = match mirror {
            Some(Mirror::Folder(folder)) => {
                let file = folder
                    .join(&artifact.component)
                    .join(&artifact.version)
                    .join(&artifact.file);
                copy(&file, &mut incoming, MAX_BYTES)?;
                return within_limit(artifact, incoming);
            }
            Some(Mirror::Url(base)) => {
                let path = artifact.path().replace('+', "%2B");
                format!("{}/{path}", base.trim_end_matches('/'))
            }
            None => artifact.url.clone(),
        };
        self.stream(&artifact.path(), &url, &mut incoming).await?;
        within_limit(artifact, incoming)
    }

    /// What is behind an address, whole and not kept: for listings, which say what is new.
    pub(super) async fn text(&self, url: &str, max: u64) -> Result<Vec<u8>, ProviderError> {
        let mut bytes = Bounded {
            bytes: Vec::new(),
            max,
        };
        let read = self.stream(url, url, &mut bytes).await;
        read.map_err(|failed| failed.error)?;
        Ok(bytes.bytes)
    }

    /// Reads what is behind an address, until `into` has enough.
    async fn stream(&self, what: &str, url: &str, into: &mut impl Sink) -> Result<(), Failed> {
        let failed = |error: reqwest::Error| Failed {
            error: ProviderError::new(
                ErrorKind::Transient,
                format!("{what} could not be fetched: {}", chain(&error)),
            )
            .help(
                "without the network, a [mirror] or a folder has to have it; what was fetched once \
                 stays in the cache",
            ),
            again: true,
        };
        let mut answer = self.http.get(url).send().await.map_err(failed)?;
        if !answer.status().is_success() {
            let status = answer.status();
            let error = ProviderError::new(
                ErrorKind::Invalid,
                format!("{what} could not be fetched: GET {url} answered {status}"),
            )
            .help("check the version, or name a [mirror] that has it");
            let again = status.is_server_error() || status.as_u16() == 429;
            return Err(Failed { error, again });
        }
        while let Some(chunk) = answer.chunk().await.map_err(failed)? {
            if !into.take(&chunk)? {
                break;
            }
        }
        Ok(())
    }
}

/// Where bytes go.
trait Sink {
    /// Takes some; whether it takes more.
    fn take(&mut self, bytes: &[u8]) -> Result<bool, ProviderError>;
}

impl Sink for Incoming {
    fn take(&mut self, bytes: &[u8]) -> Result<bool, ProviderError> {
        self.write(bytes)?;
        Ok(self.length() <= MAX_BYTES)
    }
}

/// Bytes in memory.
struct Bounded {
    bytes: Vec<u8>,
    max: u64,
}

impl Sink for Bounded {
    fn take(&mut self, bytes: &[u8]) -> Result<bool, ProviderError> {
        self.bytes.extend_from_slice(bytes);
        if u64::try_from(self.bytes.len()).unwrap_or(u64::MAX) <= self.max {
            return Ok(true);
        }
        let message = format!("the listing is larger than {} bytes", self.max);
        Err(ProviderError::new(ErrorKind::Invalid, message))
    }
}

fn within_limit(artifact: &ArtifactRef, incoming: Incoming) -> Result<Incoming, Failed> {
    if incoming.length() > MAX_BYTES {
        let text = format!("{} is larger than {MAX_BYTES} bytes", artifact.path());
        return Err(ProviderError::new(ErrorKind::Invalid, text).into());
    }
    Ok(incoming)
}

fn mismatch(artifact: &ArtifactRef, wanted: &str, got: &str) -> ProviderError {
    ProviderError::new(
        ErrorKind::Invalid,
        format!(
            "the bytes of {} are not the pinned ones: sha256 {wanted} was expected, {got} came",
            artifact.path()
        ),
    )
    .help(
        "somebody changed the file behind the address or the mirror, or the pin is wrong; nothing \
         was used of it",
    )
}

impl ArtifactSource for Fetcher {
    fn bytes<'a>(
        &'a self,
        artifact: &'a ArtifactRef,
    ) -> BoxFuture<'a, Result<Bytes, ProviderError>> {
        Box::pin(async move {
            if let Some(digest) = self.known_digest(artifact)
                && let Some(bytes) = self.cache.get(&digest)?
            {
                return Ok(bytes);
            }
            let digest = self.bring(artifact).await?;
            self.cache.get(&digest)?.ok_or_else(|| {
                ProviderError::new(
                    ErrorKind::Invalid,
                    format!(
                        "{} vanished from the cache while it was used",
                        artifact.path()
                    ),
                )
            })
        })
    }

    fn digest<'a>(
        &'a self,
        artifact: &'a ArtifactRef,
    ) -> BoxFuture<'a, Result<String, ProviderError>> {
        Box::pin(async move {
            match self.known_digest(artifact) {
                Some(digest) => Ok(digest),
                None => self.bring(artifact).await,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::k3s::pki::secret::sha256_hex;
    use std::fs;
    use tempfile::TempDir;

    fn artifact(sha256: Option<String>) -> ArtifactRef {
        ArtifactRef {
            component: "ccm".to_owned(),
            version: "v1+a".to_owned(),
            file: "x.yml".to_owned(),
            url: "https://unreachable.invalid/x.yml".to_owned(),
            sha256,
        }
    }

    fn setup(content: &[u8]) -> (TempDir, Fetcher) {
        let folder = TempDir::new().unwrap();
        let mirror = folder.path().join("mirror");
        fs::create_dir_all(mirror.join("ccm/v1+a")).unwrap();
        fs::write(mirror.join("ccm/v1+a/x.yml"), content).unwrap();
        let config = FetcherConfig {
            cache: folder.path().join("cache"),
            mirror: Some(Mirror::Folder(mirror)),
            direct: None,
        };
        (folder, Fetcher::new(config).unwrap())
    }

    fn files(folder: &TempDir) -> Vec<String> {
        let mut found = Vec::new();
        let mut left = vec![folder.path().join("cache")];
        while let Some(next) = left.pop() {
            for entry in fs::read_dir(next).unwrap().map(Result::unwrap) {
                if entry.path().is_dir() {
                    left.push(entry.path());
                } else {
                    found.push(entry.file_name().to_string_lossy().into_owned());
                }
            }
        }
        found
    }

    #[tokio::test]
    async fn fetched_once_and_kept_by_content() {
        let (folder, fetcher) = setup(b"kind: A");
        let digest = sha256_hex(b"kind: A");
        let wanted = artifact(Some(digest.clone()));
        assert_eq!(fetcher.bytes(&wanted).await.unwrap(), "kind: A");
        fs::remove_dir_all(folder.path().join("mirror")).unwrap();
        assert_eq!(fetcher.bytes(&wanted).await.unwrap(), "kind: A");
        assert_eq!(files(&folder), [digest]);
    }

    #[tokio::test]
    async fn other_bytes_are_refused_with_both_digests_and_leave_nothing() {
        let (folder, fetcher) = setup(b"kind: Evil");
        let wanted = sha256_hex(b"kind: A");
        let error = fetcher
            .bytes(&artifact(Some(wanted.clone())))
            .await
            .unwrap_err();
        assert!(error.message.contains(&wanted), "{error}");
        assert!(
            error.message.contains(&sha256_hex(b"kind: Evil")),
            "{error}"
        );
        assert_eq!(files(&folder), Vec::<String>::new());
    }

    #[tokio::test]
    async fn a_damaged_cache_is_noticed_and_repaired() {
        let (folder, fetcher) = setup(b"kind: A");
        let digest = sha256_hex(b"kind: A");
        let wanted = artifact(Some(digest.clone()));
        fetcher.bytes(&wanted).await.unwrap();
        let kept = folder
            .path()
            .join("cache/sha256")
            .join(&digest[..2])
            .join(&digest);
        fs::write(&kept, "kind: B").unwrap();
        assert_eq!(fetcher.bytes(&wanted).await.unwrap(), "kind: A");
        assert_eq!(fs::read(&kept).unwrap(), b"kind: A");
    }

    #[tokio::test]
    async fn what_has_no_digest_gets_one_from_its_bytes_and_the_lock_learns_it() {
        let (_folder, fetcher) = setup(b"kind: A");
        let digest = fetcher.digest(&artifact(None)).await.unwrap();
        assert_eq!(digest, sha256_hex(b"kind: A"));
        let lock = fetcher.locked(Lock::default());
        assert_eq!(lock.digest("ccm", "v1+a", "x.yml"), Some(digest.as_str()));
    }
}
