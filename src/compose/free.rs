//! Free-standing droplets and volumes.

use super::build::{Builder, address, to};
use super::network::{owner_tag, vpc};
use kplan_model::{Address, Input};
use kplan_providers::digitalocean::{DropletArgs, VolumeArgs};
use kplan_schema::Spanned;
use kplan_schema::value::Tag;

/// Declares them.
pub fn declare(builder: &mut Builder<'_>) {
    let spec = builder.spec;
    for free in &spec.droplets {
        let at = address("droplet", free.name.as_str());
        let ssh_keys = builder
            .declared()
            .filter(|address| address.kind().as_str() == "ssh_key")
            .map(|address| to(address, "public_key"))
            .collect();
        let args = DropletArgs {
            name: free.name.to_string(),
            region: spec.region().to_owned(),
            size: free.size.to_string(),
            image: free.image.to_string(),
            vpc_uuid: Some(to(&vpc(), "id")),
            ssh_keys,
            tags: tags(builder, &at, &free.tags),
            user_data: None,
            boot: None,
            monitoring: free.monitoring.value,
            backups: free.backups.value,
            ipv6: false,
            droplet_agent: None,
            resize_disk: None,
            power: Some("on".to_owned()),
        };
        builder.add(at, &args, free.span);
        builder.field_at("size", free.size.span);
    }
    for free in &spec.volumes {
        let at = address("volume", free.name.as_str());
        let given = builder.inputs.standing.name(&at);
        let args = VolumeArgs {
            name: given.unwrap_or(free.name.as_str()).to_owned(),
            region: spec.region().to_owned(),
            size: free.size.value,
            description: Some(free.description.value.clone()).filter(|text| !text.is_empty()),
            initial_filesystem_type: free.filesystem.as_ref().map(ToString::to_string),
            initial_filesystem_label: None,
            snapshot_id: None,
            tags: tags(builder, &at, &free.tags),
            droplet_id: None,
        };
        builder.add(at, &args, free.span);
        builder.field_at("size", free.size.span);
    }
}

/// The tags the file gives, and the owner's: lost creates are found by it, so it is put back
/// where somebody takes it off.
fn tags(builder: &Builder<'_>, at: &Address, given: &[Spanned<Tag>]) -> Vec<Input<String>> {
    let own = (!builder.is_foreign(at)).then(|| to(&owner_tag(), "name"));
    let given = given.iter().map(|tag| Input::Known(tag.to_string()));
    given.chain(own).collect()
}
