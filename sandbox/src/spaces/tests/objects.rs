//! Objects, lists and multipart uploads.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use super::{body, bucket, put};

#[tokio::test]
async fn an_object_comes_back_with_its_headers() {
    let (_, _, s3) = bucket("demo").await;
    let put = s3
        .put_object()
        .bucket("demo")
        .key("a/b c+ü.txt")
        .body(body("hello"));
    let put = put
        .content_type("text/plain")
        .metadata("note", "x")
        .send()
        .await
        .unwrap();
    assert_eq!(put.e_tag(), Some("\"5d41402abc4b2a76b9719d911017c592\""));
    let got = s3
        .get_object()
        .bucket("demo")
        .key("a/b c+ü.txt")
        .range("bytes=1-3")
        .send()
        .await
        .unwrap();
    assert_eq!(got.content_range(), Some("bytes 1-3/5"));
    assert_eq!(got.content_type(), Some("text/plain"));
    assert_eq!(
        got.metadata().unwrap().get("note").map(String::as_str),
        Some("x")
    );
    assert_eq!(got.body.collect().await.unwrap().to_vec(), b"ell");
    let head = s3
        .head_object()
        .bucket("demo")
        .key("a/b c+ü.txt")
        .send()
        .await
        .unwrap();
    assert_eq!(head.content_length(), Some(5));
    assert_eq!(
        code!(s3.get_object().bucket("demo").key("nothing")),
        "NoSuchKey"
    );
    assert!(
        s3.head_object()
            .bucket("demo")
            .key("nothing")
            .send()
            .await
            .unwrap_err()
            .into_service_error()
            .is_not_found()
    );
}

#[tokio::test]
async fn create_if_absent_answers_412_when_present() {
    let (_, _, s3) = bucket("demo").await;
    let create = || {
        s3.put_object()
            .bucket("demo")
            .key("lock/1")
            .if_none_match("*")
            .body(body("a"))
    };
    create().send().await.unwrap();
    let error = create().send().await.unwrap_err();
    assert_eq!(error.raw_response().unwrap().status().as_u16(), 412);
    assert_eq!(
        error.into_service_error().code(),
        Some("PreconditionFailed")
    );
    s3.delete_object()
        .bucket("demo")
        .key("lock/1")
        .send()
        .await
        .unwrap();
    create().send().await.unwrap();
}

#[tokio::test]
async fn wrong_digests_are_refused() {
    let (_, _, s3) = bucket("demo").await;
    let wrong = s3
        .put_object()
        .bucket("demo")
        .key("a")
        .body(body("hello"))
        .content_md5("1B2M2Y8AsgTpgAmY7PhCfg==");
    assert_eq!(code!(wrong), "BadDigest");
    let wrong = s3
        .put_object()
        .bucket("demo")
        .key("a")
        .body(body("hello"))
        .checksum_crc32("AAAAAA==");
    assert_eq!(code!(wrong), "BadDigest");
    let right = s3
        .put_object()
        .bucket("demo")
        .key("a")
        .body(body("hello"))
        .checksum_crc32("NhCmhg==");
    right.send().await.unwrap();
}

#[tokio::test]
async fn lists_know_prefixes_delimiters_and_pages() {
    let (_, _, s3) = bucket("demo").await;
    for key in ["boot/a", "boot/b", "logs/1/x", "logs/2/y", "top"] {
        put(&s3, "demo", key, key).await;
    }
    let list = s3
        .list_objects_v2()
        .bucket("demo")
        .delimiter("/")
        .send()
        .await
        .unwrap();
    let prefixes: Vec<_> = list
        .common_prefixes()
        .iter()
        .filter_map(|p| p.prefix())
        .collect();
    assert_eq!(prefixes, ["boot/", "logs/"]);
    assert_eq!(list.contents()[0].key(), Some("top"));
    let (mut keys, mut token) = (Vec::new(), None);
    loop {
        let page = s3
            .list_objects_v2()
            .bucket("demo")
            .max_keys(2)
            .set_continuation_token(token)
            .send()
            .await
            .unwrap();
        keys.extend(page.contents().iter().map(|o| o.key().unwrap().to_owned()));
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(keys, ["boot/a", "boot/b", "logs/1/x", "logs/2/y", "top"]);
    let (mut groups, mut token) = (Vec::new(), None);
    loop {
        let page = s3
            .list_objects_v2()
            .bucket("demo")
            .delimiter("/")
            .max_keys(1);
        let page = page.set_continuation_token(token).send().await.unwrap();
        groups.extend(
            page.common_prefixes()
                .iter()
                .map(|p| p.prefix().unwrap().to_owned()),
        );
        groups.extend(page.contents().iter().map(|o| o.key().unwrap().to_owned()));
        token = page.next_continuation_token().map(str::to_owned);
        if token.is_none() {
            break;
        }
    }
    assert_eq!(groups, ["boot/", "logs/", "top"]);
    let old = s3
        .list_objects()
        .bucket("demo")
        .prefix("boot/")
        .send()
        .await
        .unwrap();
    assert_eq!(old.contents().len(), 2);
}

#[tokio::test]
async fn multipart_uploads_complete_or_are_aborted() {
    let (_, _, s3) = bucket("demo").await;
    let id = ok!(s3.create_multipart_upload().bucket("demo").key("big"))
        .upload_id
        .unwrap();
    let mut parts = Vec::new();
    for (number, size) in [(1, 5 * 1024 * 1024), (2, 10)] {
        let part = s3
            .upload_part()
            .bucket("demo")
            .key("big")
            .upload_id(&id)
            .part_number(number);
        let part = part
            .body(ByteStream::from(vec![7; size]))
            .send()
            .await
            .unwrap();
        parts.push(
            CompletedPart::builder()
                .part_number(number)
                .set_e_tag(part.e_tag)
                .build(),
        );
    }
    let done = CompletedMultipartUpload::builder()
        .set_parts(Some(parts))
        .build();
    let complete = || {
        s3.complete_multipart_upload()
            .bucket("demo")
            .key("big")
            .upload_id(&id)
            .multipart_upload(done.clone())
    };
    let done_answer = complete().send().await.unwrap();
    assert!(done_answer.e_tag().unwrap().ends_with("-2\""));
    let head = ok!(s3.head_object().bucket("demo").key("big"));
    assert_eq!(head.content_length(), Some(5 * 1024 * 1024 + 10));
    assert_eq!(code!(complete()), "NoSuchUpload");
    let id = ok!(s3.create_multipart_upload().bucket("demo").key("big"))
        .upload_id
        .unwrap();
    ok!(s3
        .abort_multipart_upload()
        .bucket("demo")
        .key("big")
        .upload_id(&id));
    assert_eq!(
        code!(s3.list_parts().bucket("demo").key("big").upload_id(&id)),
        "NoSuchUpload"
    );
}
