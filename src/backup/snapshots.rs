//! Snapshots of etcd that K3s copied into the backup bucket.
//!
//! K3s calls one `<what made it>-<node>-<seconds since 1970>`, with `.zip` behind it where it is
//! compressed; more about some of them is in files of the same names under `.metadata/`.

use crate::compose::platform;
use kplan_model::{ObjectStore, ProviderError, Timestamp};

/// One of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Snapshot {
    /// Its name.
    pub name: String,
    /// The object, from the backups' root on.
    pub key: String,
    /// When it was taken, by its name; when it was written, where that does not say.
    pub taken: Timestamp,
}

impl Snapshot {
    /// For people.
    pub fn taken(&self) -> String {
        let at = jiff::Timestamp::from_millisecond(self.taken.0);
        at.map_or_else(|_| String::new(), |at| at.strftime("%FT%TZ").to_string())
    }
}

/// Every snapshot of a cluster in the bucket, the oldest first.
///
/// # Errors
/// Those of the store.
pub fn all(objects: &dyn ObjectStore, cluster: &str) -> Result<Vec<Snapshot>, ProviderError> {
    let folder = format!("{}/", platform::snapshots_folder(cluster));
    let listing = objects.list(&folder, None)?;
    let found = listing.objects.into_iter().filter_map(|object| {
        let name = object.key.strip_prefix(&folder)?;
        (!name.is_empty() && !name.contains('/')).then(|| Snapshot {
            name: name.to_owned(),
            taken: named(name).unwrap_or(object.modified),
            key: object.key.clone(),
        })
    });
    let mut all: Vec<Snapshot> = found.collect();
    all.sort_by(|a, b| (a.taken, &a.name).cmp(&(b.taken, &b.name)));
    Ok(all)
}

fn named(name: &str) -> Option<Timestamp> {
    let name = name.strip_suffix(".zip").unwrap_or(name);
    let seconds: i64 = name.rsplit_once('-')?.1.parse().ok()?;
    Some(Timestamp::from_seconds(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_when_it_was_taken() {
        let seconds = Some(Timestamp::from_seconds(1_790_000_000));
        assert_eq!(named("etcd-snapshot-ha-servers-0-1790000000"), seconds);
        assert_eq!(named("on-demand-ha-servers-0-1790000000.zip"), seconds);
        assert_eq!(named("before-the-upgrade"), None);
        assert_eq!(named("snapshot"), None);
    }
}
