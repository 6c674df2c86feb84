//! Lists of more than one page, looks that share a list, and objects of a bucket.

use crate::cases::{a_droplet, a_key, bucket_args, load_balancer, ssh_key};
use crate::world::{World, attr, permit};
use futures_util::future::join_all;
use kplan_model::codec::ObjectCodec;
use kplan_model::{
    Address, ErrorKind, FieldSet, FoundAs, Input, Known, Object, Permit, Readiness, Value,
};
use kplan_providers::digitalocean::{ReservedIpArgs, TagArgs};
use kplan_providers::spaces::{Keys, Objects};
use kplan_sandbox::Fault;
use std::time::Duration;

#[tokio::test(start_paused = true)]
async fn a_list_is_read_to_its_last_page() {
    let world = World::with_pages(3);
    let mut known = Vec::new();
    for index in 0..8 {
        let args = TagArgs {
            name: Some(format!("t{index}")),
        };
        known.push(
            world
                .make(&format!("tag.t[{index}]"), args.to_object())
                .await,
        );
    }
    let observe = &world.entry(&known[0].address).observe;
    let before = world.statistics.api_calls();
    let all = observe.read_all(&known).await.unwrap();
    assert_eq!(all.len(), 8);
    assert_eq!(world.statistics.api_calls() - before, 3);
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn two_hundred_looks_share_a_few_lists() {
    let world = World::new();
    let known = a_droplet(&world, "one").await;
    let observe = &world.entry(&known.address).observe;
    let mut args = known.args.clone();
    args.insert("name".to_owned(), Value::str("other"));
    let before = world.statistics.api_calls();
    let looks = join_all((0..200).map(|_| observe.find(world.wanted(&known.address, &args)))).await;
    assert!(looks.iter().all(|look| look.as_ref().unwrap().is_empty()));
    let calls = world.statistics.api_calls() - before;
    assert!(calls <= 2, "{calls} calls for 200 equal looks");
}

#[tokio::test(start_paused = true)]
async fn many_looks_for_ssh_keys_share_one_list() {
    let world = World::new();
    let case = ssh_key(&world).await;
    let known = world.make("ssh_key.first", case.args.clone()).await;
    let (mut recommented, mut other) = (case.args.clone(), case.args.clone());
    let key = |args: &Object| match args.get("public_key") {
        Some(Value::Str(key)) => key.clone(),
        other => panic!("{other:?}"),
    };
    let spelled = key(&case.args).replace("me@here", "you@there");
    recommented.insert("public_key".to_owned(), Value::str(spelled));
    let another = key(&case.args).replace("hYWFh", "iYmJi");
    other.insert("public_key".to_owned(), Value::str(another));
    let mut unreadable = case.args.clone();
    unreadable.insert("public_key".to_owned(), Value::str("ssh-ed25519 %"));
    let wanted: Vec<_> = [&recommented, &unreadable, &other, &case.args]
        .map(|args| world.wanted(&known.address, args))
        .into();
    let observe = &world.entry(&known.address).observe;
    assert!(observe.finds_all());
    let before = world.statistics.api_calls();
    let found = observe.find_all(&wanted).await;
    assert_eq!(world.statistics.api_calls() - before, 1);
    let ids: Vec<Result<Vec<&str>, ErrorKind>> = found
        .iter()
        .map(|found| match found {
            Ok(found) => Ok(found.iter().map(|one| one.id.as_str()).collect()),
            Err(error) => Err(error.kind),
        })
        .collect();
    let ours = || Ok(vec![known.id.as_str()]);
    assert_eq!(ids, [ours(), Err(ErrorKind::Invalid), Ok(vec![]), ours()]);
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn while_an_address_is_being_assigned_a_look_for_one_has_no_answer() {
    let world = World::new();
    let droplet = a_droplet(&world, "one").await;
    let other = a_droplet(&world, "two").await;
    let args = |droplet: &Known| {
        let args = ReservedIpArgs {
            region: "fra1".to_owned(),
            droplet_id: Some(Input::Known(droplet.id.as_str().to_owned())),
        };
        args.to_object()
    };
    let address: Address = "reserved_ip.api".parse().unwrap();
    let (ours, others) = (args(&droplet), args(&other));
    let entry = world.entry(&address);
    world.lose_answer("/v2/reserved_ips");
    let permit = permit(&address);
    let lost = entry.mutate.create(world.wanted(&address, &ours), &permit);
    assert_eq!(
        lost.await.unwrap_err().error.kind,
        ErrorKind::OutcomeUnknown
    );
    let mut unclear = 0;
    let found = loop {
        match entry.observe.find(world.wanted(&address, &ours)).await {
            Ok(found) => break found,
            Err(error) => assert_eq!(error.kind, ErrorKind::Busy, "{error}"),
        }
        // Whoever looks for another droplet's address cannot know either.
        let other = entry.observe.find(world.wanted(&address, &others)).await;
        assert_eq!(other.unwrap_err().kind, ErrorKind::Busy);
        unclear += 1;
        assert!(unclear < 1000);
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    assert!(unclear > 0, "the assignment took no time");
    assert_eq!(found.len(), 1, "{found:?}");
    let other = entry.observe.find(world.wanted(&address, &others)).await;
    assert_eq!(other.unwrap(), []);
    world.judge();
}

/// One that leads nowhere because its assignment failed, and of which nothing else is known, is what
/// is left of a create; one that never led anywhere, or to which more happened, is not. Whether
/// either was there before, the first look knows: neither is in its way.
#[tokio::test(start_paused = true)]
async fn an_address_whose_answer_was_lost_and_whose_assignment_failed_is_found() {
    let world = World::new();
    let idle = ReservedIpArgs {
        region: "fra1".to_owned(),
        droplet_id: None,
    };
    world.make("reserved_ip.idle", idle.to_object()).await;
    let droplet = a_droplet(&world, "one").await;
    let args = ReservedIpArgs {
        region: "fra1".to_owned(),
        droplet_id: Some(Input::Known(droplet.id.as_str().to_owned())),
    };
    let (address, args): (Address, _) = ("reserved_ip.api".parse().unwrap(), args.to_object());
    let entry = world.entry(&address);
    world.fail_next(
        "/v2/reserved_ips",
        &[Fault::FailedActions, Fault::LostResponse],
    );
    let permit = permit(&address);
    let lost = entry.mutate.create(world.wanted(&address, &args), &permit);
    assert_eq!(
        lost.await.unwrap_err().error.kind,
        ErrorKind::OutcomeUnknown
    );
    let found = loop {
        match entry.observe.find(world.wanted(&address, &args)).await {
            Ok(found) => break found,
            Err(error) => assert_eq!(error.kind, ErrorKind::Busy, "{error}"),
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    };
    let of = |role: FoundAs| found.iter().filter(move |one| one.role == role);
    let [remains] = of(FoundAs::Remains).collect::<Vec<_>>()[..] else {
        panic!("{found:?}");
    };
    assert!(remains.created_at.is_some(), "{found:?}");
    assert_eq!(of(FoundAs::Bystander).count(), 1, "{found:?}");
    assert_eq!(of(FoundAs::Asked).count(), 0, "{found:?}");
    let readiness = entry.observe.readiness(&remains.attrs).unwrap();
    assert!(matches!(readiness, Readiness::Failed(_)), "{readiness:?}");
    world.judge();
}

/// A new bucket, and the permit to change it.
async fn a_bucket(world: &World) -> (Objects, Permit) {
    let key = a_key(world).await;
    let args = bucket_args("boot-3f9a1c2e", &key).to_object();
    let bucket = world.make("bucket.boot", args).await;
    let Some(Value::Secret(secret)) = key.attrs.get("secret_key") else {
        panic!("the key has no secret: {:?}", key.attrs);
    };
    let keys = Keys {
        access_key: attr(&key, "access_key"),
        secret_key: secret.clone(),
    };
    let objects = world.spaces.objects("fra1", "boot-3f9a1c2e", Some(&keys));
    (objects.unwrap(), permit(&bucket.address))
}

#[tokio::test(start_paused = true)]
async fn objects_are_written_once_and_read() {
    let world = World::new();
    let (objects, permit) = a_bucket(&world).await;
    let first = objects.put_if_absent(&permit, "boot/a", "one".into()).await;
    assert_eq!(first, Ok(true));
    let second = objects.put_if_absent(&permit, "boot/a", "two".into()).await;
    assert_eq!(second, Ok(false));
    assert_eq!(objects.get("boot/a").await.unwrap().unwrap(), "one");
    objects
        .put(&permit, "boot/a", "three".into())
        .await
        .unwrap();
    assert_eq!(objects.get("boot/a").await.unwrap().unwrap(), "three");
    assert_eq!(objects.head("boot/a").await.unwrap(), Some(5));
    assert_eq!(objects.get("boot/none").await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn no_more_of_an_object_is_read_than_wanted() {
    let world = World::new();
    let (objects, permit) = a_bucket(&world).await;
    objects
        .put(&permit, "report", "12345".into())
        .await
        .unwrap();
    objects.put(&permit, "empty", "".into()).await.unwrap();
    let whole = objects.get_at_most("report", 5).await.unwrap();
    assert_eq!(whole.unwrap(), "12345");
    let larger = objects.get_at_most("report", 4).await.unwrap_err();
    assert_eq!(larger.kind, ErrorKind::Invalid, "{larger}");
    assert_eq!(objects.get_at_most("empty", 4).await.unwrap().unwrap(), "");
    assert_eq!(objects.get_at_most("none", 4).await.unwrap(), None);
}

#[tokio::test(start_paused = true)]
async fn deleting_an_object_takes_all_its_versions_and_no_other() {
    let world = World::new();
    let (objects, permit) = a_bucket(&world).await;
    for key in ["boot/a", "boot/a", "boot/ab"] {
        objects.put(&permit, key, "bytes".into()).await.unwrap();
    }
    let listed = objects.list("boot/").await.unwrap();
    let names: Vec<&str> = listed.iter().map(|object| object.key.as_str()).collect();
    assert_eq!(names, ["boot/a", "boot/ab"]);
    assert!(listed.iter().all(|object| object.modified.is_some()));
    for _ in 0..2 {
        objects.delete_versions(&permit, "boot/a").await.unwrap();
    }
    assert_eq!(objects.head("boot/a").await.unwrap(), None);
    assert_eq!(objects.head("boot/ab").await.unwrap(), Some(5));
    objects.delete_prefix(&permit, "").await.unwrap();
    assert!(objects.list("").await.unwrap().is_empty());
}

#[tokio::test(start_paused = true)]
async fn presigned_addresses_work_for_those_without_a_key() {
    let world = World::new();
    let (objects, _) = a_bucket(&world).await;
    let valid = Duration::from_mins(30);
    let put = objects.presign_put("boot/report", valid).await.unwrap();
    let get = objects.presign_get("boot/report", valid).await.unwrap();
    let call = async |method: &str, url: &str, body: &'static str| {
        let request = http::Request::builder().method(method).uri(url);
        let request = request.header("host", "127.0.0.1:9000");
        let body = bytes::Bytes::from_static(body.as_bytes());
        world
            .sandbox
            .spaces()
            .call(request.body(body).unwrap())
            .await
    };
    assert_eq!(call("PUT", &put, "started").await.status(), 200);
    let answer = call("GET", &get, "").await;
    assert_eq!(answer.body(), "started");
    assert_eq!(call("PUT", &get, "forged").await.status(), 403);
    tokio::time::sleep(valid + Duration::from_mins(1)).await;
    assert_eq!(call("GET", &get, "").await.status(), 403, "it has expired");
}

#[tokio::test(start_paused = true)]
async fn a_load_balancer_is_resized_after_its_first_hour() {
    let world = World::new();
    let case = load_balancer(&world).await;
    let mut known = world.make("load_balancer.api", case.args.clone()).await;
    let mutate = &world.entry(&known.address).mutate;
    known.args.insert("size_unit".to_owned(), Value::Int(3));
    let changed: FieldSet = ["size_unit"].into_iter().collect();
    let permit = permit(&known.address);
    let early = mutate
        .update(&known, &known.args, &changed, &permit)
        .await
        .unwrap_err();
    assert_eq!(early.kind, ErrorKind::Invalid, "{early}");
    // An hour of the sandbox's clock.
    tokio::time::sleep(Duration::from_secs(61)).await;
    let attrs = mutate
        .update(&known, &known.args, &changed, &permit)
        .await
        .unwrap();
    assert_eq!(attrs["size_unit"], Value::Int(3));
    world.judge();
}
