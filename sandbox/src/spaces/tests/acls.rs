//! ACLs of what exists: by name, or as a document that says the same.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{
    AccessControlPolicy, BucketCannedAcl, Grant, Grantee, ObjectCannedAcl, Owner, Permission, Type,
};

use super::super::testkit::send;
use super::{body, bucket, enable_versioning, put};

const EVERYBODY: &str = "http://acs.amazonaws.com/groups/global/AllUsers";

fn document(owner: &str, everybody: Option<Permission>) -> AccessControlPolicy {
    let grant = |grantee: Grantee, permission: Permission| {
        Grant::builder()
            .grantee(grantee)
            .permission(permission)
            .build()
    };
    let own = Grantee::builder().r#type(Type::CanonicalUser).id(owner);
    let own = grant(own.build().unwrap(), Permission::FullControl);
    let all = Grantee::builder().r#type(Type::Group).uri(EVERYBODY);
    let all = everybody.map(|permission| grant(all.build().unwrap(), permission));
    AccessControlPolicy::builder()
        .owner(Owner::builder().id(owner).build())
        .set_grants(Some([own].into_iter().chain(all).collect()))
        .build()
}

#[tokio::test]
async fn the_acl_of_an_object_changes_by_name_and_by_document() {
    let (_, _, s3) = bucket("demo").await;
    put(&s3, "demo", "a", "x").await;
    let change = || s3.put_object_acl().bucket("demo").key("a");
    let read = || async {
        let got = ok!(s3.get_object_acl().bucket("demo").key("a"));
        let owner = got.owner().unwrap().id().unwrap().to_owned();
        (got.grants().len(), owner)
    };
    assert_eq!(read().await.0, 1);
    ok!(change().acl(ObjectCannedAcl::PublicRead));
    let (grants, owner) = read().await;
    assert_eq!(grants, 2);
    ok!(change().access_control_policy(document(&owner, None)));
    assert_eq!(read().await.0, 1);
    ok!(change().access_control_policy(document(&owner, Some(Permission::Read))));
    assert_eq!(read().await.0, 2);
    let everything = document(&owner, Some(Permission::Write));
    assert_eq!(
        code!(change().access_control_policy(everything)),
        "NotImplemented"
    );
    let stranger = document("stranger", None);
    assert_eq!(
        code!(change().access_control_policy(stranger)),
        "NotImplemented"
    );
    assert_eq!(code!(change()), "InvalidRequest");
    let missing = s3.put_object_acl().bucket("demo").key("nothing");
    assert_eq!(code!(missing.acl(ObjectCannedAcl::Private)), "NoSuchKey");
    assert_eq!(read().await.0, 2, "what is refused changes nothing");
    let change = s3.put_bucket_acl().bucket("demo");
    ok!(change.access_control_policy(document(&owner, Some(Permission::Read))));
    assert_eq!(ok!(s3.get_bucket_acl().bucket("demo")).grants().len(), 2);
    ok!(s3
        .put_bucket_acl()
        .bucket("demo")
        .acl(BucketCannedAcl::Private));
    assert_eq!(ok!(s3.get_bucket_acl().bucket("demo")).grants().len(), 1);
}

#[tokio::test]
async fn an_object_nobody_typed_has_the_general_type() {
    let (_, _, s3) = bucket("demo").await;
    let general = Some("binary/octet-stream");
    // The client would add a type of its own to a body it knows.
    let request = s3.put_object().bucket("demo").key("a").body(body("x"));
    let untyped = request.customize().mutate_request(|request| {
        request.headers_mut().remove("content-type");
    });
    untyped.send().await.unwrap();
    let head = ok!(s3.head_object().bucket("demo").key("a"));
    assert_eq!(head.content_type(), general);
    let copy = s3.copy_object().bucket("demo").key("b");
    ok!(copy.copy_source("demo/a"));
    let got = ok!(s3.get_object().bucket("demo").key("b"));
    assert_eq!(got.content_type(), general);
}

#[tokio::test]
async fn grants_in_headers_say_the_same_as_the_names() {
    let (_, spaces, s3) = bucket("demo").await;
    let everybody = format!("uri=\"{EVERYBODY}\"");
    let put = || s3.put_object().bucket("demo").key("a").body(body("x"));
    let status = async |path: &str| {
        let url = format!("http://127.0.0.1:9000/demo{path}");
        send(&spaces, "GET", &url, b"").await.status().as_u16()
    };
    ok!(put().grant_read(&everybody));
    assert_eq!(status("/a").await, 200);
    ok!(put().grant_full_control("id=sandbox"));
    assert_eq!(status("/a").await, 403);
    assert_eq!(code!(put().grant_write_acp(&everybody)), "NotImplemented");
    assert_eq!(code!(put().grant_read("id=\"other\"")), "NotImplemented");
    let both = put().acl(ObjectCannedAcl::Private);
    assert_eq!(code!(both.grant_read(&everybody)), "InvalidRequest");
    ok!(s3.put_bucket_acl().bucket("demo").grant_read(&everybody));
    assert_eq!(status("").await, 200);
    assert_eq!(status("?versions").await, 200);
    assert_eq!(
        status("/a").await,
        403,
        "a public list has no public objects"
    );
}

#[tokio::test]
async fn everybody_reads_what_is_public_version_by_version() {
    let (_, spaces, s3) = bucket("demo").await;
    enable_versioning(&s3, "demo").await;
    let open = s3.put_object().bucket("demo").key("a").body(body("1"));
    let open = ok!(open.acl(ObjectCannedAcl::PublicRead));
    let closed = put(&s3, "demo", "a", "2").await.unwrap();
    let status = async |path: &str| {
        let url = format!("http://127.0.0.1:9000/{path}");
        send(&spaces, "GET", &url, b"").await.status().as_u16()
    };
    let open = open.version_id().unwrap();
    assert_eq!(status(&format!("demo/a?versionId={open}")).await, 200);
    assert_eq!(status(&format!("demo/a?versionId={closed}")).await, 403);
    assert_eq!(status("demo/a").await, 403);
    assert_eq!(
        status("demo/none").await,
        403,
        "nobody is told what is missing"
    );
    ok!(s3
        .put_bucket_acl()
        .bucket("demo")
        .acl(BucketCannedAcl::PublicRead));
    assert_eq!(status("demo/none").await, 404, "but who may list is");
    assert_eq!(status("demo/a").await, 403);
    assert_eq!(status("nobody/a").await, 404);
}
