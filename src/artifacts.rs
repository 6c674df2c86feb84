//! The artifacts a plan rests on: the version set, and what `kplan.lock` pins of it.

use crate::addons::AddonParts;
use crate::error::{Failure, Problem};
use crate::load::Loaded;
use crate::wire::Cloud;
use kplan_model::ProviderError;
use kplan_providers::artifacts::{ArtifactRef, Fetcher, FetcherConfig, Lock, Mirror, VersionSet};
use kplan_schema::Spec;
use kplan_schema::spec::Gitops;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The lock's file name, beside `cluster.toml`.
pub const LOCK_FILE: &str = "kplan.lock";

/// A version set and a lock.
#[derive(Clone, Debug)]
pub struct Artifacts {
    set: VersionSet,
    lock: Lock,
    addons: BTreeMap<String, AddonParts>,
}

impl Artifacts {
    /// The set inside this kplan with an empty lock: for commands that fetch nothing.
    pub fn embedded() -> Result<Self, ProviderError> {
        Ok(Self {
            set: VersionSet::embedded()?,
            lock: Lock::default(),
            addons: BTreeMap::new(),
        })
    }

    /// The set inside this kplan with that lock.
    pub fn locked(lock: Lock) -> Result<Self, ProviderError> {
        Ok(Self {
            set: VersionSet::embedded()?,
            lock,
            addons: BTreeMap::new(),
        })
    }

    /// The set that a mirror serves, by its listing; pinned by nature.
    pub fn served(listing: &[u8], mirror: &str) -> Result<Self, ProviderError> {
        Ok(Self {
            set: VersionSet::served(listing, mirror)?,
            lock: Lock::default(),
            addons: BTreeMap::new(),
        })
    }

    /// The set and lock of one file. The embedded cloud serves a set of its own, which is pinned
    /// by nature; the lock is for the real one.
    pub async fn of(loaded: &Loaded, cloud: &Cloud) -> Result<Self, Failure> {
        if let Some(mirror) = &cloud.mirror_url {
            let listing = crate::embedded::version_set(mirror).await?;
            return Ok(Self::served(listing.as_bytes(), mirror)?);
        }
        Ok(Self {
            set: VersionSet::embedded()?,
            lock: read_lock(&lock_path(&loaded.folder))?,
            addons: BTreeMap::new(),
        })
    }

    /// The same with the file's own add-ons, as [`crate::addons`] found them.
    #[must_use]
    pub fn with_addons(mut self, addons: BTreeMap<String, AddonParts>) -> Self {
        self.addons = addons;
        self
    }

    /// What an add-on is made of; nothing where nobody looked for it.
    pub fn addon(&self, name: &str) -> AddonParts {
        self.addons.get(name).cloned().unwrap_or_default()
    }

    /// Its name, for the plan's header.
    pub fn name(&self) -> &str {
        &self.set.name
    }

    /// What is pinned by the lock.
    pub fn lock(&self) -> &Lock {
        &self.lock
    }

    /// Every file of a version. An unknown component is a bug of kplan's own set and gives none;
    /// the provider then says what is missing.
    pub fn version(&self, component: &str, version: &str) -> Vec<ArtifactRef> {
        self.set
            .resolve(&self.lock, component, version)
            .unwrap_or_default()
    }

    /// Every file of the default version.
    pub fn all(&self, component: &str) -> Vec<ArtifactRef> {
        let version = self
            .set
            .default_version(component)
            .unwrap_or_default()
            .to_owned();
        self.version(component, &version)
    }

    /// The version of a component that is used where nothing says another.
    pub fn default_version(&self, component: &str) -> String {
        let version = self.set.default_version(component);
        version.unwrap_or_default().to_owned()
    }

    /// One file of a version.
    pub fn file(&self, component: &str, version: &str, file: &str) -> Vec<ArtifactRef> {
        self.version(component, version)
            .into_iter()
            .filter(|one| one.file == file)
            .collect()
    }

    /// The K3s binary for amd64, which is what droplets are.
    pub fn k3s(&self, version: &str) -> ArtifactRef {
        self.file("k3s", version, "k3s")
            .pop()
            .unwrap_or_else(|| ArtifactRef {
                component: "k3s".to_owned(),
                version: version.to_owned(),
                file: "k3s".to_owned(),
                url: String::new(),
                sha256: None,
            })
    }

    /// Argo CD's manifest: the plain one, or the highly available one.
    pub fn argocd(&self, gitops: &Gitops) -> Vec<ArtifactRef> {
        let file = if gitops.ha.value {
            "ha-install.yaml"
        } else {
            "install.yaml"
        };
        self.file("argo-cd", gitops.version.as_str(), file)
    }

    /// Everything this file uses.
    pub fn used(&self, spec: &Spec) -> Vec<ArtifactRef> {
        let mut used = self.manifests(spec);
        if !spec.runs_k3s() {
            return used;
        }
        used.insert(0, self.k3s(&spec.k3s.version.to_string()));
        used
    }

    /// What kplan itself fetches and applies. The K3s binary is fetched by the nodes.
    pub fn manifests(&self, spec: &Spec) -> Vec<ArtifactRef> {
        if !spec.runs_k3s() {
            return Vec::new();
        }
        let mut used = self.all("digitalocean-ccm");
        used.extend(self.all("system-upgrade-controller"));
        if spec.storage.csi.value {
            used.extend(self.all("csi-digitalocean"));
        }
        if spec.addons.sealed_secrets.value {
            used.extend(self.all("sealed-secrets"));
        }
        if let Some(backup) = &spec.backup {
            used.extend(self.version("velero", backup.version.as_str()));
        }
        if let Some(gitops) = &spec.gitops {
            used.extend(self.argocd(gitops));
        }
        used.extend(
            self.addons
                .values()
                .filter_map(|parts| parts.artifact.clone()),
        );
        used
    }
}

/// Where the lock lies.
pub fn lock_path(folder: &Path) -> PathBuf {
    folder.join(LOCK_FILE)
}

/// Reads the lock; none is an empty one.
pub fn read_lock(path: &Path) -> Result<Lock, Failure> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Lock::parse(&text)?),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(Lock::default()),
        Err(error) => {
            let message = format!("cannot read {}: {error}", path.display());
            Err(Problem::error("lock::unreadable", message).into())
        }
    }
}

/// The fetcher with its cache, in [`cache_root`]. What the embedded cloud
/// serves comes from itself, whatever `[mirror]` says: `direct` is the address of its mirror.
pub fn fetcher(loaded: &Loaded, direct: Option<&str>) -> Result<Arc<Fetcher>, Failure> {
    use kplan_schema::spec::Mirror as Wanted;
    let mirror = loaded.spec.mirror.as_ref().map(|mirror| match mirror {
        Wanted::Url(url) => Mirror::Url(url.value.clone()),
        Wanted::Folder(folder) => Mirror::Folder(loaded.folder.join(&folder.value)),
    });
    Ok(Arc::new(Fetcher::new(FetcherConfig {
        cache: cache_root().join("artifacts"),
        mirror,
        direct: direct.map(str::to_owned),
    })?))
}

/// Where what can be fetched again is kept: `$XDG_CACHE_HOME/kplan` or `~/.cache/kplan`.
pub fn cache_root() -> PathBuf {
    let base = std::env::var_os("XDG_CACHE_HOME")
        .filter(|path| !path.is_empty())
        .map(PathBuf::from)
        .or_else(|| std::env::var_os("HOME").map(|home| Path::new(&home).join(".cache")))
        .unwrap_or_else(std::env::temp_dir);
    base.join("kplan")
}
