//! ACLs: Spaces has two, `private` and `public-read`, by name or written out as a document.

use s3s::dto::{
    AccessControlPolicy, Grant, Grantee, ObjectCannedACL, Permission, PutObjectAclInput,
    PutObjectAclOutput, Type,
};
use s3s::{S3Result, s3_error};

use super::access::Caller;
use super::buckets::Shared;
use super::objects::to_dto_owner;
use super::records::{PRIVATE, PUBLIC_READ};

/// Everybody, in an ACL document.
const EVERYBODY: &str = "http://acs.amazonaws.com/groups/global/AllUsers";

/// The canned ACLs Spaces has; anything else is refused.
pub(super) fn canned_acl(acl: Option<&str>) -> S3Result<String> {
    match acl {
        None => Ok(PRIVATE.to_owned()),
        Some(acl @ (PRIVATE | PUBLIC_READ)) => Ok(acl.to_owned()),
        Some(other) => Err(s3_error!(
            InvalidArgument,
            "Spaces has the canned ACLs private and public-read, not {other:?}"
        )),
    }
}

/// The grants a canned ACL stands for.
pub(super) fn grants(acl: &str) -> Vec<Grant> {
    let owner = Grantee {
        display_name: None,
        email_address: None,
        id: to_dto_owner().id,
        type_: Type::from_static(Type::CANONICAL_USER),
        uri: None,
    };
    let mut grants = vec![Grant {
        grantee: Some(owner),
        permission: Some(Permission::from_static(Permission::FULL_CONTROL)),
    }];
    if acl == PUBLIC_READ {
        let everyone = Grantee {
            display_name: None,
            email_address: None,
            id: None,
            type_: Type::from_static(Type::GROUP),
            uri: Some(EVERYBODY.to_owned()),
        };
        grants.push(Grant {
            grantee: Some(everyone),
            permission: Some(Permission::from_static(Permission::READ)),
        });
    }
    grants
}

/// The ACL a request asks for, by its name or by a document that says the same.
pub(super) fn chosen(
    canned: Option<&str>,
    document: Option<&AccessControlPolicy>,
) -> S3Result<String> {
    let grants = document.and_then(|document| document.grants.as_deref());
    match (canned, grants) {
        (Some(_), Some(_)) => Err(s3_error!(
            InvalidRequest,
            "give the ACL by x-amz-acl or as a document, not both"
        )),
        (Some(_), None) => canned_acl(canned),
        (None, Some(grants)) => spelled_out(grants),
        (None, None) => Err(s3_error!(
            InvalidRequest,
            "the request has neither x-amz-acl nor an ACL document"
        )),
    }
}

/// The canned ACL that a list of grants spells out.
fn spelled_out(grants: &[Grant]) -> S3Result<String> {
    let mut acl = PRIVATE;
    for grant in grants {
        let permission = grant.permission.as_ref().map(Permission::as_str);
        let grantee = grant.grantee.as_ref();
        let owner = to_dto_owner().id;
        let is_owner = grantee.is_some_and(|grantee| grantee.id == owner);
        let everybody = grantee.is_some_and(|grantee| grantee.uri.as_deref() == Some(EVERYBODY));
        match permission {
            Some(Permission::FULL_CONTROL) if is_owner => {}
            Some(Permission::READ) if everybody => acl = PUBLIC_READ,
            _ => {
                return Err(s3_error!(
                    NotImplemented,
                    "the sandbox has the ACLs private and public-read: full control for the \
                     owner, and reading for everybody or nobody"
                ));
            }
        }
    }
    Ok(acl.to_owned())
}

pub(super) fn put_object_acl(
    shared: &Shared,
    caller: &Caller,
    input: PutObjectAclInput,
) -> S3Result<PutObjectAclOutput> {
    let canned = input.acl.as_ref().map(ObjectCannedACL::as_str);
    let acl = chosen(canned, input.access_control_policy.as_ref())?;
    shared.in_bucket(caller, &input.bucket, |bucket, change| {
        bucket.set_acl(change, &input.key, input.version_id.as_deref(), &acl)
    })?;
    Ok(PutObjectAclOutput::default())
}
