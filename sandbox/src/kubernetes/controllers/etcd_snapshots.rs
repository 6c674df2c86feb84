//! Snapshots of etcd: taken at noon and midnight, and when somebody asks for one on a server, and
//! copied into a bucket where K3s is told to.
//!
//! As in K3s, the key of the bucket is in a Secret (`etcd-s3-config-secret`), a copy is called
//! `<base>-<node>-<seconds since 1970>`, and of those with one base the last five stay. Not simulated:
//! the files on the server's own disk, `ETCDSnapshotFile` objects, compression, other schedules.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use super::Pass;
use crate::kubernetes::object::{Object, set, text};
use crate::kubernetes::snapshot::EtcdSnapshot;
use crate::kubernetes::{BucketAccess, BucketKey};

const NODES: &str = "/nodes";
/// What K3s calls those of its schedule.
const SCHEDULED: &str = "etcd-snapshot";
/// What it calls those that somebody asks for.
pub(super) const ON_DEMAND: &str = "on-demand";
/// K3s's default schedule, `0 */12 * * *`, in seconds, by the clock on the wall.
const PERIOD: i64 = 12 * 60 * 60;
/// How many stay.
const RETENTION: usize = 5;
/// When a node looked at its copies last.
const LOOKED: &str = "etcd.k3s.cattle.io/s3-snapshots-timestamp";

/// Takes those that are due.
pub(super) fn reconcile(pass: &mut Pass<'_>) {
    let members = pass
        .nodes
        .iter()
        .filter(|(_, it)| it.facts.etcd && !it.lost);
    let members: Vec<String> = members.map(|(name, _)| name.clone()).collect();
    for name in members {
        let Some(node) = pass.get(NODES, "", &name) else {
            continue;
        };
        let moment = |path: &[&str]| text(&node, path)?.parse::<Timestamp>().ok();
        let last = moment(&["metadata", "annotations", LOOKED])
            .or_else(|| moment(&["metadata", "creationTimestamp"]));
        if let Some(next) = last.and_then(after)
            && pass.reached("etcd-snapshot", &node, next)
        {
            // K3s logs what goes wrong and waits for the next time.
            drop(save(pass, &name, SCHEDULED));
            looked(pass, &node);
        }
    }
}

/// The next noon or midnight, UTC.
fn after(moment: Timestamp) -> Option<Timestamp> {
    let passed = moment.as_second().div_euclid(PERIOD);
    Timestamp::from_second((passed + 1) * PERIOD).ok()
}

fn looked(pass: &Pass<'_>, node: &Object) {
    let now = pass.server.now();
    pass.adjust(NODES, node, |node| {
        set(node, &["metadata", "annotations", LOOKED], now);
    });
}

/// Takes one on a server and copies it; the error is what K3s says.
pub(super) fn save(pass: &Pass<'_>, node: &str, base: &str) -> Result<(), String> {
    let disks = pass.disks()?;
    let datastore = disks.datastore()?;
    let taken = EtcdSnapshot::take(&pass.server.storage, pass.nodes.clone(), datastore);
    let Some(secret) = disks.etcd_s3(node)? else {
        return Ok(());
    };
    let folder = Folder::open(pass, &secret)?;
    let seconds = pass.server.clock.now().as_second();
    folder.put(&format!("{base}-{node}-{seconds}"), taken.to_bytes())?;
    folder.keep_the_last(base)
}

/// Where the copies go.
struct Folder {
    access: Arc<dyn BucketAccess>,
    at: BucketKey,
    prefix: String,
}

impl Folder {
    fn open(pass: &Pass<'_>, secret: &str) -> Result<Folder, String> {
        let found = pass.get("/secrets", "kube-system", secret);
        let found = found.ok_or_else(|| {
            format!("failed to get config from etcd-s3-config-secret \"{secret}\": not found")
        })?;
        let value = |key: &str| decoded(&found, key).unwrap_or_default();
        let insecure = value("etcd-s3-insecure") == "true";
        let scheme = if insecure { "http" } else { "https" };
        let bucket = value("etcd-s3-bucket");
        if bucket.is_empty() {
            return Err("s3 bucket name was not set".to_owned());
        }
        let folder = value("etcd-s3-folder");
        let access = pass.bucket_access.clone();
        Ok(Folder {
            access: access.ok_or("no object store answers in this sandbox")?,
            at: BucketKey {
                bucket,
                region: value("etcd-s3-region"),
                endpoint: format!("{scheme}://{}", value("etcd-s3-endpoint")),
                access_key: value("etcd-s3-access-key"),
                secret_key: value("etcd-s3-secret-key"),
            },
            prefix: match folder.trim_matches('/') {
                "" => String::new(),
                folder => format!("{folder}/"),
            },
        })
    }

    fn put(&self, name: &str, bytes: Vec<u8>) -> Result<(), String> {
        let key = format!("{}{name}", self.prefix);
        self.access.put(&self.at, &key, bytes)
    }

    /// Deletes all but the newest, by the seconds in their names.
    fn keep_the_last(&self, base: &str) -> Result<(), String> {
        let mut keys = self
            .access
            .list(&self.at, &format!("{}{base}-", self.prefix))?;
        keys.sort_by_key(|key| seconds(key));
        let old = keys.len().saturating_sub(RETENTION);
        keys.iter()
            .take(old)
            .try_for_each(|key| self.access.delete(&self.at, key))
    }
}

fn seconds(key: &str) -> i64 {
    let last = key.rsplit('-').next();
    last.and_then(|text| text.parse().ok()).unwrap_or(0)
}

fn decoded(secret: &Value, key: &str) -> Option<String> {
    let bytes = STANDARD.decode(text(secret, &["data", key])?).ok()?;
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_one_is_at_noon_or_midnight() {
        for (moment, next) in [
            ("2026-03-01T11:59:59Z", "2026-03-01T12:00:00Z"),
            ("2026-03-01T12:00:00Z", "2026-03-02T00:00:00Z"),
            ("2026-12-31T23:00:00Z", "2027-01-01T00:00:00Z"),
        ] {
            let moment: Timestamp = moment.parse().unwrap();
            assert_eq!(after(moment).unwrap().to_string(), next);
        }
    }
}
