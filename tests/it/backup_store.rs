//! Backups in a bucket that is there already: what volumes hold in it opens with the password it
//! was begun with, and with no other.

use crate::support::bucket::Shared;
use crate::support::cluster::Cluster;
use crate::support::{Folder, Run, SMALL};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

pub(crate) fn with_backup(shared: &Shared, more: &str) -> String {
    let place = shared.backend().replace("/clusters", "/backups");
    format!(
        "{SMALL}\n[backup]\nstore = \"{place}\"\ncredentials = {{ access_key = \"{}\", secret_key = \
         {{ env = \"SPACES_SECRET_ACCESS_KEY\" }} }}\nschedules = [{{ name = \"nightly\", cron = \
         \"0 2 * * *\" }}]\n{more}",
        shared.access_key()
    )
}

#[test]
fn a_bucket_with_volumes_of_another_life_needs_their_password() {
    let shared = Shared::with(2000.0);
    let plan = |more: &str| {
        shared.first.write(&with_backup(&shared, more));
        let mut command = shared.command(&shared.first, &["plan", "--sandbox"]);
        command.env("OLD_PASSWORD", "static-passw0rd");
        Run::of(command)
    };
    shared.put("backups/backups/nightly-1/velero-backup.json", b"{}");
    let first = plan("").ok();
    assert!(
        first.out.contains("repository_password.backup"),
        "{}",
        first.out
    );
    shared.put("backups/kopia/default/kopia.repository", b"x");
    let refused = plan("").expect_code(6);
    assert!(
        refused.err.contains("backup::password_unknown"),
        "{}",
        refused.err
    );
    assert!(refused.err.contains("backups/kopia/"), "{}", refused.err);
    let given = plan("repository_password = { env = \"OLD_PASSWORD\" }\n").ok();
    assert!(
        !given.out.contains("repository_password.backup"),
        "{}",
        given.out
    );
    assert!(!given.out.contains("static-passw0rd"), "{}", given.out);
}

#[test]
fn servers_with_etcd_copy_their_snapshots_where_velero_does_not_look() {
    let folder = Folder::with(
        r#"
[cluster]
name = "demo"
region = "fra1"

[servers]
size = "s-2vcpu-4gb"

[k3s]
datastore = "etcd"

[backup]
bucket = "acme-etcd-backup"
schedules = [{ name = "nightly", cron = "0 2 * * *" }]
"#,
    );
    folder.apply().ok();
    folder.assert_no_changes();
    let cluster = Cluster::of(&folder, "demo");
    let secret = cluster
        .get("v1 Secret kube-system/kplan-etcd-s3")
        .expect("it");
    assert_eq!(secret["type"], "etcd.k3s.cattle.io/s3-config-secret");
    let told = secret["data"]["etcd-s3-folder"].as_str().expect("a folder");
    let told = STANDARD.decode(told).expect("base64");
    assert_eq!(told, b"plugins/k3s/demo");
    // What the servers were told is on record, so that a new one is told the same.
    let snapshot = folder.snapshot("demo");
    let node = &snapshot.resources[&"k3s_node.servers[0]".parse().expect("an address")];
    assert_eq!(
        node.args.get("etcd_snapshots"),
        Some(&kplan_model::Value::Bool(true))
    );
}
