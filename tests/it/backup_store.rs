//! Backups in a bucket that is there already: what volumes hold in it opens with the password it
//! was begun with, and with no other.

use crate::support::bucket::Shared;
use crate::support::cluster::Cluster;
use crate::support::{Folder, Run, SMALL, repository};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use kplan::compose;
use kplan_model::{ObjectCodec as _, Secret};
use kplan_providers::artifacts::{Fetcher, FetcherConfig};
use kplan_providers::kubernetes::{BundleKind as _, Velero, VeleroArgs};

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

/// What Velero is told of each store of the guide's table: its region, an address that follows from it
/// as that store's own documents say, and nothing that only AWS understands.
#[test]
fn velero_reaches_each_store_of_the_guide_as_that_store_wants_it() {
    let guide = repository().join("docs/guide/cluster-toml.md");
    let guide = std::fs::read_to_string(guide).expect("the guide");
    let rows = guide.lines().filter_map(|line| {
        let (name, place) = line.strip_prefix("| ")?.split_once(" | `s3://")?;
        Some((name, format!("s3://{}", place.strip_suffix("` |")?)))
    });
    let told: Vec<(&str, serde_json::Value)> =
        rows.map(|(name, place)| (name, location(&place))).collect();
    let wanted = [
        (
            "Backblaze B2",
            "eu-central-003",
            "https://s3.eu-central-003.backblazeb2.com",
        ),
        (
            "Wasabi",
            "eu-central-2",
            "https://s3.eu-central-2.wasabisys.com",
        ),
        ("MinIO", "us-east-1", "https://minio.example.com"),
        (
            "Spaces, a bucket of your own",
            "fra1",
            "https://fra1.digitaloceanspaces.com",
        ),
    ]
    .map(|(name, region, url)| {
        let spec = serde_json::json!({
            "provider": "aws",
            "default": true,
            "accessMode": "ReadWrite",
            "objectStorage": { "bucket": "acme-backup" },
            "credential": { "name": "cloud-credentials", "key": "cloud" },
            "config": {
                "region": region,
                "s3Url": url,
                "s3ForcePathStyle": "true",
                "checksumAlgorithm": "",
            },
        });
        (name, spec)
    });
    assert_eq!(told, wanted);
}

/// Velero's storage location for backups in that place, as the file leads to it.
fn location(place: &str) -> serde_json::Value {
    let text = format!(
        "{SMALL}\n[backup]\nstore = \"{place}\"\ncredentials = {{ access_key = \"id\", secret_key = {{ \
         env = \"KEY\" }} }}\nschedules = [{{ name = \"nightly\", cron = \"0 2 * * *\" }}]\n"
    );
    let source = kplan_schema::Source::new("cluster.toml", text);
    let spec = kplan_schema::parse(&source).spec.expect("a file");
    let owner = kplan_model::Owner {
        cluster: "demo".to_owned(),
        suffix: "3f9a1c2e".to_owned(),
    };
    let snapshot = kplan_model::Snapshot::empty("lineage", owner.clone());
    let declared = compose::compose(
        &spec,
        &compose::Inputs {
            owner,
            members: compose::Members::of(&snapshot),
            earlier: compose::Earlier::of(&snapshot),
            standing: compose::Standing::of(&snapshot),
            restoring: compose::Restoring::of(&snapshot),
            rotating: compose::Rotating::of(&snapshot),
            artifacts: kplan::artifacts::Artifacts::embedded().expect("the version set"),
            secrets: kplan::load::Secrets::new(),
            token: Secret::new("token"),
        },
    );
    let velero = compose::platform::velero();
    let mut declared = declared.resources.into_iter();
    let declared = declared.find(|one| one.address == velero).expect("Velero");
    let mut args = VeleroArgs::from_object(&declared.args).expect("its arguments");
    // Nothing is fetched, and what the file names is not resolved here.
    (args.artifacts, args.sources) = (vec![], None);
    args.secret_key = Secret::new("secret").into();
    args.repository_password = Some(Secret::new("password").into());
    let cache = tempfile::TempDir::new().expect("a folder");
    let fetcher = Fetcher::new(FetcherConfig {
        cache: cache.path().to_owned(),
        mirror: None,
        direct: None,
    });
    let objects = tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(Velero::objects(&args, &fetcher.expect("a fetcher")))
        .expect("its objects");
    let mut objects = objects.into_iter();
    let location = objects.find(|object| object["kind"] == "BackupStorageLocation");
    location.expect("a location")["spec"].clone()
}
