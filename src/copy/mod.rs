//! A copy of a cluster under another name, from the first one's backup: what of the first it needs,
//! and what it must not share with it.

pub mod file;

use crate::backup;
use crate::compose::leavings::{has_resources, resources};
use crate::compose::{Earlier, Restoring, platform, restoring, storage};
use crate::error::{Failure, Problem};
use crate::exit::Exit;
use crate::load::{Loaded, Secrets};
use crate::wire::{Cloud, keys_of_environment};
use kplan_model::{Address, Recorded, Secret, Snapshot};
use kplan_providers::local::RestoreSource;
use kplan_providers::recovery::KitPlace;
use kplan_providers::spaces::Keys;
use kplan_schema::Spec;
use kplan_schema::spec::BackupStore;

/// The cluster that is copied.
pub struct Origin {
    /// Where its backups are, as the copy's record will say.
    pub source: RestoreSource,
    /// The same bucket as kplan itself reads it.
    pub place: KitPlace,
    /// What of its state the copy takes over: nothing but what its backups cannot be read without.
    seeds: Vec<Recorded>,
}

impl Origin {
    /// Of a file and what is on record of it, for a copy with that file.
    ///
    /// # Errors
    /// `backup::none` without `[backup]`, `backup::no_credentials` where no key opens its bucket, and
    /// `copy::password` where nothing on record opens what volumes hold in it.
    pub fn of(
        (loaded, secrets): (&Loaded, &Secrets),
        cloud: &Cloud,
        snapshot: &Snapshot,
        copy: &Loaded,
    ) -> Result<Self, Failure> {
        let place = backup::place(loaded, cloud, secrets, Some(snapshot))?;
        let wanted = loaded.spec.backup.as_ref();
        let Some(wanted) = wanted else {
            return Err(backup::none(loaded).into());
        };
        let at = backup::address(wanted);
        let (access_key, secret_key) = match &wanted.store {
            // In the copy there is a key of its own for it, which goes again.
            BackupStore::Own { .. } => (None, None),
            BackupStore::Existing { .. } => (
                Some(place.keys.access_key.clone()),
                Some(place.keys.secret_key.clone()),
            ),
        };
        let source = RestoreSource {
            cluster: loaded.spec.name().to_owned(),
            region: at.region().to_owned(),
            endpoint: at.url(),
            prefix: Some(at.prefix).filter(|prefix| !prefix.is_empty()),
            bucket: at.bucket,
            access_key,
            secret_key,
        };
        Ok(Self {
            source,
            place,
            seeds: seeds(snapshot, copy)?,
        })
    }

    /// A copy's state as it is before anything is made: what an earlier run of the same restore
    /// recorded, or what is taken over.
    ///
    /// # Errors
    /// `copy::exists` where the state knows something else.
    pub fn begun(&self, mut snapshot: Snapshot, copy: &Loaded) -> Result<Snapshot, Failure> {
        let wish = Restoring::asked(&snapshot);
        if wish
            .and_then(|wish| wish.source)
            .is_some_and(|source| self.is_same(&source))
        {
            return Ok(snapshot);
        }
        if !has_resources(&snapshot) && snapshot.in_doubt.is_empty() {
            let seeds = self.seeds.iter().cloned();
            snapshot
                .resources
                .extend(seeds.map(|seed| (seed.address.clone(), seed)));
            return Ok(snapshot);
        }
        let (name, file) = (copy.spec.name(), &copy.file);
        let mut message = format!(
            "there is a cluster {name} already: {} resources are on record",
            resources(&snapshot).count()
        );
        if snapshot.resources.contains_key(&restoring::request()) {
            message.push_str(", among them another restore");
        }
        let problem = Problem::error("copy::exists", message).help(format!(
            "nothing was changed. Choose another name, or destroy that one first: `kplan destroy -f \
             {file} --delete-backups`. `kplan apply -f {file}` goes on with what it is"
        ));
        Err(Failure::with(Exit::Refused, problem))
    }

    /// Keys may be other ones meanwhile.
    fn is_same(&self, other: &RestoreSource) -> bool {
        let place = |source: &RestoreSource| {
            (
                source.cluster.clone(),
                source.endpoint.clone(),
                source.bucket.clone(),
                source.prefix.clone(),
            )
        };
        place(&self.source) == place(other)
    }
}

/// What the copy's state begins with.
fn seeds(snapshot: &Snapshot, copy: &Loaded) -> Result<Vec<Recorded>, Failure> {
    let spec = &copy.spec;
    let mut seeds = Vec::new();
    if let Some(address) = password_of(spec) {
        match snapshot.resources.get(&address) {
            Some(record) => seeds.push(record.clone()),
            None => return Err(no_password(snapshot, copy)),
        }
    }
    let sealing = platform::sealing_key();
    let sealing = snapshot
        .resources
        .get(&sealing)
        .filter(|_| spec.addons.sealed_secrets.value);
    seeds.extend(sealing.cloned());
    Ok(seeds)
}

/// The record of the password of what volumes hold, where the file does not give it.
fn password_of(spec: &Spec) -> Option<Address> {
    let backup = spec.backup.as_ref()?;
    let is_made = backup.repository_password.is_none();
    is_made.then(storage::backup_password)
}

fn no_password(snapshot: &Snapshot, copy: &Loaded) -> Failure {
    let message = "nothing on record opens what volumes hold in the backups".to_owned();
    let known = if Earlier::of(snapshot).open_backups {
        ": Velero's own, `static-passw0rd`, because the cluster is from before there were others"
    } else {
        ""
    };
    let problem = Problem::error("copy::password", message).help(format!(
        "nothing was changed. Give the password in {}, `[backup] repository_password = {{ env = \"…\" \
         }}`{known}",
        copy.file
    ));
    Failure::with(Exit::Refused, problem)
}

/// The first cluster's bucket as kplan itself reads it for a copy that was begun before.
///
/// # Errors
/// `backup::no_credentials` where no key is at hand.
pub fn place_of(
    source: &RestoreSource,
    cloud: &Cloud,
    snapshot: &Snapshot,
) -> Result<KitPlace, Failure> {
    let own = |source: &RestoreSource| {
        let secret_key: Secret = source.secret_key.clone()?;
        let access_key = source.access_key.clone()?;
        Some(Keys {
            access_key,
            secret_key,
        })
    };
    let keys = own(source)
        .or_else(|| backup::operator_keys(snapshot))
        .or_else(keys_of_environment)
        .ok_or_else(|| backup::no_key(&source.bucket))?;
    Ok(KitPlace {
        prefix: source
            .prefix
            .as_ref()
            .map(|prefix| format!("{prefix}/"))
            .unwrap_or_default(),
        region: source.region.clone(),
        endpoint: cloud
            .spaces_url
            .clone()
            .unwrap_or_else(|| source.endpoint.clone()),
        bucket: source.bucket.clone(),
        keys,
    })
}
