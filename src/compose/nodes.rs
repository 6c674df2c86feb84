//! SSH keys and droplets: the servers and every agent pool.

use super::build::{Builder, address, indexed, to};
use super::network::{agent_firewall, agent_tag, owner_tag, server_firewall, server_tag, vpc};
use super::{k3s, storage};
use kplan_model::{Address, Group, Input, Meta, RolloutOrder};
use kplan_providers::digitalocean::{DropletArgs, SshKeyArgs, without_comment};
use kplan_schema::spec::Pool;
use kplan_schema::value::Datastore;

/// The droplet of one node.
pub fn droplet(pool: &str, index: u32) -> Address {
    indexed("droplet", pool, index)
}

/// Declares them.
pub fn declare(builder: &mut Builder<'_>) {
    let keys = ssh_keys(builder);
    for pool in builder.spec.pools() {
        for index in 0..pool.count().value {
            node(builder, pool, index, &keys);
        }
    }
}

/// The keys of the file, or one whose private half nobody has: without any key DigitalOcean
/// mails a root password.
fn ssh_keys(builder: &mut Builder<'_>) -> Vec<Input<String>> {
    let spec = builder.spec;
    let mut keys = Vec::new();
    for key in &spec.ssh_keys {
        let args = SshKeyArgs {
            name: builder.name(key.name.as_str()),
            public_key: Input::Known(without_comment(key.public_key.as_str())),
        };
        let address = builder.add(address("ssh_key", key.name.as_str()), &args, key.span);
        builder.field_at("public_key", key.public_key.span);
        keys.push(to(&address, "public_key"));
    }
    if keys.is_empty() {
        let args = SshKeyArgs {
            name: builder.name("throwaway"),
            public_key: to(&k3s::pki(), "ssh_public_key"),
        };
        let address = builder.add(address("ssh_key", "throwaway"), &args, None);
        keys.push(to(&address, "public_key"));
    }
    keys
}

fn node(builder: &mut Builder<'_>, pool: Pool<'_>, index: u32, keys: &[Input<String>]) {
    let spec = builder.spec;
    let server = matches!(pool, Pool::Servers(_));
    let (tag, firewall) = if server {
        (server_tag(), server_firewall())
    } else {
        (agent_tag(), agent_firewall())
    };
    let args = DropletArgs {
        name: builder.node_name(pool.name(), index),
        region: spec.region().to_owned(),
        size: pool.size().to_string(),
        image: pool.image().to_string(),
        vpc_uuid: Some(to(&vpc(), "id")),
        ssh_keys: keys.to_vec(),
        tags: vec![to(&tag, "name"), to(&owner_tag(), "name")],
        user_data: None,
        boot: Some(k3s::boot(builder, pool, index)),
        monitoring: pool.monitoring().value,
        backups: pool.backups().value,
        ipv6: false,
        droplet_agent: None,
        resize_disk: None,
        power: Some("on".to_owned()),
    };
    let mut meta = if server {
        builder.guarded()
    } else {
        Meta::default()
    };
    meta.group = Some(group(builder, pool));
    // It never stands without its firewall: not at its first start, not while it is drained.
    meta.after.push(firewall);
    // Nothing that costs a night to lose begins before it can be made again.
    meta.after.extend(spec.backup.is_some().then(storage::kit));
    builder.add_with(droplet(pool.name(), index), &args, pool.span(), meta);
    builder.field_at("size", pool.size().span);
    builder.field_at("image", pool.image().span);
    builder.field_at("backups", pool.backups().span);
    builder.field_at("monitoring", pool.monitoring().span);
}

/// Servers change one at a time and never below a majority; of agents at most a quarter at once
/// change. A group's first creation is not limited by it.
pub fn group(builder: &Builder<'_>, pool: Pool<'_>) -> Group {
    let count = pool.count().value;
    match pool {
        Pool::Servers(_) => Group {
            name: "servers".to_owned(),
            // A majority where there is one to lose; of two servers on a database one is enough.
            min_ready: majority(builder, count),
            max_parallel: 1,
            order: RolloutOrder::Address,
        },
        Pool::Agents(_) => Group {
            name: pool.name().to_owned(),
            min_ready: 0,
            max_parallel: count.div_ceil(4).max(1),
            order: RolloutOrder::Address,
        },
    }
}

/// How many servers must stay: none of a single one, whose cluster stands and falls with it. With etcd
/// a majority of those there are, also where the file wants fewer: members that go at once take it with
/// them.
fn majority(builder: &Builder<'_>, count: u32) -> u32 {
    let there = if builder.spec.datastore() == Datastore::Etcd {
        builder.inputs.members.servers().max(count)
    } else {
        count
    };
    if there > 1 && !builder.inputs.members.are_one() {
        there.div_ceil(2)
    } else {
        0
    }
}
