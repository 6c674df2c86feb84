//! How many calls it takes to look at a whole cluster in which nothing changed.

use crate::cases::{
    a_key, bucket_args, check, droplet_args, forward, input, key_args, tcp, vpc_args,
};
use crate::world::{World, attr};
use kplan_model::codec::ObjectCodec;
use kplan_model::{Kind, Known, Object, Value};
use kplan_providers::digitalocean::{
    DatabaseArgs, DatabaseDbArgs, DatabaseRule, DatabaseUserArgs, FirewallArgs, LoadBalancerArgs,
    ProjectArgs, SshKeyArgs, TagArgs, all_ports,
};
use std::collections::BTreeMap;

/// Everything `ha-postgres` is made of at DigitalOcean and Spaces, with that many agents.
async fn cluster(world: &World, agents: u32) -> Vec<Known> {
    let mut all = machines(world, agents).await;
    all.extend(datastore(world, &attr(&all[1], "name")).await);
    all.extend(storage(world).await);
    let urns = all.iter().filter_map(|known| match known.attrs.get("urn") {
        Some(Value::Str(urn)) if !urn.starts_with("do:vpc") => Some(input(urn.clone())),
        _ => None,
    });
    let project = ProjectArgs {
        name: "k3s-cluster".to_owned(),
        description: None,
        purpose: None,
        environment: Some("Development".to_owned()),
        resources: urns.collect(),
    };
    all.push(world.make("project.main", project.to_object()).await);
    all
}

async fn machines(world: &World, agents: u32) -> Vec<Known> {
    let mut all = vec![
        world
            .make("tag.owner", TagArgs { name: None }.to_object())
            .await,
    ];
    for role in ["server", "agent"] {
        let args = TagArgs {
            name: Some(format!("{}:{role}", world.owner.tag())),
        };
        all.push(world.make(&format!("tag.{role}"), args.to_object()).await);
    }
    let server_tag = attr(&all[1], "name");
    all.push(world.make("ssh_key.none", ssh_key()).await);
    let vpc = vpc_args("k3s-vpc-01", "10.10.0.0/20").to_object();
    let vpc = world.make("vpc.main", vpc).await;
    for index in 0..agents + 3 {
        let (name, address) = match index.checked_sub(3) {
            None => (
                format!("server-{index}"),
                format!("droplet.servers[{index}]"),
            ),
            Some(index) => (format!("agent-{index}"), format!("droplet.agents[{index}]")),
        };
        let args = droplet_args(&name, Some(&vpc)).to_object();
        all.push(world.make(&address, args).await);
    }
    all.push(world.make("firewall.servers", firewall(&server_tag)).await);
    all.push(
        world
            .make("load_balancer.api", balancer(&server_tag, &vpc))
            .await,
    );
    all.push(vpc);
    all
}

async fn datastore(world: &World, server_tag: &str) -> Vec<Known> {
    let database = world.make("database.main", database(server_tag)).await;
    let user = DatabaseUserArgs {
        cluster_id: input(database.id.as_str()),
        name: "k3s".to_owned(),
        mysql_auth_plugin: None,
        password_after: None,
    };
    let db = DatabaseDbArgs {
        cluster_id: input(database.id.as_str()),
        name: "k3s".to_owned(),
    };
    let user = world.make("database_user.k3s", user.to_object()).await;
    let db = world.make("database_db.k3s", db.to_object()).await;
    vec![database, user, db]
}

async fn storage(world: &World) -> Vec<Known> {
    let key = a_key(world).await;
    let mut all = Vec::new();
    for name in ["boot-3f9a1c2e", "acme-demo-backup"] {
        let address = format!("bucket.{}", &name[..4]);
        let args = bucket_args(name, &key).to_object();
        all.push(world.make(&address, args).await);
    }
    all.push(
        world
            .make("spaces_key.backup", key_args("backup").to_object())
            .await,
    );
    all.push(key);
    all
}

fn ssh_key() -> Object {
    let key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";
    SshKeyArgs {
        name: "discarded".to_owned(),
        public_key: input(key),
    }
    .to_object()
}

fn firewall(tag: &str) -> Object {
    FirewallArgs {
        name: "servers".to_owned(),
        tags: vec![input(tag)],
        droplet_ids: Vec::new(),
        inbound_rule: vec![tcp("6443")],
        outbound_rule: vec![all_ports("tcp", &["0.0.0.0/0", "::/0"])],
    }
    .to_object()
}

fn balancer(tag: &str, vpc: &Known) -> Object {
    LoadBalancerArgs {
        name: "k3s-api-loadbalancer".to_owned(),
        region: "fra1".to_owned(),
        size_unit: Some(1),
        forwarding_rule: vec![forward(6443)],
        healthcheck: Some(check(6443)),
        droplet_tag: Some(input(tag)),
        droplet_ids: Vec::new(),
        vpc_uuid: Some(input(vpc.id.as_str())),
        firewall: None,
        redirect_http_to_https: false,
        enable_proxy_protocol: false,
        enable_backend_keepalive: false,
        http_idle_timeout_seconds: None,
    }
    .to_object()
}

fn database(tag: &str) -> Object {
    DatabaseArgs {
        name: "k3s-ext-datastore".to_owned(),
        engine: "pg".to_owned(),
        version: Some("16".to_owned()),
        size: "db-s-1vcpu-2gb".to_owned(),
        region: "fra1".to_owned(),
        node_count: 1,
        storage_size_mib: None,
        private_network_uuid: None,
        tags: Vec::new(),
        rules: vec![DatabaseRule::tag(tag.to_owned())],
    }
    .to_object()
}

/// Calls made by reading every kind once, as a refresh does.
async fn calls_of_a_look(world: &World, all: Vec<Known>) -> u64 {
    let mut kinds: BTreeMap<Kind, Vec<Known>> = BTreeMap::new();
    for known in all {
        kinds
            .entry(known.address.kind().clone())
            .or_default()
            .push(known);
    }
    let before = world.statistics.api_calls();
    for (kind, known) in &kinds {
        let observe = &world.registry.get(kind).unwrap().observe;
        let seen = observe.read_all(known).await.unwrap();
        assert_eq!(seen.len(), known.len(), "{kind}");
        for known in known {
            let differs =
                crate::compare::differences(observe.info(), &known.args, &seen[&known.id]);
            assert!(differs.is_empty(), "{}: {differs:?}", known.address);
        }
    }
    world.statistics.api_calls() - before
}

#[tokio::test(start_paused = true)]
async fn a_cluster_is_looked_at_in_twenty_calls() {
    let world = World::new();
    let all = cluster(&world, 3).await;
    let calls = calls_of_a_look(&world, all).await;
    assert!(calls <= 20, "{calls}");
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn two_hundred_agents_cost_two_more() {
    let world = World::new();
    let all = cluster(&world, 200).await;
    let calls = calls_of_a_look(&world, all).await;
    assert!(calls <= 22, "{calls}");
}
