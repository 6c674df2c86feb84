//! Versions and delete markers.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::{bucket, enable_versioning, put};

#[tokio::test]
async fn versions_are_kept_listed_and_removed() {
    let (_, spaces, s3) = bucket("demo").await;
    assert_eq!(
        ok!(s3.get_bucket_versioning().bucket("demo")).status(),
        None
    );
    assert_eq!(put(&s3, "demo", "k", "zero").await, None);
    enable_versioning(&s3, "demo").await;
    let one = put(&s3, "demo", "k", "one").await.unwrap();
    let two = put(&s3, "demo", "k", "two").await.unwrap();
    assert_ne!(one, two);
    let marker = ok!(s3.delete_object().bucket("demo").key("k"));
    assert_eq!(marker.delete_marker(), Some(true));
    assert_eq!(code!(s3.get_object().bucket("demo").key("k")), "NoSuchKey");
    let old = ok!(s3.get_object().bucket("demo").key("k").version_id(&one));
    assert_eq!(old.body.collect().await.unwrap().to_vec(), b"one");
    let listed = ok!(s3.list_object_versions().bucket("demo"));
    let ids: Vec<_> = listed
        .versions()
        .iter()
        .filter_map(|v| v.version_id())
        .collect();
    assert_eq!(ids, [two.as_str(), one.as_str(), "null"]);
    assert!(listed.delete_markers()[0].is_latest().unwrap());
    assert_eq!(code!(s3.delete_bucket().bucket("demo")), "BucketNotEmpty");
    let all = [two.as_str(), &one, "null", marker.version_id().unwrap()].map(|id| {
        ObjectIdentifier::builder()
            .key("k")
            .version_id(id)
            .build()
            .unwrap()
    });
    let delete = Delete::builder()
        .set_objects(Some(all.to_vec()))
        .build()
        .unwrap();
    let deleted = ok!(s3.delete_objects().bucket("demo").delete(delete));
    assert_eq!(deleted.deleted().len(), 4);
    assert_eq!(spaces.buckets()[0].versions, 0);
    s3.delete_bucket().bucket("demo").send().await.unwrap();
}

#[tokio::test]
async fn version_lists_are_paged_without_loss() {
    let (_, _, s3) = bucket("demo").await;
    enable_versioning(&s3, "demo").await;
    for key in ["a", "b"] {
        for text in ["1", "2", "3"] {
            put(&s3, "demo", key, text).await;
        }
    }
    let (mut seen, mut key, mut version) = (Vec::new(), None::<String>, None::<String>);
    loop {
        let page = s3.list_object_versions().bucket("demo").max_keys(2);
        let page = page
            .set_key_marker(key)
            .set_version_id_marker(version)
            .send()
            .await
            .unwrap();
        seen.extend(
            page.versions()
                .iter()
                .map(|v| v.version_id().unwrap().to_owned()),
        );
        if page.is_truncated() != Some(true) {
            break;
        }
        key = page.next_key_marker().map(str::to_owned);
        version = page.next_version_id_marker().map(str::to_owned);
    }
    seen.sort();
    seen.dedup();
    assert_eq!(seen.len(), 6);
}

#[tokio::test]
async fn version_lists_put_prefixes_together() {
    let (_, _, s3) = bucket("demo").await;
    enable_versioning(&s3, "demo").await;
    for key in ["a", "d/1", "d/1", "d/2", "e/f/g", "z", "z"] {
        put(&s3, "demo", key, "x").await;
    }
    let (mut seen, mut key, mut version) = (Vec::new(), None::<String>, None::<String>);
    // One page for each entry, and one more than there should be.
    for _ in 0..6 {
        let page = s3.list_object_versions().bucket("demo").delimiter("/");
        let page = page.max_keys(1).set_key_marker(key);
        let page = ok!(page.set_version_id_marker(version));
        seen.extend(page.versions().iter().map(|v| v.key().unwrap().to_owned()));
        let prefixes = page.common_prefixes().iter();
        seen.extend(prefixes.map(|p| p.prefix().unwrap().to_owned()));
        key = page.next_key_marker().map(str::to_owned);
        version = page.next_version_id_marker().map(str::to_owned);
        if page.is_truncated() != Some(true) {
            break;
        }
    }
    assert_eq!(seen, ["a", "d/", "e/", "z", "z"]);
}
