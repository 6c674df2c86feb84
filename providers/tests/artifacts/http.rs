//! Downloads, from a small HTTP server.

use crate::site::Site;
use kplan_providers::artifacts::{
    ArtifactRef, ArtifactSource as _, Fetcher, FetcherConfig, Lock, Mirror, VersionSet,
};
use kplan_providers::k3s::pki::secret::sha256_hex;
use tempfile::TempDir;

fn fetcher(folder: &TempDir, mirror: Option<Mirror>) -> Fetcher {
    let cache = folder.path().join("cache");
    Fetcher::new(FetcherConfig {
        cache,
        mirror,
        direct: None,
    })
    .unwrap()
}

fn artifact(url: String, sha256: Option<String>) -> ArtifactRef {
    ArtifactRef {
        component: "k3s".to_owned(),
        version: "v1.35.6+k3s1".to_owned(),
        file: "k3s".to_owned(),
        url,
        sha256,
    }
}

#[tokio::test]
async fn an_address_is_asked_once_and_a_mirror_in_its_place() {
    let (folder, site) = (TempDir::new().unwrap(), Site::start());
    site.put("/releases/k3s", "the binary");
    site.put("/mirror/k3s/v1.35.6%2Bk3s1/k3s", "the binary");
    let wanted = artifact(
        format!("{}/releases/k3s", site.url()),
        Some(sha256_hex(b"the binary")),
    );
    let direct = fetcher(&folder, None);
    assert_eq!(direct.bytes(&wanted).await.unwrap(), "the binary");
    site.status("/releases/k3s", 410);
    assert_eq!(direct.bytes(&wanted).await.unwrap(), "the binary");

    let other = TempDir::new().unwrap();
    let mirror = Mirror::Url(format!("{}/mirror/", site.url()));
    let mirrored = fetcher(&other, Some(mirror));
    assert_eq!(mirrored.bytes(&wanted).await.unwrap(), "the binary");
}

#[tokio::test]
async fn what_is_not_there_is_named_and_what_is_other_is_refused() {
    let (folder, site) = (TempDir::new().unwrap(), Site::start());
    let fetcher = fetcher(&folder, None);
    let missing = artifact(format!("{}/nothing", site.url()), None);
    let error = fetcher.digest(&missing).await.unwrap_err();
    assert!(
        error.message.contains("k3s/v1.35.6+k3s1/k3s") && error.message.contains("404"),
        "{error}"
    );
    site.put("/k3s", "something else");
    let pinned = artifact(
        format!("{}/k3s", site.url()),
        Some(sha256_hex(b"the binary")),
    );
    let error = fetcher.bytes(&pinned).await.unwrap_err();
    for digest in [sha256_hex(b"the binary"), sha256_hex(b"something else")] {
        assert!(error.message.contains(&digest), "{error}");
    }
    assert_eq!(fetcher.locked(Lock::default()), Lock::default());
    assert!(
        site.reports().is_empty(),
        "a source of artifacts only reads"
    );
}

#[test]
fn the_version_set_is_what_the_upstream_folder_holds() {
    let Some(folder) = std::env::var_os("KPLAN_TEST_UPSTREAM") else {
        kplan_conformance::skipped("KPLAN_TEST_UPSTREAM");
        return;
    };
    let folder = std::path::PathBuf::from(folder);
    let set = VersionSet::embedded().unwrap();
    let mut pinned = 0;
    for known in &set.artifacts {
        let path = folder
            .join(&known.component)
            .join(&known.version)
            .join(&known.file);
        let digest = std::fs::read(&path).ok().map(|bytes| sha256_hex(&bytes));
        assert_eq!(digest, known.sha256, "{}", path.display());
        pinned += usize::from(known.sha256.is_some());
    }
    assert_eq!(pinned, 23);
}
