//! The S3 operations Spaces has, one line each; the rules are in the modules they call.

use std::sync::Arc;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput,
    CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketInput, DeleteBucketLifecycleInput,
    DeleteBucketLifecycleOutput, DeleteBucketOutput, DeleteBucketPolicyInput,
    DeleteBucketPolicyOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectsInput,
    DeleteObjectsOutput, GetBucketAclInput, GetBucketAclOutput, GetBucketCorsInput,
    GetBucketCorsOutput, GetBucketLifecycleConfigurationInput,
    GetBucketLifecycleConfigurationOutput, GetBucketLocationInput, GetBucketLocationOutput,
    GetBucketPolicyInput, GetBucketPolicyOutput, GetBucketVersioningInput,
    GetBucketVersioningOutput, GetObjectAclInput, GetObjectAclOutput, GetObjectInput,
    GetObjectOutput, HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput,
    ListBucketsInput, ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput,
    ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, PutBucketAclInput,
    PutBucketAclOutput, PutBucketCorsInput, PutBucketCorsOutput,
    PutBucketLifecycleConfigurationInput, PutBucketLifecycleConfigurationOutput,
    PutBucketPolicyInput, PutBucketPolicyOutput, PutBucketVersioningInput,
    PutBucketVersioningOutput, PutObjectAclInput, PutObjectAclOutput, PutObjectInput,
    PutObjectOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result};

use super::access::Caller;
use super::buckets::Shared;
use super::{acl, listing, multipart, objects, settings};

/// The operations over the shared state.
pub(super) struct Api(pub Arc<Shared>);

/// Runs an operation with its input and the caller that the access check left behind.
fn run<I, O>(
    shared: &Shared,
    request: S3Request<I>,
    operation: impl FnOnce(&Shared, &Caller, I) -> S3Result<O>,
) -> S3Result<S3Response<O>> {
    let caller = caller(&request)?;
    operation(shared, &caller, request.input).map(S3Response::new)
}

fn caller<I>(request: &S3Request<I>) -> S3Result<Caller> {
    let caller = request.extensions.get::<Caller>().cloned();
    caller.ok_or_else(|| s3s::s3_error!(AccessDenied, "the request was not checked"))
}

macro_rules! operations {
    ($($name:ident, $input:ident => $output:ident, $operation:path;)*) => {
        #[async_trait::async_trait]
        impl S3 for Api {
            $(
                async fn $name(&self, request: S3Request<$input>) -> S3Result<S3Response<$output>> {
                    run(&self.0, request, $operation)
                }
            )*

            async fn put_object(
                &self,
                request: S3Request<PutObjectInput>,
            ) -> S3Result<S3Response<PutObjectOutput>> {
                let caller = caller(&request)?;
                let trailers = request.trailing_headers;
                let output = Box::pin(objects::put(&self.0, &caller, request.input, trailers)).await?;
                Ok(S3Response::new(output))
            }

            async fn upload_part(
                &self,
                request: S3Request<UploadPartInput>,
            ) -> S3Result<S3Response<UploadPartOutput>> {
                let caller = caller(&request)?;
                let output = Box::pin(multipart::upload_part(&self.0, &caller, request.input)).await?;
                Ok(S3Response::new(output))
            }

            async fn get_object(
                &self,
                request: S3Request<GetObjectInput>,
            ) -> S3Result<S3Response<GetObjectOutput>> {
                let caller = caller(&request)?;
                let partial = request.input.range.is_some();
                let output = objects::get(&self.0, &caller, request.input)?;
                if partial {
                    return Ok(S3Response::with_status(output, http::StatusCode::PARTIAL_CONTENT));
                }
                Ok(S3Response::new(output))
            }
        }
    };
}

operations! {
    create_bucket, CreateBucketInput => CreateBucketOutput, settings::create_bucket;
    delete_bucket, DeleteBucketInput => DeleteBucketOutput, settings::delete_bucket;
    head_bucket, HeadBucketInput => HeadBucketOutput, settings::head_bucket;
    list_buckets, ListBucketsInput => ListBucketsOutput, settings::list_buckets;
    get_bucket_location, GetBucketLocationInput => GetBucketLocationOutput, settings::get_location;
    get_bucket_versioning, GetBucketVersioningInput => GetBucketVersioningOutput, settings::get_versioning;
    put_bucket_versioning, PutBucketVersioningInput => PutBucketVersioningOutput, settings::put_versioning;
    get_bucket_lifecycle_configuration, GetBucketLifecycleConfigurationInput => GetBucketLifecycleConfigurationOutput, settings::get_lifecycle;
    put_bucket_lifecycle_configuration, PutBucketLifecycleConfigurationInput => PutBucketLifecycleConfigurationOutput, settings::put_lifecycle;
    delete_bucket_lifecycle, DeleteBucketLifecycleInput => DeleteBucketLifecycleOutput, settings::delete_lifecycle;
    get_bucket_cors, GetBucketCorsInput => GetBucketCorsOutput, settings::get_cors;
    put_bucket_cors, PutBucketCorsInput => PutBucketCorsOutput, settings::put_cors;
    delete_bucket_cors, DeleteBucketCorsInput => DeleteBucketCorsOutput, settings::delete_cors;
    get_bucket_policy, GetBucketPolicyInput => GetBucketPolicyOutput, settings::get_policy;
    put_bucket_policy, PutBucketPolicyInput => PutBucketPolicyOutput, settings::put_policy;
    delete_bucket_policy, DeleteBucketPolicyInput => DeleteBucketPolicyOutput, settings::delete_policy;
    get_bucket_acl, GetBucketAclInput => GetBucketAclOutput, settings::get_bucket_acl;
    put_bucket_acl, PutBucketAclInput => PutBucketAclOutput, settings::put_bucket_acl;
    put_object_acl, PutObjectAclInput => PutObjectAclOutput, acl::put_object_acl;
    get_object_acl, GetObjectAclInput => GetObjectAclOutput, objects::get_acl;
    head_object, HeadObjectInput => HeadObjectOutput, objects::head;
    delete_object, DeleteObjectInput => DeleteObjectOutput, objects::delete;
    delete_objects, DeleteObjectsInput => DeleteObjectsOutput, objects::delete_many;
    copy_object, CopyObjectInput => CopyObjectOutput, objects::copy;
    list_objects, ListObjectsInput => ListObjectsOutput, listing::objects_v1;
    list_objects_v2, ListObjectsV2Input => ListObjectsV2Output, listing::objects_v2;
    list_object_versions, ListObjectVersionsInput => ListObjectVersionsOutput, listing::versions;
    create_multipart_upload, CreateMultipartUploadInput => CreateMultipartUploadOutput, multipart::create;
    complete_multipart_upload, CompleteMultipartUploadInput => CompleteMultipartUploadOutput, multipart::complete;
    abort_multipart_upload, AbortMultipartUploadInput => AbortMultipartUploadOutput, multipart::abort;
    list_parts, ListPartsInput => ListPartsOutput, multipart::list_parts;
    list_multipart_uploads, ListMultipartUploadsInput => ListMultipartUploadsOutput, multipart::list_uploads;
}
