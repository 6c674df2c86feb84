//! Bucket policies decide.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{Delete, ObjectIdentifier};

use super::super::records::{BUCKETS, BucketRecord};
use super::super::testkit::{TestCloud, client, send, send_with};
use super::super::{Spaces, SpacesConfig};
use super::{bucket, put};
use crate::{Clock, Store};

async fn say(s3: &Client, statements: &str) -> Result<(), String> {
    let policy = format!(r#"{{"Version":"2012-10-17","Statement":[{statements}]}}"#);
    let put = s3.put_bucket_policy().bucket("demo").policy(policy);
    let code = |error: aws_sdk_s3::error::SdkError<_>| {
        let error: aws_sdk_s3::operation::put_bucket_policy::PutBucketPolicyError =
            error.into_service_error();
        error.code().unwrap().to_owned()
    };
    put.send().await.map(drop).map_err(code)
}

#[tokio::test]
async fn a_policy_lets_everybody_do_what_it_says_and_no_more() {
    let (_, spaces, s3) = bucket("demo").await;
    put(&s3, "demo", "open/a", "x").await;
    put(&s3, "demo", "closed/a", "x").await;
    let status = async |method: &str, path: &str| {
        let url = format!("http://127.0.0.1:9000/demo{path}");
        send(&spaces, method, &url, b"").await.status().as_u16()
    };
    let read = r#"{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"arn:aws:s3:::demo/open/*"}"#;
    say(&s3, read).await.unwrap();
    let list = r#"{"Effect":"Allow","Principal":"*","Action":["s3:ListBucket","s3:PutObject"],"Resource":["arn:aws:s3:::demo","arn:aws:s3:::demo/open/*"]}"#;
    let without = [
        ("GET", "/open/a", 200),
        ("HEAD", "/open/a", 200),
        ("GET", "/open/none", 403),
        ("GET", "/closed/a", 403),
        ("GET", "", 403),
        ("PUT", "/open/b", 403),
        ("DELETE", "/open/a", 403),
        ("GET", "?policy", 403),
    ];
    let with = [
        ("GET", "/open/none", 404),
        ("GET", "/closed/a", 403),
        ("GET", "?list-type=2", 200),
        ("PUT", "/open/b", 200),
        ("PUT", "/closed/b", 403),
    ];
    for (method, path, expected) in without {
        assert_eq!(status(method, path).await, expected, "{method} {path}");
    }
    say(&s3, &format!("{read},{list}")).await.unwrap();
    for (method, path, expected) in with {
        assert_eq!(
            status(method, path).await,
            expected,
            "{method} {path}, listed"
        );
    }
}

#[tokio::test]
async fn a_denial_holds_for_the_account_but_not_for_its_policies() {
    let (_, _, s3) = bucket("demo").await;
    put(&s3, "demo", "a", "x").await;
    put(&s3, "demo", "b", "x").await;
    let deny = r#"{"Effect":"Deny","Principal":"*","Action":["s3:GetObject","s3:DeleteObject"],"Resource":"arn:aws:s3:::demo/a"}"#;
    say(&s3, deny).await.unwrap();
    assert_eq!(
        code!(s3.get_object().bucket("demo").key("a")),
        "AccessDenied"
    );
    assert_eq!(
        code!(s3.delete_object().bucket("demo").key("a")),
        "AccessDenied"
    );
    let copy = s3
        .copy_object()
        .bucket("demo")
        .key("c")
        .copy_source("demo/a");
    assert_eq!(code!(copy), "AccessDenied");
    let doomed = ["a", "b"].map(|key| ObjectIdentifier::builder().key(key).build().unwrap());
    let doomed = Delete::builder()
        .set_objects(Some(doomed.to_vec()))
        .build()
        .unwrap();
    let many = ok!(s3.delete_objects().bucket("demo").delete(doomed));
    assert_eq!(many.deleted()[0].key(), Some("b"));
    assert_eq!(many.errors()[0].key(), Some("a"));
    assert_eq!(many.errors()[0].code(), Some("AccessDenied"));
    let everything = r#"{"Effect":"Deny","Principal":"*","Action":"s3:*","Resource":"*"}"#;
    say(&s3, everything).await.unwrap();
    assert_eq!(code!(s3.list_objects_v2().bucket("demo")), "AccessDenied");
    assert_eq!(code!(s3.get_bucket_acl().bucket("demo")), "AccessDenied");
    ok!(s3.get_bucket_policy().bucket("demo"));
    ok!(s3.delete_bucket_policy().bucket("demo"));
    ok!(s3.get_object().bucket("demo").key("a"));
}

#[tokio::test]
async fn a_condition_asks_where_a_request_comes_from() {
    let (_, spaces, s3) = bucket("demo").await;
    put(&s3, "demo", "a", "x").await;
    let url = "http://127.0.0.1:9000/demo/a";
    for (condition, expected) in [
        (r#"{"IpAddress":{"aws:SourceIp":"127.0.0.0/8"}}"#, 200),
        (
            r#"{"IpAddress":{"AWS:sourceip":["203.0.113.7","127.0.0.1"]}}"#,
            200,
        ),
        (r#"{"IpAddress":{"aws:SourceIp":"203.0.113.0/24"}}"#, 403),
        (r#"{"NotIpAddress":{"aws:SourceIp":"127.0.0.1"}}"#, 403),
    ] {
        let read = format!(
            r#"{{"Effect":"Allow","Principal":"*","Action":"s3:GetObject","Resource":"*","Condition":{condition}}}"#
        );
        say(&s3, &read).await.unwrap();
        // What a client says about itself does not count.
        let headers = [("x-forwarded-for", "203.0.113.7")];
        let answer = send_with(&spaces, "GET", url, &headers, b"").await;
        assert_eq!(answer.status(), expected, "{condition}");
    }
}

#[tokio::test]
async fn what_is_not_understood_is_not_stored() {
    let (cloud, spaces, s3) = bucket("demo").await;
    let prefix = r#"{"Effect":"Allow","Principal":"*","Action":"s3:ListBucket","Resource":"*","Condition":{"StringLike":{"s3:prefix":"a*"}}}"#;
    assert_eq!(say(&s3, prefix).await, Err("NotImplemented".to_owned()));
    assert_eq!(
        say(&s3, r#"{"Effect":"Allow"}"#).await,
        Err("MalformedPolicy".to_owned())
    );
    assert_eq!(
        code!(s3.get_bucket_policy().bucket("demo")),
        "NoSuchBucketPolicy"
    );
    // DigitalOcean: not beside a limited key for the bucket.
    cloud.add_key("READER", &[("demo", "read")]);
    let read = r#"{"Effect":"Allow","Principal":"*","Action":"s3:*","Resource":"*"}"#;
    assert_eq!(say(&s3, read).await, Err("AccessDenied".to_owned()));
    let reader = client(&spaces, "READER", "fra1");
    let put = reader.put_bucket_policy().bucket("demo").policy("{}");
    assert_eq!(code!(put), "AccessDenied");
}

#[tokio::test]
async fn an_older_folder_s_policy_that_is_not_understood_can_be_replaced() {
    let cloud = TestCloud::with_admin();
    let store = Store::in_memory();
    let open = || {
        let facts = Arc::clone(&cloud) as Arc<dyn crate::facts::CloudFacts>;
        let config = SpacesConfig::default();
        Spaces::open(config, facts, store.clone(), Clock::new(60.0)).unwrap()
    };
    ok!(client(&open(), "ADMIN", "fra1")
        .create_bucket()
        .bucket("demo"));
    let mut record = store
        .load::<BucketRecord>(BUCKETS)
        .unwrap()
        .remove("demo")
        .unwrap();
    record.policy = Some(r#"{"Version":"1","Statement":[]}"#.to_owned());
    store.put(BUCKETS, "demo", &record).unwrap();
    let s3 = client(&open(), "ADMIN", "fra1");
    assert_eq!(
        code!(s3.list_objects_v2().bucket("demo")),
        "MalformedPolicy"
    );
    ok!(s3.get_bucket_policy().bucket("demo"));
    ok!(s3.delete_bucket_policy().bucket("demo"));
    ok!(s3.list_objects_v2().bucket("demo"));
}
