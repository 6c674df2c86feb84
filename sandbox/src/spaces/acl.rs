//! ACLs: Spaces has two, `private` and `public-read`, by name or written out as a document.

use s3s::dto::{
    AccessControlPolicy, Grant, Grantee, ObjectCannedACL, Permission, PutObjectAclInput,
    PutObjectAclOutput, Type,
};
use s3s::{S3Error, S3Result, s3_error};

use super::access::Caller;
use super::buckets::Shared;
use super::objects::{OWNER, to_dto_owner};
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

/// What the headers `x-amz-grant-…` say.
#[derive(Default)]
pub(super) struct Granted {
    pub full_control: Option<String>,
    pub read: Option<String>,
    /// Whether there are others; they grant what neither ACL does.
    pub other: bool,
}

impl Granted {
    fn is_empty(&self) -> bool {
        self.full_control.is_none() && self.read.is_none() && !self.other
    }

    /// The canned ACL that the grants spell out.
    fn spelled_out(&self) -> S3Result<String> {
        let to = |header: &Option<String>, who: &str| {
            let mut grantees = header.iter().flat_map(|header| header.split(','));
            grantees.all(|grantee| grantee.trim().replace('"', "") == who)
        };
        let owner = format!("id={OWNER}");
        let everybody = format!("uri={EVERYBODY}");
        if self.other || !to(&self.full_control, &owner) || !to(&self.read, &everybody) {
            return Err(other_acl());
        }
        Ok(if self.read.is_some() {
            PUBLIC_READ.to_owned()
        } else {
            PRIVATE.to_owned()
        })
    }
}

/// The ACL that a request makes a bucket or an object with.
pub(super) fn requested(canned: Option<&str>, granted: &Granted) -> S3Result<String> {
    match (canned, granted.is_empty()) {
        (_, true) => canned_acl(canned),
        (None, false) => granted.spelled_out(),
        (Some(_), false) => Err(s3_error!(
            InvalidRequest,
            "give the ACL by x-amz-acl or by x-amz-grant-… headers, not both"
        )),
    }
}

fn other_acl() -> S3Error {
    s3_error!(
        NotImplemented,
        "the sandbox has the ACLs private and public-read: full control for the owner, and \
         reading for everybody or nobody"
    )
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

/// The ACL that a request gives to what exists: by name, by headers, or by a document.
pub(super) fn chosen(
    canned: Option<&str>,
    granted: &Granted,
    document: Option<&AccessControlPolicy>,
) -> S3Result<String> {
    let grants = document.and_then(|document| document.grants.as_deref());
    match (canned.is_some() || !granted.is_empty(), grants) {
        (true, Some(_)) => Err(s3_error!(
            InvalidRequest,
            "give the ACL by headers or as a document, not both"
        )),
        (true, None) => requested(canned, granted),
        (false, Some(grants)) => spelled_out(grants),
        (false, None) => Err(s3_error!(
            InvalidRequest,
            "the request has neither x-amz-acl, x-amz-grant-… headers nor an ACL document"
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
            _ => return Err(other_acl()),
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
    let granted = Granted {
        full_control: input.grant_full_control,
        read: input.grant_read,
        other: input.grant_read_acp.is_some()
            || input.grant_write.is_some()
            || input.grant_write_acp.is_some(),
    };
    let acl = chosen(canned, &granted, input.access_control_policy.as_ref())?;
    shared.in_bucket(caller, &input.bucket, |bucket, change| {
        let version_id = input.version_id.as_deref();
        bucket.edit(change, &input.key, version_id, |content| {
            content.headers.acl = acl;
        })
    })?;
    Ok(PutObjectAclOutput::default())
}
