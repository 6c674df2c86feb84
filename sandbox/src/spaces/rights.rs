//! Whether a request may be carried out.
//!
//! A policy that denies it wins, then one that allows it, then the grants of the key, then what a
//! canned ACL opens to everybody. DigitalOcean documents three levels for a Spaces key:
//! everything, or read, or read and write of named buckets, and that limited keys get 403 on ACLs
//! and policies. That limited keys cannot create or delete buckets and list only their own is the
//! sandbox's reading of it; so is, from S3's document, that no policy keeps the account from
//! reading, changing and deleting it.

use s3s::{S3Error, S3Result, s3_error};

use super::access::Caller;
use super::actions::action_of;
use super::buckets::{Bucket, Shared, no_such_bucket};
use super::policy::{Asked, Policy, Verdict};
use super::records::PUBLIC_READ;

/// What a request wants to do.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wish<'a> {
    /// The operation's name.
    pub op: &'a str,
    pub bucket: &'a str,
    pub key: Option<&'a str>,
    pub version_id: Option<&'a str>,
}

/// Refuses what the caller may not do.
pub(super) fn decide(shared: &Shared, caller: &Caller, wish: &Wish<'_>) -> S3Result<()> {
    let known = shared.look(caller, wish.bucket, |bucket| bucket.record.policy.clone());
    if known.is_none() && !caller.is_known() && !wish.bucket.is_empty() {
        return Err(no_such_bucket(wish.bucket, caller));
    }
    let own_policy = caller.is_full() && wish.op.ends_with("BucketPolicy");
    let policy = match known.flatten().map(|text| Policy::parse(&text)) {
        // Stored before the sandbox judged policies: it can be read, replaced and deleted.
        Some(Err(_)) if own_policy => return Ok(()),
        parsed => parsed.transpose()?,
    };
    let verdict = |wish: &Wish<'_>| {
        let (Some(policy), Some(action)) = (&policy, action_of(wish)) else {
            return Verdict::Silent;
        };
        policy.judge(&Asked {
            action,
            resource: &resource(wish),
            signed: caller.is_known(),
            source: caller.source,
        })
    };
    // Each of these is judged on its own, once the request has been read.
    if wish.op == "DeleteObjects" && policy.is_some() {
        return Ok(());
    }
    let may = |wish: &Wish<'_>| match verdict(wish) {
        Verdict::Deny => own_policy,
        Verdict::Allow => true,
        Verdict::Silent => allowed(caller, wish.op, wish.bucket) || is_public(shared, caller, wish),
    };
    let denied_by_policy = verdict(wish) == Verdict::Deny;
    // Who may list a bucket is told that a key does not exist; others are told nothing.
    let missing = matches!(wish.op, "GetObject" | "HeadObject") && !exists(shared, caller, wish);
    let list = Wish {
        op: "ListObjects",
        key: None,
        version_id: None,
        ..*wish
    };
    let granted = if missing {
        !denied_by_policy && may(&list)
    } else {
        may(wish)
    };
    if granted {
        return Ok(());
    }
    Err(if denied_by_policy {
        let (op, bucket) = (wish.op, wish.bucket);
        s3_error!(
            AccessDenied,
            "the policy of the bucket {bucket:?} denies {op}"
        )
    } else {
        denied(wish.op, wish.bucket)
    })
}

fn resource(wish: &Wish<'_>) -> String {
    match wish.key {
        Some(key) => format!("{}/{key}", wish.bucket),
        None => wish.bucket.to_owned(),
    }
}

/// Whether a canned ACL opens this to everybody.
fn is_public(shared: &Shared, caller: &Caller, wish: &Wish<'_>) -> bool {
    let opened = |bucket: &Bucket| match (wish.op, wish.key) {
        ("GetObject" | "HeadObject", Some(key)) => {
            let version = bucket.version(key, wish.version_id).ok();
            let content = version.and_then(|version| version.content.as_ref());
            content.is_some_and(|content| content.headers.acl == PUBLIC_READ)
        }
        (
            "HeadBucket"
            | "ListObjects"
            | "ListObjectsV2"
            | "ListObjectVersions"
            | "ListMultipartUploads",
            None,
        ) => bucket.record.acl == PUBLIC_READ,
        _ => false,
    };
    shared.look(caller, wish.bucket, opened) == Some(true)
}

fn exists(shared: &Shared, caller: &Caller, wish: &Wish<'_>) -> bool {
    let found = |bucket: &Bucket| {
        let version = wish.key.map(|key| bucket.version(key, wish.version_id));
        matches!(version, Some(Ok(version)) if version.content.is_some())
    };
    shared.look(caller, wish.bucket, found) == Some(true)
}

fn denied(op: &str, bucket: &str) -> S3Error {
    s3_error!(
        AccessDenied,
        "the key has no grant that allows {op} on the bucket {bucket:?}"
    )
}

fn allowed(caller: &Caller, op: &str, bucket: &str) -> bool {
    if op == "ListBuckets" {
        return caller.is_known();
    }
    let whole_account = op == "CreateBucket" || op == "DeleteBucket";
    if whole_account || op.ends_with("Acl") || op.contains("Policy") {
        return caller.is_full();
    }
    let reads = ["Get", "Head", "List"]
        .iter()
        .any(|prefix| op.starts_with(prefix));
    if reads {
        caller.may_read(bucket)
    } else {
        caller.may_write(bucket)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::SpacesKeyFacts;

    fn caller(grants: &[(&str, &str)]) -> Caller {
        let grants = grants
            .iter()
            .map(|(b, p)| ((*b).to_owned(), (*p).to_owned()))
            .collect();
        let key = SpacesKeyFacts {
            access_key: String::new(),
            secret_key: String::new(),
            grants,
        };
        Caller::with_key(&key, String::new())
    }

    #[test]
    fn limited_keys_stay_in_their_bucket_and_off_acls_and_policies() {
        let full = caller(&[("", "fullaccess")]);
        let write = caller(&[("a", "readwrite")]);
        let read = caller(&[("a", "read")]);
        let cases = [
            ("GetObject", "a", [true, true, true]),
            ("PutObject", "a", [true, true, false]),
            ("PutObject", "b", [true, false, false]),
            ("ListObjectsV2", "b", [true, false, false]),
            ("GetBucketAcl", "a", [true, false, false]),
            ("PutObjectAcl", "a", [true, false, false]),
            ("GetBucketPolicy", "a", [true, false, false]),
            ("CreateBucket", "a", [true, false, false]),
            ("DeleteBucket", "a", [true, false, false]),
            ("PutBucketVersioning", "a", [true, true, false]),
            ("ListBuckets", "", [true, true, true]),
        ];
        for (op, bucket, expected) in cases {
            let got = [&full, &write, &read].map(|caller| allowed(caller, op, bucket));
            assert_eq!(got, expected, "{op} on {bucket}");
        }
        let nobody = Caller::anonymous(None);
        assert!(!allowed(&nobody, "ListBuckets", "") && !allowed(&nobody, "GetObject", "a"));
    }
}
