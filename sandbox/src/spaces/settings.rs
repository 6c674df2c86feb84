//! Buckets themselves and their settings: versioning, lifecycle, CORS, policy, ACL.

use s3s::dto::{
    BucketCannedACL, BucketVersioningStatus, CreateBucketInput, CreateBucketOutput,
    DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketInput, DeleteBucketLifecycleInput,
    DeleteBucketLifecycleOutput, DeleteBucketOutput, DeleteBucketPolicyInput,
    DeleteBucketPolicyOutput, GetBucketAclInput, GetBucketAclOutput, GetBucketCorsInput,
    GetBucketCorsOutput, GetBucketLifecycleConfigurationInput,
    GetBucketLifecycleConfigurationOutput, GetBucketLocationInput, GetBucketLocationOutput,
    GetBucketPolicyInput, GetBucketPolicyOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, HeadBucketInput, HeadBucketOutput, ListBucketsInput,
    ListBucketsOutput, PutBucketAclInput, PutBucketAclOutput, PutBucketCorsInput,
    PutBucketCorsOutput, PutBucketLifecycleConfigurationInput,
    PutBucketLifecycleConfigurationOutput, PutBucketPolicyInput, PutBucketPolicyOutput,
    PutBucketVersioningInput, PutBucketVersioningOutput,
};
use s3s::{S3Result, s3_error};

use super::access::{Caller, REGIONS};
use super::acl::{self, grants};
use super::buckets::{Bucket, Shared};
use super::cors;
use super::lifecycle;
use super::objects::{to_dto, to_dto_owner};
use super::policy::Policy;
use super::records::{BucketRecord, Versioning};
use crate::facts::SpacesKeyFacts;

/// Buckets an account can have before it asks for more.
const MAX_BUCKETS: usize = 100;

/// What the grant headers of a request about a bucket say.
macro_rules! granted {
    ($input:ident) => {
        acl::Granted {
            full_control: $input.grant_full_control,
            read: $input.grant_read,
            other: $input.grant_read_acp.is_some()
                || $input.grant_write.is_some()
                || $input.grant_write_acp.is_some(),
        }
    };
}

pub(super) fn create_bucket(
    shared: &Shared,
    caller: &Caller,
    input: CreateBucketInput,
) -> S3Result<CreateBucketOutput> {
    let region = caller.region.clone().unwrap_or_default();
    if !REGIONS.contains(&region.as_str()) {
        return Err(s3_error!(
            InvalidLocationConstraint,
            "{region:?} is not a Spaces region ({}): the sandbox takes it from the endpoint's name or, at an \
             address, from the signature's scope",
            REGIONS.join(", ")
        ));
    }
    let wanted = input
        .create_bucket_configuration
        .and_then(|c| c.location_constraint);
    if wanted
        .as_ref()
        .is_some_and(|wanted| !wanted.as_str().is_empty() && wanted.as_str() != region)
    {
        return Err(s3_error!(
            InvalidLocationConstraint,
            "LocationConstraint is not the endpoint's region {region}"
        ));
    }
    if input.object_lock_enabled_for_bucket == Some(true) {
        return Err(s3_error!(
            NotImplemented,
            "the sandbox does not simulate object locks"
        ));
    }
    let canned = input.acl.as_ref().map(BucketCannedACL::as_str);
    let granted = granted!(input);
    let acl = acl::requested(canned, &granted)?;
    let name = input.bucket;
    shared.change(|buckets, retired, change| {
        if buckets.contains_key(&name) {
            return Err(s3_error!(BucketAlreadyOwnedByYou, "the bucket {name} already exists in this account"));
        }
        if retired.contains(&name) && !shared.config.reuse_deleted_names {
            return Err(s3_error!(
                BucketAlreadyExists,
                "the bucket {name} was deleted and is pending destruction; its name cannot be used for a week or more"
            ));
        }
        if buckets.len() >= MAX_BUCKETS {
            return Err(s3_error!(TooManyBuckets, "an account has at most {MAX_BUCKETS} buckets"));
        }
        let record = BucketRecord {
            name: name.clone(),
            region,
            created: change.now,
            acl,
            versioning: Versioning::Never,
            lifecycle: None,
            cors: None,
            policy: None,
        };
        change.bucket(&record)?;
        buckets.insert(name.clone(), Bucket::new(record));
        Ok(CreateBucketOutput { location: Some(format!("/{name}")) })
    })
}

pub(super) fn delete_bucket(
    shared: &Shared,
    caller: &Caller,
    input: DeleteBucketInput,
) -> S3Result<DeleteBucketOutput> {
    let name = input.bucket;
    shared.in_bucket(caller, &name, |bucket, change| {
        if !bucket.keys.is_empty() {
            return Err(s3_error!(
                BucketNotEmpty,
                "the bucket {name} still has objects, versions or delete markers"
            ));
        }
        // Parts of unfinished uploads go with the bucket.
        for id in bucket.uploads.keys().cloned().collect::<Vec<_>>() {
            bucket.remove_upload(change, &id);
        }
        Ok(())
    })?;
    shared.change(|buckets, retired, change| {
        // Another request may have come between the two looks.
        if buckets
            .get(&name)
            .is_some_and(|bucket| !bucket.keys.is_empty())
        {
            return Err(s3_error!(
                BucketNotEmpty,
                "the bucket {name} still has objects, versions or delete markers"
            ));
        }
        change.forget_bucket(&name, true)?;
        buckets.remove(&name);
        retired.insert(name.clone());
        Ok(DeleteBucketOutput::default())
    })
}

pub(super) fn head_bucket(
    shared: &Shared,
    caller: &Caller,
    input: HeadBucketInput,
) -> S3Result<HeadBucketOutput> {
    shared.in_bucket(caller, &input.bucket, |bucket, _| {
        Ok(HeadBucketOutput {
            bucket_region: Some(bucket.record.region.clone()),
            ..HeadBucketOutput::default()
        })
    })
}

#[expect(clippy::unnecessary_wraps, reason = "the shape of every operation")]
pub(super) fn list_buckets(
    shared: &Shared,
    caller: &Caller,
    _input: ListBucketsInput,
) -> S3Result<ListBucketsOutput> {
    let buckets = shared.read(|state| {
        let mine = state.buckets.values().filter(|bucket| {
            let here = caller
                .region
                .as_ref()
                .is_none_or(|region| *region == bucket.record.region);
            here && caller.may_read(&bucket.record.name)
        });
        mine.map(|bucket| s3s::dto::Bucket {
            bucket_region: Some(bucket.record.region.clone()),
            creation_date: Some(to_dto(bucket.record.created)),
            name: Some(bucket.record.name.clone()),
        })
        .collect()
    });
    Ok(ListBucketsOutput {
        buckets: Some(buckets),
        owner: Some(to_dto_owner()),
        ..ListBucketsOutput::default()
    })
}

pub(super) fn get_location(
    shared: &Shared,
    caller: &Caller,
    input: GetBucketLocationInput,
) -> S3Result<GetBucketLocationOutput> {
    shared.in_bucket(caller, &input.bucket, |bucket, _| {
        Ok(GetBucketLocationOutput {
            location_constraint: Some(bucket.record.region.clone().into()),
        })
    })
}

/// Changes a bucket's settings.
fn set(
    shared: &Shared,
    caller: &Caller,
    name: &str,
    edit: impl FnOnce(&mut BucketRecord),
) -> S3Result<()> {
    shared.in_bucket(caller, name, |bucket, change| {
        let mut record = bucket.record.clone();
        edit(&mut record);
        change.bucket(&record)?;
        bucket.record = record;
        Ok(())
    })
}

fn get<T>(
    shared: &Shared,
    caller: &Caller,
    name: &str,
    look: impl FnOnce(&BucketRecord) -> T,
) -> S3Result<T> {
    shared.in_bucket(caller, name, |bucket, _| Ok(look(&bucket.record)))
}

pub(super) fn get_versioning(
    shared: &Shared,
    caller: &Caller,
    input: GetBucketVersioningInput,
) -> S3Result<GetBucketVersioningOutput> {
    let status = get(shared, caller, &input.bucket, |record| {
        match record.versioning {
            Versioning::Never => None,
            Versioning::Enabled => Some(BucketVersioningStatus::from_static(
                BucketVersioningStatus::ENABLED,
            )),
            Versioning::Suspended => Some(BucketVersioningStatus::from_static(
                BucketVersioningStatus::SUSPENDED,
            )),
        }
    })?;
    Ok(GetBucketVersioningOutput {
        status,
        ..GetBucketVersioningOutput::default()
    })
}

pub(super) fn put_versioning(
    shared: &Shared,
    caller: &Caller,
    input: PutBucketVersioningInput,
) -> S3Result<PutBucketVersioningOutput> {
    let status = input.versioning_configuration.status;
    let versioning = match status.as_ref().map(BucketVersioningStatus::as_str) {
        Some(BucketVersioningStatus::ENABLED) => Versioning::Enabled,
        Some(BucketVersioningStatus::SUSPENDED) => Versioning::Suspended,
        other => {
            return Err(s3_error!(
                MalformedXML,
                "Status is Enabled or Suspended, not {other:?}"
            ));
        }
    };
    set(shared, caller, &input.bucket, |record| {
        record.versioning = versioning;
    })?;
    Ok(PutBucketVersioningOutput::default())
}

pub(super) fn get_lifecycle(
    shared: &Shared,
    caller: &Caller,
    input: GetBucketLifecycleConfigurationInput,
) -> S3Result<GetBucketLifecycleConfigurationOutput> {
    let rules = get(shared, caller, &input.bucket, |record| {
        record.lifecycle.clone()
    })?
    .ok_or_else(|| {
        s3_error!(
            NoSuchLifecycleConfiguration,
            "the bucket has no lifecycle configuration"
        )
    })?
    .rules;
    Ok(GetBucketLifecycleConfigurationOutput {
        rules: Some(rules),
        ..GetBucketLifecycleConfigurationOutput::default()
    })
}

pub(super) fn put_lifecycle(
    shared: &Shared,
    caller: &Caller,
    input: PutBucketLifecycleConfigurationInput,
) -> S3Result<PutBucketLifecycleConfigurationOutput> {
    let configuration = input
        .lifecycle_configuration
        .ok_or_else(|| s3_error!(MalformedXML, "the request has no LifecycleConfiguration"))?;
    let configuration = lifecycle::named(configuration);
    lifecycle::validate(&configuration.rules)?;
    set(shared, caller, &input.bucket, |record| {
        record.lifecycle = Some(configuration);
    })?;
    Ok(PutBucketLifecycleConfigurationOutput::default())
}

pub(super) fn delete_lifecycle(
    shared: &Shared,
    caller: &Caller,
    input: DeleteBucketLifecycleInput,
) -> S3Result<DeleteBucketLifecycleOutput> {
    set(shared, caller, &input.bucket, |record| {
        record.lifecycle = None;
    })?;
    Ok(DeleteBucketLifecycleOutput::default())
}

pub(super) fn get_cors(
    shared: &Shared,
    caller: &Caller,
    input: GetBucketCorsInput,
) -> S3Result<GetBucketCorsOutput> {
    let cors = get(shared, caller, &input.bucket, |record| record.cors.clone())?;
    let cors = cors.ok_or_else(|| {
        s3_error!(
            NoSuchCORSConfiguration,
            "the bucket has no CORS configuration"
        )
    })?;
    Ok(GetBucketCorsOutput {
        cors_rules: Some(cors.cors_rules),
    })
}

pub(super) fn put_cors(
    shared: &Shared,
    caller: &Caller,
    input: PutBucketCorsInput,
) -> S3Result<PutBucketCorsOutput> {
    cors::validate(&input.cors_configuration.cors_rules)?;
    set(shared, caller, &input.bucket, |record| {
        record.cors = Some(input.cors_configuration);
    })?;
    Ok(PutBucketCorsOutput::default())
}

pub(super) fn delete_cors(
    shared: &Shared,
    caller: &Caller,
    input: DeleteBucketCorsInput,
) -> S3Result<DeleteBucketCorsOutput> {
    set(shared, caller, &input.bucket, |record| record.cors = None)?;
    Ok(DeleteBucketCorsOutput::default())
}

pub(super) fn get_policy(
    shared: &Shared,
    caller: &Caller,
    input: GetBucketPolicyInput,
) -> S3Result<GetBucketPolicyOutput> {
    let policy = get(shared, caller, &input.bucket, |record| {
        record.policy.clone()
    })?;
    let policy = policy.ok_or_else(|| s3_error!(NoSuchBucketPolicy, "the bucket has no policy"))?;
    Ok(GetBucketPolicyOutput {
        policy: Some(policy),
    })
}

pub(super) fn put_policy(
    shared: &Shared,
    caller: &Caller,
    input: PutBucketPolicyInput,
) -> S3Result<PutBucketPolicyOutput> {
    Policy::parse(&input.policy)?;
    let limited = |key: &SpacesKeyFacts| key.grants.iter().any(|(name, _)| *name == input.bucket);
    if let Some(key) = shared.facts.spaces_keys().iter().find(|key| limited(key)) {
        return Err(s3_error!(
            AccessDenied,
            "limited-access keys and bucket policies exclude each other, and the key {} has a grant \
             for the bucket {}",
            key.access_key,
            input.bucket
        ));
    }
    set(shared, caller, &input.bucket, |record| {
        record.policy = Some(input.policy);
    })?;
    Ok(PutBucketPolicyOutput::default())
}

pub(super) fn delete_policy(
    shared: &Shared,
    caller: &Caller,
    input: DeleteBucketPolicyInput,
) -> S3Result<DeleteBucketPolicyOutput> {
    set(shared, caller, &input.bucket, |record| record.policy = None)?;
    Ok(DeleteBucketPolicyOutput::default())
}

pub(super) fn get_bucket_acl(
    shared: &Shared,
    caller: &Caller,
    input: GetBucketAclInput,
) -> S3Result<GetBucketAclOutput> {
    let acl = get(shared, caller, &input.bucket, |record| record.acl.clone())?;
    Ok(GetBucketAclOutput {
        grants: Some(grants(&acl)),
        owner: Some(to_dto_owner()),
    })
}

pub(super) fn put_bucket_acl(
    shared: &Shared,
    caller: &Caller,
    input: PutBucketAclInput,
) -> S3Result<PutBucketAclOutput> {
    let canned = input.acl.as_ref().map(BucketCannedACL::as_str);
    let granted = granted!(input);
    let acl = acl::chosen(canned, &granted, input.access_control_policy.as_ref())?;
    set(shared, caller, &input.bucket, |record| record.acl = acl)?;
    Ok(PutBucketAclOutput::default())
}
