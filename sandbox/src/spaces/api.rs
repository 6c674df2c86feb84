//! The S3 operations Spaces has, one line each; the rules are in the modules they call.

use std::sync::Arc;

use s3s::dto::{
    AbortMultipartUploadInput, AbortMultipartUploadOutput, CompleteMultipartUploadInput,
    CompleteMultipartUploadOutput, CopyObjectInput, CopyObjectOutput, CreateBucketInput,
    CreateBucketOutput, CreateMultipartUploadInput, CreateMultipartUploadOutput,
    DeleteBucketCorsInput, DeleteBucketCorsOutput, DeleteBucketInput, DeleteBucketLifecycleInput,
    DeleteBucketLifecycleOutput, DeleteBucketOutput, DeleteBucketPolicyInput,
    DeleteBucketPolicyOutput, DeleteObjectInput, DeleteObjectOutput, DeleteObjectTaggingInput,
    DeleteObjectTaggingOutput, DeleteObjectsInput, DeleteObjectsOutput, GetBucketAclInput,
    GetBucketAclOutput, GetBucketCorsInput, GetBucketCorsOutput,
    GetBucketLifecycleConfigurationInput, GetBucketLifecycleConfigurationOutput,
    GetBucketLocationInput, GetBucketLocationOutput, GetBucketPolicyInput, GetBucketPolicyOutput,
    GetBucketVersioningInput, GetBucketVersioningOutput, GetObjectAclInput, GetObjectAclOutput,
    GetObjectInput, GetObjectOutput, GetObjectTaggingInput, GetObjectTaggingOutput,
    HeadBucketInput, HeadBucketOutput, HeadObjectInput, HeadObjectOutput, ListBucketsInput,
    ListBucketsOutput, ListMultipartUploadsInput, ListMultipartUploadsOutput,
    ListObjectVersionsInput, ListObjectVersionsOutput, ListObjectsInput, ListObjectsOutput,
    ListObjectsV2Input, ListObjectsV2Output, ListPartsInput, ListPartsOutput, PostObjectInput,
    PostObjectOutput, PutBucketAclInput, PutBucketAclOutput, PutBucketCorsInput,
    PutBucketCorsOutput, PutBucketLifecycleConfigurationInput,
    PutBucketLifecycleConfigurationOutput, PutBucketPolicyInput, PutBucketPolicyOutput,
    PutBucketVersioningInput, PutBucketVersioningOutput, PutObjectAclInput, PutObjectAclOutput,
    PutObjectInput, PutObjectOutput, PutObjectTaggingInput, PutObjectTaggingOutput,
    UploadPartCopyInput, UploadPartCopyOutput, UploadPartInput, UploadPartOutput,
};
use s3s::{S3, S3Request, S3Response, S3Result};

use super::access::Caller;
use super::buckets::Shared;
use super::{acl, copies, listing, multipart, objects, settings, tagging};

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

/// A range is answered with 206, all of an object with 200.
fn answer<O>(output: O, partial: bool) -> S3Response<O> {
    if partial {
        S3Response::with_status(output, http::StatusCode::PARTIAL_CONTENT)
    } else {
        S3Response::new(output)
    }
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
                let trailers = request.trailing_headers;
                let upload = multipart::upload_part(&self.0, &caller, request.input, trailers);
                let output = Box::pin(upload).await?;
                Ok(S3Response::new(output))
            }

            async fn post_object(
                &self,
                _request: S3Request<PostObjectInput>,
            ) -> S3Result<S3Response<PostObjectOutput>> {
                Err(s3s::s3_error!(
                    NotImplemented,
                    "the sandbox takes no browser form uploads"
                ))
            }

            async fn get_object(
                &self,
                request: S3Request<GetObjectInput>,
            ) -> S3Result<S3Response<GetObjectOutput>> {
                let caller = caller(&request)?;
                let output = objects::get(&self.0, &caller, request.input)?;
                let partial = output.content_range.is_some();
                Ok(answer(output, partial))
            }

            async fn head_object(
                &self,
                request: S3Request<HeadObjectInput>,
            ) -> S3Result<S3Response<HeadObjectOutput>> {
                let caller = caller(&request)?;
                let output = objects::head(&self.0, &caller, request.input)?;
                let partial = output.content_range.is_some();
                Ok(answer(output, partial))
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
    delete_object, DeleteObjectInput => DeleteObjectOutput, objects::delete;
    delete_objects, DeleteObjectsInput => DeleteObjectsOutput, objects::delete_many;
    copy_object, CopyObjectInput => CopyObjectOutput, copies::object;
    upload_part_copy, UploadPartCopyInput => UploadPartCopyOutput, copies::part;
    get_object_tagging, GetObjectTaggingInput => GetObjectTaggingOutput, tagging::get;
    put_object_tagging, PutObjectTaggingInput => PutObjectTaggingOutput, tagging::put;
    delete_object_tagging, DeleteObjectTaggingInput => DeleteObjectTaggingOutput, tagging::delete;
    list_objects, ListObjectsInput => ListObjectsOutput, listing::objects_v1;
    list_objects_v2, ListObjectsV2Input => ListObjectsV2Output, listing::objects_v2;
    list_object_versions, ListObjectVersionsInput => ListObjectVersionsOutput, listing::versions;
    create_multipart_upload, CreateMultipartUploadInput => CreateMultipartUploadOutput, multipart::create;
    complete_multipart_upload, CompleteMultipartUploadInput => CompleteMultipartUploadOutput, multipart::complete;
    abort_multipart_upload, AbortMultipartUploadInput => AbortMultipartUploadOutput, multipart::abort;
    list_parts, ListPartsInput => ListPartsOutput, multipart::list_parts;
    list_multipart_uploads, ListMultipartUploadsInput => ListMultipartUploadsOutput, multipart::list_uploads;
}
