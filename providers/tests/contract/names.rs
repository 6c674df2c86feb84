//! Buckets that get a new name each time, because Spaces keeps the names of deleted ones taken.

use crate::cases::{a_key, renamed_bucket, renamed_bucket_args};
use crate::drive;
use crate::world::{World, attr, known, permit};
use kplan_model::codec::ObjectCodec;
use kplan_model::{Address, RemoteId};

#[tokio::test(start_paused = true)]
async fn a_bucket_with_a_new_name_each_time_keeps_the_contract() {
    let world = World::new();
    let case = renamed_bucket(&world).await;
    drive::keeps_the_contract(&world, &case).await;
    world.judge();
}

#[tokio::test(start_paused = true)]
async fn a_bucket_made_again_has_another_name() {
    let world = World::new();
    let key = a_key(&world).await;
    let address: Address = "bucket.boot".parse().unwrap();
    let args = renamed_bucket_args("kplan-demo-3f9a1c2e", &key).to_object();
    let entry = world.entry(&address);
    let permit = permit(&address);
    let mut made = Vec::new();
    for _ in 0..2 {
        let wanted = world.wanted(&address, &args);
        let found = entry.mutate.create(wanted, &permit).await.unwrap();
        let bucket = known(&address, args.clone(), found);
        let name = attr(&bucket, "name");
        assert!(name.starts_with("kplan-demo-3f9a1c2e-"), "{name}");
        assert_eq!(bucket.id, RemoteId::new(format!("fra1/{name}")));
        made.push(bucket);
    }
    assert_ne!(made[0].id, made[1].id);
    // Both may be what a lost create made; which one it is, the engine knows by their ids.
    let mut found: Vec<RemoteId> = entry
        .observe
        .find(world.wanted(&address, &args))
        .await
        .unwrap()
        .into_iter()
        .inspect(|found| assert!(found.created_at.is_some(), "{found:?}"))
        .map(|found| found.id)
        .collect();
    found.sort();
    let mut ids: Vec<RemoteId> = made.iter().map(|bucket| bucket.id.clone()).collect();
    ids.sort();
    assert_eq!(found, ids);
    for bucket in &made {
        entry.mutate.delete(bucket, &permit).await.unwrap();
    }
    let left = entry.observe.find(world.wanted(&address, &args)).await;
    assert!(left.unwrap().is_empty());
}
