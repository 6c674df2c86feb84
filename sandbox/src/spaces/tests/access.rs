//! Keys, grants, signatures and presigned URLs.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use aws_sdk_s3::error::ProvideErrorMetadata;

use super::super::testkit::{TestCloud, client, client_at, presign_get, presign_put, send};
use super::super::{Spaces, SpacesConfig};
use super::{body, bucket, put, read};
use crate::{Clock, Store};

#[tokio::test]
async fn keys_reach_what_their_grants_say() {
    let (cloud, spaces, admin) = bucket("demo").await;
    put(&admin, "demo", "k", "v").await;
    cloud.add_key("READER", &[("demo", "read")]);
    cloud.add_key("WRITER", &[("demo", "readwrite")]);
    cloud.add_key("OTHER", &[("elsewhere", "readwrite")]);
    let [reader, writer, other] =
        ["READER", "WRITER", "OTHER"].map(|key| client(&spaces, key, "fra1"));
    assert_eq!(read(&reader, "demo", "k").await, "v");
    assert_eq!(
        code!(reader.put_object().bucket("demo").key("k").body(body("x"))),
        "AccessDenied"
    );
    put(&writer, "demo", "k", "w").await;
    assert_eq!(
        code!(writer.get_bucket_acl().bucket("demo")),
        "AccessDenied"
    );
    assert_eq!(
        code!(writer.get_bucket_policy().bucket("demo")),
        "AccessDenied"
    );
    assert_eq!(code!(writer.create_bucket().bucket("mine")), "AccessDenied");
    assert_eq!(
        code!(other.get_object().bucket("demo").key("k")),
        "AccessDenied"
    );
    assert_eq!(
        admin
            .get_bucket_acl()
            .bucket("demo")
            .send()
            .await
            .unwrap()
            .grants()
            .len(),
        1
    );
    assert_eq!(
        code!(admin.get_bucket_policy().bucket("demo")),
        "NoSuchBucketPolicy"
    );
    // A key that is deleted stops working at once.
    cloud
        .keys
        .lock()
        .unwrap()
        .retain(|key| key.access_key != "WRITER");
    assert_eq!(
        code!(writer.get_object().bucket("demo").key("k")),
        "InvalidAccessKeyId"
    );
}

#[tokio::test]
async fn wrong_secrets_and_unsigned_requests_are_refused() {
    let (cloud, spaces, admin) = bucket("demo").await;
    put(&admin, "demo", "k", "v").await;
    assert_eq!(
        send(&spaces, "GET", "http://127.0.0.1:9000/demo/k", b"")
            .await
            .status(),
        403
    );
    cloud.keys.lock().unwrap()[0].secret_key = "rotated".to_owned();
    assert_eq!(
        code!(admin.get_object().bucket("demo").key("k")),
        "SignatureDoesNotMatch"
    );
}

#[tokio::test]
async fn public_objects_are_read_without_a_signature() {
    let (_, spaces, s3) = bucket("demo").await;
    let public = aws_sdk_s3::types::ObjectCannedAcl::PublicRead;
    s3.put_object()
        .bucket("demo")
        .key("open")
        .acl(public)
        .body(body("hi"))
        .send()
        .await
        .unwrap();
    let got = send(&spaces, "GET", "http://127.0.0.1:9000/demo/open", b"").await;
    assert_eq!(
        (got.status().as_u16(), got.body().as_ref()),
        (200, &b"hi"[..])
    );
    assert_eq!(
        send(&spaces, "GET", "http://127.0.0.1:9000/demo", b"")
            .await
            .status(),
        403
    );
}

#[tokio::test(start_paused = true)]
async fn presigned_urls_work_until_they_expire() {
    let (_, spaces, s3) = bucket("demo").await;
    let (start, valid) = (SystemTime::now(), Duration::from_mins(5));
    let upload = presign_put(&s3, "demo", "boot/report one", start, valid).await;
    assert_eq!(send(&spaces, "PUT", &upload, b"report").await.status(), 200);
    let url = presign_get(&s3, "demo", "boot/report one", start, valid).await;
    assert_eq!(
        send(&spaces, "GET", &url, b"").await.body().as_ref(),
        b"report"
    );
    assert_eq!(
        send(&spaces, "PUT", &url, b"x").await.status(),
        403,
        "the method is signed"
    );
    let other = url.replace("report%20one", "report%20two");
    assert_ne!(other, url);
    assert_eq!(
        send(&spaces, "GET", &other, b"").await.status(),
        403,
        "the path is signed"
    );
    tokio::time::advance(Duration::from_secs(302)).await;
    let late = send(&spaces, "GET", &url, b"").await;
    assert_eq!(late.status(), 403);
    assert!(String::from_utf8_lossy(late.body()).contains("Request has expired"));
}

#[tokio::test(start_paused = true)]
async fn ages_are_judged_by_the_sandbox_clock() {
    let cloud = TestCloud::with_admin();
    let origin = "2026-01-02T03:04:05Z".parse().unwrap();
    let facts = Arc::clone(&cloud) as Arc<dyn crate::facts::CloudFacts>;
    let clock = Clock::starting_at(60.0, origin);
    let spaces = Spaces::open(SpacesConfig::default(), facts, Store::in_memory(), clock).unwrap();
    let s3 = client(&spaces, "ADMIN", "fra1");
    assert_eq!(
        code!(s3.create_bucket().bucket("demo")),
        "RequestTimeTooSkewed"
    );
    let start = SystemTime::from(origin);
    let url = presign_get(&s3, "demo", "k", start, Duration::from_mins(1)).await;
    let missing = send(&spaces, "GET", &url, b"").await;
    assert_eq!(missing.status(), 404, "{:?}", missing.body());
}

#[tokio::test]
async fn a_socket_serves_the_same() {
    let (_, spaces, s3) = bucket("demo").await;
    put(&s3, "demo", "k", "over tcp").await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = tokio::spawn(spaces.clone().serve(listener));
    let at = client_at(&spaces, "ADMIN", "fra1", &format!("http://{address}"), true);
    let url = presign_get(&at, "demo", "k", SystemTime::now(), Duration::from_mins(1)).await;
    let text = reqwest::Client::builder()
        .no_proxy()
        .build()
        .unwrap()
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await;
    assert_eq!(text.unwrap(), "over tcp");
    server.abort();
}

#[tokio::test]
async fn a_pod_may_what_its_key_may() {
    let (cloud, spaces, admin) = bucket("demo").await;
    cloud.add_key("WRITER", &[("demo", "readwrite")]);
    cloud.add_key("READER", &[("demo", "read")]);
    let check = |bucket: &str, region: &str, key: &str, secret: &str| {
        let session = spaces.session(region, key, secret)?;
        session.put(bucket, "a/k", b"v".to_vec())
    };
    assert_eq!(check("demo", "fra1", "WRITER", "secret-of-WRITER"), Ok(()));
    assert_eq!(read(&admin, "demo", "a/k").await, "v");
    let reader = spaces
        .session("fra1", "READER", "secret-of-READER")
        .unwrap();
    assert_eq!(reader.list("demo", "a/").unwrap(), ["a/k"]);
    assert_eq!(reader.get("demo", "a/k").unwrap().unwrap(), "v");
    assert_eq!(reader.get("demo", "none").unwrap(), None);
    assert!(reader.delete("demo", "a/k").is_err());
    let writer = spaces
        .session("fra1", "WRITER", "secret-of-WRITER")
        .unwrap();
    writer.delete("demo", "a/k").unwrap();
    assert!(reader.list("demo", "").unwrap().is_empty());
    for (bucket, region, key, secret, why) in [
        ("demo", "ams3", "WRITER", "secret-of-WRITER", "NoSuchBucket"),
        ("demo", "fra1", "WRITER", "guess", "SignatureDoesNotMatch"),
        ("demo", "fra1", "READER", "secret-of-READER", "AccessDenied"),
        ("else", "fra1", "WRITER", "secret-of-WRITER", "AccessDenied"),
        (
            "demo",
            "fra1",
            "NOBODY",
            "secret-of-NOBODY",
            "InvalidAccessKeyId",
        ),
    ] {
        let said = check(bucket, region, key, secret).unwrap_err();
        assert!(said.starts_with(why), "{said}");
    }
}
