//! Droplets that somebody switched off behind our back.

use crate::cases::droplet_args;
use crate::world::{World, permit};
use kplan_model::codec::ObjectCodec;
use kplan_model::{FieldSet, Found, Known, Object, Value};
use kplan_providers::digitalocean::DropletArgs;
use kplan_providers::http::{ServiceTransport, Transport};
use std::time::Duration;

/// What a person does in the control panel.
async fn act(world: &World, droplet: &Known, body: &'static str) {
    let path = format!(
        "https://api.digitalocean.com/v2/droplets/{}/actions",
        droplet.id
    );
    let request = http::Request::post(path)
        .header("authorization", "Bearer dop_v1_contract")
        .header("content-type", "application/json")
        .body(body.into())
        .unwrap();
    let transport = ServiceTransport::new(world.sandbox.service());
    let answer = transport.call(request).await.unwrap();
    assert_eq!(answer.status(), 201, "{:?}", answer.body());
    // At DigitalOcean up to a minute.
    tokio::time::sleep(Duration::from_secs(2)).await;
}

async fn seen(world: &World, droplet: &Known) -> Object {
    let observe = &world.entry(&droplet.address).observe;
    let mut all = observe
        .read_all(std::slice::from_ref(droplet))
        .await
        .unwrap();
    let listed = all.remove(&droplet.id).unwrap();
    assert_eq!(observe.read(droplet).await.unwrap().as_ref(), Some(&listed));
    listed
}

async fn change(world: &World, droplet: &Known, args: DropletArgs, fields: &[&str]) -> Object {
    let fields: FieldSet = fields.iter().copied().collect();
    let permit = permit(&droplet.address);
    let mutate = &world.entry(&droplet.address).mutate;
    mutate
        .update(droplet, &args.to_object(), &fields, &permit)
        .await
        .unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_droplet_found_off_is_powered_on_and_nothing_else_is_done() {
    let world = World::new();
    let args = || droplet_args("one", None);
    let made = world.make("droplet.one", args().to_object()).await;
    assert_eq!(made.attrs["power"], Value::str("on"));
    for how in [r#"{"type":"shutdown"}"#, r#"{"type":"power_off"}"#] {
        act(&world, &made, how).await;
        let off = seen(&world, &made).await;
        assert_eq!(off["power"], Value::str("off"), "{how}");
        assert_eq!(off["status"], Value::str("off"), "{how}");
        // Its addresses stay, so nothing that refers to them changes.
        for field in ["ipv4_address", "ipv4_address_private"] {
            assert_eq!(off.get(field), made.attrs.get(field), "{how}: {field}");
        }
        let on = change(&world, &made, args(), &["power"]).await;
        assert_eq!(on, made.attrs, "{how}");
        assert_eq!(seen(&world, &made).await, made.attrs, "{how}");
    }
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn a_droplet_that_is_adopted_while_off_says_so() {
    let world = World::new();
    let args = droplet_args("one", None).to_object();
    let made = world.make("droplet.one", args.clone()).await;
    act(&world, &made, r#"{"type":"power_off"}"#).await;
    let observe = &world.entry(&made.address).observe;
    let found = observe.find(world.wanted(&made.address, &args)).await;
    let [Found { id, attrs, .. }] = <[_; 1]>::try_from(found.unwrap()).unwrap();
    assert_eq!((&id, &attrs["power"]), (&made.id, &Value::str("off")));
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn a_resize_that_was_cut_off_converges_from_every_step() {
    let world = World::new();
    let bigger = |name: &str| DropletArgs {
        size: "s-2vcpu-4gb".to_owned(),
        ..droplet_args(name, None)
    };
    // Shut down, and not more.
    let one = droplet_args("one", None).to_object();
    let one = world.make("droplet.one", one).await;
    act(&world, &one, r#"{"type":"shutdown"}"#).await;
    let now = change(&world, &one, bigger("one"), &["power", "size"]).await;
    assert_eq!(now["size"], Value::str("s-2vcpu-4gb"));
    assert_eq!(now["power"], Value::str("on"));
    // Resized, and not powered on.
    let two = droplet_args("two", None).to_object();
    let two = world.make("droplet.two", two).await;
    act(&world, &two, r#"{"type":"power_off"}"#).await;
    let resize = r#"{"type":"resize","size":"s-2vcpu-4gb","disk":false}"#;
    act(&world, &two, resize).await;
    let half = seen(&world, &two).await;
    assert_eq!(half["size"], Value::str("s-2vcpu-4gb"));
    assert_eq!(half["power"], Value::str("off"));
    let now = change(&world, &two, bigger("two"), &["power"]).await;
    assert_eq!(now["power"], Value::str("on"));
    world.judge();
}
