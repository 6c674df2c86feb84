//! An account that was never used: the first VPC of a region becomes its default.

use crate::cases::{vpc, vpc_args};
use crate::drive;
use crate::world::{World, permit};
use kplan_model::codec::ObjectCodec;
use kplan_model::{ErrorKind, Known, Value};
use kplan_providers::http::{ServiceTransport, Transport};

/// What a person does in the control panel.
async fn make_default(world: &World, vpc: &Known) {
    let request = http::Request::patch(format!("https://api.digitalocean.com/v2/vpcs/{}", vpc.id))
        .header("authorization", "Bearer dop_v1_contract")
        .header("content-type", "application/json")
        .body(r#"{"default":true}"#.into())
        .unwrap();
    let transport = ServiceTransport::new(world.sandbox.service());
    let answer = transport.call(request).await.unwrap();
    assert_eq!(answer.status(), 200, "{:?}", answer.body());
}

#[tokio::test(start_paused = true)]
async fn the_first_vpc_of_a_region_goes_only_when_another_is_its_default() {
    let world = World::of_new_account();
    let first = vpc_args("first", "10.20.0.0/24").to_object();
    let first = world.make("vpc.first", first).await;
    assert_eq!(first.attrs["default"], Value::Bool(true));
    let mutate = &world.entry(&first.address).mutate;
    let permit = permit(&first.address);
    let error = mutate.delete(&first, &permit).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");
    assert!(error.message.contains("the default VPC of fra1"), "{error}");

    let second = vpc_args("second", "10.21.0.0/24").to_object();
    let second = world.make("vpc.second", second).await;
    assert_eq!(second.attrs["default"], Value::Bool(false));
    let error = mutate.delete(&first, &permit).await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid, "{error}");

    // As the help says.
    make_default(&world, &second).await;
    mutate.delete(&first, &permit).await.unwrap();
    let observe = &world.entry(&first.address).observe;
    assert_eq!(observe.read(&first).await.unwrap(), None);
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn a_later_vpc_of_a_region_keeps_the_contract() {
    let world = World::of_new_account();
    let first = vpc_args("default-fra1", "10.22.0.0/24").to_object();
    world.make("vpc.default", first).await;
    let case = vpc(&world).await;
    drive::keeps_the_contract(&world, &case).await;
    world.judge();
}
