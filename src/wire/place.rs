//! Where a cluster's state is, and who may open it: the folder beside the file, the embedded
//! cloud's own folder, or a bucket that several machines share.

use crate::cli::Global;
use crate::compose::leavings::resources;
use crate::embedded;
use crate::error::{Failure, Problem};
use crate::load::Identified;
use crate::render::Terminal;
use kplan_model::{Secret, StoreError};
use kplan_providers::http::{Reqwest, Statistics, system_clock};
use kplan_providers::spaces::{Keys, SharedObjects, Spaces, SpacesConfig};
use kplan_schema::value::{S3Place, StateBackend};
use kplan_state::{
    Identity, LeaseTimes, Loaded, LocalReader, Location, Notice, Reader, WriteOptions, Writer,
};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Divides the times of a shared state's lock, for tests with real processes. Whoever waits for
/// the lock goes by what its holder wrote down, so one that is set differently does no harm.
const LEASE_SCALE: &str = "KPLAN_STATE_LEASE_SCALE";
/// Below a bucket's prefix: states of embedded clouds. No prefix of the file may begin so.
const SANDBOX: &str = ".sandbox";

/// Where a cluster's state lies and who may open it.
#[derive(Clone)]
pub struct StatePlace {
    /// The cluster's name.
    pub cluster: String,
    /// The cluster's own folder on this machine, wherever its state is.
    pub dir: PathBuf,
    /// The state.
    location: Location,
    /// What `[state] backend` says, or would have to say, for it to be there.
    address: String,
    /// The name of the cluster's file.
    file: String,
    /// The identity's file, where the environment does not give the identity itself.
    identity_file: PathBuf,
}

impl StatePlace {
    /// The state of the cluster in the file; the embedded cloud has its own.
    ///
    /// # Errors
    /// `state::no_credentials` when the file says a bucket and there are no keys for it.
    pub fn of(global: &Global, identified: &Identified) -> Result<Self, Failure> {
        Self::at(global, identified, &identified.backend)
    }

    /// The same at another place than the file says.
    pub fn at(
        global: &Global,
        identified: &Identified,
        backend: &StateBackend,
    ) -> Result<Self, Failure> {
        let cluster = identified.cluster.clone();
        let dir = if global.sandbox {
            embedded::state_root(&identified.folder).join(&cluster)
        } else {
            kplan_state::state_dir(&identified.folder, &cluster)
        };
        let (location, address) = match backend {
            // The real state is never mixed with that of a cloud that is played: without an
            // endpoint the bucket is one of the real Spaces, and it stays in the folder.
            StateBackend::S3(place) if !global.sandbox || place.endpoint.is_some() => (
                Location::Shared(Arc::new(bucket(place, &cluster, global.sandbox)?)),
                state_address(place),
            ),
            _ => (
                Location::Folder(dir.clone()),
                format!("local ({})", absolute(&dir)),
            ),
        };
        Ok(Self {
            cluster,
            dir,
            location,
            address,
            file: identified.file.clone(),
            identity_file: super::identity_file(),
        })
    }

    /// For commands that only read: the embedded cloud's state where there is no other, so that
    /// `kplan kubeconfig` works after `kplan apply --sandbox`. The flag says that this happened.
    pub fn to_read(global: &Global, identified: &Identified) -> Result<(Self, bool), Failure> {
        let embedded = embedded::state_root(&identified.folder).join(&identified.cluster);
        let local = identified.backend == StateBackend::Local;
        if !global.sandbox && local && embedded.exists() {
            let place = Self::of(global, identified)?;
            if !place.dir.exists() {
                let global = Global {
                    sandbox: true,
                    ..global.clone()
                };
                return Ok((Self::of(&global, identified)?, true));
            }
            return Ok((place, false));
        }
        Ok((Self::of(global, identified)?, global.sandbox))
    }

    /// The place itself, and what `[state] backend` calls it.
    pub fn named(&self) -> (&Location, &str) {
        (&self.location, &self.address)
    }

    /// Whether it is shared with other machines.
    pub fn is_shared(&self) -> bool {
        matches!(self.location, Location::Shared(_))
    }

    /// A reader. Without an identity secrets stay sealed.
    pub fn reader(&self, identity: Option<&Identity>) -> Reader {
        self.location.reader(&self.cluster, identity)
    }

    /// Opens it for writing.
    pub fn writer(&self, identity: &Identity, options: &WriteOptions) -> Result<Writer, Failure> {
        self.opening(identity, options)().map_err(Failure::from)
    }

    /// What opens it for writing, for a thread of its own: it may wait for the lock.
    pub fn opening(
        &self,
        identity: &Identity,
        options: &WriteOptions,
    ) -> impl FnOnce() -> Result<Writer, StoreError> + Send + 'static {
        let (location, cluster) = (self.location.clone(), self.cluster.clone());
        let (identity, options) = (identity.clone(), options.clone());
        move || location.writer(&cluster, &identity, &options)
    }

    /// How `command` opens it.
    pub fn options(&self, command: &str, lock_timeout: &str) -> Result<WriteOptions, Failure> {
        let mut options = WriteOptions::new(command);
        options.lock_timeout = crate::duration::parse("--lock-timeout", lock_timeout)?;
        let scale = std::env::var(LEASE_SCALE).ok();
        if let Some(by) = scale.and_then(|text| text.parse().ok()) {
            options.lease = LeaseTimes::STANDARD.divided(by);
        }
        Ok(options)
    }

    /// Makes a damaged state readable again.
    pub fn repair(
        &self,
        identity: Option<&Identity>,
        options: &WriteOptions,
    ) -> Result<Vec<Notice>, StoreError> {
        self.location.repair(&self.cluster, identity, options)
    }

    /// Whether a state was ever begun there.
    ///
    /// # Errors
    /// `state::elsewhere` when there is none and the folder has one: going on without it would be
    /// starting from nothing.
    pub fn exists(&self) -> Result<bool, Failure> {
        if self.location.exists()? {
            return Ok(true);
        }
        self.not_elsewhere()?;
        Ok(false)
    }

    /// See [`Self::exists`].
    fn not_elsewhere(&self) -> Result<(), Failure> {
        if !self.is_shared() {
            return Ok(());
        }
        let left = self.in_folder()?;
        if left.snapshot.is_none() || left.moved_to.is_some() {
            return Ok(());
        }
        let message = format!(
            "{} says that the state is in {}, where there is none, and the folder {} has one",
            self.file,
            self.address,
            self.dir.display()
        );
        Err(Problem::error("state::elsewhere", message)
            .help(
                "`kplan state migrate` moves it there. Nothing was planned or changed: without it \
                 everything that exists would be taken for missing",
            )
            .into())
    }

    /// What the cluster's folder on this machine has, whatever the file says.
    pub fn in_folder(&self) -> Result<Loaded, Failure> {
        LocalReader::open(&self.dir, &self.cluster, None)
            .read()
            .map_err(Failure::from)
    }

    /// The folder that holds this state and those of the folder's other clusters.
    fn root(&self) -> &Path {
        self.dir.parent().unwrap_or(&self.dir)
    }

    /// Remembers which cluster the file was applied as.
    pub fn bind(&self) -> Result<(), StoreError> {
        if self.is_shared() {
            // There may be no folder yet where the state is not in it.
            drop(std::fs::create_dir_all(self.root()));
        }
        kplan_state::bind_file(self.root(), &self.file, &self.cluster)
    }

    /// The cluster as which the file was applied before, where that is another one and still has
    /// something on record: its name and how much.
    pub fn renamed_from(
        &self,
        global: &Global,
        identified: &Identified,
    ) -> Result<Option<(String, usize)>, Failure> {
        let bound = kplan_state::bound_cluster(self.root(), &self.file)?;
        let Some(before) = bound.filter(|before| *before != self.cluster) else {
            return Ok(None);
        };
        let then = Identified {
            cluster: before.clone(),
            ..identified.clone()
        };
        let found = Self::of(global, &then)?.reader(None).read()?;
        let left = found.snapshot.map_or(0, |snapshot| {
            resources(&snapshot).count() + snapshot.in_doubt.len() + snapshot.deposed.len()
        });
        Ok((left > 0).then_some((before, left)))
    }

    /// The identity, where there is one.
    pub fn identity(&self) -> Result<Option<Identity>, StoreError> {
        identity_of(&self.identity_file)
    }

    /// The identity, made on first use. A new one opens no state that is there already, so then
    /// none is made: it would only mislead.
    pub fn identity_or_new(&self, terminal: &mut Terminal) -> Result<Identity, Failure> {
        if let Some(identity) = self.identity()? {
            return Ok(identity);
        }
        if self.exists()? {
            return Err(super::no_identity().into());
        }
        let (identity, made) = Identity::load_or_create(&self.identity_file)?;
        if made {
            terminal.note(&format!(
                "Made an identity in {}. It opens the secrets in the state: keep a copy where you \
                 keep passwords.",
                self.identity_file.display()
            ));
        }
        Ok(identity)
    }
}

fn identity_of(file: &Path) -> Result<Option<Identity>, StoreError> {
    match std::env::var("KPLAN_IDENTITY") {
        Ok(setting) if !setting.trim().is_empty() => Identity::from_setting(&setting).map(Some),
        _ => Identity::load(file),
    }
}

/// The identity of whoever runs kplan here, where there is one.
pub fn identity() -> Result<Option<Identity>, StoreError> {
    identity_of(&super::identity_file())
}

fn absolute(dir: &Path) -> String {
    std::path::absolute(dir)
        .unwrap_or_else(|_| dir.to_owned())
        .display()
        .to_string()
}

/// What `[state] backend` says for this place.
pub fn state_address(place: &S3Place) -> String {
    let mut text = format!("s3://{}", place.bucket);
    if !place.prefix.is_empty() {
        text.push('/');
        text.push_str(&place.prefix);
    }
    let mut mark = '?';
    for (key, value) in [("region", &place.region), ("endpoint", &place.endpoint)] {
        if let Some(value) = value {
            text.push(mark);
            text.push_str(key);
            text.push('=');
            text.push_str(value);
            mark = '&';
        }
    }
    text
}

/// The objects of one cluster's state.
fn bucket(place: &S3Place, cluster: &str, sandbox: bool) -> Result<SharedObjects, Failure> {
    let what = format!("the state is in {}", state_address(place));
    let may = "read, write, list and delete";
    let below = [sandbox.then_some(SANDBOX), Some(cluster)];
    objects(place, &below, (&what, may))
}

/// The objects below a place, with the keys of the environment: recovery kits of a cluster that
/// nothing here knows of.
///
/// # Errors
/// `state::no_credentials` where there are no keys.
pub fn kits_at(place: &S3Place) -> Result<SharedObjects, Failure> {
    let what = format!("the recovery kits are in {}", state_address(place));
    objects(place, &[], (&what, "read and list"))
}

/// The objects below a place. `what` is there, and its keys have to be ones that `may` do this.
fn objects(
    place: &S3Place,
    below: &[Option<&str>],
    (what, may): (&str, &str),
) -> Result<SharedObjects, Failure> {
    let set = |name: &str| std::env::var(name).ok().filter(|text| !text.is_empty());
    let first = |names: [&str; 2]| names.iter().find_map(|name| set(name));
    let keys = [
        ("SPACES_ACCESS_KEY_ID", "SPACES_SECRET_ACCESS_KEY"),
        ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"),
    ]
    .iter()
    .find_map(|(access, secret)| {
        Some(Keys {
            access_key: set(access)?,
            secret_key: Secret::new(set(secret)?),
        })
    });
    let Some(keys) = keys else {
        let message = format!("{what}, and there are no keys to read it with");
        return Err(Problem::error("state::no_credentials", message)
            .help(format!(
                "export SPACES_ACCESS_KEY_ID and SPACES_SECRET_ACCESS_KEY (or AWS_ACCESS_KEY_ID and \
                 AWS_SECRET_ACCESS_KEY) with a key that may {may} there"
            ))
            .into());
    };
    let endpoint = place
        .endpoint
        .clone()
        .or_else(|| first(["SPACES_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"]));
    let spaces = Spaces::new(SpacesConfig {
        endpoint,
        keys: Some(keys),
        transport: Arc::new(Reqwest::new()?),
        // Not among the calls of a plan: those are about the cloud.
        statistics: Arc::new(Statistics::default()),
        now: system_clock(),
        scale: 1,
    });
    let mut prefix = place.root();
    for part in below.iter().flatten() {
        prefix.push_str(part);
        prefix.push('/');
    }
    Ok(SharedObjects::open(
        &spaces,
        place.region(),
        &place.bucket,
        &prefix,
    )?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_is_what_the_file_would_say() {
        for text in [
            "s3://acme-state",
            "s3://acme-state/clusters?region=fra1",
            "s3://acme-state?region=fra1&endpoint=http://127.0.0.1:9000",
        ] {
            match StateBackend::parse(text) {
                Ok(StateBackend::S3(place)) => assert_eq!(state_address(&place), text),
                other => panic!("{text}: {other:?}"),
            }
        }
    }
}
