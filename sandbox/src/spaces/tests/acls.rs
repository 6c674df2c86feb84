//! ACLs of what exists: by name, or as a document that says the same.

use aws_sdk_s3::error::ProvideErrorMetadata as _;
use aws_sdk_s3::types::{
    AccessControlPolicy, BucketCannedAcl, Grant, Grantee, ObjectCannedAcl, Owner, Permission, Type,
};

use super::{body, bucket, put};

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
