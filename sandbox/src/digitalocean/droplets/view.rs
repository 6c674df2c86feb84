//! A droplet as the API shows it.

use serde_json::{Value, json};

use super::{Droplet, Status, backups};
use crate::digitalocean::moment;
use crate::digitalocean::snapshots::{self, Snapshot};
use crate::world::catalogue::{self, disk_info, image_view, region_view, size_view};
use crate::world::{World, net};

pub(crate) fn view(world: &World, droplet: &Droplet) -> Value {
    let volumes: Vec<&str> = world
        .volumes
        .filtered(|volume| volume.droplet == Some(droplet.id))
        .iter()
        .map(|volume| volume.id.as_str())
        .collect();
    let images = world
        .snapshots
        .filtered(|image| image.shows_droplet(droplet.id));
    let (backups_of, snapshots_of): (Vec<&Snapshot>, Vec<&Snapshot>) =
        images.into_iter().partition(|image| image.is_backup());
    let ids = |images: Vec<&Snapshot>| -> Vec<u64> {
        let id = |image: &Snapshot| image.id.parse().ok();
        images.into_iter().filter_map(id).collect()
    };
    let size = catalogue::size_of(&droplet.size);
    let mut features = vec!["private_networking"];
    let optional = [
        (droplet.ipv6, "ipv6"),
        (droplet.monitoring, "monitoring"),
        (droplet.backups, "backups"),
        (droplet.agent, "droplet_agent"),
    ];
    features.extend(
        optional
            .into_iter()
            .filter(|(on, _)| *on)
            .map(|(_, name)| name),
    );
    json!({
        "id": droplet.id,
        "name": droplet.name,
        "memory": size.map(|size| size.memory_mib),
        "vcpus": size.map(|size| size.vcpus),
        "disk": droplet.disk_gib,
        "disk_info": disk_info(droplet.disk_gib),
        "locked": droplet.busy(),
        "status": droplet.status,
        "kernel": Value::Null,
        "created_at": moment(droplet.created_at),
        "features": features,
        "backup_ids": ids(backups_of),
        "next_backup_window": backups::window(droplet),
        "snapshot_ids": ids(snapshots_of),
        "image": image_of(droplet),
        "volume_ids": volumes,
        "size": size.map(size_view),
        "size_slug": droplet.size,
        "networks": networks(world, droplet),
        "region": region_view(&droplet.region),
        "tags": droplet.tags,
        "vpc_uuid": droplet.vpc_uuid,
    })
}

/// The image it was made of.
fn image_of(droplet: &Droplet) -> Option<Value> {
    match &droplet.snapshot {
        Some(snapshot) => Some(snapshots::image_view(snapshot)),
        None => catalogue::image_of(&droplet.image).map(image_view),
    }
}

/// No address is shown before the droplet is active for the first time.
fn networks(world: &World, droplet: &Droplet) -> Value {
    if droplet.status == Status::New {
        return json!({ "v4": [], "v6": [] });
    }
    let mut v4 = Vec::new();
    if let Some(vpc) = world.vpcs.get(&droplet.vpc_uuid) {
        v4.push(json!({
            "ip_address": droplet.private_ip,
            "netmask": vpc.ip_range.netmask(),
            "gateway": vpc.ip_range.hosts().next(),
            "type": "private",
        }));
    }
    if let Some(ip) = droplet.public_ip {
        v4.push(json!({
            "ip_address": ip,
            "netmask": "255.255.255.0",
            "gateway": net::public_gateway(ip),
            "type": "public",
        }));
    }
    let v6: Vec<Value> = droplet
        .ipv6
        .then(|| {
            json!({
                "ip_address": net::public_ipv6(droplet.id),
                "netmask": 64,
                "gateway": net::public_ipv6(0),
                "type": "public",
            })
        })
        .into_iter()
        .collect();
    json!({ "v4": v4, "v6": v6 })
}
