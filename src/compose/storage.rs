//! Spaces: the boot bucket, the backup bucket, and their keys.

use super::build::{Builder, address, to};
use kplan_model::{Address, Input, Meta};
use kplan_providers::digitalocean::{SpacesGrant, SpacesKeyArgs};
use kplan_providers::local::RandomPasswordArgs;
use kplan_providers::recovery::KitArgs;
use kplan_providers::spaces::{BucketArgs, LifecycleRule};
use kplan_schema::spec::{Backup, BackupStore};
use kplan_schema::value::{BucketName, RegionSlug};
use kplan_schema::{Span, Spanned};

/// The bucket in which a node finds what it needs at its first boot.
pub fn boot_bucket() -> Address {
    address("bucket", "boot")
}

/// The key that makes and fills the cluster's buckets; it never enters the cluster.
pub fn operator_key() -> Address {
    address("spaces_key", "operator")
}

/// The backup bucket.
pub fn backup_bucket() -> Address {
    address("bucket", "backup")
}

/// The key Velero uses: it reads and writes the backup bucket and nothing else.
pub fn backup_key() -> Address {
    address("spaces_key", "backup")
}

/// What the volumes in backups are encrypted with.
pub fn backup_password() -> Address {
    address("repository_password", "backup")
}

/// The key that recovery kits are signed with.
pub fn kit_key() -> Address {
    address("signing_key", "kit")
}

/// The recovery kits in the backup bucket.
pub fn kit() -> Address {
    address("recovery_kit", "main")
}

/// The cluster's region, or another one where that has no Spaces.
pub fn boot_region(builder: &Builder<'_>) -> String {
    let region = &builder.spec.cluster.region;
    if region.has_spaces() {
        return region.to_string();
    }
    match builder.spec.backup.as_ref().map(|backup| &backup.store) {
        Some(BackupStore::Own { region, .. }) => region.to_string(),
        // Without a backup bucket of ours: the region next to most of DigitalOcean's others. A
        // bundle is a few kilobytes, read once.
        _ => "nyc3".to_owned(),
    }
}

/// The key of whoever makes buckets, and looks into them.
pub fn operator(builder: &mut Builder<'_>, keep: bool) {
    let operator = SpacesKeyArgs {
        name: format!("kplan-{}", builder.inputs.owner.id()),
        grant: vec![SpacesGrant {
            bucket: Input::Known(String::new()),
            permission: "fullaccess".to_owned(),
        }],
    };
    let meta = Meta {
        keep,
        ..Meta::default()
    };
    builder.add_with(operator_key(), &operator, None, meta);
}

/// Declares them.
pub fn declare(builder: &mut Builder<'_>) {
    // What is kept must stay readable: the key stays as long as the backup bucket does.
    let store = builder.spec.backup.as_ref().map(|backup| &backup.store);
    let keep = matches!(store, Some(BackupStore::Own { .. }));
    operator(builder, keep);
    let boot = BucketArgs {
        // A fresh name every time: a deleted bucket's name is unusable for a week or more.
        name: None,
        name_prefix: Some(format!("kplan-{}", builder.inputs.owner.id())),
        region: boot_region(builder),
        access_key: Some(to(&operator_key(), "access_key")),
        secret_key: Some(to(&operator_key(), "secret_key")),
        acl: Some("private".to_owned()),
        versioning: false,
        lifecycle_rule: vec![expiring("boot", "boot/", Some(1), None)],
        force_destroy: true,
    };
    builder.add(boot_bucket(), &boot, None);
    backup(builder);
}

fn expiring(id: &str, prefix: &str, days: Option<u32>, noncurrent: Option<u32>) -> LifecycleRule {
    LifecycleRule {
        id: id.to_owned(),
        prefix: prefix.to_owned(),
        enabled: true,
        expiration_days: days,
        noncurrent_version_expiration_days: noncurrent,
        abort_incomplete_multipart_upload_days: Some(1),
    }
}

fn backup(builder: &mut Builder<'_>) {
    let Some(wanted) = &builder.spec.backup else {
        return;
    };
    let password = backup_password_made(builder, wanted);
    if let BackupStore::Own {
        bucket,
        region,
        versioning,
        noncurrent_days,
    } = &wanted.store
    {
        let expires = versioning.value.then_some(noncurrent_days.value);
        own_bucket(builder, (bucket, region), expires, password, wanted.span);
        builder.field_at("versioning", versioning.span);
        let key = SpacesKeyArgs {
            name: format!("{}-velero", builder.inputs.owner.id()),
            grant: vec![SpacesGrant {
                bucket: to(&backup_bucket(), "name"),
                permission: "readwrite".to_owned(),
            }],
        };
        builder.add(backup_key(), &key, wanted.span);
    }
    recovery(builder, wanted);
}

/// Where a cluster's recovery kits lie in a bucket, below Velero's prefix. Velero takes a bucket with other folders at its root for
/// somebody else's (`ObjectStoreLayout` in its persistence package); `plugins/` is what it leaves to
/// others.
pub fn kit_prefix(root: &str, cluster: &str) -> String {
    format!("{root}plugins/kplan/{cluster}/")
}

/// What a lost cluster is made again from, and the key that says who made it. They outlive the
/// cluster beside its backups.
fn recovery(builder: &mut Builder<'_>, wanted: &Backup) {
    let kept = || Meta {
        keep: true,
        ..Meta::default()
    };
    let key = RandomPasswordArgs {
        purpose: "recovery kits".to_owned(),
    };
    builder.add_with(kit_key(), &key, wanted.span, kept());
    let at = super::platform::location(builder, &wanted.store);
    let (access_key, secret_key) = match &wanted.store {
        // Not the key that is in the cluster: whoever takes that over shall not reach the kits.
        BackupStore::Own { .. } => (
            to(&operator_key(), "access_key"),
            to(&operator_key(), "secret_key"),
        ),
        BackupStore::Existing { .. } => (at.access_key, at.secret_key),
    };
    let root = at
        .prefix
        .map(|prefix| format!("{prefix}/"))
        .unwrap_or_default();
    let args = KitArgs {
        bucket: at.bucket,
        prefix: kit_prefix(&root, builder.spec.name()),
        region: at.region,
        endpoint: at.endpoint,
        access_key,
        secret_key,
        signing_key: to(&kit_key(), "private_key"),
        public_key: to(&kit_key(), "public_key"),
    };
    let mut meta = kept();
    // It has to hold what cannot be made again.
    meta.after.push(super::k3s::pki());
    meta.after.extend(
        builder
            .declared()
            .any(|address| *address == backup_password())
            .then(backup_password),
    );
    builder.add_with(kit(), &args, wanted.span, meta);
}

/// The password of the volumes in backups, where it is kplan's to make.
fn backup_password_made(builder: &mut Builder<'_>, wanted: &Backup) -> Option<Address> {
    if wanted.repository_password.is_some() || builder.inputs.earlier.open_backups {
        return None;
    }
    let password = RandomPasswordArgs {
        purpose: "volumes in backups".to_owned(),
    };
    // Whoever keeps backups keeps what opens them.
    let kept = Meta {
        keep: true,
        ..builder.guarded()
    };
    Some(builder.add_with(backup_password(), &password, wanted.span, kept))
}

/// The bucket that kplan makes for backups. With `noncurrent` days what is overwritten or deleted
/// stays for so long.
fn own_bucket(
    builder: &mut Builder<'_>,
    (name, region): (&Spanned<BucketName>, &Spanned<RegionSlug>),
    noncurrent: Option<u32>,
    password: Option<Address>,
    span: Option<Span>,
) {
    let rules = noncurrent.map(|days| expiring("noncurrent", "", None, Some(days)));
    let bucket = BucketArgs {
        name: Some(name.to_string()),
        name_prefix: None,
        region: region.to_string(),
        access_key: Some(to(&operator_key(), "access_key")),
        secret_key: Some(to(&operator_key(), "secret_key")),
        acl: Some("private".to_owned()),
        versioning: noncurrent.is_some(),
        lifecycle_rule: rules.into_iter().collect(),
        force_destroy: true,
    };
    // Backups outlive the cluster; they go only with --delete-backups. The password comes first:
    // `Earlier` tells by it whether the bucket is from before there were passwords.
    let meta = Meta {
        keep: true,
        after: password.into_iter().collect(),
        ..builder.guarded()
    };
    builder.add_with(backup_bucket(), &bucket, span, meta);
    builder.field_at("name", name.span);
    builder.field_at("region", region.span);
}
