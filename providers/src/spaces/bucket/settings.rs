//! A bucket's settings: versioning, lifecycle, who may read.

use super::{LifecycleRule, Target};
use crate::spaces::session::content_md5;
use aws_sdk_s3::types::{
    AbortIncompleteMultipartUpload, BucketCannedAcl, BucketLifecycleConfiguration,
    BucketVersioningStatus, ExpirationStatus, LifecycleExpiration, LifecycleRule as Rule,
    LifecycleRuleFilter, NoncurrentVersionExpiration, Permission, VersioningConfiguration,
};
use kplan_model::{ErrorKind, Permit, ProviderError};

/// The grantee that means everybody.
const EVERYBODY: &str = "http://acs.amazonaws.com/groups/global/AllUsers";

fn days(days: Option<u32>) -> Option<i32> {
    days.and_then(|days| i32::try_from(days).ok())
}

fn unsigned(days: Option<i32>) -> Option<u32> {
    days.and_then(|days| u32::try_from(days).ok())
        .filter(|&days| days > 0)
}

fn to_remote(rule: &LifecycleRule) -> Result<Rule, ProviderError> {
    let status = if rule.enabled {
        ExpirationStatus::Enabled
    } else {
        ExpirationStatus::Disabled
    };
    let expiration = rule.expiration_days.map(|_| {
        LifecycleExpiration::builder()
            .set_days(days(rule.expiration_days))
            .build()
    });
    let older = rule.noncurrent_version_expiration_days.map(|number| {
        NoncurrentVersionExpiration::builder()
            .set_noncurrent_days(days(Some(number)))
            .build()
    });
    let unfinished = rule.abort_incomplete_multipart_upload_days.map(|number| {
        AbortIncompleteMultipartUpload::builder()
            .set_days_after_initiation(days(Some(number)))
            .build()
    });
    Rule::builder()
        .id(&rule.id)
        .status(status)
        .filter(LifecycleRuleFilter::builder().prefix(&rule.prefix).build())
        .set_expiration(expiration)
        .set_noncurrent_version_expiration(older)
        .set_abort_incomplete_multipart_upload(unfinished)
        .build()
        .map_err(|_| ProviderError::new(ErrorKind::Bug, "a lifecycle rule without a status"))
}

#[expect(
    deprecated,
    reason = "Spaces answers with the older place of the prefix"
)]
fn from_remote(rule: &Rule) -> LifecycleRule {
    let filter = rule.filter().and_then(LifecycleRuleFilter::prefix);
    LifecycleRule {
        id: rule.id().unwrap_or_default().to_owned(),
        prefix: filter.or(rule.prefix()).unwrap_or_default().to_owned(),
        enabled: *rule.status() == ExpirationStatus::Enabled,
        expiration_days: unsigned(rule.expiration().and_then(LifecycleExpiration::days)),
        noncurrent_version_expiration_days: unsigned(
            rule.noncurrent_version_expiration()
                .and_then(NoncurrentVersionExpiration::noncurrent_days),
        ),
        abort_incomplete_multipart_upload_days: unsigned(
            rule.abort_incomplete_multipart_upload()
                .and_then(AbortIncompleteMultipartUpload::days_after_initiation),
        ),
    }
}

impl Target {
    /// Whether older versions are kept; `None` when the bucket is not there.
    pub(super) async fn versioning(&self) -> Result<Option<bool>, ProviderError> {
        let get = || {
            self.session
                .s3
                .get_bucket_versioning()
                .bucket(&self.name)
                .send()
        };
        let answer = self
            .session
            .read_optional(&self.what("versioning"), get)
            .await?;
        Ok(answer.map(|answer| answer.status() == Some(&BucketVersioningStatus::Enabled)))
    }

    pub(super) async fn set_versioning(
        &self,
        _permit: &Permit,
        enabled: bool,
    ) -> Result<(), ProviderError> {
        let status = if enabled {
            BucketVersioningStatus::Enabled
        } else {
            BucketVersioningStatus::Suspended
        };
        let wanted = VersioningConfiguration::builder().status(status).build();
        let put = || {
            self.session
                .s3
                .put_bucket_versioning()
                .bucket(&self.name)
                .versioning_configuration(wanted.clone())
                .customize()
                .mutate_request(content_md5)
                .send()
        };
        self.session
            .settle(&self.what("versioning"), put)
            .await
            .map(drop)
    }

    /// The lifecycle rules, those of `asked` first and in its order, so that a plan shows no change
    /// of order.
    pub(super) async fn lifecycle(
        &self,
        asked: &[LifecycleRule],
    ) -> Result<Vec<LifecycleRule>, ProviderError> {
        let get = || {
            self.session
                .s3
                .get_bucket_lifecycle_configuration()
                .bucket(&self.name)
                .send()
        };
        let what = self.what("lifecycle");
        let answer = match self.session.read_optional(&what, get).await {
            Ok(answer) => answer,
            Err(error) if error.code.as_deref() == Some("NoSuchLifecycleConfiguration") => None,
            Err(error) => return Err(error),
        };
        let mut rules: Vec<LifecycleRule> = answer
            .map(|answer| answer.rules().iter().map(from_remote).collect())
            .unwrap_or_default();
        let place = |rule: &LifecycleRule| asked.iter().position(|asked| asked.id == rule.id);
        rules.sort_by_key(|rule| place(rule).unwrap_or(usize::MAX));
        Ok(rules)
    }

    pub(super) async fn set_lifecycle(
        &self,
        _permit: &Permit,
        rules: &[LifecycleRule],
    ) -> Result<(), ProviderError> {
        let what = self.what("lifecycle");
        if rules.is_empty() {
            let delete = || {
                self.session
                    .s3
                    .delete_bucket_lifecycle()
                    .bucket(&self.name)
                    .send()
            };
            return self.session.settle(&what, delete).await.map(drop);
        }
        let rules: Result<Vec<Rule>, ProviderError> = rules.iter().map(to_remote).collect();
        let wanted = BucketLifecycleConfiguration::builder()
            .set_rules(Some(rules?))
            .build()
            .map_err(|_| ProviderError::new(ErrorKind::Bug, "a lifecycle without rules"))?;
        let put = || {
            self.session
                .s3
                .put_bucket_lifecycle_configuration()
                .bucket(&self.name)
                .lifecycle_configuration(wanted.clone())
                .customize()
                .mutate_request(content_md5)
                .send()
        };
        self.session.settle(&what, put).await.map(drop)
    }

    /// `private` or `public-read`; `None` where the key may not see it (a key for one bucket).
    pub(super) async fn acl(&self) -> Result<Option<String>, ProviderError> {
        let get = || self.session.s3.get_bucket_acl().bucket(&self.name).send();
        let answer = match self.session.read(&self.what("access list"), get).await {
            Ok(answer) => answer,
            Err(error) if error.kind == ErrorKind::Denied => return Ok(None),
            Err(error) => return Err(error),
        };
        let open = answer.grants().iter().any(|grant| {
            grant.grantee().and_then(|who| who.uri()) == Some(EVERYBODY)
                && matches!(
                    grant.permission(),
                    Some(Permission::Read | Permission::FullControl | Permission::Write)
                )
        });
        Ok(Some(
            if open { "public-read" } else { "private" }.to_owned(),
        ))
    }

    pub(super) async fn set_acl(
        &self,
        _permit: &Permit,
        acl: Option<&str>,
    ) -> Result<(), ProviderError> {
        let acl = BucketCannedAcl::from(acl.unwrap_or("private"));
        let put = || {
            self.session
                .s3
                .put_bucket_acl()
                .bucket(&self.name)
                .acl(acl.clone())
                .send()
        };
        self.session
            .settle(&self.what("access list"), put)
            .await
            .map(drop)
    }
}
