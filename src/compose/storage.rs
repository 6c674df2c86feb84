//! Spaces: the boot bucket, the backup bucket, and their keys.

use super::build::{Builder, address, to};
use kplan_model::{Address, Input, Meta};
use kplan_providers::digitalocean::{SpacesGrant, SpacesKeyArgs};
use kplan_providers::spaces::{BucketArgs, LifecycleRule};

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

/// The cluster's region, or another one where that has no Spaces.
pub fn boot_region(builder: &Builder<'_>) -> String {
    let region = &builder.spec.cluster.region;
    match &builder.spec.backup {
        Some(backup) if !region.has_spaces() => backup.region.to_string(),
        // Without a backup bucket: the region next to most of DigitalOcean's others. A bundle is
        // a few kilobytes, read once.
        None if !region.has_spaces() => "nyc3".to_owned(),
        _ => region.to_string(),
    }
}

/// Declares them.
pub fn declare(builder: &mut Builder<'_>) {
    let operator = SpacesKeyArgs {
        name: format!("kplan-{}", builder.inputs.owner.id()),
        grant: vec![SpacesGrant {
            bucket: Input::Known(String::new()),
            permission: "fullaccess".to_owned(),
        }],
    };
    // What is kept must stay readable: the key stays as long as the backup bucket does.
    let keep = builder.spec.backup.is_some();
    builder.add_with(
        operator_key(),
        &operator,
        None,
        Meta {
            keep,
            ..Meta::default()
        },
    );
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
    let mut rules = vec![];
    if wanted.versioning.value {
        rules.push(expiring(
            "noncurrent",
            "",
            None,
            Some(wanted.noncurrent_days.value),
        ));
    }
    let bucket = BucketArgs {
        name: Some(wanted.bucket.to_string()),
        name_prefix: None,
        region: wanted.region.to_string(),
        access_key: Some(to(&operator_key(), "access_key")),
        secret_key: Some(to(&operator_key(), "secret_key")),
        acl: Some("private".to_owned()),
        versioning: wanted.versioning.value,
        lifecycle_rule: rules,
        force_destroy: true,
    };
    // Backups outlive the cluster; they go only with --delete-backups.
    let meta = Meta {
        keep: true,
        ..builder.guarded()
    };
    builder.add_with(backup_bucket(), &bucket, wanted.span, meta);
    builder.field_at("name", wanted.bucket.span);
    builder.field_at("region", wanted.region.span);
    builder.field_at("versioning", wanted.versioning.span);
    let key = SpacesKeyArgs {
        name: format!("{}-velero", builder.inputs.owner.id()),
        grant: vec![SpacesGrant {
            bucket: to(&backup_bucket(), "name"),
            permission: "readwrite".to_owned(),
        }],
    };
    builder.add(backup_key(), &key, wanted.span);
}
