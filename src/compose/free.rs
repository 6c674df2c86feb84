//! What stands by itself: VPCs, droplets, volumes, buckets and reserved addresses.

use super::build::{Builder, address, to};
use super::{nodes, reference, storage};
use kplan_model::{Address, Input};
use kplan_providers::digitalocean::{DropletArgs, ReservedIpArgs, VolumeArgs, VpcArgs};
use kplan_providers::spaces::{BucketArgs, LifecycleRule};
use kplan_schema::Spanned;
use kplan_schema::spec::{
    BucketRule, FreeBucket, FreeDroplet, FreeReservedIp, FreeVolume, FreeVpc,
};
use kplan_schema::value::Power;

/// Declares them.
pub fn declare(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    for free in &spec.vpcs {
        vpc(builder, free);
    }
    for free in &spec.droplets {
        droplet(builder, free);
    }
    for free in &spec.volumes {
        volume(builder, free);
    }
    let made = spec.buckets.iter().any(|free| free.credentials.is_none());
    if made && !spec.runs_k3s() {
        storage::operator(builder, false);
    }
    for free in &spec.buckets {
        bucket(builder, free);
    }
    for free in &spec.reserved_ips {
        reserved_ip(builder, free);
    }
}

fn filled(text: &Spanned<String>) -> Option<String> {
    Some(text.value.clone()).filter(|text| !text.is_empty())
}

fn vpc(builder: &mut Builder<'_>, free: &FreeVpc) {
    let args = VpcArgs {
        name: free.name.to_string(),
        region: free.region.to_string(),
        ip_range: free.ip_range.as_ref().map(ToString::to_string),
        description: filled(&free.description),
    };
    let meta = builder.guard(free.protect.as_ref());
    builder.add_with(address("vpc", free.label.as_str()), &args, free.span, meta);
    builder.fields_at([
        ("name", free.name.span),
        ("region", free.region.span),
        ("ip_range", free.ip_range.as_ref().and_then(|it| it.span)),
        ("description", free.description.span),
    ]);
}

/// The keys a droplet is given at its first boot.
fn ssh_keys(builder: &Builder<'_>, free: &FreeDroplet) -> Vec<Input<String>> {
    let Some(named) = &free.ssh_keys else {
        let all = builder.declared();
        let keys = all.filter(|address| address.kind().as_str() == "ssh_key");
        return keys.map(|address| to(address, "public_key")).collect();
    };
    let of_file = |key: &str| {
        let mut keys = builder.spec.ssh_keys.iter();
        keys.any(|it| it.label.as_str() == key)
    };
    let one = |key: &Spanned<String>| {
        if of_file(key) {
            to(&nodes::ssh_key(key), "public_key")
        } else {
            Input::Known(key.value.clone())
        }
    };
    named.iter().map(one).collect()
}

fn droplet(builder: &mut Builder<'_>, free: &FreeDroplet) {
    let at = address("droplet", free.label.as_str());
    let user_data = free.user_data.as_ref();
    let args = DropletArgs {
        name: free.name.to_string(),
        region: free.region.to_string(),
        size: free.size.to_string(),
        image: free.image.to_string(),
        vpc_uuid: reference::vpc_of(builder, &free.region, free.vpc.as_ref()),
        ssh_keys: ssh_keys(builder, free),
        tags: reference::tags(builder, &at, &free.tags),
        user_data: user_data.map(|data| Input::Known(data.to_string())),
        boot: None,
        monitoring: free.monitoring.value,
        backups: free.backups.value,
        ipv6: free.ipv6.value,
        droplet_agent: free.droplet_agent.as_ref().map(|agent| agent.value),
        resize_disk: free.resize_disk.as_ref().map(|resize| resize.value),
        power: (free.power.value == Power::On).then(|| "on".to_owned()),
    };
    let meta = builder.guard(free.protect.as_ref());
    builder.add_with(at, &args, free.span, meta);
    builder.fields_at([
        ("size", free.size.span),
        ("name", free.name.span),
        ("region", free.region.span),
        ("vpc_uuid", free.vpc.as_ref().and_then(|it| it.span)),
        ("ipv6", free.ipv6.span),
    ]);
}

fn volume(builder: &mut Builder<'_>, free: &FreeVolume) {
    let at = address("volume", free.label.as_str());
    let given = builder.inputs.standing.name(&at);
    let attached = free.droplet.as_ref();
    let text = |given: &Option<Spanned<String>>| given.as_ref().map(|text| text.value.clone());
    let args = VolumeArgs {
        name: given.unwrap_or(free.name.as_str()).to_owned(),
        region: free.region.to_string(),
        size: free.size.value,
        description: filled(&free.description),
        initial_filesystem_type: free.filesystem.as_ref().map(ToString::to_string),
        initial_filesystem_label: text(&free.filesystem_label),
        snapshot_id: text(&free.snapshot_id),
        tags: reference::tags(builder, &at, &free.tags),
        droplet_id: attached.and_then(|one| reference::droplet(builder, one).pop()),
    };
    let meta = builder.guard(free.protect.as_ref());
    builder.add_with(at, &args, free.span, meta);
    builder.fields_at([
        ("size", free.size.span),
        ("name", free.name.span),
        ("region", free.region.span),
        ("droplet_id", attached.and_then(|it| it.span)),
    ]);
}

fn rule(given: &BucketRule) -> LifecycleRule {
    let days = |days: &Option<Spanned<u32>>| days.as_ref().map(|days| days.value);
    LifecycleRule {
        id: given.id.value.clone(),
        prefix: given.prefix.value.clone(),
        enabled: given.enabled.value,
        expiration_days: days(&given.expiration_days),
        noncurrent_version_expiration_days: days(&given.noncurrent_version_expiration_days),
        abort_incomplete_multipart_upload_days: days(&given.abort_incomplete_multipart_upload_days),
    }
}

fn bucket(builder: &mut Builder<'_>, free: &FreeBucket) {
    let operator: Address = storage::operator_key();
    let (access_key, secret_key) = match &free.credentials {
        None => (to(&operator, "access_key"), to(&operator, "secret_key")),
        Some(keys) => (
            Input::Known(keys.access_key.as_str().to_owned()),
            Input::Known(builder.inputs.secret(&keys.secret_key)),
        ),
    };
    let args = BucketArgs {
        name: Some(free.name.to_string()),
        name_prefix: None,
        region: free.region.to_string(),
        acl: Some(free.acl.to_string()),
        versioning: free.versioning.value,
        lifecycle_rule: free.lifecycle_rule.iter().map(rule).collect(),
        force_destroy: free.force_destroy.value,
        access_key: Some(access_key),
        secret_key: Some(secret_key),
    };
    let meta = builder.guard(free.protect.as_ref());
    let at = address("bucket", free.label.as_str());
    builder.add_with(at, &args, free.span, meta);
    builder.fields_at([
        ("name", free.name.span),
        ("region", free.region.span),
        ("acl", free.acl.span),
        ("versioning", free.versioning.span),
    ]);
}

fn reserved_ip(builder: &mut Builder<'_>, free: &FreeReservedIp) {
    let leads = free.droplet.as_ref();
    let args = ReservedIpArgs {
        region: free.region.to_string(),
        droplet_id: leads.and_then(|one| reference::droplet(builder, one).pop()),
    };
    let meta = builder.guard(free.protect.as_ref());
    let at = address("reserved_ip", free.name.as_str());
    builder.add_with(at, &args, free.span, meta);
    builder.fields_at([
        ("region", free.region.span),
        ("droplet_id", leads.and_then(|it| it.span)),
    ]);
}
