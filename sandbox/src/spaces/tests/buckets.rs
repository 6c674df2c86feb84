//! Names, regions, settings and restarts.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{
    BucketLifecycleConfiguration, ExpirationStatus, LifecycleExpiration, LifecycleRule,
    LifecycleRuleFilter,
};

use super::super::testkit::{TestCloud, client, client_at, presign_get, send};
use super::super::{Spaces, SpacesConfig};
use super::{bucket, put, read, spaces};
use crate::{Clock, Store};

fn rule(prefix: &str, days: i32) -> BucketLifecycleConfiguration {
    let rule = LifecycleRule::builder()
        .id("boot")
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix(prefix).build())
        .expiration(LifecycleExpiration::builder().days(days).build());
    BucketLifecycleConfiguration::builder()
        .rules(rule.build().unwrap())
        .build()
        .unwrap()
}

#[tokio::test]
async fn deleted_names_are_gone_unless_reuse_is_switched_on() {
    let (cloud, _, s3) = bucket("demo").await;
    assert_eq!(
        code!(s3.create_bucket().bucket("demo")),
        "BucketAlreadyOwnedByYou"
    );
    put(&s3, "demo", "k", "v").await;
    assert_eq!(code!(s3.delete_bucket().bucket("demo")), "BucketNotEmpty");
    s3.delete_object()
        .bucket("demo")
        .key("k")
        .send()
        .await
        .unwrap();
    s3.delete_bucket().bucket("demo").send().await.unwrap();
    assert_eq!(code!(s3.head_bucket().bucket("demo")), "NotFound");
    assert_eq!(
        code!(s3.create_bucket().bucket("demo")),
        "BucketAlreadyExists"
    );
    let reusing = spaces(
        &cloud,
        SpacesConfig {
            reuse_deleted_names: true,
            ..SpacesConfig::default()
        },
    );
    let s3 = client(&reusing, "ADMIN", "fra1");
    for _ in 0..2 {
        s3.create_bucket().bucket("demo").send().await.unwrap();
        s3.delete_bucket().bucket("demo").send().await.unwrap();
    }
}

#[tokio::test]
async fn buckets_live_in_one_region() {
    let (_, spaces, fra) = bucket("demo").await;
    let ams = client(&spaces, "ADMIN", "ams3");
    assert_eq!(code!(ams.list_objects_v2().bucket("demo")), "NoSuchBucket");
    assert_eq!(
        code!(ams.create_bucket().bucket("demo")),
        "BucketAlreadyOwnedByYou"
    );
    assert_eq!(ams.list_buckets().send().await.unwrap().buckets().len(), 0);
    assert_eq!(fra.list_buckets().send().await.unwrap().buckets().len(), 1);
    let location = fra
        .get_bucket_location()
        .bucket("demo")
        .send()
        .await
        .unwrap();
    assert_eq!(location.location_constraint().unwrap().as_str(), "fra1");
    let nowhere = client(&spaces, "ADMIN", "us-east-1");
    assert_eq!(
        code!(nowhere.create_bucket().bucket("else")),
        "InvalidLocationConstraint"
    );
    // The endpoint's name says the region whatever the signature's scope, bucket in the host.
    let named = client_at(
        &spaces,
        "ADMIN",
        "us-east-1",
        "http://fra1.digitaloceanspaces.com",
        false,
    );
    put(&named, "demo", "k", "v").await;
    assert_eq!(read(&fra, "demo", "k").await, "v");
}

#[tokio::test(start_paused = true)]
async fn lifecycle_rules_are_checked_kept_and_carried_out() {
    let (_, spaces, s3) = bucket("demo").await;
    assert_eq!(
        code!(s3.get_bucket_lifecycle_configuration().bucket("demo")),
        "NoSuchLifecycleConfiguration"
    );
    let set = |days| {
        s3.put_bucket_lifecycle_configuration()
            .bucket("demo")
            .lifecycle_configuration(rule("boot/", days))
    };
    assert_eq!(code!(set(0)), "InvalidArgument");
    set(1).send().await.unwrap();
    let kept = s3
        .get_bucket_lifecycle_configuration()
        .bucket("demo")
        .send()
        .await
        .unwrap();
    assert_eq!(kept.rules()[0].expiration().unwrap().days(), Some(1));
    assert_eq!(kept.rules()[0].filter().unwrap().prefix(), Some("boot/"));
    put(&s3, "demo", "boot/a", "x").await;
    put(&s3, "demo", "state/a", "x").await;
    let start = SystemTime::now() + Duration::from_hours(25);
    let url = |key| presign_get(&s3, "demo", key, start, Duration::from_mins(10));
    let (expired, kept) = (url("boot/a").await, url("state/a").await);
    tokio::time::advance(Duration::from_mins(25 * 60 + 1)).await;
    assert_eq!(send(&spaces, "GET", &expired, b"").await.status(), 404);
    assert_eq!(send(&spaces, "GET", &kept, b"").await.status(), 200);
}

#[tokio::test]
async fn everything_is_there_after_a_restart() {
    let dir = tempfile::tempdir().unwrap();
    let cloud = TestCloud::with_admin();
    let open = || {
        let config = SpacesConfig {
            dir: Some(dir.path().to_owned()),
            ..SpacesConfig::default()
        };
        let facts = Arc::clone(&cloud) as Arc<dyn crate::facts::CloudFacts>;
        Spaces::open(
            config,
            facts,
            Store::open(dir.path()).unwrap(),
            Clock::new(60.0),
        )
        .unwrap()
    };
    {
        let s3 = client(&open(), "ADMIN", "fra1");
        s3.create_bucket().bucket("demo").send().await.unwrap();
        s3.create_bucket().bucket("gone").send().await.unwrap();
        s3.delete_bucket().bucket("gone").send().await.unwrap();
        put(&s3, "demo", "k", "old").await;
        put(&s3, "demo", "k", "new").await;
        let set = s3.put_bucket_lifecycle_configuration().bucket("demo");
        set.lifecycle_configuration(rule("boot/", 1))
            .send()
            .await
            .unwrap();
    }
    // What a process that was killed had begun to write.
    std::fs::write(dir.path().join("spaces/demo/begun.part"), "x").unwrap();
    let s3 = client(&open(), "ADMIN", "fra1");
    assert_eq!(read(&s3, "demo", "k").await, "new");
    assert_eq!(
        code!(s3.create_bucket().bucket("gone")),
        "BucketAlreadyExists"
    );
    s3.get_bucket_lifecycle_configuration()
        .bucket("demo")
        .send()
        .await
        .unwrap();
    let files = std::fs::read_dir(dir.path().join("spaces/demo"))
        .unwrap()
        .count();
    assert_eq!(files, 1, "what nothing refers to is removed");
}

#[tokio::test(start_paused = true)]
async fn a_new_bucket_is_missed_for_a_while_when_asked_for() {
    let cloud = TestCloud::with_admin();
    let settle = Duration::from_mins(2);
    let spaces = spaces(
        &cloud,
        SpacesConfig {
            settle,
            ..SpacesConfig::default()
        },
    );
    let s3 = client(&spaces, "ADMIN", "fra1");
    ok!(s3.create_bucket().bucket("demo"));
    assert_eq!(
        code!(s3.put_object().bucket("demo").key("k")),
        "NoSuchBucket"
    );
    // Two minutes of the cloud are two seconds at the scale of these tests.
    tokio::time::advance(Duration::from_secs(2)).await;
    ok!(s3.put_object().bucket("demo").key("k"));
}

#[tokio::test(start_paused = true)]
async fn the_newest_noncurrent_versions_are_spared_and_rules_have_names() {
    let (_, spaces, s3) = bucket("demo").await;
    super::enable_versioning(&s3, "demo").await;
    for text in ["1", "2", "3", "4"] {
        put(&s3, "demo", "k", text).await;
    }
    let noncurrent = aws_sdk_s3::types::NoncurrentVersionExpiration::builder()
        .noncurrent_days(1)
        .newer_noncurrent_versions(2);
    let rule = LifecycleRule::builder()
        .status(ExpirationStatus::Enabled)
        .filter(LifecycleRuleFilter::builder().prefix("").build())
        .noncurrent_version_expiration(noncurrent.build());
    let rules = BucketLifecycleConfiguration::builder().rules(rule.build().unwrap());
    ok!(s3
        .put_bucket_lifecycle_configuration()
        .bucket("demo")
        .lifecycle_configuration(rules.build().unwrap()));
    let kept = ok!(s3.get_bucket_lifecycle_configuration().bucket("demo"));
    assert!(!kept.rules()[0].id().unwrap().is_empty());
    let start = SystemTime::now() + Duration::from_hours(25);
    let url = presign_get(&s3, "demo", "k", start, Duration::from_mins(10)).await;
    tokio::time::advance(Duration::from_mins(25 * 60 + 1)).await;
    assert_eq!(send(&spaces, "GET", &url, b"").await.body().as_ref(), b"4");
    assert_eq!(spaces.buckets()[0].versions, 3);
}
