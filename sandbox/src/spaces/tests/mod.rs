//! Spaces, driven by the official S3 client.

use std::sync::Arc;

use aws_sdk_s3::Client;
use aws_sdk_s3::primitives::ByteStream;
use aws_sdk_s3::types::{BucketVersioningStatus, VersioningConfiguration};

use super::testkit::{TestCloud, client};
use super::{Spaces, SpacesConfig};
use crate::{Clock, Store};

/// The error code of a failed call.
macro_rules! code {
    ($call:expr) => {{
        let error = $call
            .send()
            .await
            .expect_err("the call must fail")
            .into_service_error();
        error.code().unwrap_or_default().to_owned()
    }};
}

/// The answer of a call that succeeds.
macro_rules! ok {
    ($call:expr) => {
        $call.send().await.expect("the call must succeed")
    };
}

mod access;
mod acls;
mod buckets;
mod copies;
mod cors;
mod fuzz;
mod objects;
mod policies;
mod versions;

pub(super) fn spaces(cloud: &Arc<TestCloud>, config: SpacesConfig) -> Spaces {
    let facts = Arc::clone(cloud) as Arc<dyn crate::facts::CloudFacts>;
    Spaces::open(config, facts, Store::in_memory(), Clock::new(60.0)).unwrap()
}

pub(super) async fn bucket(name: &str) -> (Arc<TestCloud>, Spaces, Client) {
    let cloud = TestCloud::with_admin();
    let spaces = spaces(&cloud, SpacesConfig::default());
    let admin = client(&spaces, "ADMIN", "fra1");
    admin.create_bucket().bucket(name).send().await.unwrap();
    (cloud, spaces, admin)
}

pub(super) fn body(text: &str) -> ByteStream {
    ByteStream::from(text.as_bytes().to_vec())
}

pub(super) async fn put(client: &Client, bucket: &str, key: &str, text: &str) -> Option<String> {
    let put = client.put_object().bucket(bucket).key(key).body(body(text));
    put.send().await.unwrap().version_id().map(str::to_owned)
}

pub(super) async fn read(client: &Client, bucket: &str, key: &str) -> String {
    let object = client
        .get_object()
        .bucket(bucket)
        .key(key)
        .send()
        .await
        .unwrap();
    String::from_utf8(object.body.collect().await.unwrap().to_vec()).unwrap()
}

pub(super) async fn enable_versioning(client: &Client, bucket: &str) {
    let enabled = VersioningConfiguration::builder()
        .status(BucketVersioningStatus::Enabled)
        .build();
    ok!(client
        .put_bucket_versioning()
        .bucket(bucket)
        .versioning_configuration(enabled));
}
