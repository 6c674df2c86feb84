//! Objects, lists and multipart uploads.

use aws_sdk_s3::error::ProvideErrorMetadata;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart};

use aws_sdk_s3::types::{StorageClass, Tag, Tagging};

use super::super::Spaces;
use super::super::presigned::sha256_hex;
use super::super::testkit::{authorization, send_with};
use super::{body, bucket, put, read};

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

#[tokio::test]
async fn tags_come_with_an_object_and_change_by_themselves() {
    let (_, _, s3) = bucket("demo").await;
    let put = s3.put_object().bucket("demo").key("a").body(body("x"));
    ok!(put.tagging("a=1&b=two%20words"));
    let tags = async |key: &str| {
        let got = ok!(s3.get_object_tagging().bucket("demo").key(key));
        let pair = |tag: &Tag| format!("{}={}", tag.key(), tag.value());
        got.tag_set().iter().map(pair).collect::<Vec<_>>()
    };
    assert_eq!(tags("a").await, ["a=1", "b=two words"]);
    let got = ok!(s3.get_object().bucket("demo").key("a"));
    assert_eq!(got.tag_count(), Some(2));
    ok!(s3
        .copy_object()
        .bucket("demo")
        .key("b")
        .copy_source("demo/a"));
    assert_eq!(tags("b").await, ["a=1", "b=two words"]);
    let set = |pairs: &[(&str, &str)]| {
        let tag =
            |(key, value): &(&str, &str)| Tag::builder().key(*key).value(*value).build().unwrap();
        let tags = pairs.iter().map(tag).collect();
        let tagging = Tagging::builder().set_tag_set(Some(tags)).build().unwrap();
        s3.put_object_tagging()
            .bucket("demo")
            .key("a")
            .tagging(tagging)
    };
    ok!(set(&[("c", "")]));
    assert_eq!(tags("a").await, ["c="]);
    assert_eq!(code!(set(&[("c", "1"), ("c", "2")])), "InvalidTag");
    let names: Vec<String> = (0..11).map(|n| n.to_string()).collect();
    let many: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "")).collect();
    assert_eq!(code!(set(&many)), "BadRequest");
    ok!(s3.delete_object_tagging().bucket("demo").key("a"));
    assert!(tags("a").await.is_empty());
    assert_eq!(
        code!(s3.get_object_tagging().bucket("demo").key("none")),
        "NoSuchKey"
    );
}

#[tokio::test]
async fn what_would_be_ignored_is_refused() {
    let (_, _, s3) = bucket("demo").await;
    let put = || s3.put_object().bucket("demo").key("a").body(body("x"));
    let cases = [
        (
            put().storage_class(StorageClass::Glacier),
            "InvalidStorageClass",
        ),
        (
            put().server_side_encryption(aws_sdk_s3::types::ServerSideEncryption::Aes256),
            "NotImplemented",
        ),
        (
            put().object_lock_legal_hold_status(aws_sdk_s3::types::ObjectLockLegalHoldStatus::On),
            "NotImplemented",
        ),
        (put().website_redirect_location("/b"), "NotImplemented"),
    ];
    for (case, code) in cases {
        assert_eq!(code!(case), code);
    }
    assert!(
        ok!(s3.list_objects_v2().bucket("demo"))
            .contents()
            .is_empty()
    );
    ok!(put().storage_class(StorageClass::Standard));
    let part = s3.get_object().bucket("demo").key("a").part_number(1);
    assert_eq!(code!(part), "NotImplemented");
}

/// Sends a body in chunks, with the CRC32 of `hello` behind it.
async fn send_chunks(spaces: &Spaces, body: &'static [u8], signed: bool) -> (u16, String) {
    let (host, payload) = ("127.0.0.1:9000", "STREAMING-UNSIGNED-PAYLOAD-TRAILER");
    let date = jiff::Timestamp::now()
        .strftime("%Y%m%dT%H%M%SZ")
        .to_string();
    let authorization = authorization("PUT", "/demo/a", host, &date, payload);
    let mut headers = vec![
        ("content-encoding", "gzip,aws-chunked"),
        ("x-amz-content-sha256", payload),
        ("x-amz-date", &date),
        ("x-amz-decoded-content-length", "5"),
        ("x-amz-trailer", "x-amz-checksum-crc32"),
    ];
    if signed {
        headers.push(("authorization", &authorization));
    }
    let url = format!("http://{host}/demo/a");
    let answer = send_with(spaces, "PUT", &url, &headers, body).await;
    let said = String::from_utf8_lossy(answer.body()).into_owned();
    (answer.status().as_u16(), said)
}

#[tokio::test]
async fn a_checksum_behind_a_chunked_body_is_checked_and_the_chunks_are_forgotten() {
    let (_, spaces, s3) = bucket("demo").await;
    let good = b"5\r\nhello\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let (status, said) = send_chunks(&spaces, good, true).await;
    assert_eq!(status, 200, "{said}");
    let bad = b"5\r\nother\r\n0\r\nx-amz-checksum-crc32:NhCmhg==\r\n\r\n";
    let (status, said) = send_chunks(&spaces, bad, true).await;
    assert!(
        status == 400 && said.contains("BadDigest"),
        "{status} {said}"
    );
    let (status, said) = send_chunks(&spaces, good, false).await;
    assert!(
        status == 501 && said.contains("NotImplemented"),
        "{status} {said}"
    );
    assert_eq!(read(&s3, "demo", "a").await, "hello");
    let head = ok!(s3.head_object().bucket("demo").key("a"));
    assert_eq!(head.content_encoding(), Some("gzip"));
}

#[tokio::test]
async fn a_body_other_than_the_signed_one_is_refused() {
    let (_, spaces, s3) = bucket("demo").await;
    let (host, date) = (
        "127.0.0.1:9000",
        jiff::Timestamp::now().strftime("%Y%m%dT%H%M%SZ"),
    );
    let (date, payload) = (date.to_string(), sha256_hex(b"meant"));
    let authorization = authorization("PUT", "/demo/a", host, &date, &payload);
    let headers = [
        ("authorization", authorization.as_str()),
        ("x-amz-content-sha256", &payload),
        ("x-amz-date", &date),
    ];
    let url = format!("http://{host}/demo/a");
    let answer = send_with(&spaces, "PUT", &url, &headers, b"other").await;
    let said = String::from_utf8_lossy(answer.body()).into_owned();
    assert!(said.contains("XAmzContentSHA256Mismatch"), "{said}");
    let answer = send_with(&spaces, "PUT", &url, &headers, b"meant").await;
    assert_eq!(answer.status(), 200);
    assert_eq!(read(&s3, "demo", "a").await, "meant");
    assert!(answer.headers().contains_key("x-amz-request-id"));
}

#[tokio::test]
async fn signature_version_2_is_not_simulated() {
    let (_, spaces, _) = bucket("demo").await;
    let url = "http://127.0.0.1:9000/demo/a";
    let headers = [("authorization", "AWS ADMIN:c2lnbmF0dXJl")];
    assert_eq!(
        send_with(&spaces, "GET", url, &headers, b"").await.status(),
        501
    );
    let url = format!("{url}?AWSAccessKeyId=ADMIN&Expires=1&Signature=c2ln");
    assert_eq!(
        send_with(&spaces, "GET", &url, &[], b"").await.status(),
        501
    );
}

#[tokio::test]
async fn a_range_of_a_head_and_a_date_of_expiry() {
    let (_, _, s3) = bucket("demo").await;
    let expires = aws_sdk_s3::primitives::DateTime::from_secs(1_936_595_289);
    let put = s3.put_object().bucket("demo").key("a").body(body("hello"));
    ok!(put.expires(expires));
    let head = ok!(s3.head_object().bucket("demo").key("a").range("bytes=-2"));
    assert_eq!(head.content_length(), Some(2));
    assert_eq!(head.content_range(), Some("bytes 3-4/5"));
    assert_eq!(head.expires_string(), Some("Thu, 15 May 2031 07:08:09 GMT"));
}
