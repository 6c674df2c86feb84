//! Copies of objects, and of ranges into parts.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{CompletedMultipartUpload, CompletedPart, MetadataDirective};

use super::super::testkit::client;
use super::{body, bucket, put, read};

const PART: usize = 5 * 1024 * 1024;

#[tokio::test]
async fn parts_are_copied_whole_or_by_range() {
    let (_, _, s3) = bucket("demo").await;
    let source: Vec<u8> = (0..=u8::MAX).cycle().take(PART + 100).collect();
    let put = s3.put_object().bucket("demo").key("source");
    ok!(put.body(ByteStream::from(source.clone())));
    let upload = ok!(s3.create_multipart_upload().bucket("demo").key("big"));
    let id = upload.upload_id().unwrap();
    let part = |number: i32, from: &str| {
        let part = s3
            .upload_part_copy()
            .bucket("demo")
            .key("big")
            .upload_id(id);
        part.part_number(number).copy_source(from)
    };
    let mut parts = Vec::new();
    for (number, range) in [(1, None), (2, Some("bytes=10-19"))] {
        let copied =
            ok!(part(number, "demo/source").set_copy_source_range(range.map(str::to_owned)));
        let etag = copied.copy_part_result().unwrap().e_tag().unwrap();
        let part = CompletedPart::builder().part_number(number);
        parts.push(part.e_tag(etag).build());
    }
    let last = format!("bytes=0-{}", source.len());
    let cases = [
        (
            part(3, "demo/source").copy_source_range(last),
            "InvalidRange",
        ),
        (
            part(3, "demo/source").copy_source_range("bytes=7-"),
            "InvalidArgument",
        ),
        (
            part(3, "demo/source").copy_source_range("bytes=7-5"),
            "InvalidRange",
        ),
        (
            part(3, "demo/source").copy_source_if_match("\"0\""),
            "PreconditionFailed",
        ),
        (part(3, "demo/none"), "NoSuchKey"),
        (part(3, "nobody/source"), "NoSuchBucket"),
        (part(0, "demo/source"), "InvalidArgument"),
        (part(3, "demo/source").upload_id("none"), "NoSuchUpload"),
    ];
    for (case, code) in cases {
        assert_eq!(code!(case), code);
    }
    let pages = s3.list_parts().bucket("demo").key("big").upload_id(id);
    let page = ok!(pages.clone().max_parts(1));
    assert_eq!((page.parts().len(), page.is_truncated()), (1, Some(true)));
    let marker = page.next_part_number_marker().unwrap();
    let page = ok!(pages.max_parts(1).part_number_marker(marker));
    assert_eq!(page.parts()[0].part_number(), Some(2));
    assert_eq!(page.is_truncated(), Some(false));
    let parts = CompletedMultipartUpload::builder().set_parts(Some(parts));
    let complete = s3.complete_multipart_upload().bucket("demo").key("big");
    ok!(complete.upload_id(id).multipart_upload(parts.build()));
    let got = ok!(s3.get_object().bucket("demo").key("big"));
    let bytes = got.body.collect().await.unwrap().to_vec();
    assert!(bytes == [&source[..], &source[10..20]].concat());
}

#[tokio::test]
async fn uploads_are_listed_by_pages() {
    let (_, _, s3) = bucket("demo").await;
    for key in ["a", "a", "b"] {
        ok!(s3.create_multipart_upload().bucket("demo").key(key));
    }
    let (mut seen, mut key, mut id) = (Vec::new(), None::<String>, None::<String>);
    for _ in 0..4 {
        let page = s3.list_multipart_uploads().bucket("demo").max_uploads(1);
        let page = page.set_key_marker(key).set_upload_id_marker(id);
        let page = ok!(page);
        seen.extend(page.uploads().iter().map(|u| u.key().unwrap().to_owned()));
        key = page.next_key_marker().map(str::to_owned);
        id = page.next_upload_id_marker().map(str::to_owned);
        if page.is_truncated() != Some(true) {
            break;
        }
    }
    assert_eq!(seen, ["a", "a", "b"]);
}

#[tokio::test]
async fn a_copy_has_conditions_and_needs_the_right_to_read() {
    let (cloud, spaces, s3) = bucket("demo").await;
    ok!(s3.create_bucket().bucket("other"));
    put(&s3, "other", "a", "x").await;
    put(&s3, "demo", "a", "x").await;
    let copy = |from: &str| s3.copy_object().bucket("demo").key("a").copy_source(from);
    assert_eq!(
        code!(copy("demo/a")),
        "InvalidRequest",
        "it changes nothing"
    );
    ok!(copy("demo/a").metadata_directive(MetadataDirective::Replace));
    let etag = "\"9dd4e461268c8034f5c8564e155c67a6\"";
    ok!(copy("other/a").copy_source_if_match(etag));
    assert_eq!(
        code!(copy("other/a").copy_source_if_none_match(etag)),
        "PreconditionFailed"
    );
    cloud.add_key("WRITER", &[("demo", "readwrite")]);
    let writer = client(&spaces, "WRITER", "fra1");
    let stolen = writer
        .copy_object()
        .bucket("demo")
        .key("b")
        .copy_source("other/a");
    assert_eq!(code!(stolen), "AccessDenied");
    let upload = ok!(writer.create_multipart_upload().bucket("demo").key("b"));
    let stolen = writer
        .upload_part_copy()
        .bucket("demo")
        .key("b")
        .part_number(1);
    let stolen = stolen
        .upload_id(upload.upload_id().unwrap())
        .copy_source("other/a");
    assert_eq!(code!(stolen), "AccessDenied");
    let elsewhere = client(&spaces, "ADMIN", "ams3");
    ok!(elsewhere.create_bucket().bucket("far"));
    let far = elsewhere
        .copy_object()
        .bucket("far")
        .key("a")
        .copy_source("demo/a");
    assert_eq!(code!(far), "NoSuchBucket", "not across regions");
    let put = s3.put_object().bucket("demo").key("a").body(body("y"));
    ok!(put);
    assert_eq!(read(&s3, "other", "a").await, "x");
}
