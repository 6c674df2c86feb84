//! What exactly goes to S3, and what comes of its answers.

use super::*;
use crate::http::testing::{Script, empty, owner, permit};
use base64::Engine as _;
use bytes::Bytes;
use http::Response;
use kplan_model::{
    Address, Known, Object, ObjectStore as _, Put, RemoteId, Resource, Timestamp, Wanted,
};
use md5::Digest as _;
use std::sync::Mutex;
use std::time::Duration;

fn keys() -> Keys {
    Keys {
        access_key: "DO00EXAMPLE".to_owned(),
        secret_key: Secret::new("spaces-secret"),
    }
}

fn spaces(script: &Script, endpoint: Option<&str>) -> Spaces {
    Spaces::new(SpacesConfig {
        endpoint: endpoint.map(str::to_owned),
        keys: Some(keys()),
        transport: Arc::new(script.clone()),
        statistics: Arc::default(),
        now: Arc::new(|| Timestamp::from_seconds(1_785_542_400)),
        scale: 1,
    })
}

fn xml(status: u16, body: &'static str) -> Response<Bytes> {
    let mut answer = Response::new(Bytes::from_static(body.as_bytes()));
    *answer.status_mut() = http::StatusCode::from_u16(status).unwrap();
    answer
}

fn args(name: &str) -> BucketArgs {
    BucketArgs {
        name: Some(name.to_owned()),
        name_prefix: None,
        region: "fra1".to_owned(),
        acl: None,
        versioning: false,
        lifecycle_rule: vec![LifecycleRule {
            id: "boot".to_owned(),
            prefix: "boot/".to_owned(),
            enabled: true,
            expiration_days: Some(1),
            noncurrent_version_expiration_days: None,
            abort_incomplete_multipart_upload_days: None,
        }],
        force_destroy: false,
        access_key: None,
        secret_key: None,
    }
}

#[tokio::test]
async fn a_presigned_address_is_made_without_a_call_and_signs_only_the_host() {
    let script = Script::answers([]);
    let objects = spaces(&script, None).objects("fra1", "boot", None).unwrap();
    for url in [
        objects
            .presign_get("boot/node-1", Duration::from_mins(30))
            .await
            .unwrap(),
        objects
            .presign_put("boot/node-1", Duration::from_mins(30))
            .await
            .unwrap(),
    ] {
        assert!(
            url.starts_with("https://boot.fra1.digitaloceanspaces.com/boot/node-1?"),
            "{url}"
        );
        for part in [
            "X-Amz-Date=20260801T000000Z",
            "X-Amz-Expires=1800",
            "X-Amz-SignedHeaders=host&",
            "X-Amz-Credential=DO00EXAMPLE%2F20260801%2Ffra1%2Fs3%2Faws4_request",
        ] {
            assert!(url.contains(part), "{part} is not in {url}");
        }
        assert!(
            !url.contains("spaces-secret") && !url.contains("checksum"),
            "{url}"
        );
    }
    assert!(script.calls().is_empty());
}

#[tokio::test]
async fn settings_carry_content_md5_and_no_other_checksum() {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let requests = Arc::clone(&seen);
    let script = Script::new(move |request| {
        if request.method() == http::Method::HEAD {
            return Ok(empty(404));
        }
        requests.lock().unwrap().push(request.clone());
        Ok(empty(200))
    });
    let (owner, address): (_, Address) = (owner(), "bucket.a".parse().unwrap());
    let args = args("boot-1");
    let wanted = Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    Bucket(spaces(&script, None))
        .create(wanted, &permit())
        .await
        .unwrap();
    let requests = seen.lock().unwrap();
    let [create, lifecycle] = requests.as_slice() else {
        panic!("{requests:?}");
    };
    assert_eq!(
        create.uri().host(),
        Some("boot-1.fra1.digitaloceanspaces.com")
    );
    assert_eq!(create.headers()["x-amz-acl"], "private");
    let digest =
        base64::engine::general_purpose::STANDARD.encode(md5::Md5::digest(lifecycle.body()));
    assert_eq!(lifecycle.headers()["content-md5"], digest.as_str());
    let body = std::str::from_utf8(lifecycle.body()).unwrap();
    assert!(
        body.contains("<Prefix>boot/</Prefix>") && body.contains("<Days>1</Days>"),
        "{body}"
    );
    for request in requests.iter() {
        let signed = request.headers()["authorization"].to_str().unwrap();
        assert!(signed.contains("/fra1/s3/aws4_request"), "{signed}");
        assert!(!signed.contains("spaces-secret"));
    }
}

#[tokio::test(start_paused = true)]
async fn a_new_bucket_is_given_time_to_settle() {
    let missing = "<Error><Code>NoSuchBucket</Code><Message>not here</Message></Error>";
    let script = Script::answers([
        empty(404),
        empty(200),
        xml(404, missing),
        xml(409, "<Error><Code>OperationAborted</Code></Error>"),
        empty(200),
    ]);
    let (owner, address): (_, Address) = (owner(), "bucket.a".parse().unwrap());
    let args = args("boot-1");
    let wanted = Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    let found = Bucket(spaces(&script, None))
        .create(wanted, &permit())
        .await
        .unwrap();
    assert_eq!(found.id, RemoteId::new("fra1/boot-1"));
    assert_eq!(found.attrs.lifecycle_rule, args.lifecycle_rule);
    assert_eq!(script.calls().len(), 5);
}

#[tokio::test]
async fn a_bucket_is_made_before_the_old_one_goes_and_never_over_one_that_is_there() {
    assert_eq!(Bucket::INFO.replace, kplan_model::ReplaceOrder::CreateFirst);
    let (owner, address): (_, Address) = (owner(), "bucket.a".parse().unwrap());
    let args = args("acme-backup");
    let wanted = || Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    // One's own: some S3s would answer the create with success, and its delete would follow.
    let script = Script::answers([empty(200)]);
    let bucket = Bucket(spaces(&script, None));
    let failed = bucket.create(wanted(), &permit()).await.unwrap_err();
    assert_eq!(
        (failed.error.kind, &failed.partial),
        (ErrorKind::Exists, &None)
    );
    assert!(failed.error.help.unwrap().contains("choose another name"));
    assert_eq!(script.calls(), ["HEAD /"], "nothing was sent but the look");
    // Somebody else's.
    let taken = "<Error><Code>BucketAlreadyExists</Code></Error>";
    let script = Script::answers([empty(403), xml(409, taken)]);
    let bucket = Bucket(spaces(&script, None));
    let failed = bucket.create(wanted(), &permit()).await.unwrap_err();
    assert_eq!(
        (failed.error.kind, &failed.partial),
        (ErrorKind::Exists, &None)
    );
}

#[tokio::test]
async fn every_page_of_the_list_is_looked_through_for_a_prefix() {
    let first = "<ListAllMyBucketsResult><Buckets>\
        <Bucket><Name>acme-boot</Name></Bucket></Buckets>\
        <ContinuationToken>more</ContinuationToken></ListAllMyBucketsResult>";
    let second = "<ListAllMyBucketsResult><Buckets><Bucket><Name>kplan-demo-0a1b2c3d</Name>\
        <CreationDate>2026-08-01T00:00:00Z</CreationDate></Bucket></Buckets>\
        </ListAllMyBucketsResult>";
    let script = Script::new(move |request| {
        let uri = request.uri().to_string();
        let listed = !uri.contains("kplan-demo");
        Ok(match (listed, uri.contains("continuation-token=more")) {
            (true, false) => xml(200, first),
            (true, true) => xml(200, second),
            (false, _) if uri.contains("?versioning") => xml(200, "<VersioningConfiguration/>"),
            (false, _) if uri.contains("?lifecycle") => xml(
                404,
                "<Error><Code>NoSuchLifecycleConfiguration</Code></Error>",
            ),
            (false, _) => xml(403, "<Error><Code>AccessDenied</Code></Error>"),
        })
    });
    let (owner, address): (_, Address) = (owner(), "bucket.a".parse().unwrap());
    let args = BucketArgs {
        name: None,
        name_prefix: Some("kplan-demo".to_owned()),
        ..args("")
    };
    let wanted = Wanted {
        owner: &owner,
        address: &address,
        args: &args,
    };
    let found = Bucket(spaces(&script, None)).find(wanted).await.unwrap();
    let [found] = found.as_slice() else {
        panic!("{found:?}");
    };
    assert_eq!(found.id, RemoteId::new("fra1/kplan-demo-0a1b2c3d"));
    assert_eq!(found.attrs.name, "kplan-demo-0a1b2c3d");
    assert_eq!(
        found.created_at,
        Some(Timestamp::from_seconds(1_785_542_400))
    );
}

#[tokio::test(start_paused = true)]
async fn reads_are_repeated_and_denials_are_not() {
    let slow = "<Error><Code>SlowDown</Code></Error>";
    let script = Script::answers([xml(503, slow), xml(200, "bytes")]);
    let objects = spaces(&script, None).objects("fra1", "boot", None).unwrap();
    assert_eq!(objects.get("a").await.unwrap().unwrap(), "bytes");
    assert_eq!(script.calls().len(), 2);
    let denied = "<Error><Code>AccessDenied</Code><Message>no</Message></Error>";
    let script = Script::answers([xml(403, denied)]);
    let objects = spaces(&script, None).objects("fra1", "boot", None).unwrap();
    let error = objects.get("a").await.unwrap_err();
    assert_eq!(error.kind, ErrorKind::Denied);
    assert_eq!(
        error.to_string(),
        "GET boot/a was refused: no (AccessDenied)"
    );
}

#[tokio::test]
async fn a_lost_write_is_told_apart_from_one_never_sent() {
    use crate::http::TransportError;
    for (outcome, kind) in [
        (
            TransportError::Lost("reset".to_owned()),
            ErrorKind::OutcomeUnknown,
        ),
        (
            TransportError::NotSent("refused".to_owned()),
            ErrorKind::Transient,
        ),
    ] {
        let script = Script::outcomes([Err(outcome)]);
        let objects = spaces(&script, None).objects("fra1", "boot", None).unwrap();
        let error = objects
            .put_if_absent(&permit(), "a", Bytes::new())
            .await
            .unwrap_err();
        assert_eq!(error.kind, kind, "{error}");
    }
}

#[tokio::test]
async fn a_bucket_with_objects_stays_unless_force_destroy_was_applied() {
    let full = "<Error><Code>BucketNotEmpty</Code><Message>not empty</Message></Error>";
    let script = Script::answers([xml(409, full)]);
    let known = Known {
        address: "bucket.a".parse().unwrap(),
        id: RemoteId::new("fra1/a"),
        args: Object::new(),
        attrs: Object::new(),
    };
    let error = Bucket(spaces(&script, None))
        .delete(&known, &permit())
        .await
        .unwrap_err();
    assert_eq!(error.kind, ErrorKind::Invalid);
    assert!(error.help.unwrap().contains("force_destroy"));
    assert_eq!(
        script.calls().len(),
        1,
        "one call, and nothing in it was deleted"
    );
}

#[tokio::test]
async fn without_a_key_nothing_is_tried() {
    let script = Script::answers([]);
    let mut config = SpacesConfig::clone(&spaces(&script, None).config);
    config.keys = None;
    let error = Spaces::new(config.clone())
        .objects("fra1", "a", None)
        .err()
        .unwrap();
    assert_eq!(error.kind, ErrorKind::Denied);
    config.keys = Some(Keys {
        secret_key: Secret::sealed("x"),
        ..keys()
    });
    let error = Spaces::new(config)
        .objects("fra1", "a", None)
        .err()
        .unwrap();
    assert!(error.help.unwrap().contains("identity"));
}

fn shared(script: &Script) -> SharedObjects {
    let spaces = spaces(script, Some("http://127.0.0.1:9"));
    SharedObjects::open(&spaces, "fra1", "state", "clusters/demo/").unwrap()
}

const NO_KEY: &str = "<Error><Code>NoSuchKey</Code><Message>none</Message></Error>";
const NO_BUCKET: &str = "<Error><Code>NoSuchBucket</Code><Message>none</Message></Error>";

#[test]
fn a_shared_object_that_is_not_there_is_told_from_a_bucket_that_is_not() {
    let script = Script::answers([xml(404, NO_KEY), xml(404, NO_BUCKET), xml(403, "")]);
    let objects = shared(&script);
    assert_eq!(objects.name(), "s3://state/clusters/demo");
    assert_eq!(objects.get("state/1").unwrap(), None);
    assert_eq!(
        objects.get("state/1").unwrap_err().kind,
        ErrorKind::NotFound
    );
    assert_eq!(objects.get("state/1").unwrap_err().kind, ErrorKind::Denied);
}

#[test]
fn a_shared_object_is_created_once_and_a_lost_answer_is_neither_yes_nor_no() {
    let taken = "<Error><Code>PreconditionFailed</Code><Message>there</Message></Error>";
    let script = Script::answers([empty(200), xml(412, taken), xml(500, "")]);
    let objects = shared(&script);
    assert_eq!(objects.put_new("state/1", b"a").unwrap(), Put::Created);
    assert_eq!(objects.put_new("state/1", b"b").unwrap(), Put::Exists);
    let unknown = objects.put_new("state/1", b"c").unwrap_err();
    assert_eq!(unknown.kind, ErrorKind::OutcomeUnknown);
}

#[test]
fn a_list_without_the_stores_time_is_of_no_use() {
    let page = "<ListBucketResult><Contents><Key>clusters/demo/lock/1</Key>\
                <LastModified>2026-08-01T00:00:00.000Z</LastModified></Contents>\
                <IsTruncated>false</IsTruncated></ListBucketResult>";
    let mut dated = xml(200, page);
    let date = http::HeaderValue::from_static("Sat, 01 Aug 2026 00:01:00 GMT");
    dated.headers_mut().insert("date", date);
    let script = Script::answers([xml(200, page), dated]);
    let objects = shared(&script);
    let undated = objects.list("lock/", None).unwrap_err();
    assert_eq!(undated.kind, ErrorKind::Invalid, "{undated}");
    let listing = objects.list("lock/", None).unwrap();
    assert_eq!(listing.objects[0].key, "lock/1");
    assert_eq!(listing.now.since(listing.objects[0].modified), 60_000);
}
