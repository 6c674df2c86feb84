//! What somebody took off behind our back: the owner's tag from what it marks, and an SSH key from
//! the account.

use crate::cases::{database_args, droplet_args, input, volume_args};
use crate::world::{World, attr, permit};
use kplan_model::codec::ObjectCodec;
use kplan_model::{
    Address, Change, ErrorKind, FieldSet, Found, Input, Known, Object, Resource, Value,
};
use kplan_providers::digitalocean::{
    DatabaseArgs, Droplet, DropletArgs, FirewallArgs, SshKeyArgs, TagArgs, VolumeArgs, all_ports,
};
use kplan_providers::http::{ServiceTransport, Transport};

async fn delete(world: &World, path: &str) {
    let request = http::Request::delete(format!("https://api.digitalocean.com{path}"))
        .header("authorization", "Bearer dop_v1_contract")
        .body(Vec::new().into())
        .unwrap();
    let transport = ServiceTransport::new(world.sandbox.service());
    let answer = transport.call(request).await.unwrap();
    assert_eq!(answer.status(), 204, "{:?}", answer.body());
}

fn tags(attrs: &Object) -> Vec<&str> {
    let Value::List(tags) = &attrs["tags"] else {
        panic!("{attrs:?}");
    };
    tags.iter().filter_map(Value::as_str).collect()
}

/// Makes one whose arguments name the owner's tag, takes that tag out of the account, and puts it
/// back.
async fn keeps_its_mark(world: &World, address: &str, args: Object) {
    let owner = world
        .make("tag.owner", TagArgs { name: None }.to_object())
        .await;
    let mark = attr(&owner, "name");
    let made = world.make(address, args.clone()).await;
    assert_eq!(tags(&made.attrs), [mark.as_str(), "web"], "{address}");
    let observe = &world.entry(&made.address).observe;
    let found = async || {
        let wanted = world.wanted(&made.address, &args);
        observe.find(wanted).await.unwrap()
    };
    let [Found { attrs, .. }] = <[_; 1]>::try_from(found().await).unwrap();
    assert_eq!(tags(&attrs), [mark.as_str(), "web"], "{address}");

    delete(world, &format!("/v2/tags/{mark}")).await;
    let seen = observe.read(&made).await.unwrap().unwrap();
    assert_eq!(tags(&seen), ["web"], "{address}: missing, and seen to be");
    assert!(found().await.is_empty(), "{address}: nobody would find it");

    world
        .make("tag.owner", TagArgs { name: None }.to_object())
        .await;
    let fields: FieldSet = ["tags"].into_iter().collect();
    let mutate = &world.entry(&made.address).mutate;
    let now = mutate
        .update(&made, &args, &fields, &permit(&made.address))
        .await
        .unwrap();
    assert_eq!(tags(&now), [mark.as_str(), "web"], "{address}");
    let seen = observe.read(&made).await.unwrap().unwrap();
    assert_eq!(seen, now, "{address}: the next plan is empty");
    assert_eq!(found().await.len(), 1, "{address}");
}

#[tokio::test(start_paused = true)]
async fn the_owners_tag_is_put_back_on_what_it_marks() {
    let world = World::new();
    world
        .make(
            "tag.web",
            TagArgs {
                name: Some("web".to_owned()),
            }
            .to_object(),
        )
        .await;
    let asked = || vec![input("web"), input(world.owner.tag())];
    let droplet = DropletArgs {
        tags: asked(),
        ..droplet_args("marked", None)
    };
    keeps_its_mark(&world, "droplet.marked", droplet.to_object()).await;
    let volume = VolumeArgs {
        tags: asked(),
        ..volume_args("marked")
    };
    keeps_its_mark(&world, "volume.marked", volume.to_object()).await;
    let database = DatabaseArgs {
        tags: asked(),
        ..database_args("marked")
    };
    keeps_its_mark(&world, "database.marked", database.to_object()).await;
    world.judge();
}

const KEY: &str =
    "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f";

#[tokio::test(start_paused = true)]
async fn a_key_put_back_into_the_account_is_the_same_key_to_droplets() {
    let world = World::new();
    let key = SshKeyArgs {
        name: "me".to_owned(),
        public_key: input(KEY),
    };
    let first: Known = world.make("ssh_key.me", key.to_object()).await;
    // What a droplet refers to: known before the key is there again.
    assert_eq!(attr(&first, "public_key"), KEY);
    let droplet = |key: &str| DropletArgs {
        ssh_keys: vec![input(key)],
        ..droplet_args("one", None)
    };
    world.make("droplet.one", droplet(KEY).to_object()).await;

    delete(&world, &format!("/v2/account/keys/{}", first.id)).await;
    let second = world.make("ssh_key.me", key.to_object()).await;
    assert_ne!(first.id, second.id);
    assert_eq!(attr(&second, "public_key"), attr(&first, "public_key"));

    // Another key has no effect on a droplet that runs, so it is refused and not swallowed.
    let field = Droplet::INFO.field("ssh_keys").unwrap();
    assert!(
        matches!(field.change, Change::Refuse(why) if why.contains("--replace")),
        "{field:?}"
    );
    let address: Address = "droplet.two".parse().unwrap();
    let args = DropletArgs {
        name: "two".to_owned(),
        ..droplet("ssh-ed25519 nonsense! me")
    };
    let mutate = &world.entry(&address).mutate;
    let failed = mutate
        .create(world.wanted(&address, &args.to_object()), &permit(&address))
        .await
        .unwrap_err();
    assert!(failed.error.message.contains("public key"), "{failed:?}");
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn what_is_released_bears_the_owners_tag_no_more() {
    let world = World::new();
    let owner = world
        .make("tag.owner", TagArgs { name: None }.to_object())
        .await;
    let mark = attr(&owner, "name");
    let made = world
        .make("volume.data", volume_args("data").to_object())
        .await;
    let entry = world.entry(&made.address);
    assert!(entry.observe.is_marked());
    assert_eq!(made.attrs["owner_tag"], Value::str(&mark));
    for _ in 0..2 {
        let released = entry.mutate.release(&made, &permit(&made.address)).await;
        assert_eq!(released, Ok(()));
    }
    let seen = entry.observe.read(&made).await.unwrap().unwrap();
    assert_eq!(seen.get("owner_tag"), None);
    assert_eq!(tags(&seen), tags(&made.attrs));
    // Whoever was never marked is not asked about.
    let mut bare = made.clone();
    bare.attrs.remove("owner_tag");
    let before = world.statistics.api_calls();
    let released = entry.mutate.release(&bare, &permit(&made.address)).await;
    assert_eq!(released, Ok(()));
    assert_eq!(world.statistics.api_calls(), before);
}

#[tokio::test(start_paused = true)]
async fn a_tag_that_nobody_carries_yet_is_made_for_what_names_it() {
    let world = World::new();
    let web = || vec![Input::Known("nobodys".to_owned())];
    let args = FirewallArgs {
        name: "web".to_owned(),
        tags: web(),
        droplet_ids: vec![],
        inbound_rule: vec![all_ports("tcp", &["0.0.0.0/0"])],
        outbound_rule: vec![],
    };
    let made = world.make("firewall.web", args.to_object()).await;
    assert_eq!(tags(&made.attrs), ["nobodys"]);
    // And for a rule that comes later.
    let mut args = args;
    args.inbound_rule[0].tags = vec![Input::Known("nobodys-either".to_owned())];
    let fields: FieldSet = ["inbound_rule"].into_iter().collect();
    let object = args.to_object();
    let mutate = &world.entry(&made.address).mutate;
    let permit = permit(&made.address);
    let changed = mutate.update(&made, &object, &fields, &permit);
    changed.await.unwrap();
    // What is refused for another reason is refused once, and says why.
    args.inbound_rule[0].port_range = Some("0-x".to_owned());
    let object = args.to_object();
    let refused = mutate.update(&made, &object, &fields, &permit);
    assert_eq!(refused.await.unwrap_err().kind, ErrorKind::Invalid);
}
